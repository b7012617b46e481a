"""A scheduler and workers in this process, for tests that kill nobody: there in a fraction of a second."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from distributed import Scheduler

sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))

from workshop import in_loop, until

from orchestrator.cluster.link import seen
from orchestrator.cluster.worker import SECRETS, configure, work
from orchestrator.testing import Engine


@pytest.fixture(autouse=True)
def without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker takes the secrets out of its process's environment: here it is that of the tests."""
    for name in SECRETS:
        monkeypatch.setenv(name, "")


@asynccontextmanager
async def scheduler() -> AsyncIterator[Any]:
    """A scheduler; its `address` is for a lab."""
    configure()
    # its pages too on a port of their own: another scheduler of these tests may have the usual one
    async with Scheduler(
        host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0"
    ) as running:
        yield running


@asynccontextmanager
async def worker(at: Any, engine: Engine, *models: str) -> AsyncIterator[None]:
    """A worker beside an engine, that has joined the scheduler."""
    stop, before = asyncio.Event(), len(seen(at.identity()))
    task = asyncio.create_task(work(at.address, engine.url, models=models, stop=stop))
    try:
        await until(lambda: len(seen(at.identity())) > before)
        yield
    finally:
        stop.set()
        await task


__all__ = ["in_loop", "scheduler", "until", "without_secrets", "worker"]
