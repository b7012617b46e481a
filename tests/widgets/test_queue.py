"""The queue panel on a real store: it shows what is there, and its buttons do what they say."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from page import answers, connect, press, until
from PIL import Image

from orchestrator.jobs import Failure, Job, Progress, Status
from orchestrator.lab import Lab
from orchestrator.store import Store
from orchestrator.testing import make_job, make_lab
from orchestrator.widgets import QueuePanel


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    connect(monkeypatch)
    with make_lab(tmp_path) as lab:
        yield lab


def watch(lab: Lab, story: Callable[[QueuePanel], Awaitable[None]]) -> None:
    """Tell a story to a panel, and close it."""

    async def told() -> None:
        panel = QueuePanel(lab)
        await story(panel)
        panel.close()

    asyncio.run(told())


def put(lab: Lab, change: Callable[[Job], Job] = lambda job: job, **fields: Any) -> Job:
    """A job on the disk, changed as it would be by a worker."""
    return lab.store.create(change(make_job(**fields)))


def failed(job: Job, *, ambiguous: bool = False) -> Job:
    failure = Failure(kind="ambiguous", message="No answer came", remedy="Look at the account.")
    begun = job.claim(worker="w", host="h", slot=None, now=job.created_at)
    begun = begun.begin_attempt(service="bfl", host="api", now=job.created_at)
    return begun.fail(failure, now=job.created_at, ambiguous=ambiguous)


def picture(lab: Lab, name: str = "a.png", *, side: int = 600) -> Path:
    path = lab.paths.drop_out / name
    Image.new("RGB", (side, side), "teal").save(path)
    return path


def done(path: Path) -> Callable[[Job], Job]:
    def change(job: Job) -> Job:
        claimed = job.claim(worker="w", host="h", slot=None, now=job.created_at)
        return claimed.finish([str(path)], now=job.created_at)

    return change


def test_jobs_are_shown_newest_first_and_a_new_one_appears_by_itself(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        first = put(lab)
        await until(lambda: panel.rows)
        other = Store(lab.paths.jobs)  # another process
        second = other.create(make_job("an owl"))
        await until(lambda: len(panel.rows) == 2)
        other.close()
        assert [row["id"] for row in panel.rows] == [second.id, first.id]

    watch(lab, story)


@pytest.mark.parametrize(
    ("action", "job", "becomes"),
    [
        ("run", {"status": Status.CREATED, "hold": True}, Status.QUEUED),
        ("cancel", {"status": Status.CREATED, "hold": True}, Status.CANCELLED),
        ("cancel", {"status": Status.QUEUED}, Status.CANCELLED),
        ("retry", {"status": Status.CANCELLED}, Status.QUEUED),
    ],
)
def test_a_button_changes_the_job_on_the_disk_and_its_row(
    lab: Lab, action: str, job: dict[str, Any], becomes: Status
) -> None:
    async def story(panel: QueuePanel) -> None:
        stored = put(lab, **job)
        press(panel, action, id=stored.id)
        await until(lambda: panel.rows and panel.rows[0]["status"] == becomes)
        assert lab.store.get(stored.id).status is becomes
        assert not panel.notice

    watch(lab, story)


def test_cancel_asks_the_worker_that_has_the_job(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        job = put(lab, lambda job: job.claim(worker="w", host="h", slot=None, now=job.created_at))
        press(panel, "cancel", id=job.id)
        await until(lambda: panel.rows and panel.rows[0]["label"] == "cancelling")
        assert lab.store.get(job.id).cancel_requested

    watch(lab, story)


def test_retry_of_a_failed_job_queues_it_again(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        job = put(lab, failed)
        await until(lambda: panel.rows)
        assert panel.rows[0]["failure"]["remedy"] == "Look at the account."
        press(panel, "retry", id=job.id)
        await until(lambda: panel.rows[0]["status"] == "queued")

    watch(lab, story)


def test_what_may_have_been_paid_is_retried_only_when_said_twice(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        job = put(lab, lambda job: failed(job, ambiguous=True), backend="flux")
        await until(lambda: panel.rows)
        assert panel.rows[0]["ambiguous"]
        for not_sure in ({}, {"sure": False}, {"sure": "yes"}):
            before = panel.notice.get("number", 0)
            press(panel, "retry", id=job.id, **not_sure)
            await until(lambda: panel.notice.get("number", 0) > before)  # noqa: B023 - awaited here
            assert lab.store.get(job.id).status is Status.FAILED
        assert "paid" in panel.notice["text"]
        press(panel, "retry", id=job.id, sure=True)
        await until(lambda: lab.store.get(job.id).status is Status.QUEUED)

    watch(lab, story)


def test_a_click_that_comes_too_late_is_answered_with_the_reason(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        job = put(lab, done(picture(lab)))
        press(panel, "cancel", id=job.id)
        await until(lambda: panel.notice)
        assert "done" in panel.notice["text"]
        assert lab.store.get(job.id).status is Status.DONE

    watch(lab, story)


@pytest.mark.parametrize(
    "message",
    [
        {"action": "run", "id": "../../etc/passwd"},
        {"action": "cancel", "id": ""},
        {"action": "cancel", "id": None},
        {"action": "retry", "id": ["x"]},
        {"action": "delete", "id": "../jobs"},
        {"action": "duplicate", "id": "\x00"},
        {"action": "raise", "id": "%"},
    ],
)
def test_a_hostile_id_is_refused_and_changes_nothing(lab: Lab, message: dict[str, Any]) -> None:
    async def story(panel: QueuePanel) -> None:
        job = put(lab)
        press(panel, **message)
        await until(lambda: panel.notice)
        assert lab.store.get(job.id) == job

    watch(lab, story)


def test_messages_that_make_no_sense_do_nothing(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        following = panel.tasks
        nonsense: list[Any] = ["run", None, [], {}, {"action": "close"}, {"action": ["run"]}]
        for message in nonsense:
            panel._handle_custom_msg(message, [])
        assert panel.tasks == following
        assert not panel.notice

    watch(lab, story)


def test_a_draft_of_the_same_is_made_and_only_run_when_somebody_says_so(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        job = put(lab, done(picture(lab)), params={"seed": 7, "steps": 3}, priority=2)
        press(panel, "duplicate", id=job.id)
        await until(lambda: len(panel.rows) == 2)
        twin = lab.store.get(panel.rows[0]["id"])
        assert twin.hold
        assert (twin.prompt, twin.params, twin.priority) == (job.prompt, job.params, 2)
        await until(lambda: panel.notice)
        assert panel.notice["good"]
        assert panel.notice["text"].startswith(panel.rows[0]["short"])

    watch(lab, story)


def test_delete_takes_an_ended_job_off_the_list_and_leaves_its_picture(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        path = picture(lab)
        job = put(lab, done(path))
        await until(lambda: panel.rows)
        press(panel, "delete", id=job.id)
        await until(lambda: panel.ready and not panel.rows)
        assert not lab.store.layout.job(job.id).exists()
        assert path.is_file()

    watch(lab, story)


def test_a_job_that_has_not_ended_is_not_deleted(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        job = put(lab)
        press(panel, "delete", id=job.id)
        await until(lambda: panel.notice)
        assert not panel.notice["good"]
        assert lab.store.get(job.id) == job

    watch(lab, story)


def test_priority_goes_up_and_down_by_one_and_the_row_says_so(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        job = put(lab)
        for action, priority in [("raise", 1), ("raise", 2), ("lower", 1)]:
            press(panel, action, id=job.id)
            await until(lambda: panel.rows and panel.rows[0]["priority"] == priority)  # noqa: B023
            assert lab.store.get(job.id).priority == priority

    watch(lab, story)


def test_a_paused_queue_says_since_when_and_resumes(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        press(panel, "pause")
        await until(lambda: panel.paused)
        note = lab.pause_note()
        assert note is not None
        assert panel.paused == {"since": note.since.isoformat(), "reason": ""}
        press(panel, "resume")
        await until(lambda: not panel.paused)
        assert lab.pause_note() is None

    watch(lab, story)


def test_a_pause_by_somebody_else_is_shown_with_its_reason_on_one_line(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        other = Lab(lab.paths, lab.settings)
        other.pause("new card\nis fitted")
        await until(lambda: panel.paused)
        assert panel.paused["reason"] == "new card is fitted"
        other.close()

    watch(lab, story)


def test_clearing_leaves_what_has_not_ended_and_what_may_have_been_paid(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        for change in (done(picture(lab)), failed, lambda job: job.cancel(now=job.created_at)):
            put(lab, change)
        kept = {
            put(lab).id,
            put(lab, status=Status.CREATED, hold=True).id,
            put(lab, lambda job: failed(job, ambiguous=True), backend="flux").id,
        }
        press(panel, "clear")
        await until(lambda: panel.notice)
        assert panel.notice["text"] == "3 finished jobs were cleared away"
        assert {row["id"] for row in panel.rows} == kept

    watch(lab, story)


def test_the_filter_shows_what_it_lets_through_and_counts_all(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        fox = put(lab, prompt="a red fox at dawn")
        owl = put(lab, failed, prompt="an owl", backend="flux")
        ids = {fox.id, owl.id}
        for wanted, shown in [
            ({"status": "failed"}, {owl.id}),
            ({"backend": "sd15"}, {fox.id}),
            ({"text": " Dawn RED "}, {fox.id}),
            ({"text": fox.id[:23]}, {fox.id}),
            ({"status": "failed", "backend": "sd15"}, set()),
            ({"status": "no such", "backend": "", "text": ""}, ids),
            ({"text": "\x00%_*[" * 100}, set()),
            ({}, ids),
        ]:
            press(panel, "filter", **wanted)
            await until(lambda: {row["id"] for row in panel.rows} == shown)  # noqa: B023
            assert panel.total == len(shown)
            assert panel.counts == {"queued": 1, "failed": 1}
        assert [(each["name"], each["jobs"]) for each in panel.backends] == [
            ("flux", 1),
            ("sd15", 1),
        ]

    watch(lab, story)


def test_a_filter_begins_at_the_newest_page(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        for _ in range(41):
            put(lab)
        await until(lambda: panel.total == 41)
        press(panel, "turn", page=3)
        await until(lambda: panel.offset == 40)
        press(panel, "filter", status="queued")
        await until(lambda: panel.offset == 0)
        assert len(panel.rows) == 20

    watch(lab, story)


def test_pages_turn_and_stop_at_their_ends(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        ids = [put(lab).id for _ in range(23)]
        await until(lambda: panel.total == 23)
        assert len(panel.rows) == 20
        press(panel, "turn", page=2)
        await until(lambda: len(panel.rows) == 3)
        assert {row["id"] for row in panel.rows} <= set(ids)
        for page in (3, 0, -1, 10**30, "1", None, True, 1.0):
            press(panel, "turn", page=page)
        await until(lambda: len(panel.tasks) == 1)
        assert (panel.offset, len(panel.rows)) == (20, 3)
        press(panel, "turn", page=1)
        await until(lambda: len(panel.rows) == 20)
        assert panel.offset == 0

    watch(lab, story)


def test_a_page_that_is_gone_gives_way_to_the_last_one_and_no_thread_touches_a_trait(
    lab: Lab,
) -> None:
    async def story(panel: QueuePanel) -> None:
        put(lab)
        await until(lambda: panel.rows)
        threads = []
        panel.observe(lambda _: threads.append(threading.current_thread()))
        panel.offset = 40
        await panel.redraw()
        assert panel.offset == 0
        assert len(panel.rows) == 1
        assert set(threads) == {threading.main_thread()}

    watch(lab, story)


def test_progress_and_preview_of_a_running_job_reach_the_page_without_its_row(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        job = put(lab, lambda job: job.claim(worker="w", host="h", slot=None, now=job.created_at))
        await until(lambda: panel.rows)
        rows = panel.rows
        said = Progress(fraction=0.5, step=6, steps=12, text="sampling", preview=b"\xff\xd8\xffx")
        lab.store.progress.write(job.id, said, fence=1)
        await until(lambda: panel.progress.get(job.id))
        assert panel.progress[job.id]["step"] == 6
        assert panel.previews == {job.id: b"\xff\xd8\xffx"}
        assert panel.rows == rows

    watch(lab, story)


def test_that_no_worker_lives_is_said_with_its_remedy_until_one_does(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        await until(lambda: panel.banner)
        assert "orchestrator up" in panel.banner["remedy"]
        presence = lab.store.presence()
        await panel.redraw()
        assert panel.banner == {}
        presence.end()

    watch(lab, story)


def test_view_gets_the_file_s_own_bytes_and_the_row_a_small_picture(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        path = picture(lab)
        job = put(lab, done(path))
        await until(lambda: panel.icons)
        with Image.open(io.BytesIO(panel.icons[job.id])) as icon:
            assert icon.size == (128, 128)
        press(panel, "picture", id=job.id, index=0, key="k")
        await until(lambda: answers(panel))
        ((said, (data,)),) = answers(panel)
        assert said == {"kind": "picture", "key": "k", "mime": "image/png"}
        assert data == path.read_bytes()

    watch(lab, story)


@pytest.mark.parametrize("kind", ["outside", "linked", "gone", "no picture"])
def test_no_file_is_shown_but_pictures_of_the_lab_s_folder(lab: Lab, kind: str) -> None:
    secret = lab.paths.project_root / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    inside = lab.paths.drop_out / "x.png"
    if kind == "linked":
        inside.symlink_to(secret)
    if kind == "no picture":
        inside.write_bytes(b"BFL_API_KEY=secret")

    async def story(panel: QueuePanel) -> None:
        job = put(lab, done(secret if kind == "outside" else inside))
        press(panel, "picture", id=job.id, index=0, key="k")
        await until(lambda: answers(panel))
        ((said, buffers),) = answers(panel)
        assert "not in its folder" in said["error"]
        assert buffers == []
        await panel.redraw()
        assert panel.icons == {}

    watch(lab, story)


def test_closing_ends_every_task(lab: Lab) -> None:
    async def story() -> None:
        before = asyncio.all_tasks()
        panel = QueuePanel(lab)
        await until(lambda: panel.banner)
        assert [task.get_name() for task in panel.tasks] == ["QueuePanel follows the lab"]
        panel.close()
        await until(lambda: asyncio.all_tasks() == before)

    asyncio.run(story())


class Hasty(QueuePanel):
    """Believes soon that nobody sees it."""

    seen_s = 0.3


def test_a_view_that_no_page_shows_sleeps_and_one_that_is_shown_again_catches_up(lab: Lab) -> None:
    async def story() -> None:
        panel = Hasty(lab)
        await until(lambda: panel.ready and not panel.tasks)
        job = put(lab)
        await asyncio.sleep(0.1)  # longer than a view that is awake takes
        assert panel.rows == []
        press(panel, "shown")
        press(panel, "shown")  # by a second page
        assert [task.get_name() for task in panel.tasks] == ["Hasty follows the lab"]
        await until(lambda: panel.rows)
        assert panel.rows[0]["id"] == job.id
        panel.close()
        press(panel, "shown")
        await until(lambda: not panel.tasks)

    asyncio.run(story())


def test_a_lab_that_cannot_be_read_is_said_and_looked_at_again(lab: Lab) -> None:
    async def story(panel: QueuePanel) -> None:
        workers = lab.store.layout.workers
        hidden = workers.rename(workers.with_name("elsewhere"))
        await panel.redraw()
        assert "FileNotFoundError" in panel.banner["text"]
        hidden.rename(workers)
        await panel.redraw()
        assert "No worker" in panel.banner["text"]

    watch(lab, story)
