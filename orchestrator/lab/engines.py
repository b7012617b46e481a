"""The embedded engine of a lab: who needs one first starts it, others find it, and one of them takes its place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import orjson
import psutil

from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.embedded import EngineProcess
from orchestrator.errors import DiskFull, OrchestratorError, ServiceUnreachable
from orchestrator.files import write_whole
from orchestrator.lab.core import Core

PROBE_S = 2.0
HEIR_S = 1.0  # how often one who uses another's engine looks whether it is still cared for

logger = logging.getLogger(__name__)


class Engines(Core):
    """The part of the lab that has an engine where there is no ComfyUI."""

    @contextlib.asynccontextmanager
    async def engine(self, *, url: str = "") -> AsyncIterator[str]:
        """The embedded engine, running for as long as this is entered; other processes of the lab find it.

        `url`: the address that it is to have; by default one with a free port. Raises ServiceUnreachable, OSError,
        DiskFull.
        """
        from orchestrator.guardian import Circuit, engine

        process = await asyncio.to_thread(self.start_engine, url=url)
        ward = engine.ward(lambda: process, lambda: self.restart_engine(process))
        circuit = Circuit(ward.name, clock=time.monotonic, remedy=ward.remedy)
        keeping = asyncio.create_task(
            ward.keep(circuit, clock=time.monotonic, may_act=lambda: True), name="keep the engine"
        )
        try:
            yield process.url
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
            await asyncio.to_thread(self.stop_engine, process)

    @contextlib.asynccontextmanager
    async def others_engine(self, url: str) -> AsyncIterator[None]:
        """Use the engine at `url`, which another process of the lab has started, while this is entered.

        When that process has ended, and its engine with it, one is started here, at the same address: jobs that were
        at the other find that it has no trace of them, and are begun again.
        """
        left = asyncio.Event()
        taking_over = asyncio.create_task(self._take_over(url, left), name="heir of the engine")
        try:
            yield
        finally:
            left.set()
            await taking_over

    async def _take_over(self, url: str, left: asyncio.Event) -> None:
        while not left.is_set():
            if not await asyncio.to_thread(self._is_cared_for, url) and not await answers(url):
                try:
                    async with self.engine(url=url):
                        logger.warning("The engine at %s had ended: another one is there now", url)
                        await left.wait()
                except (ServiceUnreachable, OSError, DiskFull) as error:
                    # another heir was quicker, or the old one has not let go of the port
                    logger.info("No engine could be started at %s: %s", url, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(left.wait(), HEIR_S)

    def _is_cared_for(self, url: str) -> bool:
        """Whether the process lives that has started the engine, and would start it again. Blocks on the disk."""
        try:
            said = orjson.loads(self._engine_file.read_bytes())
            return said["url"] == url and psutil.pid_exists(int(said.get("owner", said["pid"])))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def start_engine(self, *, url: str = "", step_ms: float = 0.0) -> EngineProcess:
        """Start the embedded engine and note its address for the other processes of the lab.

        `url`: the address that it is to have; by default one with a free port. `step_ms`: how much longer each
        sampler step takes. Raises ServiceUnreachable, OSError, DiskFull.
        """
        port = urlsplit(url).port or 0 if url else 0
        process = EngineProcess(log=self.paths.logs / "engine.log", port=port, step_ms=step_ms)
        self._note_engine(process)
        return process

    def restart_engine(self, process: EngineProcess) -> None:
        """Start an engine that fell, or hangs, at the same address. Raises ServiceUnreachable, OSError, DiskFull."""
        process.restart()
        self._note_engine(process)

    def _note_engine(self, process: EngineProcess) -> None:
        said = orjson.dumps({"url": process.url, "pid": process.pid, "owner": os.getpid()})
        try:
            write_whole(self._engine_file, said, durable=False)
        except (OSError, DiskFull):
            process.stop()  # nobody would find it: its guardian tries again
            raise

    def stop_engine(self, process: EngineProcess) -> None:
        """End the engine and forget its address."""
        if self._noted_engine() == process.url:
            self._engine_file.unlink(missing_ok=True)
        process.stop()


async def answers(url: str) -> bool:
    """Whether there is a ComfyUI at `url`."""
    client = ComfyUI(url)
    try:
        async with asyncio.timeout(PROBE_S):
            await client.system_stats()
    except (OrchestratorError, TimeoutError):
        return False
    finally:
        await client.close()
    return True
