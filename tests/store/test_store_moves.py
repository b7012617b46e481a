"""What a caller of the store is promised: whole jobs, one owner each, an order, refusals that change nothing.

`LAB_LONG=1 pytest tests/store` runs the long forms of this folder's tests.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from workbench import (
    GPU,
    START,
    Clock,
    at_gpu,
    begin,
    finish,
    make_job,
    opened,
    put_file,
    take,
    take_any,
    the_attempt,
)

from orchestrator.errors import Fenced, InvalidTransition, JobExists, JobNotFound
from orchestrator.jobs import TRANSITIONS, Failure, Job, Status
from orchestrator.store import Lane, Store

BAD_IDS = [
    "../x",
    "..",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "",
    " ",
    "a\0b",
    "-rf",
    ".hidden",
    "a" * 129,
    "a\n",
    "ä",
]
FAILURE = Failure(kind="timeout", message="too slow")


def test_a_created_job_is_on_the_disk_and_reads_back_the_same(tmp_path: Path) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as other:
        created = store.create(make_job("a", params={"seed": 1}))
        assert created.revision == 1
        assert other.get("a") == created


def test_a_create_that_is_repeated_is_refused_and_leaves_the_first(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.create(make_job("a", prompt="first"))
        with pytest.raises(JobExists):
            store.create(make_job("a", prompt="second"))
        assert store.get("a").prompt == "first"


def test_a_create_with_the_id_of_an_archived_job_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.create(make_job("a"))
        finish(store, take(store))
        store.archive(["a"])
        with pytest.raises(JobExists):
            store.create(make_job("a"))


@pytest.mark.parametrize("job_id", BAD_IDS)
def test_an_id_that_leads_elsewhere_is_refused_by_every_call(tmp_path: Path, job_id: str) -> None:
    (tmp_path / "x.json").write_bytes(make_job("x").to_json())
    before = sorted(tmp_path.iterdir())
    calls: list[Callable[[Store], object]] = [
        lambda store: store.get(job_id),
        lambda store: store.resolve(job_id),
        lambda store: store.create(make_job("ok").having(id=job_id)),
        lambda store: store.update(job_id, lambda job: job.logged("x")),
    ]
    with opened(tmp_path / "jobs") as store:
        for call in calls:
            with pytest.raises(JobNotFound):
                call(store)
    assert sorted(path for path in tmp_path.iterdir() if path.name != "jobs") == before


def test_a_change_that_raises_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        before = store.create(make_job("a"))
        with pytest.raises(InvalidTransition):
            store.update("a", lambda job: job.finish([], now=START))
        assert store.get("a") == before


@pytest.mark.parametrize("status", Status)
def test_an_illegal_move_raises_and_leaves_the_file(tmp_path: Path, status: Status) -> None:
    moves: dict[Status, Callable[[Job], Job]] = {
        Status.RUNNING: lambda job: job.claim(worker="w", host="h", slot=None, now=START),
        Status.DONE: lambda job: job.finish([], now=START),
        Status.FAILED: lambda job: job.fail(FAILURE, now=START),
        Status.QUEUED: lambda job: job.requeue(FAILURE, delay_s=1, now=START),
    }
    with opened(tmp_path) as store:
        store.create(make_job("a").having(status=status))
        content = (tmp_path / "a.json").read_bytes()
        for to, move in moves.items():
            if to not in TRANSITIONS[status]:
                with pytest.raises(InvalidTransition):
                    store.update("a", move)
        assert (tmp_path / "a.json").read_bytes() == content


def test_jobs_are_claimed_adoptions_first_then_by_priority_then_by_age(tmp_path: Path) -> None:
    def later(seconds: float) -> dict[str, object]:
        return {"now": START + timedelta(seconds=seconds)}

    with opened(tmp_path) as store:
        store.create(make_job("young", **later(1.5)))
        store.create(make_job("old", **later(1)))  # 12:00:01 exactly: its text is shorter
        store.create(make_job("urgent", priority=5, **later(9)))
        store.create(make_job("draft", hold=True, priority=9))
        adopted = make_job("adopted", **later(8)).claim(worker="w", host="h", slot=None, now=START)
        adopted = begin(adopted, Lane("comfyui", GPU, 1)).hand_back()
        store.create(adopted.having(priority=-9))
        order = [take(store).job.id for _ in range(4)]
        assert order == ["adopted", "urgent", "old", "young"]
        assert take_any(store) is None, "a draft is not taken"


def test_an_adopted_job_keeps_its_attempt_and_a_new_one_begins_it_in_the_same_write(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as store:
        store.create(make_job("a"))
        claim = take(store)
        assert (claim.job.revision, claim.adopted, len(claim.job.attempts)) == (2, False, 1)
        store.update("a", lambda job: job.hand_back(), fence=claim.fence)
        assert claim.slot is not None
        claim.slot.release()
        again = take(store)
        assert (again.adopted, again.job.attempts) == (True, claim.job.attempts)


def test_a_claim_from_a_stale_index_does_not_take_what_another_has(tmp_path: Path) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as other:
        store.create(make_job("a"))
        other.refresh()
        take(store)
        assert other.claim("late", lanes=at_gpu()) is None
        assert store.get("a").fence == 1


def test_a_job_whose_creator_still_holds_its_lock_is_claimed_all_the_same(tmp_path: Path) -> None:
    """The news of a new job comes before its creator has let go of the lock, and comes once."""
    with opened(tmp_path) as store, opened(tmp_path) as creator:
        creator.create(make_job("a"))
        held = threading.Event()

        def let_go_late() -> None:
            with creator._locks.hold("a"):
                held.set()
                threading.Event().wait(0.01)

        thread = threading.Thread(target=let_go_late)
        thread.start()
        held.wait()
        assert take(store).job.id == "a"
        thread.join()


def test_a_worker_that_lost_its_job_is_fenced_and_the_new_owners_result_stays(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as store:
        store.create(make_job("a"))
        lost = take(store, "dead")
        assert [job.id for job in store.recover()] == ["a"]
        with pytest.raises(Fenced):
            finish(store, lost, "while queued.png")
        new = take(store, "alive")
        with pytest.raises(Fenced):
            finish(store, lost, "while running.png")
        finish(store, new, "right.png")
        with pytest.raises(Fenced):
            finish(store, lost, "when done.png")
        assert store.get("a").result is not None
        assert orjson.loads((tmp_path / "a.json").read_bytes())["result"]["file"] == "right.png"


def test_a_job_that_kills_its_workers_fails_and_others_are_untouched(tmp_path: Path) -> None:
    with opened(tmp_path, max_crashes=3) as store:
        store.create(make_job("poison", priority=1))
        store.create(make_job("good"))
        claims = 0
        while (claim := take(store, "dead")).job.id == "poison":
            assert claim.slot is not None
            claim.slot.leave()
            claims += 1
            store.recover()
        assert claims == 4
        poisoned = store.get("poison")
        assert poisoned.status is Status.FAILED
        assert poisoned.failure is not None
        assert poisoned.failure.kind == "poison"
        assert finish(store, claim).status is Status.DONE


def test_fields_of_other_programs_survive_a_rewrite_at_every_level(tmp_path: Path) -> None:
    document = orjson.loads(make_job("a").to_json())
    document |= {"colour": {"of": "money"}}
    document["attempts"] = [
        {
            "number": 1,
            "service": "comfyui",
            "host": GPU,
            "startedAt": "2026-01-01T00:00:00Z",
            "gpu": 3,
        }
    ]
    put_file(tmp_path, "a.json", orjson.dumps(document))
    with opened(tmp_path) as store:
        store.update("a", lambda job: job.logged("seen"))
    written = orjson.loads((tmp_path / "a.json").read_bytes())
    assert written["colour"] == {"of": "money"}
    assert written["attempts"][0]["gpu"] == 3
    assert written["logs"] == ["seen"]


def test_a_refused_create_of_a_full_id_still_resolves_and_a_shared_prefix_does_not(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as store:
        for job_id in ("abc-1", "abc-2", "abd"):
            store.create(make_job(job_id))
        finish(store, take(store))
        store.archive(["abc-1"])
        assert store.resolve("abd") == "abd"
        assert store.resolve("abc-1") == "abc-1"
        assert store.resolve("abc-2") == "abc-2"
        with pytest.raises(JobNotFound, match="2 jobs"):
            store.resolve("abc")
        with pytest.raises(JobNotFound):
            store.resolve("zzz")


def test_a_full_list_is_newest_first_and_knows_each_job_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as stale:
        for number in range(6):
            store.create(make_job(f"j{number}", now=START + timedelta(seconds=number / 2)))
        for _ in range(3):
            finish(store, take(store))
        stale.refresh()
        store.archive(["j0", "j1"])
        for reader in (store, stale):  # the second has not noticed that two jobs were archived
            jobs, total = reader.page(limit=4)
            assert ([job.id for job in jobs], total) == (["j5", "j4", "j3", "j2"], 6)
            jobs, total = reader.page(limit=4, offset=4)
            assert ([job.id for job in jobs], total) == (["j1", "j0"], 6)
        jobs, total = store.page(status=Status.DONE)
        assert ([job.id for job in jobs], total) == (["j2", "j1", "j0"], 3)
        assert store.page(backend="flux") == ([], 0)
        assert +store.counts() == {Status.QUEUED: 3, Status.DONE: 3}


def test_an_archived_job_lies_in_its_month_and_only_ended_jobs_are_archived(tmp_path: Path) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as other:
        for job_id in ("done", "running", "queued"):
            store.create(make_job(job_id))
        clock = Clock()
        finish(store, take(store))
        other.refresh()
        ended = other.ended_before(clock.now() + timedelta(days=9999), keep=0)
        assert ended == ["done"]
        take(store)
        assert [job.id for job in store.archive(["done", "running", "queued", "none"])] == ["done"]
        month = store.get("done").finished_at
        assert month is not None
        assert (tmp_path / "_old" / f"{month:%Y-%m}" / "done.json").is_file()


def test_a_job_released_since_it_was_seen_ended_is_not_archived(tmp_path: Path) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as stale:
        store.create(make_job("a"))
        store.update("a", lambda job: job.cancel(now=START))
        stale.refresh()
        store.update("a", lambda job: job.release(now=START))
        assert stale.archive(["a"]) == []
        assert take(store).job.id == "a"


def test_what_to_archive_is_the_oldest_and_all_beyond_the_newest_few(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path, now=clock.now) as store:
        for number in range(5):
            store.create(make_job(f"j{number}", now=clock.now()))
            clock.advance(0.5)
            finish(store, take(store))
        assert store.ended_before(START + timedelta(seconds=1), keep=9) == ["j0"]
        assert store.ended_before(START, keep=2) == ["j0", "j1", "j2"]


def test_a_file_put_back_by_hand_is_seen_although_its_revision_is_smaller(tmp_path: Path) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as reader:
        store.create(make_job("a"))
        backup = (tmp_path / "a.json").read_bytes()
        store.update("a", lambda job: job.cancel(now=START))
        reader.refresh()
        draft = put_file(tmp_path, "backup", backup)
        draft.replace(tmp_path / "a.json")
        assert reader.refresh() == ["a"]
        assert reader.snapshot()[0].status is Status.QUEUED


def test_the_attempts_place_is_the_one_the_worker_holds(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.create(make_job("a"))
        claim = take(store)
        assert claim.slot is not None
        assert claim.job.lease is not None
        assert claim.job.lease.slot == the_attempt(claim.job).slot == claim.slot.name


# ---------------------------------------------------------------- the old system's files


def old_file(status: str, job_id: str, **fields: object) -> bytes:
    """A job as the old system wrote it: no revision, no fence, no lease."""
    document = {
        "id": job_id,
        "status": status,
        "backend": "flux",
        "prompt": "a majestic eagle",
        "params": {"width": 1024, "height": 768},
        "createdAt": "2025-10-20T13:25:19.540Z",
        "logs": ["[worker] start execution (attempt 1)"],
        **fields,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


OLD_JOBS: dict[str, dict[str, Any]] = {
    "created": {},
    "queued": {"retriedCount": 1},
    "running": {"startedAt": "2025-10-20T13:25:22.136Z", "progress": 0.4},
    "done": {
        "startedAt": "2025-10-20T13:25:22.136Z",
        "finishedAt": "2025-10-20T13:25:35.858Z",
        "result": {"file": "F:\\Drop\\out\\flux_d888cd70.jpg"},
    },
    "failed": {"finishedAt": "2025-10-20T13:25:35.858Z", "result": {"error": "Comfy timeout"}},
}


@pytest.mark.parametrize("folder", ["", "_old"])
@pytest.mark.parametrize("status", OLD_JOBS)
def test_a_job_of_the_old_system_loads_as_it_is(tmp_path: Path, status: str, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    put_file(tmp_path / folder, "x.json", old_file(status, "x", **OLD_JOBS[status]))
    with opened(tmp_path) as store:
        job = store.get("x")
        assert job.status == status
        assert job.params == {"width": 1024, "height": 768}
        jobs, total = store.page()
        assert ([listed.id for listed in jobs], total) == (["x"], 1)
        assert +store.counts() == {Status(status): 1}
        assert store.quarantine.files() == []


@pytest.mark.parametrize("status", ["created", "queued"])
def test_a_waiting_job_of_the_old_system_runs_to_its_end(tmp_path: Path, status: str) -> None:
    put_file(tmp_path, "x.json", old_file(status, "x"))
    with opened(tmp_path) as store:
        assert finish(store, take(store)).status is Status.DONE


def test_a_running_job_of_the_old_system_is_given_the_lease_time_then_failed_as_abandoned(
    tmp_path: Path,
) -> None:
    clock = Clock()
    put_file(tmp_path, "x.json", old_file("running", "x"))
    with opened(tmp_path, now=clock.now, clock=clock.monotonic, lease_s=10) as store:
        assert store.recover() == []
        clock.advance(9.9)
        assert store.recover() == []
        clock.advance(0.2)
        (freed,) = store.recover()
        assert freed.status is Status.FAILED
        assert freed.failure is not None
        assert freed.failure.kind == "abandoned"
        assert take_any(store) is None


def test_a_job_the_old_system_finishes_in_that_time_is_left_alone(tmp_path: Path) -> None:
    clock = Clock()
    put_file(tmp_path, "x.json", old_file("running", "x"))
    with opened(tmp_path, clock=clock.monotonic, lease_s=10) as store:
        store.recover()
        clock.advance(11)
        # written in place, as the old system does, and not noticed yet
        (tmp_path / "x.json").write_bytes(old_file("done", "x", **OLD_JOBS["done"]))
        assert store.recover() == []
        assert store.get("x").status is Status.DONE


def test_a_change_written_in_place_is_noticed(tmp_path: Path) -> None:
    path = put_file(tmp_path, "x.json", old_file("queued", "x"))
    with opened(tmp_path) as store:
        path.write_bytes(old_file("failed", "x"))
        assert store.refresh(force=True) == ["x"]
        os.utime(path)
        assert store.refresh(force=True) == [], "touched, not changed"
