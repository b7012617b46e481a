"""What the worker needs to know of a service: where jobs may run, and how an attempt goes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from orchestrator.attempts.held import Held
from orchestrator.jobs import Cost, Job
from orchestrator.store import Kind, Lane


class Service(Protocol):
    """One service, perhaps with several hosts."""

    name: str

    async def open(self) -> None:
        """Get ready for the first job, in a few seconds at most."""
        ...

    def lanes(self, kind: Kind) -> Sequence[Lane]:
        """Where a new job of the kind may go, best first; or the lane of one that may still be at `kind.host`.

        Empty when the service takes none now: the job waits. Called from the store's threads.
        """
        ...

    def begin(self, job: Job, lane: Lane, now: datetime) -> Job:
        """The job with its first step written down, in the same write that claims it; or as it is."""
        ...

    async def run(self, held: Held) -> tuple[list[str], Cost | None]:
        """Carry an attempt through, or adopt the one that is open; returns the files and what they cost.

        Raises ServiceError and its kind for whatever goes wrong.
        """
        ...

    async def cancel(self, job: Job) -> bool:
        """Stop what the service does for a job, as far as it lets us.

        Returns whether the attempt is kept all the same, so that a retry asks for its picture.
        """
        ...

    async def call_back(self, job: Job) -> bool:
        """Stop what the service may still do for a job that ended without its being told.

        Returns whether that is dealt with, so that a retry begins anew; otherwise the attempt stays as it is.
        Raises ServiceError when the service has to be told again.
        """
        ...

    def keeps(self, job: Job, error: Exception, *, last: bool) -> bool:
        """Whether the open attempt is to be asked for again after an error, instead of beginning a new one.

        `last`: the job fails now, and only the user can have it tried again.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
