"""What the tests of the worker share: a lab, services that cost nothing, and workers that are quick to try again."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import forks
import worker_process
from pydantic import SecretStr

from orchestrator.attempts import BFLService, ComfyUIService, Service, Till
from orchestrator.backends import BACKENDS
from orchestrator.connectors.bfl import BFL
from orchestrator.connectors.comfyui import ComfyUI, Timing
from orchestrator.files import DISK, Disk
from orchestrator.handles import JobHandle
from orchestrator.jobs import Attempt, Failure, Job, Status, prompt_id
from orchestrator.lab import Lab
from orchestrator.ledger import Ledger
from orchestrator.retry import RetryPolicy
from orchestrator.spending import Budget
from orchestrator.store import Store
from orchestrator.testing import KEY, Engine, FakeBFL, make_lab
from orchestrator.worker import Worker

# and what a worker imports with its first request and its first picture
LATE = (
    *("httpcore", "anyio._backends._asyncio"),
    *(f"PIL.{kind}ImagePlugin" for kind in ("Bmp", "Gif", "Jpeg", "Png", "Ppm")),
)
forks.preload("worker_process", "orchestrator.cli", *LATE)
FAST = Timing(poll_interval_s=0.1, vanish_s=0.2, grace_s=1.0, cancel_s=5.0)
QUICK = RetryPolicy(base_s=0.05)
QUICK_JOB = {"width": 64, "height": 64, "steps": 1}
BFL_POLL_S = 0.05
PATIENCE_S = 30.0  # the machine may be busy with other things


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a coroutine as a test."""

    @functools.wraps(test)
    def run(**given: Any) -> None:
        asyncio.run(asyncio.wait_for(test(**given), 100))

    return run


class Workshop:
    """One lab with its services. Jobs are small, and ask for what a test says."""

    def __init__(self, lab: Lab, engines: list[Engine], bfl: FakeBFL) -> None:
        self.lab = lab
        self.engines = engines
        self.bfl = bfl

    @property
    def engine(self) -> Engine:
        return self.engines[0]

    @property
    def images(self) -> Path:
        return self.lab.paths.drop_out

    def ledger(self, *, disk: Disk = DISK) -> Ledger:
        """The ledger, as another process opens it."""
        return Ledger(self.lab.ledger.path, disk=disk)

    @asynccontextmanager
    async def worker(
        self,
        *,
        timing: Timing = FAST,
        policy: RetryPolicy = QUICK,
        socket: bool | None = None,
        late_receipt_s: float = 0.5,
        bfl_poll_s: float = BFL_POLL_S,
        disk: Disk = DISK,
        key: str = KEY,
        budget: Budget | None = None,
        **store: Any,
    ) -> AsyncIterator[Worker]:
        """A worker at work, with a store of its own as if it were another process."""
        opened = Store(self.lab.paths.jobs, disk=disk, **store)
        clients = [
            ComfyUI(url, timing=timing, socket=socket) for url in self.lab.settings.comfy_urls
        ]
        bfl = BFL(
            self.bfl.url,
            SecretStr(key),
            poll_interval_s=bfl_poll_s,
            deadline_s=5.0,
            not_found_s=0.2,
        )
        services: list[Service] = [
            ComfyUIService(clients, paths=self.lab.paths),
            BFLService(
                bfl,
                images=self.images,
                till=Till(self.ledger(disk=disk), budget or self.lab.budget, opened),
                load_input=lambda name: (self.lab.paths.drop_in / name).read_bytes(),
                late_receipt_s=late_receipt_s,
            ),
        ]
        worker = Worker(
            opened,
            services,
            policy=policy,
            rng=random.Random(1),
            service_of=self.lab.catalogue.service_of,
        )
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            with suppress(asyncio.CancelledError):  # a test may have cancelled it
                await running
            opened.close()

    async def submit(
        self, prompt: str = "a fox", *, backend: str = "sd15", **options: Any
    ) -> JobHandle:
        quick = {} if BACKENDS[backend].paid else QUICK_JOB
        return await self.lab.generate(prompt, backend=backend, **{"seed": 1, **quick, **options})

    async def paid(self, prompt: str = "a fox", **options: Any) -> JobHandle:
        return await self.submit(prompt, backend="flux", **options)

    async def ended(self, *handles: JobHandle) -> list[Job]:
        """The jobs, when all of them have ended."""
        await asyncio.gather(*(handle.wait(timeout_s=PATIENCE_S) for handle in handles))
        return [handle.job for handle in handles]

    async def end(self, handle: JobHandle) -> Job:
        return (await self.ended(handle))[0]

    @asynccontextmanager
    async def process(self, *command: str, **options: Any) -> AsyncIterator[WorkerProcess]:
        """A worker in a process of its own: the tests' own one with `options`, or the command of
        `orchestrator` that is given."""
        process = WorkerProcess(
            _orchestrator if command else worker_process.main,
            command or {"paths": str(self.lab.paths.file), **options},
            self.lab.paths.file,
            self.lab.paths.logs / "process.log",
        )
        try:
            await until(lambda: process.is_at_work(self.lab.store) or process.has_ended())
            yield process
        finally:
            process.close()

    def now(self, handle: JobHandle) -> Job:
        """The job as it is on the disk."""
        return self.lab.store.get(handle.id)

    async def seen(self, handle: JobHandle, status: Status) -> Job:
        await until(lambda: self.now(handle).status is status)
        return self.now(handle)

    async def painting(self, handle: JobHandle) -> None:
        """Wait until a server has begun to work on the job."""
        await until(lambda: self.runs(handle) > 0)

    def runs(self, handle: JobHandle, attempt: int | None = None) -> int:
        """How often servers began to execute an attempt of the job; all attempts by default."""
        numbers = [attempt] if attempt else range(1, 10)
        ids = {prompt_id(handle.id, number) for number in numbers}
        return sum(
            entry.prompt_id in ids for engine in self.engines for entry in engine.ledger.entries
        )

    def outcomes(self, handle: JobHandle) -> list[str | None]:
        """How those executions ended."""
        ids = {prompt_id(handle.id, number) for number in range(1, 10)}
        entries = [entry for engine in self.engines for entry in engine.ledger.entries]
        return [entry.outcome for entry in entries if entry.prompt_id in ids]


