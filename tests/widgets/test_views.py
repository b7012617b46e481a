"""The newest pictures, one job's view, the dashboard, and how a notebook comes to show them."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from page import answers, connect, press, until
from PIL import Image

from orchestrator.handles import JobHandle
from orchestrator.jobs import Failure, Job
from orchestrator.lab import Lab
from orchestrator.testing import Engine, make_job, make_lab
from orchestrator.widgets import Dashboard, JobView, NewestImages
from orchestrator.widgets.newest import SHOWN
from orchestrator.widgets.thumbnails import Thumbnails


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    connect(monkeypatch)
    with make_lab(tmp_path) as lab:
        yield lab


def done(lab: Lab, name: str, *, side: int = 400) -> Job:
    """A job with a picture, as a worker leaves it."""
    path = lab.paths.drop_out / name
    Image.new("RGB", (side, side), "teal").save(path)
    job = make_job(name)
    claimed = job.claim(worker="w", host="h", slot=None, now=job.created_at)
    return lab.store.create(claimed.finish([str(path)], now=job.created_at))


# ------------------------------------------------------------------------------ newest pictures


def test_the_newest_pictures_are_shown_small_and_the_oldest_gives_way(lab: Lab) -> None:
    async def story() -> None:
        jobs = [done(lab, f"{n}.png") for n in range(SHOWN)]
        view = NewestImages(lab)
        await until(lambda: len(view.items) == SHOWN)
        newest = done(lab, "new.png")
        await until(lambda: view.items[0]["id"] == newest.id)
        assert [item["id"] for item in view.items[1:]] == [job.id for job in jobs[:0:-1]]
        for item in view.items:
            with Image.open(io.BytesIO(view.thumbnails[item["key"]])) as small:
                assert small.format == "WEBP"
                assert max(small.size) <= 256
        view.close()

    asyncio.run(story())


def test_a_deleted_picture_leaves_the_grid(lab: Lab) -> None:
    async def story() -> None:
        done(lab, "a.png")
        view = NewestImages(lab)
        await until(lambda: view.items)
        (lab.paths.drop_out / "a.png").unlink()
        await view.redraw()
        assert view.items == []
        view.close()

    asyncio.run(story())


def test_a_thumbnail_is_made_once_and_again_when_the_file_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    thumbnails = Thumbnails()
    Image.new("RGB", (300, 300), "red").save(path)
    first = thumbnails.of(path, side=64)
    assert thumbnails.of(path, side=64) is first
    Image.new("RGB", (300, 300), "blue").save(path)
    assert thumbnails.of(path, side=64) != first
    assert thumbnails.of(tmp_path / "none.png", side=64) is None


# ------------------------------------------------------------------------------ one job


def test_a_view_follows_its_job_from_the_queue_to_its_picture_and_then_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)

    async def story() -> None:
        async with Engine() as engine:
            lab = make_lab(tmp_path, comfy_url=engine.url)
            handle = await lab.generate("a fox", width=64, height=64, steps=30, seed=1)
            view = JobView(handle)
            await until(lambda: view.banner)
            assert "No worker" in view.banner["text"]
            seen = []
            view.observe(lambda change: seen.append(change.new.get("step")), "progress")
            engine.faults.step_delay_s = 0.02
            async with lab.worker():
                await until(lambda: view.pictures)
            assert view.row["status"] == "done"
            assert any(step for step in seen)
            await until(lambda: not view.tasks)
            press(view, "picture", id=handle.id, index=0, key="k")
            await until(lambda: answers(view))
            assert answers(view)[0][1] == [handle.pictures[0].path.read_bytes()]
            view.close()
            lab.close()

    asyncio.run(story())


def test_cancel_in_a_job_s_view_cancels_it(lab: Lab) -> None:
    async def story() -> None:
        view = JobView(JobHandle(lab, lab.submit("a fox")))
        press(view, "cancel")
        await until(lambda: view.row["status"] == "cancelled")
        assert "retry" in view.row["actions"]
        view.close()

    asyncio.run(story())


def test_a_failed_job_s_view_says_what_to_do(lab: Lab) -> None:
    async def story() -> None:
        job = lab.submit("a fox", backend="sd15", params={"sampler": "no_such"})
        failure = Failure(kind="unknown_sampler", message="No such sampler", remedy="Choose one.")
        lab.store.update(
            job.id,
            lambda job: job.claim(worker="w", host="h", slot=None, now=job.created_at).fail(
                failure, now=job.created_at
            ),
        )
        view = JobView(lab.job(job.id))
        assert view.row["failure"]["remedy"] == "Choose one."
        view.close()

    asyncio.run(story())


# ------------------------------------------------------------------------------ the dashboard


def test_the_dashboard_beats_and_closing_it_ends_all_its_tasks(lab: Lab) -> None:
    async def story() -> None:
        before = asyncio.all_tasks()
        dashboard = Dashboard(lab)
        await until(lambda: dashboard.heartbeat.beat >= 2)
        await until(lambda: dashboard.services.ready)
        names = {task.get_name() for view in dashboard.children for task in view.tasks}
        assert names == {
            "GenerationForm asks what the server has",
            "Heartbeat",
            "NewestImages follows the lab",
            "ServiceCards follows the lab",
            "QueuePanel follows the lab",
        }
        dashboard.close()
        await until(lambda: asyncio.all_tasks() == before)

    asyncio.run(story())


def test_the_front_end_builds_no_html_from_text() -> None:
    static = Path(sys.modules["orchestrator.widgets"].__file__ or "").parent / "static"
    for script in static.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in text, f"{script.name} uses {way}"


def test_every_view_tells_the_kernel_that_it_is_shown() -> None:
    static = Path(sys.modules["orchestrator.widgets"].__file__ or "").parent / "static"
    views = [script for script in static.glob("*.js") if "render({" in script.read_text()]
    assert len(views) >= 6
    for script in views:
        # the listener tells: a view that no page shows goes to sleep
        assert "listener(model)" in script.read_text(encoding="utf-8"), script.name


def test_opening_a_lab_costs_no_widgets_and_a_visitor_s_kernel_nothing_that_only_others_need() -> (
    None
):
    code = (
        "import sys; from orchestrator import Lab, JobHandle;"
        "print([m for m in ('ipywidgets', 'anywidget', 'pandas', 'matplotlib') if m in sys.modules]);"
        "from orchestrator.widgets import Dashboard, Diagnostics, JobView;"
        "print([m for m in ('pandas', 'matplotlib', 'structlog', 'rich') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["[]", "[]"]
