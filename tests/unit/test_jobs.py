"""A job as a value: what each move does, which moves there are, and what a job file may hold."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import (
    CorruptFile,
    Fenced,
    InvalidTransition,
    OutOfMemory,
    ParamsInvalid,
    StoreBusy,
)
from orchestrator.jobs import (
    MAX_LOG_LINE,
    MAX_LOGS,
    MAX_PROMPT,
    TERMINAL,
    TRANSITIONS,
    Backoff,
    Cost,
    Failure,
    Job,
    Phase,
    Status,
    new_id,
    one_line,
    prompt_id,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FAILURE = Failure(kind="timeout", message="too slow", remedy="wait")
Move = Callable[[Job], Job]
MOVES: dict[str, tuple[Move, Status]] = {
    "claim": (
        lambda job: job.claim(worker="w", host="h", slot=None, now=NOW),
        Status.RUNNING,
    ),
    "finish": (lambda job: job.finish(["a.png"], now=NOW), Status.DONE),
    "fail": (lambda job: job.fail(FAILURE, now=NOW), Status.FAILED),
    "requeue": (lambda job: job.requeue(FAILURE, delay_s=1, now=NOW), Status.QUEUED),
    "put aside": (lambda job: job.put_aside(FAILURE), Status.CREATED),
    "hand back": (lambda job: job.hand_back(), Status.QUEUED),
    "cancel": (lambda job: job.cancel(now=NOW, by_owner=True), Status.CANCELLED),
    "release": (lambda job: job.release(now=NOW), Status.QUEUED),
}


def queued(**fields: Any) -> Job:
    given: dict[str, Any] = {"backend": "sd15", "prompt": "a fox", "params": {}, "now": NOW}
    return Job.new(**given | fields)


def running(**fields: Any) -> Job:
    job = queued().claim(worker="w", host="h", slot="s.0", now=NOW)
    return job.begin_attempt(service="comfyui", host="http://gpu", now=NOW).having(**fields)


def test_every_status_has_a_row_and_only_the_ended_ones_have_no_way_on() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert {status for status in Status if not TRANSITIONS[status] - {Status.QUEUED}} == TERMINAL


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("move", MOVES)
def test_a_move_goes_where_the_table_says_or_raises_and_changes_nothing(
    status: Status, move: str
) -> None:
    act, to = MOVES[move]
    job = queued().having(status=status, hold=status is Status.CREATED)
    before = job.to_json()
    if to in TRANSITIONS[status] and not (move == "release" and status is Status.RUNNING):
        assert act(job).status is to
    else:
        with pytest.raises(InvalidTransition):
            act(job)
    assert job.to_json() == before


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.DONE])
def test_run_is_refused_for_what_waits_runs_or_is_done(status: Status) -> None:
    with pytest.raises(InvalidTransition):
        queued().having(status=status).release(now=NOW)


def test_a_job_that_is_put_aside_waits_for_run_with_its_reason() -> None:
    claimed = queued().claim(worker="w", host="h", slot="s.0", now=NOW)
    held = claimed.put_aside(FAILURE)
    assert (held.status, held.hold, held.lease, held.started_at) == (
        Status.CREATED,
        True,
        None,
        None,
    )
    assert held.is_held
    assert not held.is_waiting
    assert held.failure == FAILURE
    assert "too slow" in held.logs[-1]
    again = held.release(now=NOW)
    assert again.is_waiting
    assert (again.failure, again.is_held) == (None, False)
    assert held.cancel(now=NOW).status is Status.CANCELLED
    assert not queued(hold=True).is_held  # a draft


def test_a_draft_waits_for_run_and_an_old_created_job_does_not() -> None:
    draft = queued(hold=True)
    assert (draft.status, draft.is_waiting) == (Status.CREATED, False)
    assert draft.having(hold=False).is_waiting
    assert draft.release(now=NOW).is_waiting


def test_each_claim_and_each_recovery_shuts_out_the_one_before() -> None:
    job = queued()
    fences = [job.fence]
    for _ in range(3):
        job = job.claim(worker="w", host="h", slot=None, now=NOW)
        fences.append(job.fence)
        job = job.recover(now=NOW)
        fences.append(job.fence)
    assert all(a < b for a, b in pairwise(fences))


def test_only_whoever_holds_the_fence_owns_a_running_job() -> None:
    job = running()
    assert job.owned(job.fence) is job
    for stranger in (job, job.having(status=Status.QUEUED)):
        with pytest.raises(Fenced):
            stranger.owned(job.fence - 1)
    with pytest.raises(Fenced):
        job.hand_back().owned(job.fence)


def test_a_crash_is_not_an_attempt_and_both_have_their_own_cap() -> None:
    job = running()
    for crash in range(1, 4):
        job = job.recover(now=NOW, max_crashes=3)
        assert (job.status, job.crashes, len(job.attempts)) == (Status.QUEUED, crash, 1)
        job = job.claim(worker="w", host="h", slot=None, now=NOW)
    job = job.recover(now=NOW, max_crashes=3)
    assert job.status is Status.FAILED
    assert job.failure is not None
    assert job.failure.kind == "poison"
    assert job.open_attempt, "a retry asks for what the service may have"
    assert job.release(now=NOW).crashes == 0


def test_an_adopted_attempt_stays_the_same_and_a_retry_makes_a_new_one() -> None:
    job = running().with_attempt(phase=Phase.SUBMITTED, remote_id="T")
    assert job.recover(now=NOW).attempts == job.attempts
    assert job.hand_back().attempts == job.attempts
    again = job.requeue(FAILURE, delay_s=5, now=NOW)
    assert again.attempt is not None
    assert (again.attempt.failure, again.attempt.finished_at) == (FAILURE, NOW)
    second = again.claim(worker="w", host="h", slot=None, now=NOW).begin_attempt(
        service="comfyui", host="http://gpu", now=NOW
    )
    assert [attempt.number for attempt in second.attempts] == [1, 2]
    assert second.retried_count == 2


def test_a_job_asked_again_for_the_same_picture_keeps_its_attempt_open() -> None:
    job = running().with_attempt(remote_id="T")
    again = job.requeue(FAILURE, delay_s=5, now=NOW, keep_attempt=True)
    assert again.open_attempt == job.attempt
    assert again.retried_count == job.retried_count + 1


def test_cancel_marks_what_a_service_may_be_working_on_and_ends_what_nobody_has() -> None:
    marked = running().cancel(now=NOW)
    assert (marked.status, marked.cancel_requested) == (Status.RUNNING, True)
    waiting_for_adoption = running().recover(now=NOW).cancel(now=NOW)
    assert (waiting_for_adoption.status, waiting_for_adoption.cancel_requested) == (
        Status.QUEUED,
        True,
    )
    assert waiting_for_adoption.is_due(NOW)
    assert queued().cancel(now=NOW).status is Status.CANCELLED
    assert queued(hold=True).cancel(now=NOW).status is Status.CANCELLED
    dealt_with = marked.cancel(now=NOW, by_owner=True)
    assert (dealt_with.status, dealt_with.lease, dealt_with.open_attempt) == (
        Status.CANCELLED,
        None,
        None,
    )


def test_what_was_paid_stays_on_record_when_a_job_fails_or_is_cancelled() -> None:
    cost = Cost(credits=6, amount="0.06")
    job = running().with_attempt(cost=cost)
    for ended in (job.fail(FAILURE, now=NOW), job.cancel(now=NOW, by_owner=True)):
        assert ended.result is not None
        assert ended.result.cost == cost


def test_an_unknown_outcome_is_marked_and_stays_on_record_after_a_retry() -> None:
    job = running().fail(FAILURE, now=NOW, ambiguous=True)
    assert job.is_ambiguous
    assert job.release(now=NOW).attempts[0].phase is Phase.AMBIGUOUS


def test_a_failure_is_kept_where_the_old_system_looked_for_it() -> None:
    job = running().fail(FAILURE, now=NOW)
    assert orjson.loads(job.to_json())["result"]["error"] == "too slow"


def test_a_service_error_is_stored_by_kind_and_a_fault_of_ours_says_so() -> None:
    assert Failure.of(OutOfMemory("CUDA\nout")).kind == "out_of_memory"
    assert Failure.of(OutOfMemory("CUDA\nout")).message == "CUDA out"
    assert Failure.of(StoreBusy()).remedy == StoreBusy.remedy
    assert Failure.of(KeyError("x")).kind == "internal"


def test_logs_keep_the_newest_lines_each_on_one_line_of_bounded_length() -> None:
    job = queued()
    for number in range(MAX_LOGS + 5):
        job = job.logged(f"line {number}\n[worker] forged \x1b[31m" + "x" * 999)
    assert len(job.logs) == MAX_LOGS
    assert job.logs[0].startswith("line 5 [worker]")
    assert all(len(line) <= MAX_LOG_LINE and line.isprintable() for line in job.logs)


@given(st.text())
def test_one_line_is_always_one_printable_line(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1


@given(
    written_s=st.integers(-(10**9), 10**9),
    delay=st.floats(0, 10**6),
    passed_s=st.floats(-(10**8), 10**8),
)
def test_a_pause_is_over_in_time_and_whenever_the_clock_went_back(
    written_s: int, delay: float, passed_s: float
) -> None:
    written = NOW + timedelta(seconds=written_s)
    now = written + timedelta(seconds=passed_s)
    passed = (now - written).total_seconds()
    over = Backoff(written=written, delay=delay).is_over(now)
    if passed >= delay or passed < -1:
        assert over
    elif passed >= 0:
        assert not over


def test_the_order_is_adoptions_then_priority_then_age_then_id() -> None:
    early, late = NOW, NOW + timedelta(seconds=1)
    jobs = [
        running().hand_back().having(priority=-5, id="adopted"),
        queued(id="urgent", priority=5, now=late),
        queued(id="a", now=early),
        queued(id="b", now=early),
        queued(id="young", now=late),
    ]
    mixed = jobs[::-1]
    assert sorted(mixed, key=lambda job: job.order) == jobs


def test_no_job_begins_before_all_those_that_can_be_moved_to_the_front() -> None:
    wanted = (10**30, 5, -(10**30))
    made = [Job.new(backend="sd15", prompt="", params={}, now=NOW, priority=n) for n in wanted]
    assert [job.priority for job in made] == [1000, 5, -1000]


def test_ids_are_uuids_that_sort_by_time_and_never_repeat() -> None:
    ids = [new_id(NOW + timedelta(milliseconds=number)) for number in range(200)]
    assert sorted(ids) == ids
    assert len({new_id(NOW) for _ in range(2000)}) == 2000
    assert {uuid.UUID(job_id).version for job_id in ids} == {7}
    assert {uuid.UUID(job_id).variant for job_id in ids} == {uuid.RFC_4122}


def test_a_prompt_id_can_be_worked_out_again_after_a_crash_and_differs_by_attempt() -> None:
    assert prompt_id("a", 1) == prompt_id("a", 1)
    assert len({prompt_id(job_id, n) for job_id in ("a", "a/1", "b") for n in (1, 2, 11)}) == 9
    assert str(uuid.UUID(prompt_id("a", 1))) == prompt_id("a", 1)


def test_a_job_reads_back_as_it_was_written_with_names_as_the_old_system_had_them() -> None:
    job = running(priority=3, batch="b").requeue(FAILURE, delay_s=2.5, now=NOW)
    document = orjson.loads(job.to_json())
    assert {"createdAt", "startedAt", "retriedCount", "cancelRequested", "notBefore"} <= set(
        document
    )
    assert document["attempts"][0]["remoteId"] is None
    assert Job.from_json(job.to_json(), id=job.id) == job


def test_a_usual_job_file_is_small() -> None:
    job = running(prompt="a fox " * 40, params={"seed": 1, "steps": 30, "cfg": 7.5})
    assert len(job.finish(["a.png"], now=NOW).to_json()) < 4096


UNWRITABLE: list[dict[Any, Any]] = [
    {"a": 2**70},
    {"a": {1}},
    {"a": object()},
    {1: 2},
    {"a": "\ud800"},
    {"a": b"bytes"},
]


@pytest.mark.parametrize("params", UNWRITABLE)
def test_params_that_cannot_be_written_are_refused(params: dict[Any, Any]) -> None:
    with pytest.raises(ParamsInvalid):
        queued(params=params)


def test_what_is_too_large_too_deep_or_no_text_is_refused() -> None:
    deep: Any = 0
    for _ in range(200):
        deep = [deep]
    wrong: list[dict[str, Any]] = [
        {"prompt": "x" * (MAX_PROMPT + 1)},
        {"prompt": "\ud800"},
        {"params": {"a": "x" * 70_000}},
        {"params": {"a": deep}},
    ]
    for fields in wrong:
        with pytest.raises(ParamsInvalid):
            queued(**fields)
    assert queued(prompt="x" * MAX_PROMPT).prompt


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(orjson.loads(queued().to_json()))), json_values))
def test_whatever_stands_in_a_job_file_is_a_job_that_can_be_written_or_is_corrupt(
    changed: dict[str, Any],
) -> None:
    try:
        document = orjson.loads(queued(id="x").to_json()) | changed | {"id": "x"}
        data = orjson.dumps(document)
    except TypeError:
        return  # not JSON that can be in a file
    try:
        job = Job.from_json(data, id="x")
    except CorruptFile:
        return
    written = job.logged("seen").to_json()
    assert Job.from_json(written, id="x").logs[-1] == "seen"


@given(st.binary(max_size=200))
def test_bytes_that_are_no_job_are_corrupt_and_nothing_else(data: bytes) -> None:
    with pytest.raises(CorruptFile):
        Job.from_json(data, id="x")
