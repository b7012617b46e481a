"""The health report agrees with reality: situations staged with real processes, sockets, files and signals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from orchestrator import health
from orchestrator.embedded import EngineProcess
from orchestrator.health import HealthReport, Note
from orchestrator.lab import Lab
from orchestrator.store.workers import Presence
from orchestrator.testing import make_job, make_lab

WORKER = """
import sys, time
from pathlib import Path
from orchestrator.store.workers import Presence
presence = Presence(Path(sys.argv[1]))
print("here", flush=True)
while True:
    presence.beat()
    time.sleep(0.2)
"""
SERVER = """
import socket, time
with socket.create_server(("127.0.0.1", 0)) as listening:
    print(listening.getsockname()[1], flush=True)
    while True:
        listening.accept()[0].close()
"""


@contextmanager
def program(code: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A Python process, and the first line it said."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline().decode().strip()
        try:
            yield process, said
        finally:
            process.kill()


class Stage:
    """A lab of which a situation changes what it needs; everything ends with it."""

    def __init__(self, folder: Path, stack: ExitStack, shared: Path) -> None:
        """`shared`: the note of an engine that runs, and goes on."""
        self.stack = stack
        self.shared = shared
        self.lab: Lab = stack.enter_context(make_lab(folder))
        self.set(bfl_api_key=None)

    def set(self, **settings: Any) -> None:
        self.lab.settings = self.lab.settings.model_copy(update=settings)

    def worker(self) -> None:
        """A worker that nobody harms: in this process, which is quicker there than another."""
        presence = Presence(self.lab.store.layout.workers)
        over = threading.Event()

        def live() -> None:
            while not over.wait(0.2):
                presence.beat()

        thread = threading.Thread(target=live)
        thread.start()
        self.stack.callback(presence.end)
        self.stack.callback(thread.join)
        self.stack.callback(over.set)

    def worker_of_its_own(self) -> subprocess.Popen[bytes]:
        folder = str(self.lab.store.layout.workers)
        return self.stack.enter_context(program(WORKER, folder))[0]

    def engine(self) -> str:
        """An engine that nobody harms; returns its address."""
        self.set(comfy_url=None)
        note = self.shared.read_bytes()
        (self.lab.paths.data / self.shared.name).write_bytes(note)
        return str(orjson.loads(note)["url"])

    def engine_of_its_own(self) -> EngineProcess:
        self.set(comfy_url=None)
        engine = self.lab.start_engine()
        self.stack.callback(self.lab.stop_engine, engine)
        return engine

    def panel(self) -> subprocess.Popen[bytes]:
        process, port = self.stack.enter_context(program(SERVER))
        self.set(admin_url=f"http://127.0.0.1:{port}")
        return process

    def note(self, file: Path, *, age_s: float = 0.0, pid: int = 0) -> None:
        at = self.lab.store.now() - timedelta(seconds=age_s)
        more = {"circuits": {"engine": CIRCUIT}}
        Note(pid or os.getpid(), at, at - timedelta(hours=1), more=more).write(file)

    def report(self) -> HealthReport:
        return asyncio.run(self.lab.health())


CIRCUIT = {"state": "open", "restarts": 4, "recent": 4, "why": "it ended", "remedy": "Mend it."}


def all_is_well(stage: Stage) -> str:
    stage.worker(), stage.engine(), stage.panel()
    return "worker running; engine running; comfyui running; panel running; well True"


def nothing_runs(stage: Stage) -> str:
    return (
        "worker stopped; comfyui stopped; panel stopped; monitor stopped; guardian stopped; "
        "well False"
    )


def the_worker_was_killed(stage: Stage) -> str:
    worker = stage.worker_of_its_own()
    worker.kill()
    worker.wait()
    stage.engine()
    return "worker stopped 'No worker runs'; engine running; well False"


def the_worker_hangs(stage: Stage) -> str:
    worker = stage.worker_of_its_own()
    os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(4.1)  # its last sign of life is young until then
    stage.engine()
    return "worker stopped 'hangs: stopped'; well False"


def a_worker_whose_clock_was_put_forward_is_fine(stage: Stage) -> str:
    presence = Presence(stage.lab.store.layout.workers)
    path = stage.lab.store.layout.workers / presence.id
    stage.stack.callback(presence.end)
    old = time.time() - 3600
    os.utime(path, (old, old))
    stage.worker_of_its_own()  # this one moves
    stage.engine()
    return "worker running; well True"


def the_engine_was_killed(stage: Stage) -> str:
    stage.worker()
    os.kill(stage.engine_of_its_own().pid, signal.SIGKILL)
    return "engine stopped; comfyui stopped; worker running; well False"


def the_engine_hangs(stage: Stage) -> str:
    stage.worker()
    os.kill(stage.engine_of_its_own().pid, signal.SIGSTOP)
    return "engine stopped 'does not answer: stopped'; comfyui stopped; well False"


def the_guardian_has_given_up_hurrying(stage: Stage) -> str:
    stage.worker()
    os.kill(stage.engine_of_its_own().pid, signal.SIGKILL)
    stage.note(health.guardian_file(stage.lab.paths))
    return "engine stopped 'restarting it did not help (it ended)'; guardian running; well False"


def monitor_and_guardian_live(stage: Stage) -> str:
    stage.worker(), stage.engine()
    stage.note(health.monitor_file(stage.lab.paths))
    stage.note(health.guardian_file(stage.lab.paths))
    return "monitor running; guardian running; well True"


def the_monitor_hangs_and_the_guardian_was_killed(stage: Stage) -> str:
    stage.worker(), stage.engine()
    stage.note(health.monitor_file(stage.lab.paths), age_s=40)
    with program("print()") as (gone, _):
        gone.wait()
    stage.note(health.guardian_file(stage.lab.paths), pid=gone.pid)
    return "monitor stopped 'hangs'; guardian stopped 'No guardian runs'; well True"


def up_runs_and_its_helpers_do_not(stage: Stage) -> str:
    stage.worker(), stage.engine()
    pid = psutil.Process().parents()[-1].pid  # has run for longer than the grace
    said = {"pid": pid, "host": socket.gethostname()}
    (stage.lab.store.layout.lab / "server.json").write_bytes(orjson.dumps(said))
    return "monitor stopped; guardian stopped; well False"


def the_server_is_stopped(stage: Stage) -> str:
    os.kill(stage.panel().pid, signal.SIGSTOP)
    return "panel stopped 'is stopped'; well False"


def one_of_two_comfyuis_is_away(stage: Stage) -> str:
    stage.worker()
    url = stage.engine()
    stage.set(comfy_url=f"{url},http://127.0.0.1:9")
    return "comfyui running; engine unknown; well True"


def a_place_is_gone_and_a_job_file_was_set_aside(stage: Stage) -> str:
    stage.worker(), stage.engine()
    stage.lab.paths.drop_out.rmdir()
    (stage.lab.store.layout.corrupt / f"{make_job().id}.json").write_bytes(b"{")
    return "worker running; problem 'dropOut'; problem '_corrupt'; well False"


SITUATIONS: list[Callable[[Stage], str]] = [
    all_is_well,
    nothing_runs,
    the_worker_was_killed,
    the_worker_hangs,
    a_worker_whose_clock_was_put_forward_is_fine,
    the_engine_was_killed,
    the_engine_hangs,
    the_guardian_has_given_up_hurrying,
    monitor_and_guardian_live,
    the_monitor_hangs_and_the_guardian_was_killed,
    up_runs_and_its_helpers_do_not,
    the_server_is_stopped,
    one_of_two_comfyuis_is_away,
    a_place_is_gone_and_a_job_file_was_set_aside,
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The note of an engine, as the lab leaves it that started it."""
    with make_lab(tmp_path_factory.mktemp("shared")) as lab:
        engine = lab.start_engine()
        yield lab.paths.data / "engine.json"
        lab.stop_engine(engine)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_health_agrees_with_reality(
    situation: Callable[[Stage], str], tmp_path: Path, shared: Path
) -> None:
    with ExitStack() as stack:
        stage = Stage(tmp_path, stack, shared)
        expected = situation(stage)
        report = stage.report()
        for each in expected.split("; "):
            name, _, rest = each.partition(" ")
            if name == "well":
                assert str(report.well) == rest, report.problems
            elif name == "problem":
                assert any(rest.strip("'") in problem for problem in report.problems)
            else:
                status, _, words = rest.partition(" ")
                service = getattr(report, name)
                assert service.status == status, (name, service)
                assert words.strip("'") in service.message
                if status == "stopped":
                    assert service.remedy


def test_the_numbers_of_a_process_are_the_systems_own(tmp_path: Path, shared: Path) -> None:
    with ExitStack() as stack:
        stage = Stage(tmp_path, stack, shared)
        worker = stage.worker_of_its_own()
        time.sleep(0.5)
        said = stage.report().worker
    assert said.pid == worker.pid
    assert 0.4 < (said.uptime_s or 0) < 60
    assert 1_000_000 < (said.memory or 0) < 1_000_000_000


def test_clocks_that_differ_are_said_and_agreeing_ones_are_not(
    tmp_path: Path, shared: Path
) -> None:
    with ExitStack() as stack:
        stage = Stage(tmp_path, stack, shared)
        stage.engine()
        report = stage.report()
    assert report.clock.comfyui_s is not None
    assert abs(report.clock.comfyui_s) < 5
    assert report.clock.files_s is not None
    assert abs(report.clock.files_s) < 5
