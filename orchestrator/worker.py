"""The job loop: claims jobs, runs their attempts side by side, and takes over what a lost worker left."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import random
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from typing import ParamSpec, TypeVar

from orchestrator import backends, logs
from orchestrator.attempts.held import Held, finish_even_if_cancelled
from orchestrator.attempts.refusal import Refusal
from orchestrator.attempts.service import Service
from orchestrator.errors import (
    AmbiguousSubmit,
    CorruptFile,
    DiskFull,
    Fenced,
    JobNotFound,
    OrchestratorError,
    ServiceError,
    StoreBusy,
    StoreError,
)
from orchestrator.files import is_full
from orchestrator.jobs import Failure, Job
from orchestrator.retry import RetryPolicy
from orchestrator.store import Claim, Kind, Lane, Presence, Store

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

BEAT_S = 1.0  # or a fifth of the lease, whichever is shorter
RECOVER_S = 0.5  # how soon the jobs of a killed worker are taken over
FORGOTTEN_S = 5.0
LOOK_S = 0.5  # a pause that is over wakes nobody: look for it
TIDY_S = 5.0
# how soon a prompt of a job that is given up is off its server, for others wait behind it
CALL_BACK_S = 1.0
REWRITE_S = 2.0
ARCHIVE_AFTER = timedelta(days=1)
ARCHIVE_BATCH = 500  # jobs moved at a time, so that the writers stay free for others
KEEP_ENDED = 1000  # newest ended jobs that stay in the hot folder: more would slow its readers
THREADS = 4  # writers: enough that one that waits for a lock does not hold up the others


def builtin_service(backend: str, workflow: str | None) -> str | None:
    """The service of a built-in backend."""
    known = backends.BACKENDS.get(backend)
    return known.service if known else None


class Threads(ThreadPoolExecutor):
    """Threads whose log lines name the job that they work for."""

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        """Run a function in the context of the caller."""
        return super().submit(copy_context().run, partial(fn, *args, **kwargs))


class Worker:
    """One worker of a store. Several may run, in this process or in others: a job has one at a time."""

    def __init__(
        self,
        store: Store,
        services: Sequence[Service],
        *,
        name: str = "worker",
        policy: RetryPolicy | None = None,
        only: Container[str] | None = None,
        service_of: Callable[[str, str | None], str | None] = builtin_service,
        rng: random.Random | None = None,
    ) -> None:
        """`only`: the ids of the jobs to take; all by default. `service_of`: the name of the service that runs a
        backend, or a job with a saved workflow; None for one that nobody runs."""
        self._store = store
        self._services: Mapping[str, Service] = {service.name: service for service in services}
        self._refusal = Refusal()
        self._name = name
        self._policy = policy or RetryPolicy()
        self._only = only
        self._service_of = service_of
        self._rng = rng or random.Random()
        self._threads = Threads(THREADS, thread_name_prefix="store")
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, Held] = {}
        self._cancelling: set[str] = set()
        self._unknown: dict[str, float] = {}
        self._left: dict[str, Job] = {}  # ended jobs whose service is still to be told

    def stop(self) -> None:
        """Ask the loop to end: it claims nothing more and hands its jobs back; what runs at a service goes on."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Have the loop look at the queue now. From the loop's own thread."""
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped or cancelled."""
        loop = asyncio.get_running_loop()
        presence = await self._register()
        if presence is None:
            self._threads.shutdown(wait=True)
            return
        logger.info("Worker %s started", presence.id)

        def on_change(changed: set[str]) -> None:
            # what we write ourselves makes no room, and to look through a full queue costs more than the writing
            if self._is_known(changed):
                return
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(self._wake.set)

        changes = self._store.watch(on_change)
        chores = [
            asyncio.create_task(self._beat(presence), name="heartbeat"),
            asyncio.create_task(
                self._every(RECOVER_S, partial(self._recover, presence)), name="recover"
            ),
            asyncio.create_task(self._every(TIDY_S, self._tidy), name="tidy"),
            asyncio.create_task(self._every(CALL_BACK_S, self._call_all_back), name="call back"),
        ]
        try:
            await self._call(self._store.refresh)
            for service in self._services.values():
                await service.open()
            await self._loop(presence)
        finally:
            for chore in chores:
                chore.cancel()
            await self._hand_back()
            await asyncio.gather(*chores, return_exceptions=True)
            await asyncio.to_thread(changes.end)
            await self._call(presence.end)
            for service in self._services.values():
                await service.close()
            self._threads.shutdown(wait=True)
            logger.info("Worker %s ended", presence.id)

    def _is_known(self, changed: set[str]) -> bool:
        """Whether a change is of our own running jobs, and nothing to act on. From any thread."""
        return changed <= self._running.keys() and not any(
            self._store.wants_cancel(job_id) for job_id in changed
        )

    async def _register(self) -> Presence | None:
        """This worker's presence; None when it is stopped before there is room for it."""
        is_told = False
        while not self._stopping:
            try:
                return await self._call(self._store.presence, self._name)
            except DiskFull as error:
                # to die of it would bring no room, and whoever starts workers would give up for a while
                if not is_told:
                    logger.error("The worker waits for the disk: %s", error.message)
                    is_told = True
                await asyncio.sleep(LOOK_S)
        return None

    async def _loop(self, presence: Presence) -> None:
        while not self._stopping:
            self._wake.clear()  # before looking: a change while we look must be looked at too
            self._heed_cancels()
            # not cut off in the middle: a job that is claimed must have a task that hands it back
            while await finish_even_if_cancelled(self._take(presence)):
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()

    async def _take(self, presence: Presence) -> bool:
        """Claim and start one job; returns whether there was one."""
        if self._stopping or self._has_suspect():
            return False
        try:
            claim = await self._call(
                self._store.claim,
                presence.id,
                lanes=self._lanes,
                prepare=self._prepare,
                only=self._only,
            )
        except (StoreError, OSError) as error:  # a full disk: the jobs wait, the loop goes on
            logger.warning("Could not claim a job: %s", error)
            return False
        if claim is not None:
            self._start(claim, presence)
            await asyncio.sleep(0)  # cancelled before it begins, it would hand nothing back
        return claim is not None

    def _has_suspect(self) -> bool:
        """Whether a job is here that several workers died on: it may kill this one and, one death after the
        other, have its neighbours given up with it. It gets the worker to itself."""
        return any(held.job.crashes > self._store.max_crashes // 2 for held in self._held.values())

    def _lanes(self, kind: Kind) -> Sequence[Lane]:
        return self._service(kind.backend, kind.workflow).lanes(kind)

    def _prepare(self, job: Job, lane: Lane) -> Job:
        return self._service(job.backend, job.workflow).begin(job, lane, self._store.now())

    def _service(self, backend: str, workflow: str | None) -> Service:
        name = self._service_of(backend, workflow)
        return self._refusal if name is None else self._services[name]

    # ---------------------------------------------------------------- one job

    def _start(self, claim: Claim, presence: Presence) -> None:
        held = Held(self._store, claim, presence=presence, threads=self._threads, on_room=self.wake)
        job_id = claim.job.id
        with logs.about(job_id):
            task = asyncio.create_task(self._run(held), name=f"job {job_id}")
        self._running[job_id], self._held[job_id] = task, held
        task.add_done_callback(lambda _: self._ended(job_id))

    def _ended(self, job_id: str) -> None:
        del self._running[job_id], self._held[job_id]
        self._cancelling.discard(job_id)
        self.wake()

    async def _run(self, held: Held) -> None:
        """Run one claimed job to the end of its attempt, and write down how it went."""
        job_id = held.job.id
        try:
            await self._settle(held, self._service(held.job.backend, held.job.workflow))
        except Fenced:
            logger.warning("Job %s was taken over by another worker", job_id)
        except JobNotFound:
            logger.warning("The file of job %s is gone", job_id)
        except (StoreError, OSError):
            # this worker is stopping: the next one finds out from the service how it went
            logger.exception("Could not write down how job %s went", job_id)
        finally:
            await held.close()

    async def _settle(self, held: Held, service: Service) -> None:
        try:
            if held.job.cancel_requested:
                await self._cancel(held, service)
                return
            files, cost = await service.run(held)
        except asyncio.CancelledError:
            if held.job.id in self._cancelling:
                await self._cancel(held, service)
            else:
                await held.update(lambda job: job.hand_back())
        except (DiskFull, StoreBusy) as error:
            await self._postpone(held, error)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where an attempt's failure becomes the job's
            if isinstance(error, OSError) and is_full(error):
                await self._postpone(held, error)
            else:
                await self._fail(held, service, error)
        else:
            await self._write(held, lambda job: job.finish(files, cost=cost, now=self._store.now()))
            logger.info("Job %s is done", held.job.id)

    async def _fail(self, held: Held, service: Service, error: Exception) -> None:
        if not isinstance(error, OrchestratorError):
            logger.error("Job %s met a fault of the lab", held.job.id, exc_info=error)
        failure, now = Failure.of(error), self._store.now()
        if isinstance(error, ServiceError) and error.holds and _may_hold(held.job):
            await self._write(held, lambda job: job.put_aside(failure))
            logger.warning("Job %s is held: %s: %s", held.job.id, failure.kind, failure.message)
            return
        tries = held.job.retried_count
        delay_s = self._policy.decide(error, tries=tries, rng=self._rng)
        last = delay_s is None or held.job.cancel_requested
        keep = service.keeps(held.job, error, last=last)
        if delay_s is None:
            ambiguous = isinstance(error, AmbiguousSubmit)
            await self._write(
                held,
                lambda job: job.fail(failure, now=now, ambiguous=ambiguous, keep_attempt=keep),
            )
            logger.warning("Job %s failed: %s: %s", held.job.id, failure.kind, failure.message)
        else:
            await self._write(
                held,
                lambda job: job.requeue(failure, delay_s=delay_s, now=now, keep_attempt=keep),
            )
            logger.info("Job %s is tried again in %.1f s: %s", held.job.id, delay_s, failure.kind)

    async def _postpone(self, held: Held, error: Exception) -> None:
        """Nothing is wrong with the job: it waits for the disk, then goes on from where it is."""
        failure, now = Failure.of(error), self._store.now()
        logger.error("Job %s waits for the disk: %s", held.job.id, failure.message)

        def postponed(job: Job) -> Job:
            waiting = job.requeue(failure, delay_s=REWRITE_S, now=now, keep_attempt=True)
            return waiting.having(retried_count=job.retried_count)  # no try is used up

        await self._write(held, postponed)

    async def _cancel(self, held: Held, service: Service) -> None:
        keep = False
        try:
            keep = await service.cancel(held.job)
        except ServiceError as error:  # the user's word counts, whatever the service says
            logger.warning("Could not cancel job %s at its service: %s", held.job.id, error)
            keep = True  # until the service is there to be told
        now = self._store.now()
        await self._write(held, lambda job: job.cancel(now=now, by_owner=True, keep_attempt=keep))
        logger.info("Job %s is cancelled", held.job.id)

    async def _write(self, held: Held, change: Callable[[Job], Job]) -> None:
        """Write the outcome, however long the disk is full: a job must not be done and look as if it ran."""
        while True:
            try:
                await finish_even_if_cancelled(held.update(change))
            except (DiskFull, StoreBusy, OSError) as error:
                if self._stopping:
                    raise
                logger.error("Could not write down job %s, trying again: %s", held.job.id, error)
                try:
                    await asyncio.sleep(REWRITE_S)
                except asyncio.CancelledError:  # by the user, too late: the outcome stands
                    if self._stopping:
                        raise
            else:
                return

    def _heed_cancels(self) -> None:
        for job_id, task in self._running.items():
            if job_id not in self._cancelling and self._store.wants_cancel(job_id):
                self._cancelling.add(job_id)
                task.cancel()

    async def _hand_back(self) -> None:
        self._stopping = True
        for task in self._running.values():
            task.cancel()
        while self._running:
            await asyncio.wait(self._running.values())

    # ---------------------------------------------------------------- chores

    async def _every(self, interval_s: float, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(interval_s)
            try:
                await chore()
            except (OrchestratorError, OSError) as error:
                logger.warning("A chore of the worker failed: %s", error)

    async def _beat(self, presence: Presence) -> None:
        while True:
            try:
                # its own thread: the writers may all be waiting for a lock
                await asyncio.to_thread(presence.beat)
            except (StoreError, OSError) as error:  # a share that is away: the lease may run out
                logger.warning("Could not renew the heartbeat: %s", error)
            await asyncio.sleep(min(BEAT_S, self._store.lease_s / 5))

    async def _recover(self, presence: Presence) -> None:
        for job_id in self._forgotten(presence.id):
            logger.warning("Job %s is claimed on the disk, but not here: freed", job_id)
            await self._call(self._store.free, job_id, worker=presence.id)
        for job in await self._call(self._store.recover):
            logger.warning("Took job %s from a worker that is gone: now %s", job.id, job.status)
            self.wake()

    def _forgotten(self, worker: str) -> list[str]:
        """Jobs whose claim reached the disk although an error was reported: nobody else would free them."""
        now = asyncio.get_running_loop().time()
        ours = self._store.leased_to(worker) - self._running.keys()
        self._unknown = {job_id: self._unknown.get(job_id, now) for job_id in ours}
        # a claim that has just been written may not have been started yet
        return [job_id for job_id, since in self._unknown.items() if now - since > FORGOTTEN_S]

    async def _call_all_back(self) -> None:
        """Tell the services what nobody waits for any more. Jobs that are deleted meanwhile are not forgotten."""
        left = {job.id: job for job in await self._call(self._store.left_at_services)}
        for job_id in self._left.keys() - left.keys():
            if await self._call(self._is_wanted, job_id):
                # somebody has it run again, and the prompt may be adopted
                self._left.pop(job_id, None)
        self._left |= left
        await asyncio.gather(*(self._call_back(job) for job in list(self._left.values())))

    def _is_wanted(self, job_id: str) -> bool:
        try:
            return not self._store.get(job_id).is_terminal
        except (JobNotFound, CorruptFile):
            return False

    async def _call_back(self, job: Job) -> None:
        assert job.open_attempt is not None
        try:
            service = self._services.get(job.open_attempt.service, self._refusal)
            is_over = await service.call_back(job)
        except ServiceError as error:
            logger.debug("Could not call job %s back yet: %s", job.id, error)
            return
        self._left.pop(job.id, None)
        if is_over:
            with suppress(JobNotFound):
                await self._call(self._store.update, job.id, partial(self._called_back, of=job))
            logger.info("Job %s was called back from its service", job.id)

    def _called_back(self, job: Job, *, of: Job) -> Job:
        is_same = job.is_terminal and job.open_attempt == of.open_attempt
        return job.drop_attempt(now=self._store.now()) if is_same else job

    async def _tidy(self) -> None:
        await self._call(self._store.tidy)
        for job in await self._call(self._store.with_late_receipts):
            logger.warning("The answer to job %s turned up: it is carried on", job.id)
        ended = self._store.ended_before(self._store.now() - ARCHIVE_AFTER, keep=KEEP_ENDED)
        if ended:
            await self._call(self._store.archive, ended[:ARCHIVE_BATCH])

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(function, *args, **kwargs))


def _may_hold(job: Job) -> bool:
    """Whether a job may be put aside. Not while a service may have it, or it is to be cancelled: of a held job no
    worker takes care."""
    return job.open_attempt is None and not job.cancel_requested
