"""The service cards: what runs is green, what does not says what to do, and a slow service holds up nobody."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from page import connect, until

from orchestrator.health import HealthReport, Note, ServiceHealth, guardian_file
from orchestrator.lab import Lab
from orchestrator.testing import Engine, make_lab
from orchestrator.widgets import ServiceCards
from orchestrator.widgets.services import card, cards


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch)


def named(view: ServiceCards) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in view.cards}


def test_what_runs_is_said_and_what_does_not_says_what_to_do(tmp_path: Path) -> None:
    async def story() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                view = ServiceCards(lab)
                assert {each["status"] for each in view.cards} == {"looking"}
                await until(lambda: view.ready)
                shown = named(view)
                assert shown["comfyui"]["status"] == "running"
                assert "embedded engine" in shown["comfyui"]["message"]
                assert shown["worker"]["status"] == "stopped"
                assert "orchestrator up" in shown["worker"]["remedy"]
                assert shown["bfl"]["status"] == "stopped"
                assert shown["bfl"]["remedy"]
                assert json.loads(json.dumps(view.cards)) == view.cards
                view.close()

    asyncio.run(story())


def test_each_of_several_comfyuis_has_a_card_of_its_own(tmp_path: Path) -> None:
    async def story() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=f"{engine.url},http://127.0.0.1:9") as lab:
                shown = [each for each in cards(await lab.health()) if each["title"] == "ComfyUI"]
                assert [each["status"] for each in shown] == ["running", "stopped"]
                assert len({each["name"] for each in shown}) == 2

    asyncio.run(story())


def test_a_service_that_does_not_answer_holds_up_no_word_of_a_worker(tmp_path: Path) -> None:
    async def story() -> None:
        with socket.socket() as mute:  # takes the connection and says nothing
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            url = f"http://127.0.0.1:{mute.getsockname()[1]}"
            with make_lab(tmp_path, comfy_url=url) as lab:
                view = ServiceCards(lab)
                await until(lambda: view.ready)
                assert named(view)["comfyui"]["status"] == "stopped"
                told: list[tuple[float, str]] = []
                clock = asyncio.get_running_loop().time
                view.observe(lambda _: told.append((clock(), named(view)["worker"]["status"])))
                began = clock()
                presence = lab.store.presence()
                await until(lambda: told and told[-1][1] == "running")
                # the presence is looked at every two seconds; the mute service takes three more
                assert told[-1][0] - began < 2.9
                assert named(view)["comfyui"]["status"] == "stopped"
                presence.end()
                view.close()

    asyncio.run(story())


def test_a_report_that_cannot_be_made_is_said_and_leaves_the_cards(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        view = ServiceCards(lab)
        await until(lambda: view.ready)
        before = view.cards
        workers = lab.store.layout.workers
        hidden = workers.rename(workers.with_name("elsewhere"))
        await view.redraw()
        assert "FileNotFoundError" in view.banner["text"]
        assert view.cards == before
        hidden.rename(workers)
        await view.redraw()
        assert view.banner == {}
        view.close()

    with make_lab(tmp_path) as lab:
        asyncio.run(story(lab))


def test_a_card_for_the_engine_is_there_only_where_one_is_needed(tmp_path: Path) -> None:
    async def story(lab: Lab) -> HealthReport:
        view = ServiceCards(lab)
        assert "engine" not in named(view)
        view.close()
        return await lab.health()

    with make_lab(tmp_path) as lab:  # COMFY_URL names a server
        report = asyncio.run(story(lab))
    assert "engine" not in {each["name"] for each in cards(report)}
    stopped = ServiceHealth(status="stopped", message="The embedded engine has ended")
    with_engine = report.model_copy(update={"engine": stopped})
    assert [each["status"] for each in cards(with_engine) if each["name"] == "engine"] == [
        "stopped"
    ]


def test_a_service_that_was_given_up_is_red_with_its_remedy_its_report_and_the_next_try() -> None:
    given_up = ServiceHealth(
        status="unknown", circuit="open", message="It fell", remedy="Mend it.",
        next_try_s=41.0, bug_report="BUG-20261123-0310.md",
    )  # fmt: skip
    shown = card("engine", "Engine", given_up)
    assert (shown["status"], shown["next"], shown["remedy"]) == ("stopped", 41.0, "Mend it.")
    assert shown["report"] == "BUG-20261123-0310.md"
    back = card("engine", "Engine", given_up.model_copy(update={"status": "running"}))
    assert (back["status"], back["next"], back["report"]) == ("running", None, "")


def test_the_health_report_names_the_newest_bug_report_of_the_service_itself(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "logs" / "reports"
    folder.mkdir(parents=True)
    for name, service in (("0309", "engine"), ("0310", "engine"), ("0311", "worker")):
        text = f"# {service} cannot be kept running\n"
        (folder / f"BUG-20261123-{name}.md").write_text(text)
    with make_lab(tmp_path) as lab:
        now = lab.store.now()
        said = {"state": "open", "restarts": 3, "why": "it fell", "remedy": "M.", "nextTryS": 40.5}
        note = Note(os.getpid(), now, now, more={"circuits": {"engine": said, "monitor": said}})
        note.write(guardian_file(lab.paths))
        report = asyncio.run(lab.health())
    assert report.engine.bug_report == "BUG-20261123-0310.md"
    assert report.engine.next_try_s == 40.5
    assert report.engine.is_given_up
    assert report.monitor.bug_report is None
    assert any(problem.startswith("engine: ") for problem in report.problems)
    engine = next(each for each in cards(report) if each["name"] == "engine")
    assert engine["status"] == "stopped"


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        # a status that this version does not know is no good news
        (ServiceHealth(status="<b>fine"), {"status": "unknown", "queue": "", "where": ""}),
        (ServiceHealth(status="running", port=3000), {"where": "port 3000"}),
        (ServiceHealth(status="running", url="http://h:8188", port=8188), {"where": "h:8188"}),
        (ServiceHealth(status="running", queue_depth=0), {"queue": "queue 0"}),
        (ServiceHealth(status="stopped", message="a\nb\x1b[0m"), {"message": "a b [0m"}),
    ],
)
def test_a_card_says_in_one_line_each_what_a_service_told(
    health: ServiceHealth, expected: dict[str, Any]
) -> None:
    assert card("x", "X", health).items() >= expected.items()
