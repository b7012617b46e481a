"""The job store: one file per job, each whole or not there, changed only under its lock.

What is promised, on one machine or a share with working locks: a change that was acknowledged survives kill -9 and
a power cut; two processes never both take a job; whoever lost a job to another cannot write to it any more.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from orchestrator.errors import CorruptFile, DiskFull, Fenced, JobExists, JobNotFound, StoreBusy
from orchestrator.files import DISK, Disk, is_full, temp_name
from orchestrator.jobs import MAX_CRASHES, TERMINAL, Job, Phase, Status
from orchestrator.store.archive import Archive
from orchestrator.store.ballast import Ballast
from orchestrator.store.index import Entry, Index, sortable_time
from orchestrator.store.layout import Layout, checked
from orchestrator.store.locks import ShardLocks
from orchestrator.store.progress import ProgressFiles
from orchestrator.store.quarantine import Quarantine
from orchestrator.store.receipts import Receipts
from orchestrator.store.slots import Lane, Slot, Slots
from orchestrator.store.watch import OnChange, Watcher
from orchestrator.store.workers import HOST, LEASE_S, Observer, Presence, monotonic

logger = logging.getLogger(__name__)

LOCKED_S = 0.05  # how long a claim waits for a job whose lock another has; they need milliseconds
READ_TRIES = 3  # between the hot folder and the archive, and against ESTALE of a network drive
LanesFor = Callable[[str, str | None], Sequence[Lane]]
Prepare = Callable[[Job, Lane], Job]


def utc_now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Subscription:
    """Somebody is told of changes; end it when done."""

    end: Callable[[], None]


@dataclass(frozen=True)
class Claim:
    """A job that this process may run, and its place at the service host.

    `adopted`: another worker began the open attempt, and the service may have it.
    """

    job: Job
    slot: Slot | None
    adopted: bool

    @property
    def fence(self) -> int:
        """What every write of this claim must carry."""
        return self.job.fence


class Store:
    """The jobs of one folder. Safe to use from several threads; its calls block for 1-20 ms of disk work."""

    def __init__(
        self,
        root: Path,
        *,
        disk: Disk = DISK,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = monotonic,
        lease_s: float = LEASE_S,
        max_crashes: int = MAX_CRASHES,
    ) -> None:
        self.layout = Layout(Path(root))
        self.layout.create()
        self.lease_s = lease_s
        self.now = now
        self._clock = clock
        self._disk = disk
        self.max_crashes = max_crashes
        self._root = str(self.layout.root)
        self._locks = ShardLocks(self.layout.locks)
        self._locks.create()
        self.receipts = Receipts(self.layout.receipts, disk=disk)
        self.observer = Observer(self.layout.workers, clock=clock, lease_s=lease_s)
        self._slots = Slots(self.layout.slots)
        self.progress = ProgressFiles(self.layout.progress)
        self.quarantine = Quarantine(self.layout, self._locks, disk=disk)
        self._index = Index(self._root, on_corrupt=self._set_aside, disk=disk)
        self._archive = Archive(self.layout.old, self.layout.index, on_corrupt=self.quarantine.take)
        self._ballast = Ballast(self.layout.ballast, disk=disk)
        self._abandoned: dict[str, float] = {}
        self._watching = threading.Lock()
        self._watcher: Watcher | None = None
        self._listeners: list[OnChange] = []
        self._ballast.keep()

    def close(self) -> None:
        """Close what is open. Jobs are on the disk anyway."""
        with self._watching:
            if self._watcher is not None:
                self._watcher.stop()
                self._watcher = None
        self._locks.close()
        self._archive.close()

    def presence(self, name: str = "worker") -> Presence:
        """Register this process as a worker, until the presence is ended or the process dies."""
        return Presence(self.layout.workers, name=name, clock=self._clock, lease_s=self.lease_s)

    # ---------------------------------------------------------------- writing

    def create(self, job: Job) -> Job:
        """Store a new job. Raises JobExists when its id is taken, DiskFull.

        The id is made by the caller, so that a create whose answer was lost can be repeated.
        """
        checked(job.id)
        with self._locks.hold(job.id):
            if self.layout.job(job.id).exists() or self._archive.find(job.id):
                raise JobExists(f"Job {job.id} exists already")
            return self._put(job.having(revision=1))

    def update(self, job_id: str, change: Callable[[Job], Job], *, fence: int | None = None) -> Job:
        """Change a job as it is on the disk: `change` gets it and returns what it should be.

        With `fence` only whoever claimed the job with it may write; Fenced is raised otherwise.
        Raises JobNotFound, CorruptFile, StoreBusy, DiskFull, and whatever `change` raises.
        """
        return self._changed(job_id, change, fence=fence)[0]

    def _changed(
        self, job_id: str, change: Callable[[Job], Job], *, fence: int | None = None
    ) -> tuple[Job, bool]:
        """A job after `change`, and whether that changed it."""
        with self._locks.hold(job_id):
            job = self._read(job_id)
            if fence is not None:
                job.owned(fence)
            changed = change(job)
            if changed is job:
                return job, False
            return self._put(changed.having(revision=job.revision + 1)), True

    def claim(
        self,
        worker: str,
        *,
        lanes: LanesFor,
        prepare: Prepare | None = None,
        only: Container[str] | None = None,
    ) -> Claim | None:
        """Take the most urgent job that fits, or None.

        `lanes(backend, host)` gives the lanes a job may use, best first: of a new job (`host` is None), or of one
        whose attempt may still be running at `host`. No lanes: this worker cannot run it. `prepare(job, lane)`
        changes a new job before it is written, so that taking it and beginning an attempt are one write.
        """
        locked: set[str] = set()
        claim = self._claim_first(worker, lanes, prepare, only, locked=locked)
        if claim is None and locked:
            # tried, not waited for, as others may be claiming them, and there are more jobs. But whoever has just
            # created a job still holds its lock when the news arrives, and no other news of it will come
            claim = self._claim_first(worker, lanes, prepare, locked, wait_s=LOCKED_S)
        return claim

    def _claim_first(
        self,
        worker: str,
        lanes: LanesFor,
        prepare: Prepare | None,
        only: Container[str] | None,
        *,
        locked: set[str] | None = None,
        wait_s: float = 0.0,
    ) -> Claim | None:
        """The first waiting job whose lock is got within `wait_s`; ids of the others are added to `locked`."""
        now = self.now()
        closed: set[tuple[str, str | None]] = set()
        for job_id, entry in self._index.waiting():
            kind = (entry.backend, entry.open_host)
            if kind in closed or (only is not None and job_id not in only):
                continue
            offered = lanes(*kind)
            if not offered:
                closed.add(kind)
                continue
            if not self._is_due(job_id, entry, now):
                continue
            slot = self._slot(entry, job_id, offered)
            if slot is None and kind[1] is None:
                closed.add(kind)
                continue
            claim = None
            try:
                with self._locks.hold(job_id, wait_s=wait_s) as is_held:
                    if is_held:
                        claim = self._try_claim(job_id, worker, slot, now, prepare)
                    elif locked is not None:
                        locked.add(job_id)
            except CorruptFile as error:
                self._set_aside(job_id, error)
            except StoreBusy:
                logger.info("Job %s is locked by another process", job_id)
            finally:
                if claim is None and slot is not None:
                    # a job with an attempt keeps its place's note: whoever has it now may be at the service
                    slot.release() if kind[1] is None else slot.leave()
            if claim is not None:
                return claim
        return None

    def _is_due(self, job_id: str, entry: Entry, now: datetime) -> bool:
        if not entry.document.get("notBefore"):
            return True
        try:
            return entry.job().is_due(now)
        except CorruptFile as error:
            self._set_aside(job_id, error)
            return False

    def _slot(self, entry: Entry, job_id: str, offered: Sequence[Lane]) -> Slot | None:
        if entry.open_host is not None:
            return self._slots.retake(entry.open_slot, offered[0], job_id)
        for lane in offered:
            if slot := self._slots.take(lane, job_id, in_use=self._uses_slot):
                return slot
        return None

    def _set_aside(self, job_id: str, error: CorruptFile) -> bool:
        gone = self.quarantine.take_job(job_id, error)
        if gone:
            self._index.drop(job_id)
        return gone

    def tidy(self) -> None:
        """What a worker does now and then: renew the ballast, forget workers that died long ago."""
        self._ballast.keep()
        self.observer.forget_dead()

    def _uses_slot(self, job_id: str, slot: str) -> bool:
        """Whether a job whose worker is gone may still be at the service, on this place."""
        try:  # from the disk: what this process last read may be older than the attempt
            job = self._read(job_id)
        except (JobNotFound, CorruptFile):
            return False
        attempt = job.open_attempt
        return not job.is_terminal and attempt is not None and attempt.slot == slot

    def _try_claim(
        self, job_id: str, worker: str, slot: Slot | None, now: datetime, prepare: Prepare | None
    ) -> Claim | None:
        """Take a job if it still waits; the caller holds its lock."""
        try:
            job = self._read(job_id)
        except JobNotFound:
            self._index.drop(job_id)
            return None
        if not (job.is_waiting and job.is_due(now)):
            self._index.read(job_id)
            return None
        name = slot.name if slot else None
        claimed = job.claim(worker=worker, host=HOST, slot=name, now=now)
        adopted = job.open_attempt is not None
        if prepare and slot and not adopted:
            claimed = prepare(claimed, slot.lane)
        return Claim(self._put(claimed.having(revision=job.revision + 1)), slot, adopted)

    def recover(self) -> list[Job]:
        """Free the jobs of workers that died or hang; returns them. Call it often: it is cheap."""
        freed = []
        judged: dict[tuple[str, str], bool] = {}
        for job_id, entry in self._index.entries():
            if entry.status is not Status.RUNNING:
                continue
            owner = entry.worker
            if owner is None:
                if not self._is_abandoned(job_id):
                    continue
            else:
                if owner not in judged:
                    judged[owner] = self.observer.is_alive(owner[0], host=owner[1])
                if judged[owner]:
                    continue
            try:
                job, is_freed = self._changed(job_id, partial(self._recovered, was=owner))
            except (JobNotFound, CorruptFile, StoreBusy):
                continue
            if is_freed:
                freed.append(job)
        return freed

    def leased_to(self, worker: str) -> set[str]:
        """The jobs that are running under a worker's lease."""
        return {
            job_id
            for job_id, entry in self._index.entries()
            if entry.status is Status.RUNNING and entry.worker == (worker, HOST)
        }

    def hand_back(self, worker: str) -> None:
        """Free the jobs of a worker that ends in order; what runs at the services is adopted by the next."""
        for job_id in self.leased_to(worker):
            with contextlib.suppress(Fenced, JobNotFound, CorruptFile, StoreBusy):
                self.update(job_id, partial(_handed_back, worker=worker))

    def free(self, job_id: str, *, worker: str) -> Job:
        """Take back a job that a worker of this process holds on the disk and does not know of."""
        return self.update(job_id, partial(self._recovered, was=(worker, HOST)))

    def _recovered(self, job: Job, *, was: tuple[str, str] | None) -> Job:
        owner = (job.lease.worker, job.lease.host) if job.lease else None
        if job.status is not Status.RUNNING or owner != was:
            return job
        return job.recover(now=self.now(), max_crashes=self.max_crashes)

    def _is_abandoned(self, job_id: str) -> bool:
        """A running job without a lease is the old system's: give that system time to finish it."""
        first_seen = self._abandoned.setdefault(job_id, self._clock())
        return self._clock() - first_seen > self.lease_s

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

    def _move_to(self, folder: Path, job: Job) -> bool:
        with self._locks.hold(job.id):
            try:
                if not self._read(job.id).is_terminal:
                    return False
                self._disk.replace(self.layout.job(job.id), folder / f"{job.id}.json")
            except (JobNotFound, CorruptFile):
                return False
            self._index.drop(job.id)
        return True

    def _put(self, job: Job) -> Job:
        """Write a job file; the caller holds its lock. Ended jobs may use the space kept for them."""
        data = job.to_json()
        try:
            stat = self._write(job.id, data)
        except DiskFull:
            if not job.is_terminal or not self._ballast.drop():
                raise
            stat = self._write(job.id, data)
        self._index.put(job, data, stat)
        self._tell({job.id})  # the watcher will find nothing new in a file this process wrote
        return job

    def _write(self, job_id: str, data: bytes) -> os.stat_result:
        path = f"{self._root}/{job_id}.json"
        draft = str(self.layout.temp / temp_name(job_id))
        try:
            self._disk.write(draft, data)
            self._disk.replace(draft, path)
        except OSError as error:
            self._discard(draft)
            if is_full(error):
                raise DiskFull from error
            # a network drive may do the renaming and report that it failed
            if not self._holds(path, data):
                raise
        self._disk.sync_folder(self._root)
        return os.stat(path)

    def _discard(self, draft: str) -> None:
        try:
            self._disk.unlink(draft)
        except OSError:
            logger.warning("Could not remove a draft in %s", self.layout.temp)

    def _holds(self, path: str, data: bytes) -> bool:
        try:
            return self._disk.read(path)[0] == data
        except OSError:
            return False

    # ---------------------------------------------------------------- reading

    def get(self, job_id: str) -> Job:
        """A job, archived or not, with its live progress. Raises JobNotFound, CorruptFile."""
        checked(job_id)
        for _ in range(READ_TRIES):  # it may be archived between the two looks
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
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[list[Job], int]:
        """A page of jobs, newest first, archived ones included; and how many there are in all."""
        self._archive.reconcile()
        hot = [
            (entry.created, job_id)
            for job_id, entry in self._index.entries()
            if (status is None or entry.status is status)
            and (backend is None or entry.backend == backend)
        ]
        archived = sum(
            n
            for (its_status, its_backend), n in self._archive.counts().items()
            if (status is None or its_status is status)
            and (backend is None or its_backend == backend)
        )
        old = self._archive.page(limit=offset + limit, status=status, backend=backend)
        # another process may have archived a job that this one still has in mind
        listed = {job_id for _, job_id in hot}
        months = {job_id: month for _, job_id, month in old if job_id not in listed}
        rows = [(created, job_id) for created, job_id, _ in old if job_id in months]
        page = heapq.nlargest(offset + limit, hot + rows)[offset:]
        jobs = [job for _, job_id in page if (job := self._known(job_id, month=months.get(job_id)))]
        return jobs, len(hot) + archived - (len(old) - len(rows))

    def counts(self) -> Counter[Status]:
        """How many jobs have which status, archived ones included."""
        self._archive.reconcile()
        total = self._index.counts()
        for (status, _), n in self._archive.counts().items():
            total[status] += n
        return total

    def snapshot(self) -> list[Job]:
        """The jobs that are not archived, as this process last read them, with their live progress."""
        return [job for job_id, _ in self._index.entries() if (job := self._known(job_id))]

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

    def wants_cancel(self, job_id: str) -> bool:
        """Whether somebody asked for a job to be cancelled, as far as this process has noticed."""
        entry = self._index.get(job_id)
        return entry is not None and bool(entry.document.get("cancelRequested"))

    def with_late_receipts(self) -> list[Job]:
        """Carry on jobs whose paid request had seemed lost, and whose receipt has turned up; returns them."""
        return [
            self.update(job_id, lambda job: job.release(now=self.now()))
            for job_id, entry in self._index.entries()
            if entry.status is Status.FAILED
            and (entry.attempt or {}).get("phase") == Phase.AMBIGUOUS
            and self.receipts.read((entry.attempt or {}).get("receipt")) is not None
        ]

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

    def refresh(self, *, force: bool = False) -> list[str]:
        """Notice what other processes changed; returns the ids of changed jobs."""
        return self._index.refresh(force=force)

    def _read(self, job_id: str) -> Job:
        path = f"{self._root}/{checked(job_id)}.json"
        for last in (False, False, True):
            try:
                return Job.from_json(self._disk.read(path)[0], id=job_id)
            except FileNotFoundError:
                raise JobNotFound(f"There is no job {job_id}") from None
            except OSError:  # ESTALE: a network drive has another file under this name by now
                if last:
                    raise
        raise AssertionError("unreachable")

    # ---------------------------------------------------------------- watching

    def watch(self, on_change: OnChange, *, force_polling: bool = False) -> Subscription:
        """Call back with the ids of jobs whose file or progress changed, whoever changed it; until ended.

        The call comes from a thread: the watcher's, or the one that wrote.
        """
        with self._watching:
            self._listeners.append(on_change)
            if self._watcher is None:
                self._watcher = Watcher(
                    [self.layout.root, self.layout.progress],
                    on_names=self._names_changed,
                    on_look=self._look,
                    force_polling=force_polling,
                )
                self._watcher.start()
        return Subscription(partial(self._unwatch, on_change))

    def _unwatch(self, on_change: OnChange) -> None:
        with self._watching:
            self._listeners.remove(on_change)
            watcher, self._watcher = self._watcher, None if not self._listeners else self._watcher
        if self._watcher is None and watcher is not None:
            watcher.stop()

    def _names_changed(self, paths: set[str]) -> None:
        changed: set[str] = set()
        for path in paths:
            name = os.path.basename(path)
            if name.endswith(".json"):
                changed.update(self._index.read(name[:-5]))
            elif job_id := self.progress.changed_job(path):
                changed.add(job_id)
        self._tell(changed)

    def _look(self) -> None:
        changed = set(self.refresh())
        if self._watcher is not None and self._watcher.polling:
            changed |= self.progress.changed()
        self._tell(changed)

    def _tell(self, changed: set[str]) -> None:
        for listener in list(self._listeners) if changed else ():
            try:
                listener(changed)
            except Exception:  # a reader's fault must not look like a failed write
                logger.exception("Somebody who is told of changed jobs failed")


def _handed_back(job: Job, *, worker: str) -> Job:
    ours = job.status is Status.RUNNING and job.lease is not None and job.lease.worker == worker
    return job.hand_back() if ours else job
