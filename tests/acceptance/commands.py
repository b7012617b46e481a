"""`orchestrator …` as users and scripts meet it: a process with its arguments, folder, environment and exit code.

Forked from a process that has the imports behind it, where that is possible: they take longer than most commands.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main

PATIENCE_S = 90.0
COLUMNS = "200"  # of a terminal, so that no table is cut


@functools.cache
def _processes() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing.forkserver import ensure_running

    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["orchestrator.cli", "orchestrator.lab"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", COLUMNS)  # Rich looks when it is imported
        ensure_running()
    return forks


def command(
    folder: Path, *arguments: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with nothing on its standard input; its exit code and what it said."""
    with tempfile.TemporaryDirectory(prefix="said-") as said:
        files = [Path(said, name) for name in ("out", "err")]
        args = (arguments, str(folder), dict(environment), *map(str, files))
        process = _processes().Process(target=_run, args=args)
        process.start()
        try:
            process.join(PATIENCE_S)
            code = process.exitcode
            assert code is not None, f"orchestrator {' '.join(arguments)} does not end"
        finally:
            process.kill()
            process.join()
            process.close()
        out, err = (file.read_text("utf-8") for file in files)
    return subprocess.CompletedProcess(arguments, code, out, err)


def _run(
    arguments: tuple[str, ...], folder: str, environment: dict[str, str], out: str, err: str
) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment, COLUMNS=COLUMNS)
    os.chdir(folder)
    sys.argv = ["orchestrator", *arguments]
    main()
