"""`orchestrator …` as users and scripts meet it: a process with its arguments, folder, environment and exit code."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import forks

from orchestrator.cli import main

PATIENCE_S = 90.0
forks.preload("orchestrator.cli", "orchestrator.lab")


def begun(
    folder: Path, *arguments: str, environment: Mapping[str, str], out: Path, err: Path
) -> forks.Forked:
    """Begin a command in a folder, with nothing on its standard input. Close it at the end."""
    return forks.Forked(_run, arguments, environment=environment, folder=folder, out=out, err=err)


def command(
    folder: Path, *arguments: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with nothing on its standard input; its exit code and what it said."""
    with tempfile.TemporaryDirectory(prefix="said-") as said:
        out, err = (Path(said, name) for name in ("out", "err"))
        process = begun(folder, *arguments, environment=environment, out=out, err=err)
        try:
            code = process.wait(PATIENCE_S)
            assert code is not None, f"orchestrator {' '.join(arguments)} does not end"
        finally:
            process.close()
        told = (file.read_text("utf-8") for file in (out, err))
        return subprocess.CompletedProcess(arguments, code, *told)


def _run(arguments: tuple[str, ...]) -> None:
    sys.argv = ["orchestrator", *arguments]
    main()
