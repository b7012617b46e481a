"""The embedded engine as a process of its own, which ends with the one that started it, however that ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from orchestrator.errors import ServiceUnreachable

START_S = 20.0
STOP_S = 5.0


class EngineProcess:
    """A running engine. Starting blocks for about half a second."""

    def __init__(self, *, log: Path, port: int = 0) -> None:
        """Start it; `log` gets what it has to say. Raises ServiceUnreachable when it does not come up."""
        command = [
            sys.executable,
            "-m",
            "orchestrator.engine",
            f"--port={port}",
            "--exit-with-parent",
        ]
        with log.open("ab") as errors:
            # its standard input is the line to us: when we are gone, it ends
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                # Ctrl-C is for us: first the worker hands its jobs back, then the engine goes
                start_new_session=True,
            )
        timer = threading.Timer(START_S, self._process.kill)
        timer.start()
        try:
            assert self._process.stdout is not None
            self.url = self._process.stdout.readline().decode().strip()
        finally:
            timer.cancel()
        if not self.url:
            self.stop()
            raise ServiceUnreachable(
                "The embedded engine did not start", remedy=f"Read the end of {log}."
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def stop(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
