"""The embedded engine as a process of its own, which ends with the one that started it, however that ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.errors import ServiceUnreachable

START_S = 20.0
STOP_S = 5.0


class EngineProcess:
    """A running engine. Starting blocks for about half a second."""

    def __init__(self, *, log: Path, port: int = 0, step_ms: float = 0.0) -> None:
        """Start it; `log` gets what it has to say. `step_ms`: how much longer each sampler step takes.

        Raises ServiceUnreachable when it does not come up.
        """
        self._log = log
        self._step_ms = step_ms
        self.url = ""
        self._process = self._start(port)

    def restart(self) -> None:
        """End what is left of it, and start it at the same address. Blocks for half a second.

        Its queue and history are gone. Raises ServiceUnreachable when it does not come up.
        """
        self._process.kill()  # whatever it waits for, it is of no use
        self.stop()
        self._process = self._start(urlsplit(self.url).port or 0)

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "orchestrator.engine",
            f"--port={port}",
            f"--step-ms={self._step_ms}",
            "--exit-with-parent",
        ]
        with self._log.open("ab") as errors:
            # its standard input is the line to us: when we are gone, it ends
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                # Ctrl-C is for us: first the worker hands its jobs back, then the engine goes
                start_new_session=True,
            )
        timer = threading.Timer(START_S, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            said = process.stdout.readline().decode().strip()
        finally:
            timer.cancel()
        if not said:
            _end(process)
            raise ServiceUnreachable(
                "The embedded engine did not start", remedy=f"Read the end of {self._log}."
            )
        self.url = said
        return process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ended(self) -> str | None:
        """How its process ended; None while it lives."""
        code = self._process.poll()
        return None if code is None else f"its process ended with exit code {code}"

    def stop(self) -> None:
        """End it."""
        _end(self._process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
