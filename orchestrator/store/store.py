"""The job store: one file per job, shared by processes.

What is promised, on one machine or a share with working locks: a change that was acknowledged survives kill -9 and
a power cut; two processes never both take a job; whoever lost a job to another cannot write to it any more.
"""

from __future__ import annotations

import contextlib
import heapq
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from orchestrator.errors import CorruptFile, InvalidTransition, JobNotFound, StoreBusy
from orchestrator.jobs import TERMINAL, Job, Status
from orchestrator.store.archive import Row, newest_first, row_of, searched
from orchestrator.store.claims import Claims
from orchestrator.store.index import Entry, sortable_time
from orchestrator.store.layout import checked

LOOKS = 3  # for a job that moves to the archive between the two places looked at


class Store(Claims):
    """The jobs of one folder. Safe to use from several threads; its calls block for 1-20 ms of disk work."""

    def tidy(self) -> None:
        """What a worker does now and then: renew the ballast, forget workers that died long ago."""
        self._ballast.keep()
        self.observer.forget_dead()

    # ---------------------------------------------------------------- reading

    def get(self, job_id: str) -> Job:
        """A job, archived or not, with its live progress. Raises JobNotFound, CorruptFile."""
        checked(job_id)
        for _ in range(LOOKS):
            try:
                return self.progress.merged(self._read(job_id))
            except JobNotFound:
                path = self._archive.find(job_id)
            if path is not None:
                try:
                    return Job.from_json(self._disk.read(path)[0], id=job_id)
                except FileNotFoundError:
                    continue
        raise JobNotFound(f"There is no job {job_id}")

    def resolve(self, prefix: str) -> str:
        """The id that begins so. Raises JobNotFound when there is none, or more than one."""
        checked(prefix)
        if self.layout.job(prefix).exists() or self._archive.find(prefix):
            return prefix
        hot = {job_id for job_id, _ in self._index.entries() if job_id.startswith(prefix)}
        found = hot | set(self._archive.ids_like(prefix))
        if len(found) == 1:
            return found.pop()
        if found:
            raise JobNotFound(
                f"{len(found)} jobs or more begin with {prefix}", remedy="Give more of the id."
            )
        raise JobNotFound(f"There is no job {prefix}")

    def page(
        self,
        *,
        status: Status | None = None,
        backend: str | None = None,
        text: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[list[Job], int]:
        """A page of jobs, newest first, archived ones included; and how many there are in all.

        `text`: each of its words is in the prompt, or begins the id; upper or lower case is the same.
        """
        self._archive.reconcile()
        words = searched(text).split()
        hot, total = self._hot(status, backend, words, limit=offset + limit)
        archived = self._archive.count(status=status, backend=backend, words=words)
        old = self._archive.page(limit=offset + limit, status=status, backend=backend, words=words)
        # another process may have archived a job that this one still has in mind
        months = {job_id: month for _, job_id, month in old if self._index.get(job_id) is None}
        rows = [(created, job_id) for created, job_id, _ in old if job_id in months]
        both = sorted(hot + rows, reverse=True) if rows else hot
        page = both[offset : offset + limit]
        jobs = [job for _, job_id in page if (job := self._known(job_id, month=months.get(job_id)))]
        without = len(page) - len(jobs)  # set aside, now that they were looked into
        return jobs, total + archived - (len(old) - len(rows)) - without

    def _hot(
        self, status: Status | None, backend: str | None, words: list[str], *, limit: int
    ) -> tuple[list[tuple[str, str]], int]:
        """The newest jobs of a kind that are not archived, as (time of creation, id), and how many there are."""
        total = sum(
            n
            for (its_status, its_backend), n in self._index.counts().items()
            if (status is None or its_status is status)
            and (backend is None or its_backend == backend)
        )
        ordered = self._index.ordered()
        if status is None and backend is None and not words:
            return ordered[: -limit - 1 : -1], len(ordered)
        found: list[tuple[str, str]] = []
        enough = total if words else min(limit, total)  # words have to be counted one by one
        for created, job_id in reversed(ordered):
            if len(found) >= enough:
                break
            entry = self._index.get(job_id)
            if (
                entry is not None
                and (status is None or entry.status is status)
                and (backend is None or entry.backend == backend)
                and (not words or _is_found(job_id, entry, words))
            ):
                found.append((created, job_id))
        return found[:limit], len(found) if words else total

    def many(self, job_ids: Iterable[str]) -> dict[str, Job]:
        """Those of the jobs that are there, archived ones included, as this process last read them."""
        known = ((job_id, self._known(job_id)) for job_id in job_ids)
        return {job_id: job for job_id, job in known if job is not None}

    def history(
        self,
        *,
        limit: int,
        since: datetime | None = None,
        until: datetime | None = None,
        status: Status | None = None,
        backend: str | None = None,
        text: str | None = None,
    ) -> list[Row]:
        """Jobs newest first, archived ones included, as rows of `archive.COLUMNS`; the month of one that is not
        archived is None. Reads no file of an archived job. `since` and `until` bound the time of creation."""
        self._archive.reconcile()
        words = searched(text).split()
        first = sortable_time(since.isoformat()) if since else ""
        end = sortable_time(until.isoformat()) if until else None
        hot: list[Row] = []
        for job_id, entry in self._index.entries():
            if (
                first <= entry.created
                and (end is None or entry.created < end)
                and (status is None or entry.status is status)
                and (backend is None or entry.backend == backend)
                and (not words or _is_found(job_id, entry, words))
            ):
                hot.append(row_of(entry.document, None))
        hot.sort(key=newest_first, reverse=True)
        old = self._archive.history(
            limit=limit + len(hot),  # some may be among both
            since=first or None,
            until=end,
            status=status,
            backend=backend,
            words=words,
        )
        fresh = (row for row in old if self._index.get(row[0]) is None)
        return list(islice(heapq.merge(hot, fresh, key=newest_first, reverse=True), limit))

    def counts(self) -> Counter[Status]:
        """How many jobs have which status, archived ones included."""
        total: Counter[Status] = Counter()
        for (status, _), n in self.counts_by_backend().items():
            total[status] += n
        return total

    def counts_by_backend(self) -> Counter[tuple[Status, str]]:
        """How many jobs have which status and backend, archived ones included."""
        self._archive.reconcile()
        return self._archive.counts() + self._index.counts()

    def waiting(self) -> tuple[int, datetime | None]:
        """How many jobs a worker may take or will take after a pause, and when the oldest of them was made."""
        entries = [entry for _, entry in self._index.waiting()]
        try:
            oldest = datetime.fromisoformat(min(entry.created for entry in entries))
        except ValueError:  # none waits, or a file says nonsense
            oldest = None
        return len(entries), oldest

    def snapshot(self) -> list[Job]:
        """The jobs that are not archived, as this process last read them, with their live progress."""
        return [job for job_id, _ in self._index.entries() if (job := self._known(job_id))]

    def documents(self) -> list[tuple[str, dict[str, Any]]]:
        """The id and the file of each job that is not archived, as last read. To be read only: they are no copies.

        A document that is the same object as before has not changed.
        """
        return [(job_id, entry.document) for job_id, entry in self._index.entries()]

    def _known(self, job_id: str, *, month: str | None = None) -> Job | None:
        """A job as this process last read it, or from the archive's `month`; None when it makes no sense."""
        entry = self._index.get(job_id)
        try:
            if entry:
                return self.progress.merged(entry.job())
            if month is not None:
                with contextlib.suppress(FileNotFoundError):
                    data, _ = self._disk.read(self._archive.path(job_id, month))
                    return Job.from_json(data, id=job_id)
            return self.get(job_id)
        except CorruptFile as error:
            if entry:
                self._set_aside(job_id, error)
            elif path := self._archive.find(job_id):
                self.quarantine.take(path, error)
        except JobNotFound:
            pass  # went between the two looks
        return None

    # ---------------------------------------------------------------- removing

    def delete(self, job_id: str) -> Job:
        """Remove an ended job, archived or not; see `JobFiles.delete`."""
        try:
            return super().delete(job_id)
        except JobNotFound:
            job = self.get(job_id)
            with self._locks.hold_archive():
                self._unlink_archived(job_id)
            self._tell({job_id})
            return job

    def clear_ended(self) -> int:
        """Remove every ended job from the list; returns how many. Pictures stay, and so do jobs that may have been
        paid for without a picture."""
        gone = set()
        for job_id, entry in self._index.entries():
            if entry.status in TERMINAL:
                with contextlib.suppress(JobNotFound, InvalidTransition, CorruptFile, StoreBusy):
                    if not self._read(job_id).may_hold_a_purchase:
                        super().delete(job_id)
                        gone.add(job_id)
        self._archive.reconcile()
        with self._locks.hold_archive():
            for _, job_id, month in self._archive.page(limit=-1):
                job = self._known(job_id, month=month)
                if job is not None and not job.may_hold_a_purchase:
                    self._unlink_archived(job_id)
                    gone.add(job_id)
        self._tell(gone)
        return len(gone)

    def _unlink_archived(self, job_id: str) -> None:
        if path := self._archive.find(job_id):
            self._disk.unlink(path)
            self._disk.sync_folder(path.parent)

    # ---------------------------------------------------------------- archiving

    def ended_before(self, cutoff: datetime, *, keep: int) -> list[str]:
        """Ended jobs to archive: those older than `cutoff`, and all but the newest `keep`."""
        ended = sorted(
            (sortable_time(entry.document.get("finishedAt") or entry.created), job_id)
            for job_id, entry in self._index.entries()
            if entry.status in TERMINAL
        )
        cut = sortable_time(cutoff.isoformat())
        surplus = max(0, len(ended) - keep)
        return [job_id for n, (at, job_id) in enumerate(ended) if at < cut or n < surplus]

    def archive(self, job_ids: Iterable[str]) -> list[Job]:
        """Move ended jobs to `_old`; returns those that moved."""
        jobs = []
        for job_id in job_ids:
            entry = self._index.get(job_id)
            if entry is not None and entry.status in TERMINAL and (job := self._known(job_id)):
                jobs.append(job)
        with self._locks.hold_archive():
            moved = self._archive.add(jobs, self._move_to)
        for folder in {self._archive.month_of(job) for job in moved}:
            self._disk.sync_folder(folder)
        if moved:
            self._disk.sync_folder(self._root)
        return moved

    def unarchive(self, job_id: str) -> bool:
        """Bring an archived job back, so that it can be changed; returns whether there was one."""
        with self._locks.hold_archive(), self._locks.hold(job_id):
            path = self._archive.find(job_id)
            if path is None:
                return False
            self._disk.replace(path, self.layout.job(job_id))
            self._disk.sync_folder(self._root)
        self._index.read(job_id)
        return True

    def _move_to(self, folder: Path, job: Job) -> bool:
        with self._locks.hold(job.id):
            try:
                now = self._read(job.id)
                if not now.is_terminal or now.revision != job.revision:
                    return False  # the index of the archive would have it as it was
                self._disk.replace(self.layout.job(job.id), folder / f"{job.id}.json")
            except (JobNotFound, CorruptFile):
                return False
            self._index.drop(job.id)
        return True


def _is_found(job_id: str, entry: Entry, words: list[str]) -> bool:
    prompt = searched(entry.document.get("prompt"))
    return all(word in prompt or job_id.startswith(word) for word in words)
