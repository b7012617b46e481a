"""A claimed job in a worker's hands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import ParamSpec, TypeVar

from orchestrator.jobs import Job, Progress
from orchestrator.store import Claim, Presence, Store

PROGRESS_EVERY_S = 0.25  # what a person can follow; each is a file written

P = ParamSpec("P")
T = TypeVar("T")


class Held:
    """What an attempt may do with its job: change it under its fence, and say how far it is.

    `job` is the job as last written, with what `soon` is. Nothing here blocks the event loop: files are written by the
    store's threads.
    """

    def __init__(
        self,
        store: Store,
        claim: Claim,
        *,
        presence: Presence,
        threads: Executor,
        on_room: Callable[[], None],
    ) -> None:
        """`on_room` is called when the job's place at its service is free again."""
        self.job = claim.job
        self.fence = claim.fence
        self.adopted = claim.adopted
        self.store = store
        self._slot = claim.slot
        self._presence = presence
        self._threads = threads
        self._on_room = on_room
        self._said_at = 0.0
        self._saying: asyncio.Future[None] | None = None
        self._unsaid: Progress | None = None
        self._next: asyncio.TimerHandle | None = None
        self._unwritten: Callable[[Job], Job] = _as_it_is

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in the store's threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(function, *args, **kwargs))

    async def update(self, change: Callable[[Job], Job]) -> Job:
        """Change the job on the disk. Raises Fenced when another worker has taken it over."""
        unwritten, self._unwritten = self._unwritten, _as_it_is

        def both(job: Job) -> Job:
            return change(unwritten(job))

        update = partial(self.store.update, self.job.id, both, fence=self.fence)
        try:
            self.job = await self.call(update)
        except BaseException:
            self._unwritten = unwritten
            raise
        return self.job

    def soon(self, change: Callable[[Job], Job]) -> None:
        """Change the job in hand; on the disk with the next write, whichever that is: a write of its own costs more
        than it tells. `change` takes a job that it has changed already as it is."""
        before = self._unwritten
        self._unwritten = lambda job: change(before(job))
        self.job = change(self.job)

    def may_pay(self) -> bool:
        """Whether this worker's last sign of life is young enough that nobody can have taken the job over."""
        return self._presence.is_fresh

    def report(self, progress: Progress) -> None:
        """Say how far the attempt is; at most four times a second reach the disk, the newest always does."""
        self._unsaid = progress
        if self._next is None:
            pause_s = self._said_at + PROGRESS_EVERY_S - time.monotonic()
            if pause_s <= 0:
                self._say()
            else:
                self._next = asyncio.get_running_loop().call_later(pause_s, self._say)

    def _say(self) -> None:
        loop = asyncio.get_running_loop()
        if self._saying and not self._saying.done():  # a slow disk
            self._next = loop.call_later(PROGRESS_EVERY_S, self._say)
            return
        self._next, self._said_at = None, time.monotonic()
        if self._unsaid is not None:
            write = partial(self.store.progress.write, self.job.id, self._unsaid, fence=self.fence)
            self._saying = loop.run_in_executor(self._threads, write)

    def free_slot(self) -> None:
        """Make room at the service host: this job does not need it any more."""
        if self._slot is not None:
            self._slot.release()
            self._slot = None
            self._on_room()

    async def close(self) -> None:
        """Forget the live progress and free the slot, after the job was written for the last time."""
        if self._next is not None:
            self._next.cancel()
        try:
            if self._saying is not None:
                await asyncio.wait([self._saying])
            if self._saying is not None or self.job.crashes or self.adopted:
                # whoever had the job before may have said something
                await self.call(self.store.progress.clear, self.job.id)
        finally:
            self.free_slot()


def _as_it_is(job: Job) -> Job:
    return job


async def finish_even_if_cancelled(act: Awaitable[T]) -> T:
    """Await something that must not stop half-way; a cancellation is passed on when it is done."""
    task = asyncio.ensure_future(act)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])  # being cancelled, it leaves the task alone
        except asyncio.CancelledError:
            cancelled = True
    result = task.result()
    if cancelled:
        raise asyncio.CancelledError
    return result
