"""How the lab has done: how many jobs came to what end, how long they took, and why some failed."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from orchestrator.jobs import Failure, Job, Status, one_line
from orchestrator.store import Store

# "Target Metrics (for Production)" of ORCHESTRATOR-V3.md
GOAL = 0.95  # of the jobs that were done or failed
TARGETS_S = {"sd15": 30.0, "sdxl": 60.0, "flux": 45.0}
TARGET_ATTEMPTS = 3

MAX_JOBS = 5_000  # the newest: more of them take seconds to read, and change no figure that matters
PAGE = 500  # jobs read at once; between two of them others get at the store
MAX_BUCKETS = 60  # of a plot
MAX_KINDS = 30  # of failures: a foreign job file may name any
MAX_NAME, MAX_TEXT = 60, 500  # characters shown of a backend, of a message
OLD_FAILURE = Failure(
    kind="unclassified",
    message="It failed, and does not say why",
    remedy="The job comes from the old system, which kept no remedy: read its message and run it again.",
)


class Window(StrEnum):
    """How far back to look: at the jobs submitted since then."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    ALL = "all"


LENGTHS = {
    Window.DAY: timedelta(days=1),
    Window.WEEK: timedelta(days=7),
    Window.MONTH: timedelta(days=30),
}
STEPS = {
    Window.DAY: timedelta(hours=1),
    Window.WEEK: timedelta(hours=6),
    Window.MONTH: timedelta(days=1),
}


class Figures(BaseModel):
    """Base of the results: camelCase in JSON."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class BackendFigures(Figures):
    """What became of a backend's jobs. Durations, in seconds, are those of the attempts that made a picture.

    `within_target`: the share of them that kept to the target; None where the map sets none.
    """

    backend: str
    counts: dict[str, int]
    success_rate: float | None
    timed: int  # jobs whose duration is known
    median_s: float | None
    p95_s: float | None
    target_s: float | None
    within_target: float | None


class FailureFigures(Figures):
    """The jobs that failed in the same way; the newest of them tells its message and remedy."""

    kind: str
    count: int
    backends: list[str]
    job_id: str
    at: datetime
    message: str
    remedy: str


class Bucket(Figures):
    """The jobs submitted within a stretch of time, and the median duration of each backend's, in seconds."""

    start: datetime
    counts: dict[str, int]
    medians_s: dict[str, float]


class Statistics(Figures):
    """The figures of the jobs submitted within a window.

    `considered` of the `known` jobs in the lab were looked at; `cut` says that older ones were left out.
    `success_rate` is done / (done + failed): a cancelled job is nobody's failure. None when there is neither.
    """

    window: Window
    since: datetime | None
    considered: int
    known: int
    cut: bool
    total: int
    counts: dict[str, int]
    success_rate: float | None
    goal: float
    attempts_mean: float | None  # of the jobs that are done
    attempts_most: int | None
    attempts_target: int
    backends: list[BackendFigures]
    failures: list[FailureFigures]
    step_s: float
    buckets: list[Bucket]


@dataclass(frozen=True, slots=True)
class Fact:
    """What statistics need of a job: five thousand jobs themselves would take too much memory."""

    id: str
    status: Status
    backend: str
    created_at: datetime
    ended_at: datetime | None
    duration_s: float | None
    attempts: int
    failure: Failure | None


def fact(job: Job) -> Fact:
    """The little that is kept of a job."""
    return Fact(
        id=job.id,
        status=job.status,
        backend=one_line(job.backend)[:MAX_NAME] or "?",
        created_at=job.created_at.astimezone(UTC),  # times of one zone compare ten times as fast
        ended_at=job.finished_at,
        duration_s=_duration_s(job),
        attempts=len(job.attempts),
        failure=_failure(job) if job.status is Status.FAILED else None,
    )


def _duration_s(job: Job) -> float | None:
    """How long the attempt took that made the picture; a job run again days later was not at it for days."""
    started = job.attempt.started_at if job.attempt else job.started_at
    if job.status is not Status.DONE or started is None or job.finished_at is None:
        return None
    seconds = (job.finished_at - started).total_seconds()
    return seconds if seconds >= 0 else None  # the clock was set back meanwhile


