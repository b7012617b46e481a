"""The guardian: starts again what fell, gives up hurrying but not trying, saves the disk, and writes it down."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import psutil

from orchestrator import health
from orchestrator.guardian import Guardian, Terms, Trouble, Ward, engine
from orchestrator.guardian.comfyui import LocalComfyUI
from orchestrator.health import HealthHistory, Note
from orchestrator.lab import Lab
from orchestrator.testing import make_job, make_lab
from orchestrator.testing.bfl import KEY

MAIN = """
import sys
from orchestrator.engine import serve
port = int(sys.argv[sys.argv.index("--port") + 1])
print("a ComfyUI begins", flush=True)
serve(port)
"""
FOREIGN = "of-somebody-else"  # a key that this lab does not know


@asynccontextmanager
async def guarded(guardian: Guardian) -> AsyncIterator[Guardian]:
    task = asyncio.create_task(guardian.run())
    try:
        yield guardian
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], Any], seconds: float = 15.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "did not happen in time"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def make_guardian(lab: Lab, *wards: Ward, **options: Any) -> Guardian:
    return Guardian(lab.paths, lab.settings, lab.store, hosts=list, wards=wards, **options)


def events(lab: Lab) -> list[dict[str, Any]]:
    file = lab.paths.logs / "guardian.jsonl"
    return [orjson.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Room:
    total: int = 100_000_000_000
    free: int = 50_000_000_000


# ------------------------------------------------------------------------------ what it does to services


def test_an_engine_that_is_killed_is_back_at_the_same_address_within_seconds(
    tmp_path: Path,
) -> None:
    async def story(lab: Lab) -> None:
        process = await asyncio.to_thread(lab.start_engine)
        try:
            ward = engine.ward(lambda: process, lambda: lab.restart_engine(process))
            async with guarded(make_guardian(lab, ward)):
                for blow in (signal.SIGKILL, signal.SIGSTOP):
                    url, before = process.url, process.pid
                    os.kill(before, blow)
                    took_s = await until(lambda was=before: process.pid != was and process.url)
                    assert process.url == url
                    assert took_s < 15
                    assert (await health.comfyui_host(url))[0].is_running
                    assert not psutil.pid_exists(before)
                    await asyncio.sleep(1)
            assert [e["event"] for e in events(lab)] == ["restart", "restart"]
        finally:
            await asyncio.to_thread(lab.stop_engine, process)

    with make_lab(tmp_path) as lab:
        asyncio.run(story(lab))


def test_an_engine_broken_for_good_is_reported_once_and_mends_by_itself(tmp_path: Path) -> None:
    """Its port is held by another program, so that it ends at once each time it is started."""

    async def story(lab: Lab) -> None:
        process = await asyncio.to_thread(lab.start_engine)
        port = int(process.url.rpartition(":")[2])
        ward = engine.ward(lambda: process, lambda: lab.restart_engine(process))
        ward = Ward(
            "engine",
            ward.look,
            ward.restart,
            remedy=ward.remedy,
            terms=Terms(pause_s=0.1, probe_s=3.0, steady_s=1.5),
        )
        guardian = make_guardian(lab, ward)
        try:
            async with guarded(guardian):
                os.kill(process.pid, signal.SIGKILL)
                await until(lambda: process.ended())
                with socket.create_server(("127.0.0.1", port)):
                    reports = lab.paths.logs / "reports"
                    await until(lambda: list(reports.glob("BUG-*.md")), 40)
                    tries = [e for e in events(lab) if e["event"] == "restart"]
                    assert len(tries) == 3
                    said = await lab.health()
                    assert not said.well
                    assert said.engine.circuit == "open"
                    assert "engine.log" in (said.engine.remedy or "")
                    await asyncio.sleep(2)
                    assert len([e for e in events(lab) if e["event"] == "restart"]) <= 4
                await until(lambda: [e for e in events(lab) if e["event"] == "circuit-closed"], 20)
                await asyncio.sleep(2.5)  # its note is written every two seconds
                said = await lab.health()
                assert said.engine.status == "running"
                assert said.engine.circuit == "closed"
            assert len(list(reports.iterdir())) == 1
        finally:
            await asyncio.to_thread(lab.stop_engine, process)

    lab = make_lab(tmp_path)
    lab.settings = lab.settings.model_copy(update={"comfy_url": None})
    with lab:
        asyncio.run(story(lab))


def test_a_comfyui_that_does_not_answer_is_started_from_comfyroot_and_adopted_by_the_next_guardian(
    tmp_path: Path,
) -> None:
    root = tmp_path / "ComfyUI"
    root.mkdir()
    (root / "main.py").write_text(MAIN)
    url = f"http://127.0.0.1:{free_port()}"

    async def story(lab: Lab) -> None:
        first = lab.guardian()
        server = first.comfyuis[0]
        async with guarded(first):
            took_s = await until(lambda: _answers(url), 20)
            assert took_s < 15
            process = server.process()
            assert process is not None
        assert process.is_running(), "its prompts go on while the guardian is away"
        second = lab.guardian()
        async with guarded(second):
            await asyncio.sleep(2.5)
            assert second.comfyuis[0].process() == process
            process.kill()
            took_s = await until(lambda: _other(second.comfyuis[0], process) and _answers(url), 20)
            assert took_s < 15
        await asyncio.to_thread(second.comfyuis[0].stop)
        assert not _answers(url)
        assert server.process() is None  # and its zombie, a child of this test, is buried

    with make_lab(tmp_path / "lab", comfy_url=url) as lab:
        lab.paths = lab.paths.model_copy(update={"comfy_root": root})
        asyncio.run(story(lab))
        assert "a ComfyUI begins" in (lab.paths.logs / "comfyui.log").read_text()


BREAKABLE = MAIN.replace(
    "port =",
    'from pathlib import Path\nassert not Path(__file__).with_name("broken").exists()\nport =',
)


def test_a_comfyui_broken_for_good_is_told_with_its_remedy_and_green_again_when_it_is_mended(
    tmp_path: Path,
) -> None:
    root = tmp_path / "ComfyUI"
    root.mkdir()
    (root / "main.py").write_text(BREAKABLE)
    url = f"http://127.0.0.1:{free_port()}"

    def restarts(lab: Lab) -> int:
        return sum(e["event"] == "restart" for e in events(lab))

    async def story(lab: Lab) -> None:
        (root / "broken").touch()
        here = lab.paths.model_copy(update={"comfy_root": root})
        (server,) = LocalComfyUI.all(here, lab.settings)
        terms = Terms(pause_s=0.5, probe_s=6.0, steady_s=2.0)  # else it is a matter of minutes
        ward = replace(server.ward(), terms=terms)
        async with guarded(make_guardian(lab, ward)):
            reports = lab.paths.logs / "reports"
            await until(lambda: list(reports.glob("BUG-*.md")), 30)
            assert restarts(lab) == 3
            said = await lab.health()
            assert not said.well
            assert (said.comfyui.status, said.comfyui.circuit) == ("stopped", "open")
            assert "logs/comfyui.log" in (said.comfyui.remedy or "")
            assert any("logs/comfyui.log" in problem for problem in said.problems)
            await asyncio.sleep(2)
            assert restarts(lab) == 3, "it waits for the slow probe"
            (root / "broken").unlink()
            await until(lambda: [e for e in events(lab) if e["event"] == "circuit-closed"], 25)
            assert restarts(lab) <= 5
            await asyncio.sleep(2.5)  # its note is written every two seconds
            said = await lab.health()
            assert (said.comfyui.status, said.comfyui.circuit) == ("running", "closed")
            (report,) = reports.iterdir()
            assert "AssertionError" in report.read_text(), "with what the program said"
        await asyncio.to_thread(server.stop)

    with make_lab(tmp_path / "lab", comfy_url=url) as lab:
        asyncio.run(story(lab))


def test_a_comfyui_that_somebody_stopped_is_started_again_and_that_is_no_fault_of_its_own(
    tmp_path: Path,
) -> None:
    root = tmp_path / "ComfyUI"
    root.mkdir()
    (root / "main.py").write_text(MAIN)
    url = f"http://127.0.0.1:{free_port()}"

    async def story(lab: Lab) -> None:
        guardian = lab.guardian()
        (server,) = guardian.comfyuis
        async with guarded(guardian):
            await until(lambda: _answers(url), 20)
            process = server.process()
            assert process is not None
            process.suspend()
            took_s = await until(lambda: _other(server, process) and _answers(url), 30)
            assert took_s < 20, "a process that is stopped does not hear that it shall end"
            assert guardian.circuit("comfyui").said()["restarts"] == 2
        await asyncio.to_thread(server.stop)

    with make_lab(tmp_path / "lab", comfy_url=url) as lab:
        lab.paths = lab.paths.model_copy(update={"comfy_root": root})
        asyncio.run(story(lab))


def test_a_comfyui_that_was_started_on_a_full_disk_is_noted_when_there_is_room(
    tmp_path: Path,
) -> None:
    root = tmp_path / "ComfyUI"
    root.mkdir()
    (root / "main.py").write_text(MAIN)
    url = f"http://127.0.0.1:{free_port()}"
    with make_lab(tmp_path / "lab", comfy_url=url) as lab:
        here = lab.paths.model_copy(update={"comfy_root": root})
        (server,) = LocalComfyUI.all(here, lab.settings)
        note = lab.paths.data / f"comfyui-{url.rpartition(':')[2]}.json"
        note.mkdir(parents=True)  # so that no file can take its place
        asyncio.run(server.restart())
        try:
            process = server.process()
            assert process is not None, "nobody could end it, or see that it hangs"
            note.rmdir()
            assert server.process() == process
            (another,) = LocalComfyUI.all(here, lab.settings)
            assert another.process() == process, "a guardian that comes back finds it"
        finally:
            server.stop()


def _other(server: LocalComfyUI, before: psutil.Process) -> bool:
    now = server.process()
    return now is not None and now != before


def _answers(url: str) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", int(url.rsplit(":")[-1])), 0.2):
        return True
    return False


def test_a_comfyui_elsewhere_or_without_a_folder_is_nobodys_to_start(tmp_path: Path) -> None:
    with make_lab(tmp_path, comfy_url="http://10.0.0.9:8188") as lab:
        assert lab.guardian().comfyuis == []
        root = tmp_path / "ComfyUI"
        root.mkdir()
        (root / "main.py").write_text("")
        lab.paths = lab.paths.model_copy(update={"comfy_root": root})
        assert lab.guardian().comfyuis == []
        local = {"comfy_url": "http://10.0.0.9:8188,http://localhost:8199"}
        lab.settings = lab.settings.model_copy(update=local)
        (one,) = lab.guardian().comfyuis
        assert one.command()[1:] == [str(root / "main.py"), "--port", "8199"]


def test_a_ward_that_cannot_be_looked_at_holds_up_no_other(tmp_path: Path) -> None:
    restarted: list[str] = []

    async def blind() -> Trouble | None:
        raise ZeroDivisionError

    async def down() -> Trouble | None:
        return None if restarted else Trouble("it is down")

    async def start() -> None:
        restarted.append("down")

    async def story(lab: Lab) -> None:
        async with guarded(make_guardian(lab, Ward("a", blind, start), Ward("b", down, start))):
            await until(lambda: restarted)

    with make_lab(tmp_path) as lab:
        asyncio.run(story(lab))


# ------------------------------------------------------------------------------ the disk


def test_the_queue_stops_before_the_disk_is_full_and_goes_on_by_itself(tmp_path: Path) -> None:
    room = Room()
    with make_lab(tmp_path) as lab:
        guardian = make_guardian(lab, usage=lambda _: room)
        look = guardian._room.look
        look()
        assert lab.pause_note() is None
        room.free = 900_000_000
        look()
        note = lab.pause_note()
        assert note is not None
        assert "900 MB" in note.reason
        look()
        room.free = 1_100_000_000  # a little more would make it stop and go
        look()
        assert lab.pause_note() is not None
        room.free = 2_000_000_000
        look()
        assert lab.pause_note() is None
        assert [e["event"] for e in events(lab)] == ["disk-paused", "disk-resumed"]


def test_a_pause_of_somebody_else_is_never_ended(tmp_path: Path) -> None:
    room = Room(free=1)
    with make_lab(tmp_path) as lab:
        lab.pause("the cat sleeps on the GPU")
        look = make_guardian(lab, usage=lambda _: room)._room.look
        look()
        room.free = room.total
        look()
        note = lab.pause_note()
        assert note is not None
        assert note.reason == "the cat sleeps on the GPU"


def test_a_pause_made_while_the_disk_was_full_stays_when_there_is_room_again(
    tmp_path: Path,
) -> None:
    room = Room(free=1)
    with make_lab(tmp_path) as lab:
        look = make_guardian(lab, usage=lambda _: room)._room.look
        look()
        lab.pause("I look at the disk first")
        assert lab.pause_note() is not None
        assert "disk is nearly full" in lab.pause_note().reason
        room.free = room.total
        look()
        note = lab.pause_note()
        assert note is not None
        assert note.reason == "I look at the disk first"
        lab.resume()
        assert lab.pause_note() is None


def test_a_queue_let_go_by_a_person_is_held_again_while_the_disk_is_full(tmp_path: Path) -> None:
    room = Room(free=1)
    with make_lab(tmp_path) as lab:
        look = make_guardian(lab, usage=lambda _: room)._room.look
        look()
        lab.resume()
        assert lab.pause_note() is None
        look()
        assert lab.pause_note() is not None


def test_a_small_disk_may_be_fuller_than_a_large_one() -> None:
    assert health.low_mark(10_000_000_000) == 200_000_000
    assert health.low_mark(4_000_000_000_000) == 1_000_000_000


# ------------------------------------------------------------------------------ what it leaves behind


def test_a_bug_report_holds_what_is_needed_and_no_key(tmp_path: Path) -> None:
    told: list[str] = []

    async def never() -> Trouble | None:
        return Trouble(f"it fell over {KEY} and api_key={FOREIGN}\n# Forged heading")

    async def fails() -> None:
        raise OSError(f"no such program for token={FOREIGN}")

    async def story(lab: Lab) -> Path:
        job = make_job(f"a fox with {KEY} in its mouth ````")
        lab.store.create(job)
        lines = [f"line {n} x-key: {KEY}" for n in range(80)]
        (lab.paths.logs / "engine.log").write_text("\n".join(lines) + "\n")
        terms = Terms(tries=1, pause_s=0.1, probe_s=0.2)
        async with guarded(make_guardian(lab, Ward("engine", never, fails, terms=terms))):
            reports = lab.paths.logs / "reports"
            await until(lambda: list(reports.glob("*.md")))
            await until(lambda: len([e for e in events(lab) if e["event"] == "restart"]) > 2)
            (report,) = reports.iterdir()
            note = health.guardian_file(lab.paths)
            await until(lambda: b"no such program" in note.read_bytes())
            told.append(note.read_text())
            return report

    with make_lab(tmp_path) as lab:
        report = asyncio.run(story(lab))
        text = report.read_text()
        everything = [text, (lab.paths.logs / "guardian.jsonl").read_text(), *told]
    assert not any(key in each for each in everything for key in (KEY, FOREIGN))
    assert "\n# Forged" not in text
    for part in ("## Versions", "## Health", "## Jobs at work", "line 79", "line 30", '"well"'):
        assert part in text
    assert "line 29 " not in text, "the last fifty"


def test_the_history_has_a_line_for_each_look_and_a_torn_one_is_left_out(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        begin = lab.store.now()
        history = HealthHistory(lab.paths.data / "health.jsonl")
        async with guarded(make_guardian(lab, history_s=0.1)):
            await until(lambda: len(history.since(begin)) >= 2)
        with (lab.paths.data / "health.jsonl").open("ab") as file:
            file.write(b'{"at": "2026-')
        line = history.since(begin)[-1]
        assert line["services"]["worker"] == "stopped"
        assert line["services"]["guardian"] == "running"
        assert line["free"]["jobs"] > 0
        assert history.since(lab.store.now()) == []

    with make_lab(tmp_path) as lab:
        asyncio.run(story(lab))


def test_of_two_guardians_one_is_in_charge_and_the_other_takes_over(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        first, second = make_guardian(lab), make_guardian(lab)
        async with guarded(second):
            await until(lambda: second.is_in_charge)
            async with guarded(first):
                await asyncio.sleep(1.2)
                assert not first.is_in_charge
                second_gone = second
                second_gone._step_down()
                await until(lambda: first.is_in_charge or second.is_in_charge)
                assert first.is_in_charge != second.is_in_charge
                note = Note.read(health.guardian_file(lab.paths))
                assert note is not None
                assert note.is_alive(lab.store.now())

    with make_lab(tmp_path) as lab:
        asyncio.run(story(lab))


def test_the_guardian_alone_shows_itself_and_ends_on_a_signal(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        environment = {**os.environ, "ORCHESTRATOR_PATHS": str(lab.paths.file)}
        command = [sys.executable, "-m", "orchestrator", "guardian"]
        process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=-3)
        try:
            file = health.guardian_file(lab.paths)
            await until(lambda: (note := Note.read(file)) and note.pid == process.pid)
            said = await lab.health()
            assert said.guardian.status == "running"
            assert said.guardian.pid == process.pid
            assert (said.guardian.memory or 0) > 1_000_000
        finally:
            process.terminate()
        assert await process.wait() == 0
        assert (await lab.health()).guardian.status == "stopped"

    with make_lab(tmp_path) as lab:
        asyncio.run(story(lab))