def _orchestrator(command: tuple[str, ...]) -> None:
    from orchestrator.cli import main

    sys.argv = ["orchestrator", *command]
    main()


class WorkerProcess:
    """A process to stop, wake, kill."""

    def __init__(self, act: Callable[..., object], said: Any, paths: Path, log: Path) -> None:
        self._log = log
        self._process = forks.Forked(
            act,
            said,
            environment={**os.environ, "ORCHESTRATOR_PATHS": str(paths)},
            folder=Path.cwd(),
            out=log,
        )

    def is_at_work(self, store: Store) -> bool:
        """Whether it has registered as a worker."""
        return any(worker.pid == self._process.pid for worker in store.observer.workers())

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def said(self) -> str:
        """What it has written to its standard error."""
        return self._log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self._process.signal(number)

    async def kill(self) -> None:
        """kill -9; returns when it is gone."""
        self._process.kill()
        await self.gone()

    async def gone(self) -> int:
        """Wait for its end; returns its exit code."""
        await until(self.has_ended)
        code = self._process.poll()
        assert code is not None
        return code

    def close(self) -> None:
        """End it if it lives."""
        self._process.close()


@asynccontextmanager
async def workshop(
    folder: Path,
    *,
    engines: int | list[Engine] = 1,
    comfy_url: str | None = None,
    budget_usd: str = "5.00",
) -> Any:
    """A lab with running services: engines, or how many. `comfy_url` instead of them: where there may be none."""
    async with AsyncExitStack() as stack:
        made = engines if isinstance(engines, list) else [Engine() for _ in range(engines)]
        running = [await stack.enter_async_context(each) for each in ([] if comfy_url else made)]
        bfl = await stack.enter_async_context(FakeBFL())
        urls = comfy_url or ",".join(engine.url for engine in running)
        lab = stack.enter_context(
            make_lab(folder, comfy_url=urls, bfl_url=bfl.url, budget_usd=budget_usd)
        )
        yield Workshop(lab, running, bfl)


async def until(true: Callable[[], object], *, within_s: float = PATIENCE_S) -> float:
    """Wait for something of which nobody tells; returns the seconds it took."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < within_s, f"it did not happen within {within_s} s"
        await asyncio.sleep(0.005)
    return time.monotonic() - start


def failure_of(job: Job) -> Failure:
    """Why a job failed; it must say so in full."""
    assert job.status is Status.FAILED, job
    assert job.failure is not None
    assert job.failure.message
    assert job.failure.remedy
    return job.failure


def attempt_of(job: Job) -> Attempt:
    assert job.attempt is not None
    return job.attempt
