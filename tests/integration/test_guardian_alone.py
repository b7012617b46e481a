"""A guardian alone has the service manager restart what hangs; the manager is a stand-in that keeps what it is told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from test_guardian import events, guarded, make_guardian, until
from test_os_services import KINDS, StandIns, opened, paths, programs  # noqa: F401
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.guardian import Trouble, Ward
from orchestrator.guardian.managed import ManagedService, Patience, wards
from orchestrator.health import Note, guardian_file, monitor_file
from orchestrator.lab import Lab
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.store import Presence

SHORT = Patience(ask_s=0.0, start_s=0.0, hung_s=0.0, given_up_s=0.0)


@pytest.fixture
def lab(paths: Paths) -> Iterator[Lab]:  # noqa: F811
    with Lab(paths, Settings()) as lab:
        yield lab


@pytest.fixture
def program(programs: StandIns) -> Iterator[subprocess.Popen[bytes]]:  # noqa: F811
    """What the manager runs: a program that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    programs.write(pid=process.pid)
    yield process
    process.kill()
    process.wait()


def managed(kind: str, name: str, lab: Lab, tmp_path: Path) -> ManagedService:
    services = opened(kind, tmp_path, lab.paths)
    services.install([name])
    services.start([name])
    return ManagedService(name, services, lab.paths, lab.store, patience=SHORT)


def seen(service: ManagedService) -> Trouble | None:
    return asyncio.run(service.look())


@KINDS
def test_a_service_that_gives_no_sign_of_life_is_restarted_by_its_manager(
    kind: str,
    tmp_path: Path,
    lab: Lab,
    programs: StandIns,  # noqa: F811
    program: subprocess.Popen[bytes],
) -> None:
    service = managed(kind, "worker", lab, tmp_path)
    before = len(programs.changes())

    def changes() -> list[list[str]]:
        return programs.changes()[before:]

    async def story() -> None:
        async with guarded(make_guardian(lab, service.ward())):
            await until(changes)

    asyncio.run(story())
    assert any("orker" in word for word in changes()[0])
    (first, *_) = events(lab)
    assert (first["event"], first["service"]) == ("restart", "worker-service")
    assert str(program.pid) in first["why"]


def test_a_service_that_shows_its_life_is_left_alone(
    tmp_path: Path,
    lab: Lab,
    programs: StandIns,  # noqa: F811
) -> None:
    programs.write(pid=os.getpid())  # these tests are the program
    presence = Presence(lab.store.layout.workers, name="worker")
    note = Note(os.getpid(), lab.store.now(), lab.store.now())
    note.write(monitor_file(lab.paths))
    note.write(guardian_file(lab.paths, in_charge=False))
    for name in ("panel", "worker", "monitor"):
        assert seen(managed("systemd", name, lab, tmp_path)) is None
    presence.end()
    for file in (monitor_file(lab.paths), guardian_file(lab.paths, in_charge=False)):
        file.unlink()
    for name in ("panel", "worker", "monitor"):
        trouble = seen(managed("systemd", name, lab, tmp_path))
        assert trouble is not None
        assert not trouble.by_hand


def test_a_process_that_was_stopped_counts_against_nobody(
    tmp_path: Path, lab: Lab, program: subprocess.Popen[bytes]
) -> None:
    service = managed("systemd", "panel", lab, tmp_path)
    program.send_signal(signal.SIGSTOP)
    found: Callable[[], Trouble | None] = lambda: seen(service)  # noqa: E731

    async def stopped() -> None:
        await until(lambda: "stopped" in Path(f"/proc/{program.pid}/status").read_text())

    asyncio.run(stopped())
    trouble = found()
    assert trouble is not None
    assert trouble.by_hand


def test_what_its_manager_gave_up_is_tried_again_and_what_a_person_stopped_is_not(
    tmp_path: Path,
    lab: Lab,
    programs: StandIns,  # noqa: F811
) -> None:
    service = managed("systemd", "worker", lab, tmp_path)
    programs.write(**{"orchestrator-worker.service": "failed/failed"})
    trouble = seen(service)
    assert trouble is not None
    assert "exit-code" in trouble.why
    programs.write(**{"orchestrator-worker.service": "inactive/dead"})
    assert seen(service) is None
    opened("systemd", tmp_path, lab.paths).uninstall()
    assert seen(service) is None


def test_a_service_of_another_lab_is_not_touched(
    tmp_path: Path,
    lab: Lab,
    program: subprocess.Popen[bytes],
) -> None:
    other = Lab(Paths.init(tmp_path / "other"), Settings())
    managed("systemd", "worker", other, tmp_path)
    other.close()
    ours = opened("systemd", tmp_path, lab.paths)
    service = ManagedService("worker", ours, lab.paths, lab.store, patience=SHORT)
    assert seen(service) is None


def test_there_is_a_ward_for_each_and_none_is_named_like_what_up_looks_after(
    tmp_path: Path,
    lab: Lab,
    programs: StandIns,  # noqa: F811
) -> None:
    found: list[Ward] = wards(opened("systemd", tmp_path, lab.paths), lab.paths, lab.store)
    assert [ward.name for ward in found] == ["panel-service", "worker-service", "monitor-service"]
    assert all(ward.is_shared and ward.remedy for ward in found)


@pytest.mark.skipif(sys.platform != "linux", reason="the manager is that of the machine")
def test_a_machine_without_a_manager_is_told_what_is_not_done(
    tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**os.environ, "ORCHESTRATOR_PATHS": str(lab.paths.file), "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "orchestrator", "guardian"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            asyncio.run(until_there(guardian_file(lab.paths)))
        finally:
            process.terminate()
        said = process.communicate(timeout=20)[1]
    assert "nobody here can restart them" in said
    assert "orchestrator up" in said


async def until_there(file: Path) -> None:
    with suppress(FileNotFoundError):
        await until(lambda: file.exists(), 30)


def test_the_help_says_what_it_restarts() -> None:
    said = CliRunner().invoke(app, ["guardian", "--help"]).output
    assert "hang" in said
