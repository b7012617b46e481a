"""The job loop in this process, and the embedded engine where there is no ComfyUI."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Container, Sequence
from typing import TYPE_CHECKING

from pydantic import SecretStr

from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.errors import OrchestratorError
from orchestrator.health import served_s
from orchestrator.lab.engines import Engines, answers
from orchestrator.settings import DEFAULT_COMFY_URL

if TYPE_CHECKING:
    from orchestrator.attempts import Service
    from orchestrator.guardian import Guardian, Ward
    from orchestrator.worker import Worker

LOOK_S = 3.0  # how often one who stands by looks whether a worker still lives

logger = logging.getLogger(__name__)


class Working(Engines):
    """The part of the lab that has the work done."""

    @contextlib.asynccontextmanager
    async def worker(
        self, *, name: str = "worker", only: Container[str] | None = None
    ) -> AsyncIterator[Worker]:
        """Run the job loop in this event loop. Where no ComfyUI is configured or answers, the embedded engine is
        started for as long as the worker runs."""
        async with self._comfyui() as hosts:
            worker = self._make_worker(hosts, name=name, only=only)
            running = asyncio.create_task(worker.run(), name=name)
            try:
                yield worker
            finally:
                worker.stop()
                await running

    @contextlib.asynccontextmanager
    async def working(
        self, *, name: str = "worker", only: Container[str] | None = None
    ) -> AsyncIterator[None]:
        """Somebody works while this is entered: the workers that live, and a `worker` here when there are none, also
        when the last of them goes meanwhile."""
        left = asyncio.Event()
        if not await self._is_worked_on():
            async with self.worker(name=name, only=only):
                yield
            return
        standing_by = asyncio.create_task(self._stand_by(left, name, only), name="stand by")
        try:
            yield
        finally:
            left.set()
            await standing_by

    async def _stand_by(self, left: asyncio.Event, name: str, only: Container[str] | None) -> None:
        while not left.is_set():
            if not await self._is_worked_on():
                try:
                    async with self.worker(name=name, only=only):
                        await left.wait()
                except OrchestratorError as error:
                    # whoever waits for a job is told there what is wrong
                    logger.warning("Cannot work here: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(left.wait(), LOOK_S)

    async def _is_worked_on(self) -> bool:
        return any(worker.alive for worker in await asyncio.to_thread(self.store.observer.workers))

    async def work(self, *, name: str = "worker") -> None:
        """Run the job loop until cancelled; then its jobs are handed back."""
        async with self._comfyui() as hosts:
            await self._make_worker(hosts, name=name, only=None).run()

    def _make_worker(self, hosts: list[str], *, name: str, only: Container[str] | None) -> Worker:
        # a page never works: it need not load this
        from orchestrator.attempts import BFLService, Till
        from orchestrator.connectors.bfl import BFL, POST_READ_S
        from orchestrator.worker import Worker

        key = self.settings.bfl_api_key or SecretStr("")
        bfl = BFLService(
            BFL(self.settings.bfl_base_url, key),
            images=self.paths.drop_out,
            till=Till(self.ledger, self.budget, self.store),
            load_input=self._load_input,
            late_receipt_s=POST_READ_S + self.store.lease_s,
        )
        worker = Worker(
            self.store,
            [self._comfyui_service(hosts, on_back=lambda: worker.wake()), bfl],
            name=name,
            only=only,
            service_of=self.catalogue.service_of,
        )
        return worker

    def _comfyui_service(self, hosts: list[str], *, on_back: Callable[[], None]) -> Service:
        """Who runs the ComfyUI jobs: this process at the `hosts`, or the workers of the cluster.

        Raises ClusterMissing.
        """
        if (address := self.settings.orchestrator_cluster) is None:
            from orchestrator.attempts import ComfyUIService

            clients = [ComfyUI(host) for host in hosts]
            return ComfyUIService(clients, paths=self.paths, limits=self.limits, on_back=on_back)
        from orchestrator import cluster

        cluster.require()
        from orchestrator.cluster.service import ClusterService

        storage = self.settings.orchestrator_cluster_storage
        return ClusterService(
            address, paths=self.paths, limits=self.limits, storage=storage, on_back=on_back
        )

    @contextlib.asynccontextmanager
    async def _comfyui(self) -> AsyncIterator[list[str]]:
        if self.settings.orchestrator_cluster is not None:
            yield []  # they stand beside the cluster's workers
            return
        if self.settings.comfy_urls:
            yield self.settings.comfy_urls
            return
        others, hosts = self._noted_engine(), await self._running()
        if others and not hosts and await asyncio.to_thread(served_s, self.store) is not None:
            hosts = [others]  # it fell just now: the guardian of `up` brings it back
        if others and hosts == [others]:
            async with self.others_engine(others):
                yield hosts
        elif hosts:
            yield hosts
        else:
            async with self.engine() as own:
                yield [own]

    async def has_comfyui(self) -> bool:
        """Whether the lab has a ComfyUI to go to: one is configured, or something answers."""
        if self.settings.orchestrator_cluster is not None:
            return True
        return bool(self.settings.comfy_urls or await self._running())

    async def _running(self) -> list[str]:
        for url in (self._engine_url(), DEFAULT_COMFY_URL):
            if url and await answers(url):
                return [url]
        return []

    def guardian(self, wards: Sequence[Ward] = ()) -> Guardian:
        """A guardian of this lab, to be run. `wards`: what this process can start again."""
        from orchestrator.guardian import Guardian

        return Guardian(
            self.paths,
            self.settings,
            self.store,
            hosts=self.comfy_hosts,
            cluster=self.cluster_look,
            wards=wards,
        )
