"""A batch before it starts: how many jobs, how long, how much."""

from __future__ import annotations

import asyncio
import contextlib
import html
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orchestrator.backends import Params
from orchestrator.batch.batch import Batch
from orchestrator.batch.rows import Row
from orchestrator.errors import AmbiguousSubmit, InvalidTransition
from orchestrator.jobs import Job, Status
from orchestrator.spending import NOTHING, Estimate, money

if TYPE_CHECKING:
    from orchestrator.lab import Lab


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A row that has been checked: the job it is to be, as one that is there says, and what it would cost."""

    row: Row
    id: str
    params: Mapping[str, Any]  # with a seed
    parsed: Params  # what they were understood as
    estimate: Estimate
    job: Job | None

    @property
    def is_missing(self) -> bool:
        """Whether a run of the batch makes it: there is no such job, or it ended without a picture.

        A job that may have been paid for is never asked for again by itself.
        """
        if self.job is None:
            return True
        if self.job.status not in {Status.FAILED, Status.CANCELLED}:
            return False
        return self.estimate.price is None


class Plan:
    """A batch that has been checked and can be run; nothing is sent or stored yet.

    `await plan.run()` submits what is missing, and so does `await plan` itself. In a cell it shows what it would do.
    """

    def __init__(
        self,
        lab: Lab,
        *,
        name: str,
        axes: Mapping[str, list[Any]],
        rows: Sequence[Planned],
        same: int,
        seconds: float | None,
        priority: int,
    ) -> None:
        """`same`: rows that ask for what another row asks for; `seconds`: how long the missing ones may take."""
        self.lab = lab
        self.name = name
        self.axes = axes
        self.rows = rows
        self.same = same
        self.seconds = seconds
        self._priority = priority

    @property
    def missing(self) -> list[Planned]:
        """The rows that a run would make."""
        return [row for row in self.rows if row.is_missing]

    @property
    def usd(self) -> Decimal:
        """What the missing rows are going to cost."""
        return sum((row.estimate.usd for row in self.missing), NOTHING)

    @property
    def counts(self) -> Counter[str]:
        """How many rows are new, and how many have a job in which status."""
        return Counter(row.job.status.value if row.job else "new" for row in self.rows)

    def __len__(self) -> int:
        """How many jobs the batch has."""
        return len(self.rows)

    def __str__(self) -> str:
        return "; ".join(self._sentences())

    def _sentences(self) -> list[str]:
        grid = " × ".join(f"{len(values)} {name}" for name, values in self.axes.items())
        jobs = f"{len(self.rows):,} job{'' if len(self.rows) == 1 else 's'}"
        said = [f"{self.name}: {jobs}" + (f" ({grid})" if grid else "")]
        missing = len(self.missing)
        if missing < len(self.rows):
            had = ", ".join(f"{n} {what}" for what, n in self.counts.items() if what != "new")
            said.append(f"{missing:,} to make, {had}")
        if self.same:
            said.append(f"{self.same:,} rows ask for what another one asks for")
        if missing:
            said.append(
                "how long it takes is not known yet"
                if self.seconds is None
                else f"about {_length(self.seconds)}"
            )
            most = any(row.estimate.is_upper_bound for row in self.missing)
            said.append(
                f"{'at most' if most else 'about'} ${money(self.usd)}"
                if self.usd
                else "costs nothing"
            )
        return said

    def _repr_html_(self) -> str:
        first, *rest = (html.escape(sentence) for sentence in self._sentences())
        return f"<p><b>{first}</b><br>{'<br>'.join(rest)}</p>"

    def __repr__(self) -> str:
        return f"Plan({self})"

    def __await__(self) -> Generator[Any, None, Batch]:
        return self.run().__await__()

    async def run(self, *, confirm: bool = False, budget: Decimal | str | None = None) -> Batch:
        """Submit what is missing and return the batch, of which other runs may have more.

        `confirm` agrees to what it costs, however much; `budget`, in US dollars, is what it may cost at most. Raises
        ConfirmationNeeded, BudgetExceeded, DiskFull. Stopped half-way, the same run goes on where it was.
        """
        return await asyncio.to_thread(self.submit, confirm=confirm, budget=budget)

    def submit(self, *, confirm: bool = False, budget: Decimal | str | None = None) -> Batch:
        """`run`, blocking for about a millisecond a job, and for a translation where prompts need one."""
        missing = self.missing
        self.lab.budget.batch(
            [row.estimate for row in missing],
            confirmed=confirm,
            budget=None if budget is None else Decimal(budget),
        )
        batch = Batch.begin(self.lab, self.name, axes=self.axes, rows=self.rows)
        # together, however many; another run of the same batch may be quicker with some of them
        self.lab.store.create_many(self._job(row) for row in missing if row.job is None)
        for row in missing:
            self._again(row)
        return batch

    def _job(self, row: Planned) -> Job:
        return self.lab.job_of(
            row.row.prompt,
            backend=row.row.backend,
            params=row.params,
            parsed=row.parsed,
            priority=self._priority,
            batch=self.name,
            id=row.id,
        )

    def _again(self, row: Planned) -> None:
        """Run a job again that was made before and has no picture; not one that may have been paid for."""
        if row.job is None:
            return
        if row.job.failure is None or row.job.failure.kind != AmbiguousSubmit.kind:
            with contextlib.suppress(InvalidTransition):  # another run was quicker
                self.lab.retry(row.id)


def _length(seconds: float) -> str:
    return (
        str(timedelta(seconds=round(seconds))) if seconds >= 100 else f"{max(1, round(seconds))} s"
    )
