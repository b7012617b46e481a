"""What a killed server leaves behind cannot end by itself while it is stopped: the next server ends it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil
import pytest
from served_lab import ServedLab, until

from orchestrator.embedded import EngineProcess
from orchestrator.health.processes import age_s, born
from orchestrator.jobs import Status
from orchestrator.server.offspring import Offspring

LONG = {"steps": 20, "width": 64, "height": 64}


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def note(folder: Path) -> Path:
    return folder / "offspring.json"


def written(process: subprocess.Popen[bytes], folder: Path) -> bytes:
    """What a server writes down that has started a process."""
    Offspring(folder).add(process.pid)
    return note(folder).read_bytes()


def test_what_a_dead_server_has_started_is_ended_by_the_next(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    written(sleeper, tmp_path)
    with Offspring(tmp_path):
        assert born(sleeper.pid) is None
    assert not note(tmp_path).exists()


@pytest.mark.parametrize("change", ["born", "host", "rubbish"])
def test_a_process_that_may_be_somebody_elses_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], change: str
) -> None:
    said = orjson.loads(written(sleeper, tmp_path))
    if change == "born":  # the number was given away again
        said["born"][str(sleeper.pid)] = born(os.getpid())
    elif change == "host":
        said["host"] = f"not-{socket.gethostname()}"
    else:
        said["born"] = [sleeper.pid]
    note(tmp_path).write_bytes(orjson.dumps(said))
    with Offspring(tmp_path):
        assert sleeper.poll() is None


def test_a_process_that_has_ended_is_not_written_down_any_longer(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    offspring = Offspring(tmp_path)
    offspring.add(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    offspring.add(os.getpid())
    assert set(orjson.loads(note(tmp_path).read_bytes())["born"]) == {str(os.getpid())}


def test_two_processes_are_born_apart_and_a_process_once(
    sleeper: subprocess.Popen[bytes],
) -> None:
    assert born(sleeper.pid) == born(sleeper.pid) is not None
    assert born(sleeper.pid) != born(os.getpid())
    age = age_s(sleeper.pid)
    assert age is not None
    assert 0 <= age < 60


def test_a_stopped_worker_of_a_killed_server_does_not_keep_the_next_from_its_work(
    tmp_path: Path,
) -> None:
    # slow enough that both of its places are held when the worker stops
    engine = EngineProcess(log=tmp_path / "engine.log", step_ms=100)
    first = ServedLab(tmp_path, COMFY_URL=engine.url)
    worker = None
    try:
        (session,) = first.api("GET", "/api/sessions")
        before = first.worker()
        # a restart by hand gives it another process
        first.api("POST", f"/api/kernels/{session['kernel']['id']}/restart")
        until(lambda: first.worker() not in {None, before}, 30)
        until(lambda: first.api("GET", "/api/health")["monitor"]["status"] == "running", 30)
        jobs = [first.lab.submit(f"number {n}", params=LONG).id for n in range(3)]

        def statuses() -> list[Status]:
            return [first.lab.store.get(job_id).status for job_id in jobs]

        until(lambda: statuses().count(Status.RUNNING) == 2, 30)
        pid = first.worker()
        assert pid is not None
        worker = psutil.Process(pid)
        worker.suspend()
        first.process.kill()
        first.process.wait()
        first.stop()
        second = ServedLab(tmp_path, COMFY_URL=engine.url)
        try:
            assert not worker.is_running()
            until(lambda: second.api("GET", "/api/health")["monitor"]["status"] == "running", 40)
            assert second.api("GET", "/api/health")["monitor"]["pid"] == second.worker()
            ended = [second.ended(second.lab.store.get(job_id)) for job_id in jobs]
            assert {job.status for job in ended} == {Status.DONE}
        finally:
            second.stop()
    finally:
        first.stop()
        engine.stop()
        if worker is not None and worker.is_running():
            worker.kill()


def test_the_worker_and_the_engine_of_a_server_are_written_down(tmp_path: Path) -> None:
    served = ServedLab(tmp_path)
    try:
        said = orjson.loads(note(served.lab.store.layout.lab).read_bytes())
        engine = orjson.loads((served.lab.paths.data / "engine.json").read_bytes())["pid"]
        assert {str(served.worker()), str(engine)} <= set(said["born"])
    finally:
        served.stop()
    assert not note(served.lab.store.layout.lab).exists()
