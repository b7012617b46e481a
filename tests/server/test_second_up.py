"""Two `orchestrator up` over one folder of jobs: one of them says who has it, and nothing runs twice."""

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
from listener import Listener
from served_lab import ServedLab, free_port, until

from orchestrator.errors import AlreadyUp
from orchestrator.jobs import Status
from orchestrator.lab import Lab
from orchestrator.server.tenancy import Tenancy


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


def test_it_ends_on_a_signal_with_clients_on_its_stream(served: ServedLab) -> None:
    listeners = [Listener(served.url, served.token) for _ in range(20)]
    family = served.family()
    began = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(20) == 0
    assert time.monotonic() - began < 10
    assert all(listener.ended.wait(5) for listener in listeners)
    assert psutil.wait_procs(family, timeout=10)[1] == []
    for listener in listeners:
        listener.close()
    assert "Traceback" not in served.said.read_text()
    assert "Task was destroyed" not in served.said.read_text()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_when_the_first_is_gone_another_can_start(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.mktemp(name)
    first = ServedLab(folder)
    try:
        first.process.send_signal(getattr(signal, name))
        first.process.wait(20)
        second = ServedLab(folder)
        try:
            until(lambda: second.worker() is not None, 30)
        finally:
            second.stop()
    finally:
        first.stop()


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
