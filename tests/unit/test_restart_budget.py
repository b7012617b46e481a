"""The restart budget: three restarts that do not hold, then once a minute, for ever, and never hot."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.guardian import RestartBudget, State, Terms


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fallen(
    budget: RestartBudget, clock: Clock, *, seconds: float, step_s: float = 0.5
) -> list[float]:
    """A service that never comes up, looked at for so long: when it was started again."""
    begun, starts = clock.now, []
    while clock.now - begun < seconds:
        if budget.may_restart():
            budget.restarted()
            starts.append(clock.now - begun)
        clock.now += step_s
    return starts


def test_the_first_restart_is_at_once_and_the_pauses_double() -> None:
    clock = Clock()
    budget = RestartBudget(Terms(pause_s=1.0), clock=clock)
    assert fallen(budget, clock, seconds=10) == [0.0, 1.0, 3.0]
    assert budget.state is State.OPEN


def test_after_three_restarts_it_is_tried_once_a_minute_for_ever() -> None:
    clock = Clock()
    budget = RestartBudget(clock=clock)
    starts = fallen(budget, clock, seconds=3600)
    probes = starts[3:]
    assert 57 <= len(probes) <= 60
    gaps = [b - a for a, b in pairwise(probes)]
    assert all(60.0 <= gap <= 61.0 for gap in gaps)


def test_a_probe_that_holds_closes_the_circuit_by_itself() -> None:
    clock = Clock()
    budget = RestartBudget(Terms(steady_s=5.0), clock=clock)
    fallen(budget, clock, seconds=30)
    clock.now += 60
    assert budget.may_restart()
    budget.restarted()
    assert budget.state is State.HALF_OPEN
    assert not budget.well(), "it may fall again at once"
    clock.now += 5
    assert budget.well()
    assert budget.state is State.CLOSED
    assert budget.wait_s() == 0


def test_a_service_that_somebody_else_mends_closes_the_circuit_without_a_restart() -> None:
    clock = Clock()
    budget = RestartBudget(clock=clock)
    starts = fallen(budget, clock, seconds=30)
    budget.well()
    clock.now += 60
    assert budget.well()
    assert budget.total == len(starts) == 3


def test_a_service_killed_from_outside_now_and_then_is_brought_back_each_time() -> None:
    clock = Clock()
    budget = RestartBudget(clock=clock)
    for _ in range(20):
        assert budget.may_restart()
        budget.restarted()
        for _ in range(75):
            clock.now += 1
            budget.well()
    assert budget.total == 20
    assert budget.state is State.CLOSED
    assert budget.recent == 7, "those of the last ten minutes"


@pytest.mark.parametrize("holds_s", [0.0, 1.0, 6.0, 20.0, 59.0, 61.0, 300.0])
def test_a_crash_loop_of_any_rhythm_is_never_hotter_than_the_slow_probe(holds_s: float) -> None:
    clock = Clock()
    budget, starts = RestartBudget(clock=clock), []
    fell_at = clock.now
    while clock.now < 4600:
        if starts and clock.now - starts[-1] < holds_s:
            budget.well()
        elif budget.may_restart():
            budget.restarted()
            starts.append(clock.now)
        clock.now += 0.5
    in_an_hour = [at for at in starts if at - fell_at < 3600]
    assert len(in_an_hour) <= 3 + 60
    assert all(b - a >= 59 for a, b in pairwise(starts[3:])), "the first three are at once"
    assert len(in_an_hour) >= 3600 / (60 + holds_s) - 1, "and it is never given up"


def test_what_a_person_ended_is_started_again_without_a_limit_and_costs_nothing() -> None:
    clock = Clock()
    budget = RestartBudget(clock=clock)
    for _ in range(50):
        budget.restarted(free=True)
        clock.now += 2
    assert budget.state is State.CLOSED
    assert budget.may_restart()


def test_a_short_moment_of_health_gives_no_restart_back() -> None:
    clock = Clock()
    budget = RestartBudget(Terms(steady_s=5.0), clock=clock)
    for _ in range(40):
        if budget.may_restart():
            budget.restarted()
        clock.now += 1
        budget.well()
        clock.now += 1
        budget.well()
    assert budget.state is State.OPEN
    assert budget.total <= 4


def test_the_cause_being_removed_gives_everything_back() -> None:
    clock = Clock()
    budget = RestartBudget(clock=clock)
    fallen(budget, clock, seconds=30)
    budget.forgive()
    assert budget.may_restart()


@given(st.lists(st.tuples(st.floats(0.1, 30.0), st.booleans()), max_size=300))
def test_whatever_happens_there_are_never_more_than_the_terms_allow(
    looks: list[tuple[float, bool]],
) -> None:
    clock = Clock()
    terms = Terms()
    budget = RestartBudget(terms, clock=clock)
    unsteady: list[float] = []  # restarts since it last held
    last_trouble = clock.now
    for pause_s, is_well in looks:
        clock.now += pause_s
        if is_well:
            budget.well()
            if clock.now - last_trouble >= terms.steady_s and budget.state is State.CLOSED:
                unsteady = unsteady if budget._spent else []
        else:
            last_trouble = clock.now
            if budget.may_restart():
                budget.restarted()
                unsteady.append(clock.now)
        assert len([at for at in unsteady if clock.now - at < 60]) <= terms.tries + 1
