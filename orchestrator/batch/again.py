"""The failed jobs of a batch, to be run once more: which they are, and what that costs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Self

from orchestrator import backends
from orchestrator.errors import (
    AmbiguousSubmit,
    InvalidTransition,
    JobNotFound,
    OrchestratorError,
)
from orchestrator.jobs import Job, Status
from orchestrator.spending import NOTHING, Estimate

if TYPE_CHECKING:
    from orchestrator.batch.batch import Batch
    from orchestrator.lab import Lab


@dataclass(frozen=True, kw_only=True)
class Again:
    """Jobs that failed, and what those of paid backends are going to cost."""

    lab: Lab
    jobs: Sequence[Job]
    estimates: Sequence[Estimate]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Those of a batch; without the ones that may have been paid for already: for each of these a person looks at
        the account first, and says so on the queue page."""
        failed = [
            job
            for job in batch.jobs()
            if job.status is Status.FAILED
            and not (job.failure and job.failure.kind == AmbiguousSubmit.kind)
        ]
        return cls(lab=batch.lab, jobs=failed, estimates=list(_estimates(batch.lab, failed)))

    @property
    def usd(self) -> Decimal:
        """What all of them are going to cost, US dollars."""
        return sum((each.usd for each in self.estimates), NOTHING)

    def run(self, *, confirm: bool = False) -> int:
        """Put them into the queue, and say how many. `confirm` agrees to what they cost. Raises ConfirmationNeeded."""
        self.lab.budget.confirm(self.estimates, confirmed=confirm)
        return changed_each(self.lab.retry, self.jobs)


def _estimates(lab: Lab, jobs: Iterable[Job]) -> Iterable[Estimate]:
    for job in jobs:
        known = backends.BACKENDS.get(job.backend)
        if known is not None and known.paid:
            # one that cannot be asked for any more fails before anything is bought
            with contextlib.suppress(OrchestratorError):
                yield lab.estimate(job.prompt, backend=job.backend, params=dict(job.params))


def changed_each(change: Callable[[str], Job], jobs: Iterable[Job]) -> int:
    """Change jobs one after the other, and say how many; somebody else may be quicker."""
    changed = 0
    for job in jobs:
        with contextlib.suppress(InvalidTransition, JobNotFound):
            change(job.id)
            changed += 1
    return changed
