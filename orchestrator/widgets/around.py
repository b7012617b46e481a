"""What was around a job when it failed, where its diagnosis depends on it: a timeout at a busy server is another
trouble than one at a server that has nothing to do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import timedelta

from orchestrator.diagnosis import Context
from orchestrator.errors import ServiceTimeout
from orchestrator.jobs import Job
from orchestrator.lab import Lab
from orchestrator.surroundings import look_around
from orchestrator.widgets.view import View

FRESH = timedelta(seconds=60)  # later, a server's queue says nothing about the failure
REMEMBERED = 200  # jobs


class Around:
    """The surroundings of the failed jobs that one view shows. Asked while the view is drawn, it never waits: it looks
    beside, and the view is drawn again."""

    def __init__(self, view: View, lab: Lab, *, then: Callable[[], Awaitable[None]]) -> None:
        """`then` draws the view again."""
        self._view = view
        self._lab = lab
        self._then = then
        self._found: OrderedDict[tuple[str, int], Context] = OrderedDict()
        self._looking: set[tuple[str, int]] = set()

    def __call__(self, job: Job) -> Context | None:
        """What was around a job soon after it failed; None where that does not matter, or nobody has looked.

        From the view's event loop.
        """
        if job.failure is None or job.failure.kind != ServiceTimeout.kind:
            return None
        key = job.id, len(job.attempts)
        if key not in self._found and key not in self._looking and self._is_fresh(job):
            self._looking.add(key)
            self._view.start(self._look(job, key), name="look around a failed job")
        return self._found.get(key)

    def _is_fresh(self, job: Job) -> bool:
        return job.finished_at is not None and self._lab.store.now() - job.finished_at < FRESH

    async def _look(self, job: Job, key: tuple[str, int]) -> None:
        try:
            found = await look_around(job, paths=self._lab.paths, store=self._lab.store)
        finally:
            self._looking.discard(key)
        self._found[key] = found
        if len(self._found) > REMEMBERED:
            self._found.popitem(last=False)
        await self._then()
