"""A source that keeps failing is left alone, for longer each time; one search tries whether it is well again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from search_far_ends import Clock

from orchestrator.parts.breaker import Breaker
from orchestrator.parts.database import Database


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(tmp_path: Path, clock: Clock) -> Iterator[Breaker]:
    database = Database(tmp_path / "parts.sqlite")
    yield Breaker(database, now=clock)
    database.close()


def fail(breaker: Breaker, times: int, kind: str = "network") -> None:
    for _ in range(times):
        breaker.failed("x", kind)


def test_five_failures_in_a_minute_open_it_and_fewer_do_not(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 4)
    assert breaker.ask("x") is None
    clock.move(61)
    fail(breaker, 4)
    assert breaker.ask("x") is None
    fail(breaker, 1)
    refusal = breaker.ask("x")
    assert refusal is not None
    assert (refusal.kind, refusal.retry_after_s) == ("network", 30.0)
    assert breaker.ask("y") is None


def test_one_search_tries_and_the_others_wait_for_how_it_goes(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 5)
    clock.move(30)
    assert breaker.ask("x") is None
    assert breaker.ask("x") is not None
    breaker.succeeded("x")
    assert breaker.ask("x") is None
    assert breaker.ask("x") is None


def test_each_trial_that_fails_doubles_the_time_up_to_ten_minutes(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 5)
    seen = []
    for _ in range(7):
        refusal = breaker.look("x")
        assert refusal is not None
        assert refusal.retry_after_s is not None
        seen.append(refusal.retry_after_s)
        clock.move(refusal.retry_after_s)
        assert breaker.ask("x") is None
        fail(breaker, 1)
    assert seen == [30, 60, 120, 240, 480, 600, 600]


def test_a_trial_whose_search_died_blocks_the_next_only_for_a_while(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 5)
    clock.move(30)
    assert breaker.ask("x") is None
    clock.move(16)
    assert breaker.ask("x") is None


def test_a_trial_that_was_broken_off_is_free_for_the_next(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.move(30)
    assert breaker.ask("x") is None
    breaker.broken_off("x")
    assert breaker.ask("x") is None


def test_a_refused_key_shuts_it_until_the_key_is_another(breaker: Breaker, clock: Clock) -> None:
    breaker.failed("x", "auth", fingerprint="old")
    clock.move(10**6)
    refusal = breaker.ask("x", fingerprint="old")
    assert refusal is not None
    assert refusal.retry_after_s is None
    assert breaker.ask("x", fingerprint="new") is None
    assert breaker.ask("x", fingerprint="new") is None


def test_a_source_that_asks_for_time_gets_it(breaker: Breaker, clock: Clock) -> None:
    breaker.failed("x", "rate", retry_after_s=7)
    assert breaker.ask("x") is not None
    clock.move(7)
    assert breaker.ask("x") is None


def test_a_day_that_is_used_up_is_no_failure(breaker: Breaker) -> None:
    fail(breaker, 20, "quota")
    assert breaker.ask("x") is None


def test_what_one_process_learns_holds_for_the_others(
    breaker: Breaker, tmp_path: Path, clock: Clock
) -> None:
    fail(breaker, 5)
    database = Database(tmp_path / "parts.sqlite")
    other = Breaker(database, now=clock)
    assert other.ask("x") is not None
    other.reset("x")
    assert breaker.ask("x") is None
    database.close()