def _failure(job: Job) -> Failure:
    failure = job.failure or OLD_FAILURE
    said = job.result.error if job.result and not job.failure else None
    return Failure(
        kind=one_line(failure.kind)[:MAX_NAME] or OLD_FAILURE.kind,
        message=one_line(said or failure.message)[:MAX_TEXT],
        remedy=one_line(failure.remedy)[:MAX_TEXT],
    )


# ------------------------------------------------------------------------------ figures


def summary(
    facts: Iterable[Fact],
    *,
    window: Window,
    now: datetime,
    zone: tzinfo = UTC,
    known: int | None = None,
) -> Statistics:
    """The figures of a window. Days and hours are those of `zone`; `known` is the number of jobs in the lab."""
    seen = list(facts)
    since = now - LENGTHS[window] if window in LENGTHS else None
    chosen = [each for each in seen if since is None or each.created_at >= since]
    known = max(len(seen), known or 0)
    counts = Counter(each.status for each in chosen)
    attempts = [each.attempts for each in chosen if each.status is Status.DONE and each.attempts]
    # the newest are there: when the oldest of them was submitted before the window opened, none is missing
    is_whole = len(seen) >= known or (since is not None and len(chosen) < len(seen))
    step, buckets = _buckets(chosen, window=window, since=since, now=now, zone=zone)
    return Statistics(
        window=window,
        since=since,
        considered=len(seen),
        known=known,
        cut=not is_whole,
        total=len(chosen),
        counts=_by_status(counts),
        success_rate=_success_rate(counts),
        goal=GOAL,
        attempts_mean=sum(attempts) / len(attempts) if attempts else None,
        attempts_most=max(attempts, default=None),
        attempts_target=TARGET_ATTEMPTS,
        backends=_backends(chosen),
        failures=_failures(chosen),
        step_s=step.total_seconds(),
        buckets=buckets,
    )


def _by_status(counts: Counter[Status]) -> dict[str, int]:
    return {status.value: counts[status] for status in Status}


def _success_rate(counts: Counter[Status]) -> float | None:
    ended = counts[Status.DONE] + counts[Status.FAILED]
    return counts[Status.DONE] / ended if ended else None


def _backends(facts: Sequence[Fact]) -> list[BackendFigures]:
    by_name: dict[str, list[Fact]] = {}
    for each in facts:
        by_name.setdefault(each.backend, []).append(each)
    ranked = sorted(by_name.items(), key=lambda item: (-len(item[1]), item[0]))
    return [_backend(name, group) for name, group in ranked]


def _backend(name: str, facts: Sequence[Fact]) -> BackendFigures:
    counts = Counter(each.status for each in facts)
    durations = sorted(each.duration_s for each in facts if each.duration_s is not None)
    target_s = TARGETS_S.get(name)
    within = bisect_right(durations, target_s) / len(durations) if durations and target_s else None
    return BackendFigures(
        backend=name,
        counts=_by_status(counts),
        success_rate=_success_rate(counts),
        timed=len(durations),
        median_s=quantile(durations, 0.5),
        p95_s=quantile(durations, 0.95),
        target_s=target_s,
        within_target=within,
    )


