"""Two `orchestrator up` over one folder of jobs: the second says who has it; when the first has ended, it may start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from lengths import LONG
from listener import Listener
from served_lab import ServedLab, free_port, until

from orchestrator.errors import AlreadyUp
from orchestrator.jobs import Status
from orchestrator.lab import Lab
from orchestrator.server.tenancy import Tenancy

# SIGHUP goes the way of SIGINT; each costs the start of a lab
ENDS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL") if LONG else ("SIGINT", "SIGTERM", "SIGKILL")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    lab = ServedLab(tmp_path_factory.mktemp("lab"))
    # its spare worker kernel comes some seconds after all else
    until(lambda: any("spare" in each["name"] for each in lab.api("GET", "/api/sessions")), 60)
    yield lab
    lab.stop()


def up(paths: Path, port: int) -> subprocess.CompletedProcess[str]:
    """Another `up`, which is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "up", "--no-browser", "--port", str(port)],
        cwd=paths.parent,
        env={**os.environ, "ORCHESTRATOR_PATHS": str(paths)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("which", ["another port", "the same port", "another project"])
def test_the_second_says_who_has_the_jobs_and_starts_nothing(
    served: ServedLab, tmp_path: Path, which: str
) -> None:
    paths = Path(served.lab.paths.file)
    if which == "another project":  # with a paths.json of its own, over the same jobs
        paths = tmp_path / "paths.json"
        paths.write_text(json.dumps({"jobs": str(served.lab.paths.jobs)}))
    before = {process.pid for process in served.family()}
    done = up(paths, served.port if which == "the same port" else free_port())
    assert done.returncode == 1
    assert served.url in done.stderr
    assert f"port {served.port}" in done.stderr
    assert f"process {served.process.pid}" in done.stderr
    assert str(served.lab.paths.jobs) in done.stderr
    assert "Ctrl-C" in done.stderr
    assert "Traceback" not in done.stderr
    assert "token" not in done.stderr
    alive = [worker for worker in served.lab.store.observer.workers() if worker.alive]
    assert len(alive) == 1
    assert {process.pid for process in served.family()} == before


def test_the_first_goes_on_working(served: ServedLab) -> None:
    said = served.api("POST", "/api/generate", json={"prompt": "an owl", "backend": "sd15"})
    job = served.ended(served.lab.store.get(said["jobId"]))
    assert (job.status, job.retried_count) == (Status.DONE, 1)


@pytest.mark.parametrize("name", ENDS)
def test_it_ends_on_a_signal_with_all_its_processes_and_another_can_start(
    name: str, served: ServedLab
) -> None:
    running = served.lab.submit("long", params={"steps": 2000, "width": 512, "height": 512})
    until(lambda: served.lab.store.get(running.id).status is Status.RUNNING, 30)
    listeners = [Listener(served.url, served.token) for _ in range(20)]
    family = served.family()
    assert len(family) >= 2, "the worker kernel and the engine"
    began = time.monotonic()
    served.process.send_signal(getattr(signal, name))
    code = served.process.wait(30)
    assert code == (-9 if name == "SIGKILL" else 0)
    assert time.monotonic() - began < 10
    assert psutil.wait_procs(family, timeout=15)[1] == []
    assert all(listener.ended.wait(5) for listener in listeners)
    for listener in listeners:
        listener.close()
    assert "Traceback" not in served.said.read_text()
    assert "Task was destroyed" not in served.said.read_text()
    job = served.lab.store.get(running.id)
    # ended in order, the job is free for the next worker, and that was no crash; a worker whose server was
    # killed may have seen the engine go before it went itself
    killed = {Status.RUNNING, Status.QUEUED}
    assert job.status in (killed if name == "SIGKILL" else {Status.QUEUED})
    assert job.crashes == 0
    if name != ENDS[-1]:
        served.again()
        served.lab.cancel(job.id)


def test_a_disk_that_has_no_room_for_the_note_keeps_nobody_from_serving(tmp_path: Path) -> None:
    (tmp_path / "paths.json").write_text("{}")
    with Lab.open(tmp_path) as lab:
        (lab.store.layout.lab / "server.json").mkdir()  # so that no file can take its place
        with (
            Tenancy(lab, url="http://127.0.0.1:1", port=1),
            pytest.raises(AlreadyUp),
            Tenancy(lab, url="http://127.0.0.1:2", port=2),
        ):
            pass
