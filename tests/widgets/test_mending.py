"""The buttons of a diagnosis: the page names an action, the kernel decides anew and says what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from page import connect, press, until

from orchestrator.jobs import Failure, Job, Status
from orchestrator.lab import Lab
from orchestrator.testing import Engine, Faults, make_job, make_lab
from orchestrator.widgets import QueuePanel
from orchestrator.widgets.diagnostics import DiagnosticsView
from orchestrator.widgets.job import JobView
from orchestrator.widgets.rows import row

UNKNOWN_SAMPLER = Failure(kind="unknown_sampler", message="No sampler 'eulr'")
NO_MEMORY = Failure(kind="out_of_memory", message="CUDA out of memory")
UNREACHABLE = Failure(kind="unreachable", message="Connection refused")
TIMEOUT = Failure(kind="timeout", message="It did not answer in time")
REFUSED = Failure(kind="moderated", message="It was refused")
SMALL = {"width": 64, "height": 64, "steps": 1}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    connect(monkeypatch)
    with make_lab(tmp_path) as lab:
        yield lab


def put(lab: Lab, failure: Failure, *, ambiguous: bool = False, **fields: Any) -> Job:
    """A job that failed, as a worker leaves it."""
    job = make_job(**fields)
    begun = job.claim(worker="w", host="h", slot=None, now=job.created_at)
    begun = begun.begin_attempt(service="comfyui", host="h", now=job.created_at)
    return lab.store.create(begun.fail(failure, now=job.created_at, ambiguous=ambiguous))


def watch(lab: Lab, story: Callable[[QueuePanel], Awaitable[None]]) -> None:
    async def told() -> None:
        panel = QueuePanel(lab)
        await until(lambda: panel.ready)
        await story(panel)
        panel.close()

    asyncio.run(told())


async def answer(view: Any, job: Job, name: Any, **more: Any) -> dict[str, Any]:
    """What is said when a button is pressed."""
    before = view.notice.get("number", 0)
    press(view, "mend", id=job.id, name=name, **more)
    await until(lambda: view.notice.get("number", 0) > before)
    return dict(view.notice)


def others(lab: Lab, job: Job) -> list[Job]:
    return [each for each in lab.store.snapshot() if each.id != job.id]


def test_a_failed_row_says_why_what_to_do_and_what_can_be_done_about_it(lab: Lab) -> None:
    failure = row(put(lab, NO_MEMORY, params={"width": 1024, "height": 1024}))["failure"]
    assert failure["text"] == "CUDA out of memory"
    assert "too little memory for 1024x1024" in failure["cause"]
    assert "704x704" in failure["remedy"]
    (action,) = failure["actions"]
    assert (action["name"], action["question"]) == ("retry_smaller", "")
    assert "704x704" in action["title"]


def put_timeout(lab: Lab, host: str, *, ago: timedelta = timedelta(0)) -> Job:
    """A job that waited for a server in vain."""
    job, now = make_job(), lab.store.now() - ago
    begun = job.claim(worker="w", host="h", slot=None, now=now)
    begun = begun.begin_attempt(service="comfyui", host=host, now=now)
    return lab.store.create(begun.fail(TIMEOUT, now=now))


def cause(panel: QueuePanel, job: Job) -> str:
    return next(str(each["failure"]["cause"]) for each in panel.rows if each["id"] == job.id)


def test_a_timeout_at_a_server_with_nothing_to_do_is_told_from_one_at_a_busy_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)

    async def story() -> None:
        async with Engine(faults=Faults(step_delay_s=0.5)) as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                alone = put_timeout(lab, engine.url)
                panel = QueuePanel(lab)
                await until(lambda: panel.ready and "empty queue" in cause(panel, alone))
                async with lab.worker():
                    for n in range(2):
                        await asyncio.to_thread(lab.submit, f"number {n}", params={"steps": 50})
                    await until(lambda: engine.queue.remaining() > 1)
                    queued = put_timeout(lab, engine.url)
                    shown = JobView(lab.job(queued.id))
                    await until(lambda: "2 prompts" in shown.row["failure"]["cause"])
                    assert "empty queue" in cause(panel, alone), "as it was when it failed"
                    shown.close()
                panel.close()

    asyncio.run(story())


def test_the_queue_of_today_says_nothing_of_the_timeout_of_yesterday(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)

    async def story() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                old = put_timeout(lab, engine.url, ago=timedelta(days=1))
                panel = QueuePanel(lab)
                await until(lambda: panel.ready)
                new = put_timeout(lab, engine.url)
                await until(lambda: len(panel.rows) > 1 and "empty queue" in cause(panel, new))
                assert "longer than it was given" in cause(panel, old)
                panel.close()

    asyncio.run(story())


def test_a_job_of_the_old_system_that_failed_without_a_reason_is_diagnosed_too(lab: Lab) -> None:
    job = make_job(status=Status.FAILED)
    failure = row(job)["failure"]
    assert failure["cause"]
    assert failure["remedy"]


def test_smaller_makes_a_new_job_and_leaves_the_failed_one(lab: Lab) -> None:
    job = put(lab, NO_MEMORY, params={"width": 1024, "height": 1024})

    async def story(panel: QueuePanel) -> None:
        said = await answer(panel, job, "retry_smaller")
        assert said["good"], said
        assert said["about"] == job.id
        assert "704" in said["text"]
        (made,) = others(lab, job)
        assert made.status is Status.QUEUED
        assert made.params["width"] == made.params["height"] == 704
        assert lab.store.get(job.id).status is Status.FAILED

    watch(lab, story)


def test_two_presses_at_once_make_one_job(lab: Lab) -> None:
    job = put(lab, NO_MEMORY, params={"width": 1024, "height": 1024})

    async def story(panel: QueuePanel) -> None:
        press(panel, "mend", id=job.id, name="retry_smaller")
        await answer(panel, job, "retry_smaller")
        assert len(others(lab, job)) == 1

    watch(lab, story)


def test_retry_gives_the_job_itself_another_attempt(lab: Lab) -> None:
    job = put(lab, Failure(kind="vanished", message="It does not know the prompt"))

    async def story(panel: QueuePanel) -> None:
        assert (await answer(panel, job, "retry"))["good"]
        assert lab.store.get(job.id).status is Status.QUEUED
        assert others(lab, job) == []

    watch(lab, story)


@pytest.mark.parametrize(
    "name",
    ["retry_smaller", "restart_service", "verify_model", "", "__class__", None, 7, ["retry"]],
)
def test_an_action_that_the_fresh_diagnosis_does_not_offer_is_refused_with_what_to_do(
    lab: Lab, name: object
) -> None:
    job = put(lab, REFUSED, params=SMALL)

    async def story(panel: QueuePanel) -> None:
        said = await answer(panel, job, name, params={"width": 8}, service="worker")
        assert not said["good"]
        assert "would not help" in said["text"]
        assert "prompt" in said["remedy"]
        assert others(lab, job) == []

    watch(lab, story)


def test_a_job_that_was_mended_meanwhile_is_not_mended_again(lab: Lab) -> None:
    job = put(lab, NO_MEMORY, params={"width": 1024, "height": 1024})
    lab.retry(job.id)

    async def story(panel: QueuePanel) -> None:
        said = await answer(panel, job, "retry_smaller")
        assert "queued by now" in said["text"]
        assert others(lab, job) == []
        gone = await answer(panel, make_job(), "retry")
        assert "no job" in gone["text"]

    watch(lab, story)


@pytest.mark.parametrize("ambiguous", [False, True])
def test_what_may_pay_again_has_to_be_confirmed(lab: Lab, ambiguous: bool) -> None:
    job = put(lab, UNREACHABLE, ambiguous=ambiguous, backend="flux")
    (action,) = row(job)["failure"]["actions"]
    assert action["question"].startswith("Pay ")

    async def story(panel: QueuePanel) -> None:
        for sure in (None, False, "true", 1):
            said = await answer(panel, job, "retry", sure=sure)
            assert "has to be confirmed" in said["text"]
        assert lab.store.get(job.id).status is Status.FAILED
        assert (await answer(panel, job, "retry", sure=True))["good"]
        assert lab.store.get(job.id).status is Status.QUEUED

    watch(lab, story)


def test_a_service_that_is_not_installed_is_said_not_to_be_restarted(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    job = put(lab, UNREACHABLE)

    async def story(panel: QueuePanel) -> None:
        said = await answer(panel, job, "restart_service")
        assert not said["good"]
        assert "could not be restarted" in said["text"]
        assert said["remedy"]

    watch(lab, story)


def test_a_damaged_model_is_bad_news(lab: Lab) -> None:
    folder = lab.paths.models_root / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "cut.safetensors").write_bytes(b"\xff" * 40)
    job = put(lab, Failure(kind="corrupt_model", message="cannot read cut.safetensors"))

    async def story(panel: QueuePanel) -> None:
        said = await answer(panel, job, "verify_model")
        assert not said["good"]
        assert "cut.safetensors is damaged" in said["text"]

    watch(lab, story)


def test_the_diagnostics_diagnose_the_newest_of_each_kind_and_carry_out_too(lab: Lab) -> None:
    put(lab, NO_MEMORY, params={"width": 512, "height": 512})
    job = put(lab, NO_MEMORY, params={"width": 1024, "height": 1024})
    put(lab, REFUSED)

    async def story() -> None:
        view = DiagnosticsView(lab)
        await until(lambda: view.ready)
        assert set(view.diagnoses) == {"out_of_memory", "moderated"}
        assert view.diagnoses["out_of_memory"]["job"] == job.id
        assert view.diagnoses["moderated"]["actions"] == []
        assert (await answer(view, job, "retry_smaller"))["good"]
        view.close()

    asyncio.run(story())


def test_the_nearest_sampler_of_the_server_makes_the_picture_and_the_view_of_a_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)

    async def story() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                job = put(lab, UNKNOWN_SAMPLER, params={**SMALL, "sampler": "eulr"})
                again = put(lab, Failure(kind="timeout", message="It took too long"), params=SMALL)
                async with lab.worker():
                    view = JobView(lab.job(job.id))
                    await until(lambda: view.ready)
                    said = await answer(view, job, "other_sampler")
                    assert "with sampler euler" in said["text"]
                    (made,) = [each for each in others(lab, job) if each.id != again.id]
                    await until(lambda: lab.store.get(made.id).status is Status.DONE)
                    view.close()
                    follows = JobView(lab.job(again.id))
                    await until(lambda: follows.ready and not follows.tasks)
                    await answer(follows, again, "retry")
                    await until(lambda: follows.row["status"] == "done" and follows.pictures)
                    follows.close()

    asyncio.run(story())
