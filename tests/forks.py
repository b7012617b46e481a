"""Processes of Python for tests, forked from one that has their imports behind it, where that is possible.

To import takes longer than most of them live. Elsewhere each starts as an interpreter of its own.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

# jsonschema builds a check for international addresses for seconds if it can: in the one that is forked from, too
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

COLUMNS = "200"  # of a terminal, so that no table is cut: Rich looks when it is imported
_preloaded: list[str] = []
_lock = threading.Lock()  # two tests' threads may want the first process


def preload(*modules: str) -> None:
    """Have modules imported before anything is forked; to be said before the first process starts."""
    _preloaded.extend(modules)


def _processes() -> Any:
    with _lock:
        return _started()


@functools.cache
def _started() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing.forkserver import ensure_running

    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([__name__, *_preloaded])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", COLUMNS)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        ensure_running()
    return forks


class Forked:
    """A process that runs a function, with nothing on its standard input. Close it when it has ended."""

    def __init__(
        self,
        act: Callable[..., object],
        *arguments: Any,
        environment: Mapping[str, str],
        folder: Path,
        out: Path,
        err: Path | None = None,
    ) -> None:
        """`out` gets its standard output, and its standard error, too, without `err`."""
        files = (str(out), str(err or out))
        args = (act, arguments, str(folder), {**environment, "COLUMNS": COLUMNS}, files)
        self._process = _processes().Process(target=_run, args=args)
        self._process.start()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def poll(self) -> int | None:
        """Its exit code when it has ended: negative is the signal that did it."""
        code: int | None = self._process.exitcode
        return code

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Its exit code when it has ended; None if it has not by then."""
        self._process.join(timeout_s)
        return self.poll()

    def signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """End it, and forget it."""
        self.kill()
        self._process.join()
        self._process.close()


def _run(
    act: Callable[..., object],
    arguments: tuple[Any, ...],
    folder: str,
    environment: dict[str, str],
    files: tuple[str, str],
) -> None:
    modes = (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND] * 2)
    for number, (path, mode) in enumerate(zip((os.devnull, *files), modes, strict=True)):
        os.dup2(os.open(path, mode, 0o644), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    act(*arguments)
