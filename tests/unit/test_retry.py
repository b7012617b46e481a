"""When an attempt is made again: bounds, spread, Retry-After, and the errors that end it at once."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import errors
from orchestrator.errors import ServiceError
from orchestrator.retry import MAX_RETRY_AFTER_S, RetryPolicy

LEAVES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, ServiceError)
]
RETRYABLE = [each for each in LEAVES if each.retryable]
FINAL = [each for each in LEAVES if not each.retryable]

policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 50),
    base_s=st.floats(0.001, 100),
    cap_s=st.floats(0.001, 10_000),
)
asked = st.none() | st.floats(allow_nan=True, allow_infinity=True)


@given(
    policy=policies,
    tries=st.integers(1, 10_000),
    seed=st.integers(0, 2**32),
    retry_after_s=asked,
    kind=st.sampled_from(LEAVES),
)
def test_every_pause_is_within_its_bounds_and_no_attempt_exceeds_the_last(
    policy: RetryPolicy,
    tries: int,
    seed: int,
    retry_after_s: float | None,
    kind: type[ServiceError],
) -> None:
    error = kind(retry_after_s=retry_after_s)
    pause = policy.decide(error, tries=tries, rng=random.Random(seed))
    if not kind.retryable or tries >= policy.max_attempts:
        assert pause is None
        return
    assert pause is not None
    # as a number of our own: 2 ** 10_000 has no float
    longest = min(policy.cap_s, policy.base_s * 2.0 ** min(tries - 1, 60))
    asked_s = 0.0 if retry_after_s is None or math.isnan(retry_after_s) else retry_after_s
    asked_s = min(max(asked_s, 0.0), MAX_RETRY_AFTER_S)
    assert asked_s <= pause <= asked_s + longest


@pytest.mark.parametrize(
    ("tries", "longest_s"),
    [
        (1, 1.0),  # the first failure: up to the base
        (2, 2.0),
        (6, 32.0),
        (7, 60.0),  # 64 is above the cap
        (5_000, 60.0),  # no overflow
    ],
)
def test_the_pause_doubles_until_the_cap(tries: int, longest_s: float) -> None:
    policy = RetryPolicy(max_attempts=10_000, base_s=1.0, cap_s=60.0)
    rng = random.Random(1)
    pauses = [policy.decide(errors.ServiceTimeout(), tries=tries, rng=rng) for _ in range(2_000)]
    known = [pause for pause in pauses if pause is not None]
    assert len(known) == len(pauses)
    # full jitter: uniform over the whole range, so that a thousand jobs do not come back at once
    assert min(known) < 0.02 * longest_s
    assert 0.98 * longest_s < max(known) <= longest_s
    assert statistics.mean(known) == pytest.approx(longest_s / 2, rel=0.05)
    assert statistics.pstdev(known) == pytest.approx(longest_s / math.sqrt(12), rel=0.05)


def test_three_attempts_are_made_and_no_fourth() -> None:
    policy, rng = RetryPolicy(), random.Random(0)
    error = errors.ServiceUnreachable()
    assert policy.decide(error, tries=1, rng=rng) is not None
    assert policy.decide(error, tries=2, rng=rng) is not None
    assert policy.decide(error, tries=3, rng=rng) is None
    assert policy.decide(error, tries=4, rng=rng) is None


def test_jobs_that_were_told_the_same_retry_after_do_not_return_together() -> None:
    policy, rng = RetryPolicy(), random.Random(3)
    error = errors.RateLimited(retry_after_s=30.0)
    pauses = [policy.decide(error, tries=2, rng=rng) or 0.0 for _ in range(500)]
    assert all(30.0 <= pause <= 32.0 for pause in pauses)
    assert len({round(pause, 1) for pause in pauses}) > 15


def test_a_service_cannot_send_a_job_away_for_a_day() -> None:
    pause = RetryPolicy().decide(
        errors.RateLimited(retry_after_s=86_400.0), tries=1, rng=random.Random(0)
    )
    assert pause is not None
    assert MAX_RETRY_AFTER_S <= pause <= MAX_RETRY_AFTER_S + 1.0


@pytest.mark.parametrize("kind", FINAL)
def test_a_failure_that_another_attempt_cannot_help_is_final(kind: type[ServiceError]) -> None:
    policy = RetryPolicy(max_attempts=100)
    assert policy.decide(kind(retry_after_s=1.0), tries=1, rng=random.Random(0)) is None


def test_a_request_that_may_have_been_paid_is_not_repeated_even_if_it_is_marked_retryable() -> None:
    class Hopeful(errors.AmbiguousSubmit):
        retryable = True

    assert RetryPolicy().decide(Hopeful(), tries=1, rng=random.Random(0)) is None


@pytest.mark.parametrize("error", [ValueError("x"), errors.ImageInvalid(), errors.Fenced()])
def test_an_error_that_no_service_made_is_final(error: Exception) -> None:
    assert RetryPolicy().decide(error, tries=1, rng=random.Random(0)) is None


def test_both_sorts_of_failure_exist() -> None:
    assert len(RETRYABLE) >= 5
    assert {errors.AmbiguousSubmit, errors.Moderated, errors.NoCredits} <= set(FINAL)
