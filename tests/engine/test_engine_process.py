"""The engine as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

Process = subprocess.Popen[str]


@pytest.fixture
def process() -> Iterator[Process]:
    command = [sys.executable, "-m", "orchestrator.engine", "--port", "0", "--exit-with-parent"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as running:
        yield running
        if not running.stdin.closed:  # type: ignore[union-attr]
            running.stdin.close()  # type: ignore[union-attr]
        running.wait(20)


def url(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_it_ends_cleanly_when_its_parent_closes_standard_input(process: Process) -> None:
    assert httpx.get(f"{url(process)}/system_stats").json()["system"]["embedded_engine"] is True
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_it_can_be_told_to_be_slow() -> None:
    command = [sys.executable, "-m", "orchestrator.engine", "--port=0", "--exit-with-parent"]
    pipe = subprocess.PIPE
    slow = [*command, "--step-ms=250", "--allow-faults"]
    with subprocess.Popen(slow, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as running:
        faults = httpx.get(f"{url(running)}/engine/faults").json()
        assert running.stdin is not None
        running.stdin.close()
        assert running.wait(20) == 0
    assert faults["step_delay_s"] == 0.25


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows ends a process without a signal it could handle"
)
def test_it_ends_cleanly_on_a_signal_while_its_input_is_open(process: Process) -> None:
    assert url(process).startswith("http://127.0.0.1:")
    process.terminate()
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_a_port_in_use_is_told_in_one_line(process: Process) -> None:
    port = url(process).rsplit(":", 1)[1]
    second = subprocess.run(
        [sys.executable, "-m", "orchestrator.engine", "--port", port],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr == (
        f"Port {port} on 127.0.0.1 is in use. Stop the program that holds it, or choose another port.\n"
    )
