"""What has been told of each job, so that nothing is told twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.jobs import TERMINAL, Job, Status
from orchestrator.monitor.entries import UNKNOWN

REMEMBERED = 50_000  # jobs; one that was forgotten is told of once more when it changes
NEW = "new"
ENDED = frozenset(status.value for status in TERMINAL)


@dataclass(frozen=True)
class Told:
    """A job as it was last told of."""

    status: str
    attempts: int

    @property
    def has_ended(self) -> bool:
        """Whether nothing was to be expected of the job any more."""
        return self.status in ENDED


def status_of(job: Job) -> str:
    """The status of a job in the words of the log: a draft is created, and one that waits for its user is held."""
    if job.is_held:
        return f"{job.status.value} (held)"
    return job.status.value


class Memory:
    """The jobs that were told of, the one that changed last at the end."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, Told] = OrderedDict()

    def remember(self, job_id: str, told: Told) -> None:
        """Take it as told."""
        self._told[job_id] = told
        self._told.move_to_end(job_id)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def change(self, job: Job) -> tuple[str, str] | None:
        """The old and the new status of a job that has something to tell, which counts as told from now on."""
        last, now = self._told.get(job.id), Told(status_of(job), len(job.attempts))
        self.remember(job.id, now)
        if last is None:
            return NEW, now.status
        # still running, and another attempt: the one before failed between two looks
        again = job.status is Status.RUNNING and now.attempts > max(1, last.attempts)
        if last.status == now.status and not again:
            return None
        return last.status, now.status

    def gone(self, job_id: str) -> Told | None:
        """Forget a job that is not there any more; how it was if it had not ended."""
        told = self._told.pop(job_id, None)
        return None if told is None or told.has_ended else told

    def begin(
        self, jobs: Iterable[Job], before: Iterable[Mapping[str, Any]]
    ) -> list[tuple[Job, str, str]]:
        """Take the jobs as told, but for those that changed since the last of the lines written `before` by another
        monitor: returns these with their old and new status, in the order they changed. The first monitor of all
        tells nothing."""
        since, said = _read(before)
        news = []
        for job in jobs:
            if (last := said.get(job.id)) is not None:
                self.remember(job.id, last)
                change = self.change(job)
            elif since is not None and (touched := touched_at(job)) > since:
                self.change(job)
                is_new = job.created_at > since and job.created_at == touched
                change = (NEW if is_new else UNKNOWN), status_of(job)
            else:
                self.change(job)
                change = None
            if change is not None:
                news.append((touched_at(job), job, *change))
        news.sort(key=lambda item: (item[0], item[1].id))
        return [(job, old, new) for _, job, old, new in news]


def touched_at(job: Job) -> datetime:
    """When a job last changed, as far as it says."""
    times = [job.created_at, job.started_at, job.finished_at]
    for attempt in job.attempts[-1:]:
        times += [attempt.started_at, attempt.finished_at]
    return max(time for time in times if time is not None)


def _read(lines: Iterable[Mapping[str, Any]]) -> tuple[datetime | None, dict[str, Told]]:
    """The time of the last line, and what the lines tell of each job."""
    since: datetime | None = None
    said: dict[str, Told] = {}
    for line in lines:
        try:
            at = datetime.fromisoformat(str(line["at"]))
            if at.tzinfo is None:
                continue
            since = at
            if line.get("event") == "job":
                said[str(line["job"])] = Told(str(line["new"]), int(line.get("attempts") or 0))
        except (KeyError, ValueError, TypeError):
            continue
    return since, said
