"""The loop that follows jobs and services, and has what happens written down and told."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime

from orchestrator import logs
from orchestrator.diagnosis import Context, Diagnosis, diagnose
from orchestrator.errors import CorruptFile, JobNotFound, OrchestratorError
from orchestrator.health import HealthReport, Note, ServiceHealth, monitor_file
from orchestrator.jobs import Failure, Job, Status
from orchestrator.locks import KernelLock
from orchestrator.logs import Redactor
from orchestrator.monitor.entries import Entry, Writing
from orchestrator.monitor.journal import Journal
from orchestrator.monitor.memory import Memory, status_of
from orchestrator.notify import Message, Notifier
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.store import QUEUE, Store
from orchestrator.surroundings import look_around

POLL_S = 10.0  # where no event comes, the folder is looked at this often
HEARTBEAT_S = 60.0
NOTE_S = 2.0
SERVICES_S = 20.0
CONFIRM_S = 2.0  # a service that did not answer once may only have been busy
BREATH_S = 0.05  # between two rounds: in a burst each then tells of many changes
LOCK_S = 1.0
AROUND_S = 5.0  # what is around a host is looked at once for all jobs that fail there together
CATCH_UP = 200  # changes of the time without a monitor that are told, the newest
SERVICES = ("panel", "comfyui", "engine", "bfl", "worker", "guardian")
MONEY = frozenset({"over_budget", "no_credits"})  # kinds of failures that only money mends
ENDS = frozenset({Status.FAILED, Status.DONE})

logger = logging.getLogger(__name__)
Health = Callable[[], Awaitable[HealthReport]]
Change = tuple[Job, str, str]


class Monitor:
    """The monitor of one lab. Of several only one works; the others wait for it to go."""

    def __init__(
        self,
        store: Store,
        *,
        paths: Paths,
        settings: Settings,
        health: Health | None = None,
        notifier: Notifier | None = None,
        journal: Journal | None = None,
        heartbeat_s: float = HEARTBEAT_S,
        services_s: float = SERVICES_S,
        poll_s: float = POLL_S,
    ) -> None:
        """`health` is asked about the services; without it they are not looked after."""
        self._store = store
        self._paths = paths
        self._health = health
        self._notifier = notifier or Notifier(settings)
        self._journal = journal or Journal(paths.logs)
        self._writing = Writing(Redactor(settings))
        self._heartbeat_s = heartbeat_s
        self._services_s = services_s
        self._poll_s = poll_s
        self._memory = Memory()
        self._pending: set[str] = set()
        self._woken = asyncio.Event()
        self._counts: dict[str, int] | None = None
        self._services: dict[str, ServiceHealth] = {}
        self._around: dict[str | None, tuple[float, Context]] = {}
        self._started_at = store.now()

    async def run(self) -> None:
        """Follow until cancelled. Raises OSError when not even the folder of data can be used."""
        lock = KernelLock(self._paths.data / "monitor.lock")
        try:
            while not lock.try_acquire():  # noqa: ASYNC110 - of another process: nothing to await
                await asyncio.sleep(LOCK_S)
            await self._follow_all()
        finally:
            lock.release()

    async def _follow_all(self) -> None:
        loop = asyncio.get_running_loop()

        def on_change(changed: set[str]) -> None:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(self._note, changed)

        self._started_at = self._store.now()
        changes = self._store.watch(on_change)
        try:
            await self._write(
                [self._writing.event("started", at=self._started_at, pid=os.getpid())]
            )
            await self._tell_of(await asyncio.to_thread(self._catch_up))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_jobs(), name="follow the jobs")
                tasks.create_task(self._every(NOTE_S, self._live), name="note of the monitor")
                tasks.create_task(self._every(self._heartbeat_s, self._beat), name="heartbeat")
                tasks.create_task(self._notifier.run(), name="notify")
                if self._health is not None:
                    tasks.create_task(
                        self._every(self._services_s, self._look_at_services), name="services"
                    )
        finally:
            # another one begins from here
            with suppress(OSError, OrchestratorError):
                ended = self._writing.event("ended", at=self._store.now(), pid=os.getpid())
                self._journal.write([ended])
                monitor_file(self._paths).unlink(missing_ok=True)
            await asyncio.to_thread(changes.end)

    async def _every(self, interval_s: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except (OSError, OrchestratorError) as error:  # a disk that is full or away
                logger.warning("The monitor could not do its round: %s", error)
            await asyncio.sleep(interval_s)

    # ---------------------------------------------------------------- jobs

    def _note(self, changed: Iterable[str]) -> None:
        self._pending.update(changed)
        self._woken.set()

    async def _follow_jobs(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._woken.wait()
                await asyncio.sleep(BREATH_S)
            except TimeoutError:
                with suppress(OSError, OrchestratorError):
                    self._pending.update(await asyncio.to_thread(self._store.refresh))
            self._woken.clear()
            changed, self._pending = self._pending - {QUEUE}, set()
            if changed:
                entries, news, unread = await asyncio.to_thread(self._changes, changed)
                self._pending |= unread
                await self._write(entries)
                await self._tell_of(news)
            self._notifier.look()

    def _catch_up(self) -> list[Change]:
        """What happened while there was no monitor."""
        before = self._journal.newest()[:-1]  # the last is this one's own
        self._store.refresh(force=True)
        return self._memory.begin(self._store.snapshot(), before)[-CATCH_UP:]

    def _changes(self, job_ids: Iterable[str]) -> tuple[list[Entry], list[Change], set[str]]:
        """What is to be told of the jobs, as they are on the disk now; and which cannot be read at the moment."""
        entries, news, unread = [], [], set()
        for job_id in sorted(job_ids):
            try:
                job = self._store.get(job_id)
            except JobNotFound:
                if (told := self._memory.gone(job_id)) is not None:
                    at = self._store.now()
                    entries.append(self._writing.removed(job_id, at=at, old=told.status))
                continue
            except CorruptFile:
                continue  # it is set aside
            except OSError:  # a drive that is away tells of nothing when it is back
                unread.add(job_id)
                continue
            if (change := self._memory.change(job)) is not None:
                news.append((job, *change))
        return entries, news, unread

    async def _tell_of(self, news: Iterable[Change]) -> None:
        entries = []
        for job, old, new in news:
            try:
                with logs.about(job.id):
                    entries.append(await self._told(job, old, new))
            except Exception:  # a file that makes no sense must not end the story of all others
                with logs.about(job.id):
                    logger.exception("The change of job %s could not be told", job.id)
        await self._write(entries)

    async def _told(self, job: Job, old: str, new: str) -> Entry:
        failure, diagnosis = await self._diagnosis(job)
        self._notify(job, diagnosis)
        at = self._store.now()
        return self._writing.job(job, at=at, old=old, new=new, failure=failure, diagnosis=diagnosis)

    async def _diagnosis(self, job: Job) -> tuple[Failure | None, Diagnosis | None]:
        failure = failure_of(job)
        if failure is None:
            return None, None
        return failure, diagnose(failure, job=job, context=await self._context(job))

    async def _context(self, job: Job) -> Context:
        host, now = job.attempt.host if job.attempt else None, time.monotonic()
        known = self._around.get(host)
        if known is None or now - known[0] > AROUND_S:
            if len(self._around) > 100:
                self._around.clear()
            known = (now, await look_around(job, paths=self._paths, store=self._store))
            self._around[host] = known
        return known[1]

    def _notify(self, job: Job, diagnosis: Diagnosis | None) -> None:
        if job.status not in ENDS and not job.is_held:
            return
        kind = "done" if job.status is Status.DONE else "failed"
        failure = failure_of(job)
        if failure is not None and failure.kind in MONEY:
            kind = "budget"
        lines = [job.prompt[:200]]
        if failure is not None and diagnosis is not None:
            lines += [failure.message, diagnosis.remedy]
        elif job.result is not None:
            lines += job.result.files[:1]
        self._notifier.tell(Message(kind, f"Job {job.id} is {status_of(job)}", "\n".join(lines)))

    # ---------------------------------------------------------------- signs of life

    async def _live(self) -> None:
        note = Note(
            os.getpid(),
            self._store.now(),
            self._started_at,
            more={"since": self._started_at.isoformat()},
        )
        await asyncio.to_thread(note.write, monitor_file(self._paths))

    async def _beat(self) -> None:
        at, counts, oldest = await asyncio.to_thread(self._count)
        oldest_s = round((at - oldest).total_seconds(), 1) if oldest else None
        told = counts != self._counts
        self._counts = counts
        await self._write(
            [self._writing.heartbeat(at=at, counts=counts, oldest_s=oldest_s, told=told)]
        )

    def _count(self) -> tuple[datetime, dict[str, int], datetime | None]:
        counts = self._store.counts()
        _, oldest = self._store.waiting()
        return self._store.now(), {status.value: counts[status] for status in Status}, oldest

    # ---------------------------------------------------------------- services

    async def _look_at_services(self) -> None:
        assert self._health is not None
        found = _parts(await self._health())
        if any(self._is_news(name, part) for name, part in found.items()):
            await asyncio.sleep(CONFIRM_S)
            again = _parts(await self._health())
            found = {
                name: again[name] for name in found if found[name].status == again[name].status
            }
        entries = []
        for name, part in found.items():
            before = self._services.get(name)
            if self._is_news(name, part):
                old = before.status if before else "unknown"
                entries.append(self._service_entry(name, old, part))
                if before is not None:
                    self._notify_of_service(name, part)
            if part.status != "unknown":  # a service that cannot be asked has not changed
                self._services[name] = part
        await self._write(entries)

    def _is_news(self, name: str, part: ServiceHealth) -> bool:
        before = self._services.get(name)
        if before is None:
            return part.status == "stopped"
        return part.status not in {"unknown", before.status}

    def _service_entry(self, name: str, old: str, part: ServiceHealth) -> Entry:
        return self._writing.service(
            name,
            at=self._store.now(),
            old=old,
            new=part.status,
            message=part.message,
            remedy=part.remedy or "",
        )

    def _notify_of_service(self, name: str, part: ServiceHealth) -> None:
        body = "\n".join(filter(None, [part.message, part.remedy]))
        state = "runs again" if part.is_running else "does not run"
        self._notifier.tell(Message("service", f"{name} {state}", body))

    async def _write(self, entries: Iterable[Entry]) -> None:
        try:
            await asyncio.to_thread(self._journal.write, list(entries))
        except OSError as error:  # kept, and written with the next ones
            logger.warning("The monitor's log cannot be written: %s", error)


def failure_of(job: Job) -> Failure | None:
    """Why a job failed, is held or is tried again; for a running one, why the attempt before this one failed."""
    if job.status is Status.RUNNING:
        return job.attempts[-2].failure if len(job.attempts) > 1 else None
    if job.failure is None and job.status is Status.FAILED:
        said = job.result.error if job.result else None
        return Failure(kind="unclassified", message=said or "It does not say why")
    return job.failure if job.status is not Status.DONE else None


def _parts(report: HealthReport) -> dict[str, ServiceHealth]:
    return {name: getattr(report, name) for name in SERVICES}
