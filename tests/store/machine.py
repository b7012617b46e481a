"""Several stores on one folder stand for several processes; a model says what each may do and see.

Random walks alone rarely get deep, so some rules do a whole chain (stop, lease over, take over), and every example
ends with the question of liveness: all workers die, and a new one must bring every job to its end.
"""

from __future__ import annotations

import atexit
import errno
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from workbench import Clock, at_gpu, begin, make_job, put_file

from orchestrator.errors import DiskFull, Fenced, InvalidTransition, JobExists, JobNotFound
from orchestrator.files import Disk
from orchestrator.jobs import Failure, Job, Phase, Status
from orchestrator.store import Claim, Presence, Store

LEASE_S = 10.0
MAX_CRASHES = 2
MAX_ATTEMPTS = 3
BACKOFF_S = 5.0
MAX_JOBS = 5
FAILURE = Failure(kind="timeout", message="too slow")
SHARED_MEMORY = Path("/dev/shm")
_root: Path | None = None


class FaultyDisk(Disk):
    """Fails as told. Waits for nothing: the power stays on here."""

    fault: str | None = None

    def write(self, path: Path | str, data: bytes) -> None:
        if self.fault == "full":
            Path(path).write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "no space")
        Path(path).write_bytes(data)

    def replace(self, source: Path | str, target: Path | str) -> None:
        if self.fault == "broken":
            raise OSError(errno.EIO, "broken")
        Path(source).replace(target)
        if self.fault == "answer lost":
            raise OSError(errno.EIO, "done, but it cannot say so")

    def sync_folder(self, path: Path | str) -> None:
        pass


def _emptied() -> Path:
    """The folder of the last example without its jobs: making the lock files anew would take most of the time."""
    global _root
    if _root is None:
        shared = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        _root = Path(tempfile.mkdtemp(dir=shared))
        atexit.register(shutil.rmtree, _root)
    for folder in (_root, _root / ".lab"):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_file():
                path.unlink()
            elif path.name not in {".lab", "locks"}:
                shutil.rmtree(path)
    return _root


