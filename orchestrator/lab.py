"""The lab: everything put together for a notebook, the command line or the server."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import orjson
import psutil
from pydantic import SecretStr

from orchestrator import backends, health, tables
from orchestrator.attempts import BFLService, ComfyUIService
from orchestrator.connectors.bfl import BFL, POST_READ_S
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.embedded import EngineProcess
from orchestrator.errors import (
    JobExists,
    JobNotFound,
    OrchestratorError,
    ParamsInvalid,
    PathOutside,
)
from orchestrator.files import write_whole
from orchestrator.handles import JobHandle, Picture
from orchestrator.health import HealthReport
from orchestrator.jobs import Job, Status
from orchestrator.paths import Paths, inside
from orchestrator.settings import DEFAULT_COMFY_URL, Settings
from orchestrator.store import Pause, Store
from orchestrator.worker import Worker
from orchestrator.workflows.samplers import USUAL_SAMPLERS, USUAL_SCHEDULERS

if TYPE_CHECKING:
    import pandas

    from orchestrator.gallery import Gallery

PROBE_S = 2.0
OFFERS_AGE_S = 60.0


@dataclass(frozen=True)
class Offers:
    """What a ComfyUI server has to choose from. Without one: what every ComfyUI of the last years has."""

    samplers: tuple[str, ...] = USUAL_SAMPLERS
    schedulers: tuple[str, ...] = USUAL_SCHEDULERS
    checkpoints: tuple[str, ...] = ()


class Lab:
    """The jobs, the pictures and the services of one paths.json.

    Cheap to make: nothing runs in the background until something is waited for or `worker` is entered.
    """

    def __init__(self, paths: Paths, settings: Settings) -> None:
        self.paths = paths
        self.settings = settings
        paths.create()
        self.store = Store(paths.jobs)
        self._rng = random.SystemRandom()
        self._offers: tuple[float, Offers] | None = None

    @classmethod
    def open(cls, paths: Path | str | None = None) -> Lab:
        """The lab of a paths.json, or of the folder that has one; by default the one `Paths.find` finds.

        Raises ConfigError and its kinds.
        """
        if paths is None:
            found = Paths.find()
        else:
            path = Path(paths)
            found = Paths.load(path / "paths.json" if path.is_dir() else path)
        return cls(found, Settings.load(found))

    def close(self) -> None:
        """Close files."""
        self.store.close()
        if "gallery" in vars(self):
            self.gallery.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lab({str(self.paths.file)!r})"

    # ---------------------------------------------------------------- submitting

    async def generate(
        self,
        prompt: str,
        *,
        backend: str = "sd15",
        hold: bool = False,
        priority: int = 0,
        **params: Any,
    ) -> JobHandle:
        """Submit a job; a worker makes the picture. `params` are the backend's: steps, seed, width, …

        Raises UnknownBackend, ParamsInvalid, DiskFull.
        """
        job = await asyncio.to_thread(
            self.submit, prompt, backend=backend, params=params, hold=hold, priority=priority
        )
        return JobHandle(self, job)

    async def image(self, prompt: str, **options: Any) -> Picture:
        """Submit a job and wait for its first picture; takes what `generate` takes. Raises JobFailed as well."""
        return await (await self.generate(prompt, **options)).picture()

    def submit(
        self,
        prompt: str,
        *,
        backend: str = "sd15",
        params: dict[str, Any] | None = None,
        hold: bool = False,
        priority: int = 0,
    ) -> Job:
        """Submit a job, blocking for some milliseconds; see `generate`."""
        if not prompt.strip():
            raise ParamsInvalid("The prompt is empty", remedy="Say what the picture should show.")
        chosen = backends.get(backend)
        seeded = backends.with_seed(params or {}, chosen, self._rng)
        backends.parse(chosen, seeded)
        job = Job.new(
            backend=backend,
            prompt=prompt,
            params=seeded,
            now=self.store.now(),
            hold=hold,
            priority=priority,
        )
        try:
            return self.store.create(job)
        except OSError:  # a network drive may have done it and said no: the id tells
            with contextlib.suppress(JobExists):
                return self.store.create(job)
            return self.store.get(job.id)

    def run(self, job_id: str) -> Job:
        """Release a draft, or run an ended job again. Raises JobNotFound, InvalidTransition."""
        return self._change(job_id, lambda job: job.release(now=self.store.now()))

    def retry(self, job_id: str) -> Job:
        """A new attempt at a job that failed or was cancelled. Raises JobNotFound, InvalidTransition."""
        return self.run(job_id)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job in any status but an ended one. Raises JobNotFound, InvalidTransition.

        A job that a service is working on is cancelled by the worker that has it, within a second.
        """
        return self._change(job_id, lambda job: job.cancel(now=self.store.now()))

    def duplicate(self, job_id: str) -> Job:
        """A draft that asks for the same as a job did, seed included. Raises JobNotFound, UnknownBackend, …"""
        job = self.job(job_id).job
        return self.submit(
            job.prompt, backend=job.backend, params=job.params, hold=True, priority=job.priority
        )

    def prioritise(self, job_id: str, priority: int) -> Job:
        """Move a waiting job: higher priorities are taken first. Raises JobNotFound, InvalidTransition."""
        return self._change(job_id, lambda job: job.prioritised(priority))

    def delete(self, job_id: str) -> Job:
        """Remove an ended job from the list; its pictures stay. Raises JobNotFound, InvalidTransition."""
        self.store.refresh()
        return self.store.delete(self.store.resolve(job_id))

    def clear_ended(self) -> int:
        """Remove the ended jobs from the list and say how many. Pictures stay; so do jobs that may have been paid
        for without a picture."""
        self.store.refresh()
        return self.store.clear_ended()

    def pause(self, reason: str = "") -> Pause:
        """Have no worker of the lab take a job from now on; what runs goes on."""
        return self.store.pause(reason)

    def resume(self) -> None:
        """Have the workers take jobs again."""
        self.store.resume()

    def pause_note(self) -> Pause | None:
        """Since when and why the queue is paused; None when it is not."""
        return self.store.pause_note()

    def _change(self, job_id: str, change: Callable[[Job], Job]) -> Job:
        self.store.refresh()
        found = self.store.resolve(job_id)
        try:
            return self.store.update(found, change)
        except JobNotFound:
            change(self.store.get(found))  # an archived job stays there if it cannot be changed
            self.store.unarchive(found)
            return self.store.update(found, change)

    # ---------------------------------------------------------------- looking

    def job(self, job_id: str) -> JobHandle:
        """A job by its id or the beginning of it. Raises JobNotFound."""
        self.store.refresh()
        return JobHandle(self, self.store.get(self.store.resolve(job_id)))

    def page(
        self,
        *,
        status: Status | None = None,
        backend: str | None = None,
        text: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[list[Job], int]:
        """Jobs, newest first, and how many there are in all. `text`: words of the prompt, or how an id begins."""
        self.store.refresh()
        return self.store.page(
            status=status, backend=backend, text=text, limit=limit, offset=offset
        )

    def jobs(
        self, *, status: str | None = None, backend: str | None = None, limit: int = 1000
    ) -> pandas.DataFrame:
        """The newest jobs as a table."""
        wanted = Status(status) if status else None
        jobs, _ = self.page(status=wanted, backend=backend, limit=limit)
        return tables.of_jobs(jobs)

    def images(self, *, backend: str | None = None, limit: int = 1000) -> pandas.DataFrame:
        """The newest pictures as a table, each with the job that made it."""
        return tables.of_pictures(self.pictures(backend=backend, limit=limit))

    def pictures(self, *, backend: str | None = None, limit: int = 50) -> list[Picture]:
        """The newest pictures that are still in their folder."""
        jobs, _ = self.page(status=Status.DONE, backend=backend, limit=limit)
        return [picture for job in jobs for picture in JobHandle(self, job).pictures][:limit]

    def picture_path(self, file: str) -> Path | None:
        """Where a picture that a job names lies, if it is there: in dropOut, whatever path the job says.

        Job files may come from anywhere; those of the old system name drives this machine may not have.
        """
        try:
            path = inside(self.paths.drop_out, PureWindowsPath(file).name)
        except PathOutside:
            return None
        return path if path.is_file() else None

    @cached_property
    def gallery(self) -> Gallery:
        """The pictures in dropOut, and what is known of them."""
        from orchestrator.gallery import Gallery

        return Gallery(self.paths)

    async def offers(self) -> Offers:
        """What the first ComfyUI that answers has to choose from; the usual names when none does.

        Remembered for a minute.
        """
        now = time.monotonic()
        if self._offers is None or now - self._offers[0] > OFFERS_AGE_S:
            self._offers = (now, await self._ask_offers())
        return self._offers[1]

    async def _ask_offers(self) -> Offers:
        for host in self.comfy_hosts():
            client = ComfyUI(host)
            try:
                async with asyncio.timeout(PROBE_S):
                    info = await client.object_info()
            except (OrchestratorError, TimeoutError):
                continue
            finally:
                await client.close()
            return Offers(
                samplers=tuple(info.options("KSampler", "sampler_name")),
                schedulers=tuple(info.options("KSampler", "scheduler")),
                checkpoints=tuple(info.options("CheckpointLoaderSimple", "ckpt_name")),
            )
        return Offers()

    async def health(self) -> HealthReport:
        """What runs, what does not, and what to do about it."""
        return await health.report(self.paths, self.settings, self.store, hosts=self.comfy_hosts())

    # ---------------------------------------------------------------- following

    @contextlib.contextmanager
    def changes(self, job_id: str | None = None) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set whenever the job, or any job, or its progress changes."""
        event, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell(changed: set[str]) -> None:
            if job_id is None or job_id in changed:
                with contextlib.suppress(RuntimeError):  # the loop has been closed
                    loop.call_soon_threadsafe(event.set)

        subscription = self.store.watch(tell)
        try:
            yield event
        finally:
            subscription.end()

    # ---------------------------------------------------------------- working

    @contextlib.asynccontextmanager
    async def worker(
        self, *, name: str = "worker", only: Container[str] | None = None
    ) -> AsyncIterator[Worker]:
        """Run the job loop in this event loop. Where no ComfyUI is configured or answers, the embedded engine is
        started for as long as the worker runs."""
        async with self._comfyui() as hosts:
            worker = self._make_worker(hosts, name=name, only=only)
            running = asyncio.create_task(worker.run(), name=name)
            try:
                yield worker
            finally:
                worker.stop()
                await running

    async def work(self, *, name: str = "worker") -> None:
        """Run the job loop until cancelled; then its jobs are handed back."""
        async with self._comfyui() as hosts:
            await self._make_worker(hosts, name=name, only=None).run()

    def _make_worker(self, hosts: list[str], *, name: str, only: Container[str] | None) -> Worker:
        images = self.paths.drop_out
        comfyui = ComfyUIService([ComfyUI(host) for host in hosts], images=images)
        key = self.settings.bfl_api_key or SecretStr("")
        bfl = BFLService(
            BFL(self.settings.bfl_base_url, key),
            images=images,
            late_receipt_s=POST_READ_S + self.store.lease_s,
        )
        return Worker(self.store, [comfyui, bfl], name=name, only=only)

    def comfy_hosts(self) -> list[str]:
        """The ComfyUI servers of the lab: those of COMFY_URL, else the embedded engine that is running, else the
        usual port."""
        if self.settings.comfy_urls:
            return self.settings.comfy_urls
        engine = self._engine_url()
        return [engine] if engine else [DEFAULT_COMFY_URL]

    @contextlib.asynccontextmanager
    async def _comfyui(self) -> AsyncIterator[list[str]]:
        if hosts := self.settings.comfy_urls or await self._running():
            yield hosts
            return
        async with self.engine() as url:
            yield [url]

    async def has_comfyui(self) -> bool:
        """Whether the lab has a ComfyUI to go to: one is configured, or something answers."""
        return bool(self.settings.comfy_urls or await self._running())

    async def _running(self) -> list[str]:
        for url in (self._engine_url(), DEFAULT_COMFY_URL):
            if url and await _answers(url):
                return [url]
        return []

    @contextlib.asynccontextmanager
    async def engine(self) -> AsyncIterator[str]:
        """The embedded engine, running for as long as this is entered; other processes of the lab find it."""
        process = await asyncio.to_thread(self.start_engine)
        try:
            yield process.url
        finally:
            await asyncio.to_thread(self.stop_engine, process)

    def start_engine(self) -> EngineProcess:
        """Start the embedded engine and note its address for the other processes of the lab."""
        process = EngineProcess(log=self.paths.logs / "engine.log")
        said = orjson.dumps({"url": process.url, "pid": process.pid})
        write_whole(self._engine_file, said, durable=False)
        return process

    def stop_engine(self, process: EngineProcess) -> None:
        """End the engine and forget its address."""
        if self._engine_url() == process.url:
            self._engine_file.unlink(missing_ok=True)
        process.stop()

    @property
    def _engine_file(self) -> Path:
        return self.paths.data / "engine.json"

    def _engine_url(self) -> str | None:
        try:
            said = orjson.loads(self._engine_file.read_bytes())
            return str(said["url"]) if psutil.pid_exists(int(said["pid"])) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


async def _answers(url: str) -> bool:
    client = ComfyUI(url)
    try:
        async with asyncio.timeout(PROBE_S):
            await client.system_stats()
    except (OrchestratorError, TimeoutError):
        return False
    finally:
        await client.close()
    return True