def quantile(ranked: Sequence[float], share: float) -> float | None:
    """The value that `share` of the ranked ones do not exceed, between two of them where it falls there."""
    if not ranked:
        return None
    place = share * (len(ranked) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (place - low)


def _failures(facts: Sequence[Fact]) -> list[FailureFigures]:
    """By kind, the most frequent first."""
    by_kind: dict[str, list[tuple[Fact, Failure]]] = {}
    for each in facts:
        if each.failure is not None:
            by_kind.setdefault(each.failure.kind, []).append((each, each.failure))
    groups = [_failure_group(kind, group) for kind, group in by_kind.items()]
    return sorted(groups, key=lambda group: (-group.count, group.kind))[:MAX_KINDS]


def _failure_group(kind: str, group: Sequence[tuple[Fact, Failure]]) -> FailureFigures:
    newest, failure = max(group, key=lambda pair: _ended(pair[0]))
    backends = Counter(each.backend for each, _ in group)
    return FailureFigures(
        kind=kind,
        count=len(group),
        backends=[name for name, _ in backends.most_common(5)],
        job_id=newest.id,
        at=_ended(newest),
        message=failure.message,
        remedy=failure.remedy,
    )


def _ended(each: Fact) -> datetime:
    return each.ended_at or each.created_at


# ------------------------------------------------------------------------------ over time


def _buckets(
    facts: Sequence[Fact], *, window: Window, since: datetime | None, now: datetime, zone: tzinfo
) -> tuple[timedelta, list[Bucket]]:
    oldest = min((each.created_at for each in facts), default=now)
    begin = min(oldest, now) if since is None else since
    step = STEPS.get(window) or _step(now - begin)
    starts = _starts(begin.astimezone(zone), now, step)
    groups: list[list[Fact]] = [[] for _ in starts]
    for each in facts:  # one from the future, by another machine's clock, is in the newest
        groups[max(0, bisect_right(starts, each.created_at) - 1)].append(each)
    return step, [_bucket(start, group) for start, group in zip(starts, groups, strict=True)]


def _step(span: timedelta) -> timedelta:
    """An hour, a quarter of a day, a day, or so many days that the span has few enough of them."""
    for step in (timedelta(hours=1), timedelta(hours=6)):
        if span <= 28 * step:
            return step
    return timedelta(days=max(1, math.ceil(span / timedelta(days=1) / (MAX_BUCKETS - 1))))


def _starts(begin: datetime, now: datetime, step: timedelta) -> list[datetime]:
    """Where the stretches begin: on the full hour, or at midnight, of the clock on the wall."""
    hours = int(step.total_seconds() // 3600)
    hour = begin.hour // hours * hours if hours < 24 else 0
    wall = begin.replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    starts = [wall.astimezone(UTC)]
    while True:
        wall += step
        start = wall.astimezone(UTC)
        if start > now:
            return starts
        if start > starts[-1]:  # not so in the hour that summer time skips
            starts.append(start)


def _bucket(start: datetime, facts: Sequence[Fact]) -> Bucket:
    counts = Counter(each.status for each in facts)
    durations: dict[str, list[float]] = {}
    for each in facts:
        if each.duration_s is not None:
            durations.setdefault(each.backend, []).append(each.duration_s)
    medians = {name: quantile(sorted(times), 0.5) for name, times in durations.items()}
    return Bucket(
        start=start,
        counts={status.value: n for status, n in counts.items()},
        medians_s={
            name: round(median, 3) for name, median in medians.items() if median is not None
        },
    )


# ------------------------------------------------------------------------------ gathering


class History:
    """What is known of the newest jobs of a store, archived ones included.

    Its first look reads up to MAX_JOBS files; the next ones only what is not archived, unless the archive changed.
    Not safe to use from two threads at once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._archived: dict[str, Fact] = {}
        self._stamp: Counter[Status] | None = None

    def look(self) -> tuple[list[Fact], int]:
        """The newest jobs, newest first, at most MAX_JOBS; and how many there are. Blocks on the disk."""
        self._store.refresh()
        hot = {job.id: fact(job) for job in self._store.snapshot()}
        counts = self._store.counts()
        stamp = counts - Counter(each.status for each in hot.values())
        if stamp != self._stamp:
            self._archived = self._read(besides=hot) if stamp else {}
            self._stamp = stamp
        facts = sorted(
            (self._archived | hot).values(),
            key=lambda each: (each.created_at, each.id),
            reverse=True,
        )
        # a file that went, or holds no job, is counted for a while but not there: that is no cut
        return facts[:MAX_JOBS], counts.total() if len(facts) >= MAX_JOBS else len(facts)

    def _read(self, *, besides: Container[str]) -> dict[str, Fact]:
        found: dict[str, Fact] = {}
        for offset in range(0, MAX_JOBS, PAGE):
            jobs, total = self._store.page(limit=PAGE, offset=offset)
            found.update((job.id, fact(job)) for job in jobs if job.id not in besides)
            if offset + PAGE >= total:
                break
        return found

    def summary(self, window: Window, *, zone: tzinfo = UTC) -> Statistics:
        """Look, and give the figures of a window."""
        facts, known = self.look()
        return summary(facts, window=window, now=self._store.now(), zone=zone, known=known)
