"""The diagnostics on a real lab: they say what is there, follow it, and tell nobody a secret."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from page import answers, connect, press, until
from pydantic import SecretStr

from orchestrator.jobs import Failure, Job, Status
from orchestrator.lab import Lab
from orchestrator.ledger import Purchase
from orchestrator.testing import KEY, make_job, make_lab
from orchestrator.widgets import Diagnostics
from orchestrator.widgets.diagnostics import (
    LOG_LINES,
    DiagnosticsView,
    durations_in_words,
    jobs_in_words,
)

BROKEN = Failure(kind="moderated", message="It was refused", remedy="Change the prompt.")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    connect(monkeypatch)
    with make_lab(tmp_path) as lab:
        yield lab


def watch(lab: Lab, story: Callable[[DiagnosticsView], Awaitable[None]]) -> None:
    """Tell a story to a view that has looked once, and close it."""

    async def told() -> None:
        view = DiagnosticsView(lab)
        await until(lambda: view.ready)
        await story(view)
        view.close()

    asyncio.run(told())


def put(lab: Lab, *, failure: Failure | None = None, **fields: Any) -> Job:
    """A job that has ended, as a worker leaves it."""
    job = make_job(**fields)
    claimed = job.claim(worker="w", host="h", slot=None, now=job.created_at)
    begun = claimed.begin_attempt(service="comfyui", host="h", now=job.created_at)
    end = (
        begun.fail(failure, now=job.created_at) if failure else begun.finish([], now=job.created_at)
    )
    return lab.store.create(end)


def test_an_empty_lab_has_figures_places_and_no_log(lab: Lab) -> None:
    async def story(view: DiagnosticsView) -> None:
        assert view.banner == {}
        assert view.figures["total"] == 0
        assert view.figures["successRate"] is None
        assert view.log == {"file": "", "files": [], "lines": []}
        keys = {place["key"]: place["state"] for place in view.places}
        assert keys["jobs"] == keys["dropOut"] == "ok"

    watch(lab, story)


def test_a_job_of_another_process_is_counted_by_itself_but_not_more_often_than_each_second(
    lab: Lab,
) -> None:
    async def story(view: DiagnosticsView) -> None:
        moments: list[float] = []
        view.observe(lambda _: moments.append(time.monotonic()), "figures")
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            put(lab)
            await asyncio.sleep(0.05)
        await until(lambda: view.figures["counts"]["done"] == lab.store.counts()[Status.DONE])
        gaps = [after - before for before, after in pairwise(moments)]
        assert gaps
        assert min(gaps) > 0.9

    watch(lab, story)


def test_failures_are_told_with_their_remedy(lab: Lab) -> None:
    put(lab, failure=BROKEN)
    put(lab)

    async def story(view: DiagnosticsView) -> None:
        (group,) = view.figures["failures"]
        assert (group["kind"], group["count"], group["remedy"]) == (
            "moderated",
            1,
            "Change the prompt.",
        )
        assert view.figures["successRate"] == 0.5

    watch(lab, story)


def test_what_the_page_gets_is_json(lab: Lab) -> None:
    put(lab, failure=BROKEN)
    put(lab)
    (lab.paths.logs / "worker.log").write_text("a line\n")

    async def story(view: DiagnosticsView) -> None:
        for name in ("figures", "places", "log", "drawing"):
            value = getattr(view, name)
            assert json.loads(json.dumps(value)) == value

    watch(lab, story)


def test_a_window_is_chosen_and_nonsense_is_not(lab: Lab) -> None:
    old = make_job()
    lab.store.create(old.having(created_at=old.created_at.replace(year=2020)))
    put(lab)

    async def story(view: DiagnosticsView) -> None:
        assert view.figures["total"] == 1
        press(view, "window", window="all")
        await until(lambda: view.figures["total"] == 2)
        assert view.figures["window"] == view.window == "all"
        for nonsense in ("7 d", "", None, ["24h"]):
            press(view, "window", window=nonsense)
        press(view, "window", window="24h")
        await until(lambda: view.figures["window"] == "24h")
        assert view.window == "24h"

    watch(lab, story)


def test_days_are_those_of_the_page_s_clock_and_a_false_zone_changes_nothing(lab: Lab) -> None:
    put(lab)

    async def story(view: DiagnosticsView) -> None:
        press(view, "window", window="30d")
        await until(lambda: view.figures["window"] == "30d")
        assert "T00:00:00" in view.figures["buckets"][0]["start"]
        for false in ("../../../etc/passwd", "/etc/localtime", "", "Nowhere/At_All", "\0", 7):
            press(view, "zone", zone=false)
        press(view, "zone", zone="Asia/Kolkata")  # half past: midnight there is 18:30 in UTC
        await until(lambda: "T18:30:00" in view.figures["buckets"][0]["start"])
        assert not view.notice
        assert view.banner == {}

    watch(lab, story)


def test_a_log_file_is_chosen_by_its_name_and_no_other_file_can_be(lab: Lab) -> None:
    (lab.paths.logs / "worker.log").write_text(
        "".join(f"2026-11-22 10:00:00,000 INFO w: {n}\n" for n in range(500))
    )
    (lab.paths.logs / "server.log").write_text("2026-11-22 09:00:00,000 INFO s: early\n")

    async def story(view: DiagnosticsView) -> None:
        assert len(view.log["lines"]) == LOG_LINES
        assert view.log["lines"][-1] == ["worker.log", "2026-11-22 10:00:00,000 INFO w: 499"]
        press(view, "log", file="server.log")
        await until(lambda: len(view.log["lines"]) == 1)
        for false in ("../.env.local", str(lab.paths.env_file), "..", "\0"):
            press(view, "log", file=false)
            await until(lambda: view.log["file"] == false)  # noqa: B023 - awaited here
            assert view.log["lines"] == []
        press(view, "log", file="")
        await until(lambda: len(view.log["lines"]) == LOG_LINES)

    watch(lab, story)


def test_hostile_log_lines_reach_the_page_as_plain_text_without_keys(lab: Lab) -> None:
    hostile = f"<script>x</script> \x1b[31m \u202e key {KEY} ?token=abc123\r\n"
    (lab.paths.logs / "worker.log").write_text(hostile, encoding="utf-8", newline="")

    async def story(view: DiagnosticsView) -> None:
        ((_, text),) = view.log["lines"]
        assert text.startswith("<script>x</script>")
        assert text.isprintable()
        assert KEY not in text
        assert "abc123" not in text

    watch(lab, story)


def test_a_place_that_is_gone_is_said_at_the_next_look(lab: Lab) -> None:
    lab.paths.drop_in.rmdir()

    async def story(view: DiagnosticsView) -> None:
        (found,) = [place for place in view.places if place["key"] == "dropIn"]
        assert (found["state"], found["problem"]) == ("bad", "missing")

    watch(lab, story)


def test_a_purchase_of_unknown_outcome_is_settled_by_who_has_looked(lab: Lab) -> None:
    bought = Purchase(key="k-1", job="j", fence=1, backend="flux", model="m", usd=Decimal("0.06"))
    lab.ledger.reserve(bought, budget=lab.budget)

    async def story(view: DiagnosticsView) -> None:
        await until(lambda: view.money)
        (open_,) = view.money["undecided"]
        assert (open_["amount"], open_["underWay"]) == ("0.06", False)
        for usd in ("x", None, "NaN", "-1", "1e99"):
            view.notice = {}
            press(view, "settle", key="k-1", usd=usd)
            await until(lambda: view.notice)
            assert not view.notice["good"]
        press(view, "settle", key="k-1", usd="0.06")
        await until(lambda: view.money["undecided"] == [])
        assert view.money["spent"] == "0.06"

    watch(lab, story)


def test_models_that_cannot_be_loaded_and_workflows_that_make_no_sense_are_shown(lab: Lab) -> None:
    folder = lab.paths.models_root / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "empty.safetensors").write_bytes(b"")
    (lab.paths.workflows / "odd.json").write_text("[]")

    async def story(view: DiagnosticsView) -> None:
        await until(lambda: view.stock)
        (file,) = view.stock["files"]
        assert "empty" in file["problem"]
        assert [each["name"] for each in view.stock["workflows"]] == ["odd"]

    watch(lab, story)


def test_files_that_hold_no_job_are_counted(lab: Lab) -> None:
    (lab.paths.jobs / "bad.json").write_text("{ no json")

    async def story(view: DiagnosticsView) -> None:
        await until(lambda: view.corrupt == 1)

    watch(lab, story)


# ------------------------------------------------------------------------------ plots


def test_plots_are_drawn_when_somebody_looks_and_there_is_a_job_and_not_before(lab: Lab) -> None:
    async def story(view: DiagnosticsView) -> None:
        await view.redraw()
        assert view.drawing == {"state": ""}
        press(view, "plots", seen=True)
        await until(lambda: view.drawing["state"] == "drawn")
        assert view.plots == {}
        press(view, "window", window="24h")
        put(lab)
        await until(lambda: view.plots)
        assert set(view.plots) == {"jobs", "durations"}
        for plot in view.plots.values():
            assert b"<svg" in plot["light"]
            assert b"<svg" in plot["dark"]
            assert "over time" in plot["alt"]
        before = view.plots
        put(lab)
        await until(lambda: view.figures["total"] == 2)
        assert view.plots is before  # a new job is not worth a process each second
        press(view, "window", window="7d")
        await until(lambda: view.plots is not before and view.drawing["state"] == "drawn")
        assert "2 done" in view.plots["jobs"]["alt"]

    watch(lab, story)


def test_the_plots_in_words_name_the_counts_and_the_targets() -> None:
    figures = {
        "buckets": [{"counts": {"done": 2}}, {"counts": {"done": 1, "failed": 1}}, {"counts": {}}],
        "counts": {"done": 3, "failed": 1, "queued": 0},
        "stepS": 21600,
        "backends": [
            {"backend": "sd15", "medianS": 12.34, "targetS": 30},
            {"backend": "mine", "medianS": 1.0, "targetS": None},
            {"backend": "none", "medianS": None, "targetS": 60},
        ],
    }
    words = jobs_in_words(figures)
    assert "steps of 6 h" in words
    assert "3 done, 1 failed" in words
    assert "at most 2" in words
    assert durations_in_words(figures).endswith("sd15 12.3 s against a target of 30 s; mine 1.0 s.")


# ------------------------------------------------------------------------------ the report


def asked(lab: Lab) -> str:
    """The report that a click gets."""
    texts: list[str] = []

    async def story(view: DiagnosticsView) -> None:
        press(view, "report", number=3)
        await until(lambda: answers(view))
        ((said, _),) = answers(view)
        assert (said["kind"], said["number"]) == ("report", 3)
        texts.append(said["text"])

    watch(lab, story)
    return texts[0]


def test_the_report_has_versions_health_figures_and_the_newest_log_lines(lab: Lab) -> None:
    put(lab, failure=BROKEN)
    put(lab)
    (lab.paths.logs / "worker.log").write_text("".join(f"line {n}\n" for n in range(80)))
    text = asked(lab)
    for heading in ("Versions", "Health", "Places", "Jobs (7d)", "Failures", "Newest 50 log lines"):
        assert f"## {heading}\n" in text
    assert "Python 3." in text
    assert "    worker: stopped (No worker runs)" in text
    assert "2 jobs: 1 done, 1 failed" in text
    assert "success rate 50.0 %, goal 95.0 %" in text
    assert "1 × moderated on sd15: It was refused" in text
    assert "worker.log: line 79" in text
    assert "worker.log: line 30\n" in text
    assert "worker.log: line 29\n" not in text


def test_the_report_holds_no_key_no_prompt_and_not_the_name_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    with make_lab(tmp_path) as made:
        token = SecretStr("the-panel-s-own-token")
        settings = made.settings.model_copy(update={"orchestrator_token": token})
        with Lab(made.paths, settings) as lab:
            leak = f"key={KEY} {token.get_secret_value()} Authorization: Bearer abc.def"
            put(lab, prompt="a prompt nobody else may read")
            put(lab, prompt="x", failure=BROKEN.having(message=leak, remedy=leak))
            (lab.paths.logs / "worker.log").write_text(f"{leak}\n{tmp_path}/secret-place\n")
            text = asked(lab)
    for secret in (KEY, token.get_secret_value(), "abc.def", "nobody else", str(tmp_path)):
        assert secret not in text
    assert "~/secret-place" in text


def test_no_hostile_line_breaks_out_of_its_block_of_the_report(lab: Lab) -> None:
    hostile = BROKEN.having(message="```\n# Forged\n<b>", remedy="\n\n# Forged")
    put(lab, failure=hostile, backend="sd15")
    (lab.paths.logs / "worker.log").write_bytes(b"```\n\r# Forged\x0b# Forged\n")
    headings = [row for row in asked(lab).splitlines() if row.startswith(("#", "```", "<"))]
    assert len(headings) == 7
    assert not [row for row in headings if "Forged" in row]


# ------------------------------------------------------------------------------ the page


def test_the_page_beats_and_closing_it_ends_all_its_tasks(lab: Lab) -> None:
    async def story() -> None:
        before = asyncio.all_tasks()
        page = Diagnostics(lab)
        await until(lambda: page.figures.ready and page.heartbeat.beat)
        names = {task.get_name() for view in page.children for task in view.tasks}
        assert {"Heartbeat", "DiagnosticsView follows the lab"} <= names
        press(page.figures, "plots", seen=True)
        page.close()
        await until(lambda: asyncio.all_tasks() == before)

    asyncio.run(story())


def test_a_lab_that_cannot_be_read_is_said_and_looked_at_again(lab: Lab) -> None:
    async def story(view: DiagnosticsView) -> None:
        hidden = lab.paths.jobs.rename(lab.paths.jobs.with_name("elsewhere"))
        await view.redraw()
        assert "FileNotFoundError" in view.banner["text"]
        hidden.rename(lab.paths.jobs)
        await view.redraw()
        assert view.banner == {}

    watch(lab, story)
