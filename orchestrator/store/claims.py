"""Who has which job: claiming, and taking over what a lost worker left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from orchestrator.errors import CorruptFile, InvalidTransition, JobNotFound, StoreBusy
from orchestrator.files import DISK, Disk
from orchestrator.jobs import MAX_CRASHES, TERMINAL, Job, Phase, Status
from orchestrator.store.index import Entry, Kind
from orchestrator.store.jobfiles import JobFiles, utc_now
from orchestrator.store.slots import Lane, Slot, Slots
from orchestrator.store.workers import HOST, LEASE_S, Observer, Presence, monotonic

logger = logging.getLogger(__name__)

LOCKED_S = 0.05  # how long a claim waits for a job whose lock another has; they need milliseconds
LanesFor = Callable[[Kind], Sequence[Lane]]
Prepare = Callable[[Job, Lane], Job]


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


class Claims(JobFiles):
    """The jobs of one folder as workers share them."""

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
        """`now` is the time of day, `clock` a monotonic one; a worker silent for `lease_s` has lost its jobs."""
        super().__init__(root, disk=disk, now=now)
        self.lease_s = lease_s
        self.max_crashes = max_crashes
        self._clock = clock
        self.observer = Observer(self.layout.workers, clock=clock, lease_s=lease_s)
        self._slots = Slots(self.layout.slots)
        self._abandoned: dict[str, float] = {}

    def presence(self, name: str = "worker") -> Presence:
        """Register this process as a worker, until the presence is ended or the process dies.

        Raises DiskFull, StoreBusy.
        """
        return Presence(
            self.layout.workers,
            name=name,
            clock=self._clock,
            lease_s=self.lease_s,
            disk=self._disk,
        )

    def claim(
        self,
        worker: str,
        *,
        lanes: LanesFor,
        prepare: Prepare | None = None,
        only: Container[str] | None = None,
    ) -> Claim | None:
        """Take the most urgent job that fits, or None.

        `lanes(kind)` gives the lanes a job may use, best first: of a new job (`kind.host` is None), or of one
        whose attempt may still be running at `kind.host`. No lanes: this worker cannot run it. `prepare(job, lane)`
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
        closed: set[Kind] = set()
        is_paused = self._pause.is_there()
        held = self._held.since()
        for job_id, entry in self._index.waiting():
            kind = entry.kind
            if kind is None:  # changed while we look
                continue
            if is_paused and kind.host is None:
                break  # those with an attempt to carry on come first
            if kind in closed or (only is not None and job_id not in only):
                continue
            if held and kind.host is None and entry.document.get("batch") in held:
                continue
            offered = lanes(kind)
            if not offered:
                closed.add(kind)
                continue
            if not self._is_due(job_id, entry, now):
                continue
            slot = self._slot(entry, job_id, offered)
            if slot is None and kind.host is None:
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
                    slot.release() if kind.host is None else slot.leave()
            if claim is not None:
                self._tell({job_id})
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
        for job_id, entry in self._index.running():
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
        return {job_id for job_id, entry in self._index.running() if entry.worker == (worker, HOST)}

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

    def wants_cancel(self, job_id: str) -> bool:
        """Whether somebody asked for a job to be cancelled, as far as this process has noticed."""
        entry = self._index.get(job_id)
        return entry is not None and bool(entry.document.get("cancelRequested"))

    def left_at_services(self) -> list[Job]:
        """Ended jobs whose attempt a service may still be working on: their workers died, and told it nothing."""
        found = []
        for job_id, entry in self._index.entries():
            if entry.status in TERMINAL and entry.open_host is not None:
                try:
                    found.append(entry.job())
                except CorruptFile as error:
                    self._set_aside(job_id, error)
        return found

    def with_late_receipts(self) -> list[Job]:
        """Carry on jobs whose paid request had seemed lost, and whose receipt has turned up; returns them."""
        carried_on = []
        for job_id, entry in self._index.entries():
            attempt = entry.attempt or {}
            if entry.status is not Status.FAILED or attempt.get("phase") != Phase.AMBIGUOUS:
                continue
            if self.receipts.read(attempt.get("receipt")) is not None:
                # somebody else may have been quicker
                with suppress(InvalidTransition, JobNotFound, CorruptFile, StoreBusy):
                    carried_on.append(self.update(job_id, lambda job: job.release(now=self.now())))
        return carried_on
