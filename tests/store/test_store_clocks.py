"""Clocks that are set, and clocks that differ: no pause lasts for ever, and nobody is robbed."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from workbench import START, Clock, finish, make_job, opened, take, take_any

from orchestrator.jobs import Failure, Status
from orchestrator.store import Store

HOUR_S, DAY_S, YEAR_S = 3600, 86_400, 365 * 86_400
JUMPS_S = [-DAY_S, -HOUR_S, HOUR_S, DAY_S, YEAR_S]
FAILURE = Failure(kind="timeout", message="too slow")


def test_a_pause_is_kept_to_the_second_while_the_clock_is_right(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path, now=clock.now, clock=clock.monotonic) as store:
        pause(store, 30, clock)
        clock.advance(29.9)
        assert take_any(store) is None
        clock.advance(0.2)
        assert take(store).job.id == "a"


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_no_pause_is_longer_than_said_when_the_clock_is_set(tmp_path: Path, jump_s: float) -> None:
    clock = Clock()
    with opened(tmp_path, now=clock.now, clock=clock.monotonic) as store:
        pause(store, 30, clock)
        clock.jump(jump_s)
        assert take(store).job.id == "a"


def pause(store: Store, seconds: float, clock: Clock) -> None:
    store.create(make_job("a", now=clock.now()))
    claim = take(store)
    store.update(
        "a",
        lambda job: job.requeue(FAILURE, delay_s=seconds, now=clock.now()),
        fence=claim.fence,
    )
    assert claim.slot is not None
    claim.slot.release()


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_a_living_worker_is_not_robbed_when_the_clock_is_set(tmp_path: Path, jump_s: float) -> None:
    clock = Clock()
    with opened(tmp_path, now=clock.now, clock=clock.monotonic, lease_s=10) as store:
        store.create(make_job("a"))
        presence = store.presence()
        take(store, presence.id)
        assert store.recover() == []
        clock.jump(jump_s)
        for _ in range(5):
            clock.advance(9)
            presence.beat()
            assert store.recover() == []
        assert presence.is_fresh
        presence.end()


@pytest.mark.parametrize("age_s", [-YEAR_S, YEAR_S])
def test_a_heartbeat_from_a_machine_with_another_time_is_a_heartbeat(
    tmp_path: Path, age_s: float
) -> None:
    clock = Clock()
    with opened(tmp_path, clock=clock.monotonic, lease_s=10) as store:
        store.create(make_job("a"))
        presence = store.presence()
        take(store, presence.id)
        for beat in range(5):
            stamp = START.timestamp() + age_s + beat
            os.utime(store.layout.workers / presence.id, (stamp, stamp))
            clock.advance(9)
            assert store.recover() == []
        clock.advance(2)
        store.recover()
        clock.advance(9)
        assert [job.id for job in store.recover()] == ["a"], "it beats no more"
        presence.end()


def test_a_worker_that_has_not_beaten_for_half_its_lease_spends_no_money(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path, clock=clock.monotonic, lease_s=10) as store:
        presence = store.presence()
        clock.advance(4.9)
        assert presence.is_fresh
        clock.advance(0.2)
        assert not presence.is_fresh
        presence.beat()
        assert presence.is_fresh
        presence.end()


def test_a_worker_whose_signs_were_deleted_is_seen_again_at_its_next_beat(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.create(make_job("a"))
        presence = store.presence()
        claim = take(store, presence.id)
        for path in store.layout.workers.iterdir():
            path.unlink()
        presence.beat()
        assert store.recover() == []
        assert [worker.alive for worker in store.observer.workers()] == [True]
        finish(store, claim)
        presence.end()
        assert store.observer.workers() == []


def test_the_signs_of_long_dead_workers_are_forgotten_and_those_of_the_living_kept(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as store:
        dead, alive = store.presence("dead"), store.presence("alive")
        dead._lock.release()  # what the kernel does when its process ends
        for presence in (dead, alive):
            os.utime(store.layout.workers / presence.id, (1, 1))
        store.tidy()
        assert [worker.name for worker in store.observer.workers()] == ["alive"]
        alive.end()


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_a_new_job_is_due_whatever_the_clock_says(tmp_path: Path, jump_s: float) -> None:
    clock = Clock()
    with opened(tmp_path, now=clock.now) as store:
        store.create(make_job("a", now=START + timedelta(seconds=jump_s)))
        assert finish(store, take(store)).status is Status.DONE
