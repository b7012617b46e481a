"""Real processes that are stopped, woken, forked and killed with -9."""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from lengths import LONG
from workbench import (
    Child,
    at_gpu,
    finish,
    make_job,
    needs_posix,
    opened,
    take,
    take_any,
    until,
)

from orchestrator.errors import CorruptFile, Fenced
from orchestrator.jobs import Job, Status
from orchestrator.store import Store

pytestmark = needs_posix
FORKED = "ignore:This process .* is multi-threaded:DeprecationWarning"


def hold_a_job(root: Path, pipe: Connection, lease_s: float) -> None:
    """A worker that claims a job, says so, and finishes it when told to."""
    with opened(root, lease_s=lease_s) as store:
        presence = store.presence()
        claim = take(store, presence.id)
        pipe.send(claim.fence)
        pipe.recv()
        try:
            finish(store, claim, "zombie.png")
        except Fenced:
            pipe.send("fenced")
        else:
            pipe.send("wrote")


def freed_by(store: Store) -> list[Job]:
    store.refresh()
    return store.recover()


def test_a_stopped_workers_job_is_taken_over_after_the_lease_and_its_late_write_refused(
    tmp_path: Path,
) -> None:
    lease_s = 0.6
    with opened(tmp_path, lease_s=lease_s) as store:
        store.create(make_job("a"))
        with Child(lambda pipe: hold_a_job(tmp_path, pipe, lease_s)) as worker:
            worker.hear()
            assert freed_by(store) == []
            worker.stop()
            took_s = until(lambda: freed_by(store), within_s=10)
            assert lease_s - 0.1 <= took_s <= lease_s + 0.2
            finish(store, take(store, "heir"), "heir.png")
            worker.pipe.send("go on")
            worker.wake()
            assert worker.hear() == "fenced"
        result = store.get("a").result
        assert result is not None
        assert result.file == "heir.png"


def test_a_killed_workers_job_is_free_at_once_although_the_lease_is_long(tmp_path: Path) -> None:
    took_s = []
    with opened(tmp_path, lease_s=30) as store:
        for number in range(21 if LONG else 7):
            store.create(make_job(f"j{number}"))
            with Child(lambda pipe: hold_a_job(tmp_path, pipe, 30)) as worker:
                worker.hear()
                assert freed_by(store) == []
                worker.send_kill()
                took_s.append(until(lambda: freed_by(store), within_s=10))
            finish(store, take(store))
    print(f"takeover p50 {statistics.median(took_s) * 1000:.1f} ms")
    assert statistics.median(took_s) <= 0.2


def test_a_process_stopped_inside_a_lock_keeps_only_its_shard_and_kill_9_frees_it(
    tmp_path: Path,
) -> None:
    ids = [f"k{number}" for number in range(200)]

    def hold_the_lock(pipe: Connection) -> None:
        with opened(tmp_path) as store, store._locks.hold("k0"):
            pipe.send("held")
            pipe.recv()

    with opened(tmp_path) as store:
        for job_id in ids:
            store.create(make_job(job_id))
        with Child(hold_the_lock) as holder:
            holder.hear()
            holder.stop()
            claimed = set()
            while claim := store.claim("w", lanes=at_gpu()):
                claimed.add(claim.job.id)
                assert claim.slot is not None
                claim.slot.release()
            assert 0.97 * len(ids) <= len(claimed) < len(ids)
            assert "k0" not in claimed
            holder.kill()
        while claim := take_any(store):
            claimed.add(claim.job.id)
        assert claimed == set(ids)


def increment(store: Store, times: int) -> None:
    for _ in range(times):
        store.update("n", lambda job: job.having(priority=job.priority + 1))


