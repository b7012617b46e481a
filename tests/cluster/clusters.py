"""What the tests of the cluster share: a lab on engines, and one Dask cluster beside them for a whole module."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))

import pytest
from workshop import KEY, QUICK, Workshop, until, workshop

from orchestrator.cluster import Local
from orchestrator.cluster.service import ClusterService
from orchestrator.engine import Engine, Faults
from orchestrator.store import Store
from orchestrator.worker import Worker

TOKEN = "planted-token-7c1e"


@contextmanager
def planted() -> Iterator[None]:
    """Keys in the environment, as a lab has them, while it starts processes of a cluster: none may get there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BFL_API_KEY", KEY)
        patch.setenv("ORCHESTRATOR_TOKEN", TOKEN)
        yield


@asynccontextmanager
async def at_work(
    shop: Workshop, address: str, *, storage: str | None = None
) -> AsyncIterator[tuple[Worker, ClusterService]]:
    """A worker of the lab whose ComfyUI attempts run on a cluster, with a store of its own."""
    store = Store(shop.lab.paths.jobs)
    service = ClusterService(
        address, paths=shop.lab.paths, storage=storage, on_back=lambda: worker.wake()
    )
    worker = Worker(
        store,
        [service],
        policy=QUICK,
        rng=random.Random(1),
        service_of=shop.lab.catalogue.service_of,
    )
    running = asyncio.create_task(worker.run())
    try:
        yield worker, service
    finally:
        worker.stop()
        await running
        store.close()


def seen(service: ClusterService) -> tuple[Any, ...]:
    """The workers that the lab knows of."""
    return service._link.workers


class AttemptFaults(Faults):
    """Faults of engines that also know of attempts: `fails()` says whether a prompt is refused now."""

    fails: Callable[[], bool] | None = None

    def take_http_status(self, path: str) -> int | None:
        if path == "/prompt" and self.fails is not None and self.fails():
            return 500
        return super().take_http_status(path)


@dataclass
class Ground:
    """The cluster of all tests, and the engines that its workers stand beside."""

    here: Local
    engines: list[Engine]
    faults: AttemptFaults

    @property
    def urls(self) -> list[str]:
        return [engine.url for engine in self.engines]

    def mend(self) -> None:
        """Start again what does not live, and forget the faults and what was painted."""
        for engine in self.engines:
            engine.forget()  # asked for what it has made before, it answers at once
        self.faults.update({"reset": True})
        self.faults.fails = None
        if not self.here.scheduler.is_alive:
            self.start_scheduler()
        for number, worker in enumerate(self.here.workers):
            if not worker.is_alive:
                self.revive(number)

    def start_scheduler(self) -> None:
        with planted():
            self.here.start_scheduler()

    def revive(self, number: int) -> None:
        """Another worker in the place of one that has ended."""
        with planted():
            self.here.add(self.urls[number])
        self.here.workers[number] = self.here.workers.pop()

    def kill(self, number: int) -> None:
        self.here.workers[number].kill()

    @asynccontextmanager
    async def lab(self, folder: Path, *, storage: str | None = None) -> AsyncIterator[Workshop]:
        """A lab whose attempts run on the cluster, with all workers there."""
        async with workshop(folder / "lab", comfy_url=",".join(self.urls)) as shop:
            shop.engines[:] = self.engines
            async with at_work(shop, self.here.address, storage=storage) as (_, service):
                shop.service = service
                await until(lambda: len(seen(service)) == len(self.engines))
                yield shop


@asynccontextmanager
async def killing(ground: Ground, *, every_s: float, most: int) -> AsyncIterator[list[int]]:
    """Worker after worker is killed -9 and started again; the list fills with their numbers."""
    killed: list[int] = []

    async def kill() -> None:
        for number in random.Random(3).choices(range(len(ground.urls)), k=most):
            await asyncio.sleep(every_s)
            ground.kill(number)
            killed.append(number)
            ground.revive(number)

    task = asyncio.create_task(kill())
    try:
        yield killed
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


__all__ = ["TOKEN", "AttemptFaults", "Ground", "at_work", "killing", "planted", "seen"]
