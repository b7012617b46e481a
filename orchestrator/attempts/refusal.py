"""Jobs that no service can run are taken all the same, to be told so: a job that waits for ever helps nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchestrator import backends
from orchestrator.attempts.held import Held
from orchestrator.errors import UnknownBackend
from orchestrator.jobs import Cost, Job
from orchestrator.store import Kind, Lane


class Refusal:
    """The service of all backends that there are not."""

    name = "none"

    async def open(self) -> None:
        """Nothing to get ready."""

    def lanes(self, kind: Kind) -> Sequence[Lane]:
        """Refusing takes no time: any few places will do."""
        return (Lane(self.name, "none", 4),)

    def begin(self, job: Job, lane: Lane, now: datetime) -> Job:
        """Nothing begins."""
        return job

    async def run(self, held: Held) -> tuple[list[str], Cost | None]:
        """Raises UnknownBackend."""
        backends.get(held.job.backend)
        raise UnknownBackend

    async def cancel(self, job: Job) -> bool:
        """Nothing runs."""
        return False

    async def call_back(self, job: Job) -> bool:
        """Nothing was begun here."""
        return False

    def keeps(self, job: Job, error: Exception, *, last: bool) -> bool:
        """Nothing is there."""
        return False

    async def close(self) -> None:
        """Nothing is open."""