@dataclass
class Worker:
    """A process with its own store."""

    store: Store
    presence: Presence
    held: dict[str, Claim] = field(default_factory=dict)

    def kill(self) -> None:
        """What the kernel does at kill -9: the locks go, the files stay."""
        self.presence._lock.release()
        for claim in self.held.values():
            if claim.slot:
                claim.slot.leave()


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = _emptied()
        self.clock = Clock()
        self.disk = FaultyDisk()
        self.serial = 0
        self.model: dict[str, Job] = {}  # each job as it must be on the disk
        self.workers: dict[str, Worker] = {}
        self.gone: list[Worker] = []
        self.zombies: list[tuple[Worker, Claim]] = []
        self.junk: set[str] = set()
        self.user = self.open()

    def open(self) -> Store:
        return Store(
            self.root,
            disk=self.disk,
            now=self.clock.now,
            clock=self.clock.monotonic,
            lease_s=LEASE_S,
            max_crashes=MAX_CRASHES,
        )

    def name(self, kind: str) -> str:
        self.serial += 1
        return f"{kind}{self.serial}"

    @initialize()
    def start(self) -> None:
        for _ in range(2):
            self.start_worker()
            self.create(hold=False, priority=0)

    # ---------------------------------------------------------------- what users do

    @rule(hold=st.booleans(), priority=st.sampled_from([0, 0, 3]))
    def create(self, *, hold: bool, priority: int) -> None:
        if len(self.model) >= MAX_JOBS:
            return
        job = make_job(self.name("j"), hold=hold, priority=priority, now=self.clock.now())
        try:
            self.model[job.id] = self.user.create(job)
        except OSError:
            assert self.disk.fault == "broken", "a create that was done is reported as failed"
            assert not self.path(job.id).exists(), "a create that failed is visible"
        except DiskFull:
            assert self.disk.fault == "full"
            assert not self.path(job.id).exists(), "a create that failed is visible"

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def create_again(self, data: st.DataObject) -> None:
        job_id = self.some_job(data)
        try:
            self.user.create(make_job(job_id))
        except JobExists:
            return
        raise AssertionError("a job was created twice")

    @precondition(lambda self: self.model)
    @rule(data=st.data(), what=st.sampled_from(["cancel", "run"]))
    def ask(self, data: st.DataObject, what: str) -> None:
        job_id = self.some_job(data)
        before = self.model[job_id]
        try:
            after = self.user.update(
                job_id,
                lambda job: (
                    job.cancel(now=self.clock.now())
                    if what == "cancel"
                    else job.release(now=self.clock.now())
                ),
            )
        except InvalidTransition:
            may_run = before.hold or before.status in {Status.FAILED, Status.CANCELLED}
            assert before.is_terminal if what == "cancel" else not may_run
        except JobNotFound:
            assert not self.path(job_id).exists(), "it is archived"
        except (OSError, DiskFull):
            assert self.disk.fault in {"full", "broken"}
        else:
            self.model[job_id] = after

    # ---------------------------------------------------------------- what workers do

    @rule()
    def start_worker(self) -> None:
        if len(self.workers) < 3 and (worker := self.joined()) is not None:
            self.workers[self.name("w")] = worker

    def joined(self) -> Worker | None:
        """A new worker; none while the disk lets nobody write down that he is there."""
        store = self.open()
        try:
            return Worker(store, store.presence())
        except (DiskFull, OSError):
            assert self.disk.fault is not None
            return None

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), fresh=st.booleans())
    def claim(self, data: st.DataObject, *, fresh: bool) -> None:
        worker = self.some_worker(data)
        if fresh:
            worker.store.refresh(force=True)  # else from an index that is behind
        self.claim_by(worker, fresh=fresh)

    @precondition(lambda self: len(self.workers) > 1)
    @rule()
    def race(self) -> None:
        """Two workers look, then both claim: the second from what it saw before the first had it."""
        first, second = [self.workers[name] for name in sorted(self.workers)[:2]]
        for worker in (first, second):
            worker.store.refresh(force=True)
        self.claim_by(first)
        self.claim_by(second, fresh=False)

    def claim_by(self, worker: Worker, *, fresh: bool = True) -> Claim | None:
        due = [job for job in self.model.values() if job.is_waiting and self.is_due(job)]
        try:
            claim = worker.store.claim(worker.presence.id, lanes=at_gpu(50), prepare=begin)
        except (OSError, DiskFull):
            assert self.disk.fault in {"full", "broken"}
            return None
        if claim is None:
            assert not (fresh and due), "a fresh look found nothing although something is due"
            return None
        job = claim.job
        assert job.id in {d.id for d in due}, "what is not due was claimed"
        if fresh:
            assert job.id == min(due, key=lambda d: d.order).id, "another was more urgent"
        was = self.model[job.id]
        assert job.fence > was.fence, "a claim that does not shut out the last owner"
        assert claim.adopted == (was.open_attempt is not None)
        self.model[job.id] = job
        worker.held[job.id] = claim
        return claim

    @precondition(lambda self: self.zombies or any(w.held for w in self.workers.values()))
    @rule(
        data=st.data(),
        what=st.sampled_from(["finish", "fail", "retry", "retry", "submit", "hand back", "zombie"]),
    )
    def act(self, data: st.DataObject, what: str) -> None:
        own = [(w, c) for _, w in sorted(self.workers.items()) for c in w.held.values()]
        if what == "zombie":
            own, what = [], "finish"
        choice = own + self.zombies
        if not choice:
            return
        self.write_by(*data.draw(st.sampled_from(choice)), what)

    def write_by(self, worker: Worker, claim: Claim, what: str) -> None:
        before = self.model[claim.job.id]
        is_owner = before.status is Status.RUNNING and before.fence == claim.fence
        try:
            after = worker.store.update(
                claim.job.id, lambda job: self.changed(job, what), fence=claim.fence
            )
        except Fenced:
            assert not is_owner, "the owner was refused"
        except JobNotFound:
            assert not self.path(claim.job.id).exists()
        except (OSError, DiskFull):
            assert self.disk.fault in {"full", "broken"}
            return
        else:
            assert is_owner, "who lost the job wrote to it"
            self.model[after.id] = after
        if what != "submit" and worker.held.pop(claim.job.id, None) is not None and claim.slot:
            claim.slot.release()

    def changed(self, job: Job, what: str) -> Job:
        now = self.clock.now()
        if what == "finish":
            return job.finish([f"{job.id}.png"], now=now)
        if what == "submit":
            return job.with_attempt(phase=Phase.SUBMITTED, remote_id=self.name("remote"))
        if what == "hand back":
            return job.hand_back()
        if what == "retry" and len(job.attempts) < MAX_ATTEMPTS:
            return job.requeue(FAILURE, delay_s=BACKOFF_S, now=now)
        return job.fail(FAILURE, now=now)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def recover(self, data: st.DataObject) -> None:
        self.recover_by(self.some_worker(data))

    def recover_by(self, worker: Worker) -> None:
        worker.store.refresh(force=True)
        living = {job_id for other in self.workers.values() for job_id in other.held}
        try:
            freed = worker.store.recover()
        except (OSError, DiskFull):
            assert self.disk.fault in {"full", "broken"}
            self.read_all()
            return
        for job in freed:
            assert job.id not in living, "a living worker was robbed"
            assert job.fence > self.model[job.id].fence, "the one it was taken from is not shut out"
            self.model[job.id] = job

    def read_all(self) -> None:
        """Take over what a call did before it failed in the middle."""
        for job_id, was in self.model.items():
            job = self.user.get(job_id)
            assert (job.revision, job.fence) >= (was.revision, was.fence)
            assert job.status == was.status or was.status is Status.RUNNING
            self.model[job_id] = job

    # ---------------------------------------------------------------- what goes wrong

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), how=st.sampled_from(["kill", "stop", "take over", "take over"]))
    def lose_worker(self, data: st.DataObject, how: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.workers)))
        worker = self.workers.pop(name)
        self.gone.append(worker)
        worker.store.refresh(force=True)
        self.claim_by(worker)
        lost = [(worker, claim) for claim in worker.held.values()]
        if how == "kill":
            worker.kill()
        else:
            self.zombies = [*self.zombies, *lost][-6:]
            worker.held = {}
        if len(self.workers) < 2:
            self.start_worker()
        # the deep path, made likely; a full disk starts none
        if how == "take over" and self.workers:
            heir = self.workers[min(self.workers)]
            self.recover_by(heir)
            self.tick(LEASE_S + 1)
            self.recover_by(heir)
            self.claim_by(heir)
            for zombie, claim in lost:
                self.write_by(zombie, claim, "finish")
            self.claim_all(heir)

    @precondition(lambda self: any(job.is_waiting for job in self.model.values()))
    @rule()
    def poison(self) -> None:
        """Whoever takes a job dies of it, until the lab gives up: too deep for a random walk."""
        for _ in range(MAX_CRASHES + 1):
            if (worker := self.joined()) is None:
                return
            self.gone.append(worker)
            worker.store.refresh(force=True)
            self.claim_by(worker)
            worker.kill()
            if not self.workers:
                self.start_worker()
            if not self.workers:
                return
            self.recover_by(self.workers[min(self.workers)])

    @rule(seconds=st.sampled_from([0.5, LEASE_S - 1, LEASE_S + 1, 4 * LEASE_S]))
    def tick(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for worker in self.workers.values():
            worker.presence.beat()

    @rule(seconds=st.sampled_from([-86_400, -60, 60, 86_400]))
    def set_clock(self, seconds: float) -> None:
        self.clock.jump(seconds)

    @rule(junk=st.sampled_from([b"", b"{", b"[]", b"\0" * 50]))
    def leave_junk(self, junk: bytes) -> None:
        name = f"{self.name('x')}.json"
        put_file(self.root, name, junk)
        self.junk.add(name)

    @rule(fault=st.sampled_from([None, None, None, "full", "broken", "answer lost"]))
    def set_fault(self, fault: str | None) -> None:
        self.disk.fault = fault

    @precondition(lambda self: self.model)
    @rule(data=st.data(), stale=st.booleans())
    def archive(self, data: st.DataObject, *, stale: bool) -> None:
        store = self.some_worker(data).store if stale and self.workers else self.user
        try:
            moved = store.archive([self.some_job(data)])
        except OSError:
            assert self.disk.fault in {"broken", "answer lost"}
            return
        for job in moved:
            assert self.model[job.id].is_terminal, "a living job was archived"

    # ---------------------------------------------------------------- what must hold

    @invariant()
    def every_job_is_as_it_should_be(self) -> None:
        for job_id, job in self.model.items():
            assert self.user.get(job_id) == job
            assert (job.lease is not None) == (job.status is Status.RUNNING)
            assert len(job.attempts) <= MAX_ATTEMPTS * (1 + job.logs.count("[lab] released"))
            assert job.crashes <= MAX_CRASHES + 1

    @invariant()
    def no_draft_is_left(self) -> None:
        assert not list(self.user.layout.temp.iterdir())

    def teardown(self) -> None:
        try:
            # else the example has failed already, with a better message
            if sys.exc_info()[0] is None:
                self.drain()
        finally:
            for worker in [*self.workers.values(), *self.gone]:
                worker.kill()
                worker.store.close()
            self.user.close()

    def drain(self) -> None:
        """Everybody dies; a new worker, given time, must bring every job to its end in a bounded number of tries."""
        self.disk.fault = None
        for worker in self.workers.values():
            worker.kill()
        store = self.open()
        last = Worker(store, store.presence())
        self.workers = {"last": last}
        self.recover_by(last)
        self.tick(LEASE_S + 1)
        for _ in range(MAX_ATTEMPTS + 2):
            self.recover_by(last)
            self.claim_all(last)
            self.tick(BACKOFF_S + 1)
        left = {i: j.status for i, j in self.model.items() if not j.is_terminal and not j.hold}
        assert not left, f"stuck: {left}"
        quarantined = {path.name.rsplit(".", 1)[0] for path in store.quarantine.files()}
        assert self.junk <= quarantined, "junk was left among the jobs"
        self.every_job_is_as_it_should_be()
        total = sum(store.counts().values())
        assert total == len(self.model), "the counts know another number of jobs"

    def claim_all(self, worker: Worker) -> None:
        worker.store.refresh(force=True)
        for _ in range(2 * MAX_JOBS):
            claim = self.claim_by(worker)
            if claim is None:
                return
            self.write_by(worker, claim, "retry")

    # ---------------------------------------------------------------- helpers

    def is_due(self, job: Job) -> bool:
        """Whether a job's pause is over, or somebody has set the clock back to before it."""
        if job.not_before is None:
            return True
        passed = (self.clock.now() - job.not_before.written).total_seconds()
        return passed < -1 or passed >= job.not_before.delay

    def path(self, job_id: str) -> Path:
        return self.root / f"{job_id}.json"

    def some_job(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.model)))

    def some_worker(self, data: st.DataObject) -> Worker:
        return self.workers[data.draw(st.sampled_from(sorted(self.workers)))]