@pytest.mark.filterwarnings(FORKED)
def test_four_threads_on_one_store_lose_no_update(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.create(make_job("n"))
        threads = [threading.Thread(target=increment, args=(store, 100)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.get("n").priority == 400


def test_four_forked_children_of_one_store_lose_no_update(tmp_path: Path) -> None:
    def add(store: Store, pipe: Connection) -> None:
        increment(store, 100)
        pipe.send("done")

    with opened(tmp_path) as store:
        store.create(make_job("n"))
        increment(store, 1)  # so that the locks are open when the children inherit them
        children = [Child(lambda pipe: add(store, pipe)) for _ in range(4)]
        for child in children:
            with child:
                assert child.hear(within_s=60) == "done"
        assert store.get("n").priority == 401


def test_a_forked_child_does_not_keep_its_dead_parents_job_or_place(tmp_path: Path) -> None:
    def parent(pipe: Connection) -> None:
        with opened(tmp_path) as store:
            presence = store.presence()
            claim = take(store, presence.id, limit=1)
            if (orphan := os.fork()) == 0:
                pipe.send(os.getpid())  # it has let go of its parent's locks
                time.sleep(30)
                os._exit(0)
            pipe.recv()
            assert (claim.slot, orphan) is not None

    with opened(tmp_path, lease_s=30) as store:
        store.create(make_job("a"))
        with Child(parent) as worker:
            orphan = worker.hear()
            assert freed_by(store) == []
            worker.kill()
            took_s = until(lambda: freed_by(store), within_s=5)
            assert took_s < 1
            claim = take(store, limit=1)
            assert claim.slot is not None
            finish(store, claim)
            os.kill(orphan, signal.SIGKILL)


@pytest.mark.timeout(900)
def test_eight_processes_at_once_claim_each_job_exactly_once(tmp_path: Path) -> None:
    jobs, workers = (1000, 8) if LONG else (200, 8)
    barrier = multiprocessing.get_context("fork").Barrier(workers)

    def claim_all(pipe: Connection) -> None:
        with opened(tmp_path) as store:
            barrier.wait()
            taken, empty = [], 0
            while empty < 3:
                if claim := take_any(store):
                    taken.append(claim.job.id)
                    finish(store, claim)
                else:
                    empty += 1
            pipe.send(taken)

    with opened(tmp_path) as store:
        for number in range(jobs):
            store.create(make_job(f"j{number}"))
        children = [Child(claim_all) for _ in range(workers)]
        taken: list[str] = []
        for child in children:
            with child:
                taken += child.hear(within_s=600)
        assert len(taken) == len(set(taken)) == jobs
        store.refresh()
        assert store.counts()[Status.DONE] == jobs


def test_eight_processes_at_once_never_exceed_the_limit_of_a_host(tmp_path: Path) -> None:
    workers, limit = 8, 3
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(workers)

    def claim_some(pipe: Connection) -> None:
        with opened(tmp_path) as store:
            barrier.wait()
            claims = [claim for _ in range(5) if (claim := take_any(store, limit=limit))]
            pipe.send([claim.job.id for claim in claims])
            pipe.recv()  # the claims, and their places, are held until then

    with opened(tmp_path) as store:
        for number in range(40):
            store.create(make_job(f"j{number}"))
        children = [Child(claim_some) for _ in range(workers)]
        taken = [job_id for child in children for job_id in child.hear()]
        assert len(taken) == len(set(taken)) == limit
        for child in children:
            with child:
                child.pipe.send("go")


def test_a_reader_never_sees_half_a_job(tmp_path: Path) -> None:
    seconds = 20 if LONG else 1.5

    def write(pipe: Connection) -> None:
        with opened(tmp_path) as store:
            end = time.monotonic() + seconds
            written = 0
            while time.monotonic() < end:
                store.update("a", lambda job: job.having(prompt="x" * (job.revision % 3000)))
                written += 1
            pipe.send(written)

    with opened(tmp_path) as store:
        store.create(make_job("a"))
        assert reads_of(store, write) > 1000


def reads_of(store: Store, write: Callable[[Connection], object]) -> int:
    """How often a job was read, whole and never older than before, while a child wrote it."""
    reads, revision = 0, 0
    with Child(write) as writer:
        while not writer.pipe.poll():
            try:
                job = store.get("a")
            except CorruptFile as error:  # pragma: no cover - what must not be
                raise AssertionError("half a job was read") from error
            assert job.revision >= revision
            revision = job.revision
            reads += 1
        assert writer.hear() > 50
    return reads
