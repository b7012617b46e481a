"""The store against a model of it, in random lives with full disks, dying and sleeping workers, and moved clocks.

12 examples here, 60 in the long form; `STORE_EXAMPLES=20000 pytest tests/store/test_store_model.py` for a night.
The same machine must find fault with stores that lack one precaution each, or it would prove nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test
from lengths import LONG
from machine import StoreMachine

from orchestrator.jobs import Backoff, Job
from orchestrator.store import Store
from orchestrator.store.workers import Observer

EXAMPLES = int(os.environ.get("STORE_EXAMPLES", "60" if LONG else "12"))
STEPS = 50
REQUIRED = 9 if LONG else 4  # of the eleven mutants below
LIFE = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
HUNT = settings(
    LIFE,
    max_examples=60,
    derandomize=True,
    print_blob=False,
    phases=[Phase.generate],
    verbosity=Verbosity.quiet,
    report_multiple_bugs=False,
)


@pytest.mark.timeout(36_000)
def test_the_store_does_what_the_model_says() -> None:
    run_state_machine_as_test(StoreMachine, settings=LIFE)


# ---------------------------------------------------------------- mutants: each takes one precaution away

Mutant = Callable[[pytest.MonkeyPatch], None]
claim, recover = Job.claim, Job.recover


def owner_is_not_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Job, "owned", lambda job, fence: job)


def claim_keeps_the_fence(patch: pytest.MonkeyPatch) -> None:
    def same_fence(job: Job, **given: object) -> Job:
        return claim(job, **given).having(fence=job.fence)  # type: ignore[arg-type]

    patch.setattr(Job, "claim", same_fence)


def recovery_keeps_the_fence(patch: pytest.MonkeyPatch) -> None:
    def same_fence(job: Job, **given: object) -> Job:
        return recover(job, **given).having(fence=job.fence)  # type: ignore[arg-type]

    patch.setattr(Job, "recover", same_fence)


def claim_believes_the_index(patch: pytest.MonkeyPatch) -> None:
    def remembered(store: Store, job_id: str) -> Job:
        entry = store._index.get(job_id)
        return entry.job() if entry else Job.from_json(b"{}", id=job_id)

    tried = Store._try_claim

    def try_claim(store: Store, *given: object) -> object:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Store, "_read", remembered)
            return tried(store, *given)  # type: ignore[arg-type]

    patch.setattr(Store, "_try_claim", try_claim)


def pauses_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Job, "is_due", lambda job, now: True)


def pauses_end_at_a_time_of_day(patch: pytest.MonkeyPatch) -> None:
    def is_past(pause: Backoff, now: datetime) -> bool:
        return (now - pause.written).total_seconds() >= pause.delay

    patch.setattr(Backoff, "is_over", is_past)


def crashes_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    def forgiving(job: Job, **given: object) -> Job:
        return recover(job, **{**given, "max_crashes": 10**9})  # type: ignore[arg-type]

    patch.setattr(Job, "recover", forgiving)


def living_workers_are_robbed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Observer, "is_alive", lambda observer, worker, host="": False)


def hung_workers_are_waited_for(patch: pytest.MonkeyPatch) -> None:
    alive = Observer.is_alive

    def locked(observer: Observer, worker: str, *, host: str) -> bool:
        observer._seen.clear()
        return alive(observer, worker, host=host)

    patch.setattr(Observer, "is_alive", locked)


def drafts_are_left_lying(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "_discard", lambda store, draft: None)


def a_lost_answer_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "_holds", lambda store, path, data: False)


MUTANTS: list[Mutant] = [
    owner_is_not_checked,
    claim_keeps_the_fence,
    recovery_keeps_the_fence,
    claim_believes_the_index,
    pauses_are_not_kept,
    crashes_are_not_counted,
    living_workers_are_robbed,
    drafts_are_left_lying,
    a_lost_answer_is_a_failure,
    # these two take two thirds of the time of all: only the long form comes so far if the others are caught
    hung_workers_are_waited_for,
    pauses_end_at_a_time_of_day,
]


def is_caught(mutant: Mutant) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        try:
            run_state_machine_as_test(StoreMachine, settings=HUNT)
        except Exception:  # noqa: BLE001 - any complaint catches it
            return True
    return False


def test_the_machine_catches_stores_that_lack_a_precaution() -> None:
    caught: dict[str, bool] = {}
    for mutant in MUTANTS:
        if LONG or sum(caught.values()) < REQUIRED:
            caught[mutant.__name__] = is_caught(mutant)
    print(caught)
    assert sum(caught.values()) >= REQUIRED, [name for name, found in caught.items() if not found]
