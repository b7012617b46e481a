"""A batch that was started: how far it is, and ways to wait for it or change it."""

from __future__ import annotations

import asyncio
import contextlib
import html
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.batch.again import Again, changed_each
from orchestrator.batch.notes import Note, NotedRow, Notes
from orchestrator.batch.rows import Row
from orchestrator.handles import JobHandle
from orchestrator.jobs import TERMINAL, Job, Status, one_line

if TYPE_CHECKING:
    import pandas

    from orchestrator.batch.plot import Plot
    from orchestrator.batch.sheet import Sheet
    from orchestrator.lab import Lab

# by which a run finds what its notebook made
BATCH_KIND = "application/vnd.orchestrator.batch+json"
LOOK_S = 1.0  # a change that nobody told us of


class Identified(Protocol):
    """A row of which the job is known."""

    @property
    def row(self) -> Row: ...
    @property
    def id(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a batch is. A job that was removed from the list counts as removed, not as waiting."""

    total: int
    counts: Mapping[Status, int]
    removed: int
    seconds_left: float | None  # None: nothing is done yet to reckon from
    paused_since: datetime | None

    @property
    def ended(self) -> int:
        """How many jobs nothing is going to happen to."""
        return self.removed + sum(n for status, n in self.counts.items() if status in TERMINAL)

    @property
    def is_over(self) -> bool:
        """Whether every job has ended, well or not."""
        return self.ended == self.total

    @property
    def failed_share(self) -> float:
        """The share of the jobs that failed, from 0 to 1."""
        return self.counts.get(Status.FAILED, 0) / self.total if self.total else 0.0

    def __str__(self) -> str:
        said = ", ".join(f"{n} {status}" for status, n in self.counts.items())
        return f"{self.ended} of {self.total} ended ({said or 'nothing there'})"


class Batch:
    """The jobs of one grid, in the order of its rows."""

    def __init__(self, lab: Lab, note: Note) -> None:
        self.lab = lab
        self.note = note

    @classmethod
    def begin(
        cls,
        lab: Lab,
        name: str,
        *,
        axes: Mapping[str, list[Any]],
        rows: Sequence[Identified],
    ) -> Batch:
        """Write a batch down; its jobs come next."""
        noted = [NotedRow(id=row.id, at=dict(row.row.at)) for row in rows]
        note = notes(lab).add(name, dict(axes), noted, now=lab.store.now())
        return cls(lab, note)

    @classmethod
    def find(cls, lab: Lab, name: str) -> Batch:
        """A batch by its name. Raises JobNotFound."""
        return cls(lab, notes(lab).read(name))

    @classmethod
    def all(cls, lab: Lab) -> list[Batch]:
        """Every batch of a lab, the newest first."""
        return [cls(lab, note) for note in notes(lab).all()]

    @property
    def name(self) -> str:
        """Its name, which its jobs say as `batch`."""
        return self.note.name

    @property
    def axes(self) -> Mapping[str, list[Any]]:
        """What was varied, and through which values."""
        return self.note.axes

    def __len__(self) -> int:
        """How many jobs it has."""
        return len(self.note.rows)

    def __repr__(self) -> str:
        return f"Batch({self.name!r}, {self.progress()})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        now = self.progress()
        said = html.escape(f"{self.name}: {now}")
        return {
            BATCH_KIND: {"name": self.name, "total": now.total, "ended": now.ended},
            "text/plain": repr(self),
            "text/html": f"<p><b>{said}</b></p>",
        }

    # ---------------------------------------------------------------- reading

    def jobs(self) -> list[Job]:
        """Its jobs in the order of the rows, as they are now; those that were removed are left out."""
        return [job for _, job in self.pairs() if job is not None]

    def handles(self) -> list[JobHandle]:
        """Its jobs, to wait for or change."""
        return [JobHandle(self.lab, job) for job in self.jobs()]

    def progress(self) -> Progress:
        """How far it is."""
        jobs = self.jobs()
        counts = Counter(job.status for job in jobs)
        return Progress(
            total=len(self.note.rows),
            counts=dict(sorted(counts.items())),
            removed=len(self.note.rows) - len(jobs),
            seconds_left=_seconds_left(jobs, now=self.lab.store.now()),
            paused_since=self.lab.store.held_batches().get(self.name),
        )

    def frame(self, *, measures: bool = False) -> pandas.DataFrame:
        """A row per job: its place on the axes, then what `lab.jobs()` says of it, and what `measures()` says."""
        from orchestrator import tables

        jobs = self.jobs()
        measured = self._measures(jobs) if measures else None
        places = {row.id: row.at for row in self.note.rows}
        frame = tables.of_jobs(jobs)
        for name in reversed(list(self.axes)):
            column = [places[job.id].get(name) for job in jobs]
            if name in frame.columns:
                frame = frame.drop(columns=name)
            frame.insert(0, name, column)
        return frame if measured is None else frame.join(measured)

    def measures(self) -> pandas.DataFrame:
        """A row per job, as `frame()` has them, of its first picture: sharpness, entropy, colourfulness, perceptual
        hash, and that hash's distance from the batch's first picture. Nothing where there is no picture.

        Computed once for each picture; blocks, some 70 ms for each that is new. See `orchestrator.measures`.
        """
        return self._measures(self.jobs())

    def _measures(self, jobs: Sequence[Job]) -> pandas.DataFrame:
        import pandas

        from orchestrator.batch import measured

        firsts = [JobHandle(self.lab, job).pictures[:1] for job in jobs]
        paths = [pictures[0].path if pictures else None for pictures in firsts]
        rows = measured.rows(paths, data=self.lab.paths.data)
        return pandas.DataFrame(rows, columns=list(measured.COLUMNS))

    def plot(self, measure: str, *, x: str | None = None, by: str | None = None) -> Plot:
        """A measure, or another column of numbers such as `seconds`, along an axis; `by` draws a line for each value
        of another one. `x` is the first axis with several values by itself. Blocks as `measures` does.

        Raises RequestInvalid.
        """
        from orchestrator.batch import measured, plot

        varied = [name for name, values in self.axes.items() if len(values) > 1]
        along = x or next(iter([*varied, *self.axes, "seed"]))
        frame = self.frame(measures=measure in measured.COLUMNS)
        return plot.drawn(frame, measure, x=along, by=by, title=f"{self.name}: {measure}")

    def document(self, *, jobs: bool = False) -> dict[str, Any]:
        """How far it is, as JSON has it; with `jobs` each of them, in the order of the rows."""
        now = self.progress()
        said: dict[str, Any] = {
            "name": self.name,
            "createdAt": self.note.created_at.isoformat(),
            "axes": dict(self.axes),
            "total": now.total,
            "ended": now.ended,
            "counts": {status.value: n for status, n in now.counts.items()},
            "removed": now.removed,
            "secondsLeft": now.seconds_left,
            "pausedSince": now.paused_since.isoformat() if now.paused_since else None,
        }
        if jobs:
            said["jobs"] = [
                {"id": row.id, "at": row.at, "status": job.status.value if job else "removed"}
                for row, job in self.pairs()
            ]
        return said

    def pairs(self) -> list[tuple[NotedRow, Job | None]]:
        """Each row with its job as it is now, None for one that was removed."""
        self.lab.store.refresh()
        known = self.lab.store.many(row.id for row in self.note.rows)
        return [(row, known.get(row.id)) for row in self.note.rows]

    def sheet(self) -> Sheet:
        """Its pictures on one sheet, the last axis across, the others down; what made none says why."""
        from orchestrator.batch.sheet import Cell, Sheet

        cells = []
        for row, job in self.pairs():
            pictures = JobHandle(self.lab, job).pictures if job else []
            cells.append(
                Cell(
                    at=row.at,
                    picture=pictures[0].path if pictures else None,
                    words=_without_picture(job),
                )
            )
        return Sheet(self.name, self.axes, cells)

    # ---------------------------------------------------------------- waiting

    async def follow(self) -> AsyncIterator[Progress]:
        """How far it is, now and whenever that changes, until every job has ended."""
        before: Progress | None = None
        with self.lab.changes() as changed:
            while True:
                changed.clear()  # before looking: a change while we look must be looked at too
                now = await asyncio.to_thread(self.progress)
                if before is None or now.counts != before.counts or now.removed != before.removed:
                    yield now
                before = now
                if now.is_over:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await changed.wait()

    async def wait(self, *, timeout_s: float | None = None, progress: bool = True) -> Batch:
        """Wait until every job has ended, however it ends; returns itself.

        `progress`: show a bar, of the kind that suits a notebook or a terminal. Raises TimeoutError.
        """
        async with asyncio.timeout(timeout_s):
            with _bar(self.name, len(self), shown=progress) as move:
                async for now in self.follow():
                    move(now)
        return self

    # ---------------------------------------------------------------- changing

    def pause(self) -> None:
        """Have no further job of it taken; what runs goes on."""
        self.lab.store.hold_batch(self.name)

    def resume(self) -> None:
        """Have its jobs taken again."""
        self.lab.store.release_batch(self.name)

    def cancel(self) -> int:
        """Cancel every job that has not ended, and say how many."""
        return changed_each(self.lab.cancel, [job for job in self.jobs() if not job.is_terminal])

    def retry_failed(self, *, confirm: bool = False) -> int:
        """Run the jobs that failed once more, and say how many; see `to_retry`. `confirm` agrees to what that costs.

        Raises ConfirmationNeeded.
        """
        return self.to_retry().run(confirm=confirm)

    def to_retry(self) -> Again:
        """What a retry of its failed jobs would be, and cost. Nothing has happened yet."""
        return Again.of(self)


def notes(lab: Lab) -> Notes:
    """Where the batches of a lab are written down."""
    return Notes(lab.paths.data / "batches")


def _without_picture(job: Job | None) -> str:
    """Why there is no picture to show."""
    if job is None:
        return "removed"
    if job.status is Status.FAILED and job.failure is not None:
        return one_line(f"failed: {job.failure.message}")
    return "its picture is gone" if job.status is Status.DONE else job.status.value


def _seconds_left(jobs: Sequence[Job], *, now: datetime) -> float | None:
    """How long the rest may take at the pace so far: of the jobs that have ended since the batch began to run."""
    ended = [job for job in jobs if job.finished_at and job.started_at]
    left = sum(not job.is_terminal for job in jobs)
    if not left:
        return 0.0
    if not ended:
        return None
    began = min(job.started_at for job in jobs if job.started_at)
    return (now - began).total_seconds() / len(ended) * left


@contextlib.contextmanager
def _bar(name: str, total: int, *, shown: bool) -> Any:
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=name, unit="job", disable=not shown) as bar:

        def move(now: Progress) -> None:
            bar.set_postfix({str(status): n for status, n in now.counts.items()}, refresh=False)
            bar.update(now.ended - bar.n)

        yield move
