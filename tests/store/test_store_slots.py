"""How many jobs a host gets at once, and who keeps a place when a worker dies."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench import GPU, at_gpu, begin, finish, make_job, opened, take, take_any

from orchestrator.jobs import Status
from orchestrator.store import Claim, Kind, Lane, Store


def die(store: Store, claim: Claim) -> None:
    """What the kernel does when the worker that holds a claim is killed."""
    assert claim.slot is not None
    claim.slot.leave()
    del store


def test_a_host_gets_no_more_jobs_than_its_limit_and_the_next_when_one_ends(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(4):
            store.create(make_job(f"j{number}"))
        first, _ = take(store, limit=2), take(store, limit=2)
        assert take_any(store, limit=2) is None
        finish(store, first)
        assert take(store, limit=2).job.id == "j2"


def test_a_full_lane_does_not_keep_the_jobs_of_another_waiting(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for job_id in ("a", "b"):
            store.create(make_job(job_id, priority=9))
        store.create(make_job("flux", backend="flux"))

        def lanes(kind: Kind) -> list[Lane]:
            return [Lane(kind.backend, kind.host or f"http://{kind.backend}", 1)]

        taken = [store.claim("w", lanes=lanes, prepare=begin) for _ in range(3)]
        assert [claim.job.id for claim in taken if claim] == ["a", "flux"]


def test_a_second_host_takes_what_the_first_has_no_place_for(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(3):
            store.create(make_job(f"j{number}"))
        hosts = [Lane("comfyui", "http://one", 1), Lane("comfyui", "http://two", 1)]
        taken = [store.claim("w", lanes=lambda kind: hosts, prepare=begin) for _ in range(3)]
        assert [c.slot.lane.host for c in taken if c and c.slot] == ["http://one", "http://two"]


def test_a_job_no_worker_here_can_run_is_left_for_others(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.create(make_job("a"))
        assert store.claim("w", lanes=lambda kind: []) is None
        assert take(store).job.id == "a"


@pytest.mark.parametrize("noticed", [True, False])
def test_a_dead_workers_open_attempt_keeps_its_place_from_new_jobs(
    tmp_path: Path, *, noticed: bool
) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as other:
        store.create(make_job("dead"))
        store.create(make_job("next", priority=-1))
        other.refresh()
        claim = take(store, limit=1)
        die(store, claim)
        if noticed:
            other.refresh()
        assert other.claim("w", lanes=at_gpu(1), only={"next"}, prepare=begin) is None
        store.recover()
        adopted = take(other, limit=1)
        assert (adopted.job.id, adopted.adopted) == ("dead", True)
        assert adopted.slot is not None
        assert claim.slot is not None
        assert adopted.slot.name == claim.slot.name
        finish(other, adopted)
        assert take(other, limit=1).job.id == "next"


def test_the_place_of_a_dead_workers_job_that_was_cancelled_is_free(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.create(make_job("dead"))
        store.create(make_job("next"))
        claim = take(store, limit=1)
        die(store, claim)
        store.update("dead", lambda job: job.cancel(now=store.now(), by_owner=True))
        assert take(store, limit=1).job.id == "next"


def test_an_adoption_that_another_worker_won_leaves_the_note_of_its_place(tmp_path: Path) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as late:
        store.create(make_job("dead"))
        claim = take(store, limit=1)
        die(store, claim)
        store.recover()
        late.refresh()
        winner = take(store, limit=1)
        die(store, winner)  # its place is unlocked, and the job still at the host
        assert late.claim("late", lanes=at_gpu(1)) is None
        store.create(make_job("next"))
        late.refresh()
        assert late.claim("late", lanes=at_gpu(1), only={"next"}) is None
        assert store.get("dead").status is Status.RUNNING


def test_an_adopted_job_runs_on_although_its_place_is_taken(tmp_path: Path) -> None:
    """It is at the host already: to leave it there unwatched would not make room."""
    with opened(tmp_path) as store:
        job = make_job("a").claim(worker="w", host="h", slot=None, now=store.now())
        store.create(begin(job, Lane("comfyui", GPU, 1)).hand_back().having(priority=-5))
        store.create(make_job("b"))
        assert store.claim("w", lanes=at_gpu(1), only={"b"}) is not None
        claim = take(store, limit=1)
        assert (claim.job.id, claim.slot) == ("a", None)
