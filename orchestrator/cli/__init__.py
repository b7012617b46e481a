"""The command line: thin commands over the lab. Answers go to standard output, everything else to standard error."""

from __future__ import annotations

import contextlib
import sys
from typing import NoReturn

from orchestrator.cli import (
    archive,
    batch,
    cluster,
    guardian,
    jobs,
    lab,
    models,
    monitor,
    parts,
    parts_bom,
    parts_rates,
    parts_search,
    prompts,
    recipe,
    services,
    spending,
    workflow,
)
from orchestrator.cli.app import app

__all__ = [
    "app",
    "archive",
    "batch",
    "cluster",
    "guardian",
    "jobs",
    "lab",
    "main",
    "models",
    "monitor",
    "parts",
    "parts_bom",
    "parts_rates",
    "parts_search",
    "prompts",
    "recipe",
    "services",
    "spending",
    "workflow",
]


def main() -> NoReturn:
    """Run the command line; the process ends with 0 done, 1 the work failed, 2 wrong usage."""
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # Windows consoles may know fewer letters than prompts have
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    app()
    raise SystemExit(0)
