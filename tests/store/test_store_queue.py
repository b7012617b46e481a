"""What a person does with the queue: pausing it, searching it, moving jobs in it, clearing it."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench import START, finish, make_job, opened, take, take_any

from orchestrator.errors import InvalidTransition, JobNotFound
from orchestrator.jobs import Phase, Status
from orchestrator.store import QUEUE, Store


def ended(store: Store, job_id: str, **fields: object) -> None:
    store.create(make_job(job_id, **fields))
    finish(store, take(store))


def ids(store: Store, **wanted: object) -> list[str]:
    jobs, total = store.page(**wanted)
    assert total == len(jobs)
    return sorted(job.id for job in jobs)


def test_no_worker_takes_a_job_while_the_queue_is_paused(tmp_path: Path) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as other:
        store.create(make_job("a"))
        note = store.pause("the GPU is needed elsewhere\nfor a while")
        other.refresh()
        assert take_any(other) is None
        assert other.pause_note() == note
        assert note.reason == "the GPU is needed elsewhere for a while"
        other.resume()
        assert store.pause_note() is None
        assert take_any(store) is not None


def test_what_a_service_may_be_working_on_is_carried_on_while_paused(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.create(make_job("a"))
        claim = take(store)
        store.update("a", lambda job: job.hand_back(), fence=claim.fence)
        store.create(make_job("b", priority=9))
        store.pause()
        assert take(store).adopted
        assert take_any(store) is None


def test_a_second_pause_leaves_the_first_reason_and_a_damaged_note_pauses_too(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as store:
        assert store.pause("first") == store.pause("second")
        store.layout.paused.write_bytes(b"\0")
        assert store.pause_note() is not None
        store.create(make_job("a"))
        assert take_any(store) is None


def test_pausing_is_told_to_whoever_watches(tmp_path: Path) -> None:
    told: list[str] = []
    with opened(tmp_path) as store:
        subscription = store.watch(told.extend)
        store.pause()
        store.resume()
        subscription.end()
    assert told.count(QUEUE) >= 2


@pytest.mark.parametrize("archived", [False, True])
def test_a_search_finds_every_word_in_the_prompt_or_the_beginning_of_the_id(
    tmp_path: Path, archived: bool
) -> None:
    with opened(tmp_path) as store:
        ended(store, "one", prompt="A red Fox in the snow")
        ended(store, "two", prompt="a RED car, 100% new")
        ended(store, "three", prompt="Лиса на снегу")
        if archived:
            assert len(store.archive(["one", "two", "three"])) == 3
        assert ids(store, text="red") == ["one", "two"]
        assert ids(store, text="fox RED") == ["one"]
        assert ids(store, text="лиса") == ["three"]
        assert ids(store, text="100%") == ["two"]
        assert ids(store, text="th") == (["one", "three"])  # "the" and the id
        assert ids(store, text="red", status=Status.FAILED) == []
        assert ids(store, text="  ") == ["one", "three", "two"]
        assert ids(store, text="_n_") == []


def test_a_higher_priority_is_taken_first_and_an_ended_job_has_none(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for job_id in ("a", "b", "c"):
            store.create(make_job(job_id))
        moved = store.update("c", lambda job: job.prioritised(10**9))
        assert moved.priority == 1000
        claim = take_any(store)
        assert claim is not None
        assert claim.job.id == "c"
        finish(store, claim)
        with pytest.raises(InvalidTransition):
            store.update("c", lambda job: job.prioritised(1))


@pytest.mark.parametrize("archived", [False, True])
def test_an_ended_job_is_removed_for_every_process_and_no_other_is(
    tmp_path: Path, archived: bool
) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as other:
        store.create(make_job("waits"))
        with pytest.raises(InvalidTransition, match="only an ended job"):
            store.delete("waits")
        ended(store, "over")
        if archived:
            store.archive(["over"])
        other.refresh()
        assert store.delete("over").status is Status.DONE
        other.refresh()
        assert ids(other) == ids(store) == ["waits"]
        with pytest.raises(JobNotFound):
            other.delete("over")


def test_clearing_removes_what_has_ended_but_nothing_that_may_have_been_paid_for(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as store:
        for job_id in ("old", "new"):
            ended(store, job_id)
        store.archive(["old"])
        for job_id in ("unknown", "bought"):
            store.create(make_job(job_id))
            claim = take(store)
            phase = Phase.AMBIGUOUS if job_id == "unknown" else Phase.SUBMITTED
            store.update(
                job_id,
                lambda job, phase=phase: job.with_attempt(phase=phase).cancel(
                    now=START, by_owner=True, keep_attempt=phase is Phase.SUBMITTED
                ),
                fence=claim.fence,
            )
        store.create(make_job("waits"))
        assert store.clear_ended() == 2
        assert ids(store) == ["bought", "unknown", "waits"]
        assert store.counts_by_backend() == {
            (Status.QUEUED, "sd15"): 1,
            (Status.CANCELLED, "sd15"): 2,
        }
