"""What a killed server leaves behind cannot end by itself while it is stopped: the next server ends it.

That whole story is told in test_up_falls.py.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from orchestrator.health.processes import age_s, born
from orchestrator.server.offspring import Offspring


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
