"""Keeps the worker kernel alive: by its heartbeat, not by what Jupyter says of the kernel.

Measured: Jupyter's restart callback is not called when somebody restarts the kernel from JupyterLab, a kernel can be
alive with its loop dead, and a culled or shut down one tells nobody. The worker's presence file tells all of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from orchestrator.lab import Lab
from orchestrator.server.kernel import NAME

logger = logging.getLogger(__name__)

SESSION = "orchestrator-worker"  # as JupyterLab's list of running kernels shows it
BOOT = "from orchestrator.server import kernel; kernel.start()"
LOOK_S = 0.5
BOOT_S = 20.0  # a cold kernel on a busy machine
APPEAR_S = 3.0  # from a boot to the first heartbeat
HANG_S = 10.0  # without a heartbeat; blocking work belongs into threads
QUICK_RESTARTS = 5
SLOW_S = 30.0  # between restarts, after several quick ones in a row


class Supervisor:
    """The worker kernel of one Jupyter server."""

    def __init__(self, app: Any, lab: Lab) -> None:
        self._kernels = app.kernel_manager
        self._sessions = app.session_manager
        self._lab = lab
        self._kernel: str | None = None
        self._booted_at = 0.0
        self._beat: tuple[int, float] = (0, 0.0)
        self._restarts: list[float] = []

    async def run(self) -> None:
        """Look, and mend what is broken, until cancelled."""
        while True:
            try:
                await self._look()
            except Exception:
                # whatever Jupyter raises: the supervisor must outlive it
                logger.exception("Could not look after the worker kernel")
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        if self._kernel is None or self._kernel not in self._kernels:
            await self._start()
            return
        now = time.monotonic()
        beat = await asyncio.to_thread(self._read_beat)
        if beat is None:
            if now - self._booted_at > APPEAR_S:
                await self._boot()
        elif beat != self._beat[0]:
            self._beat = (beat, now)
        elif now - self._beat[1] > HANG_S:
            logger.warning("The worker kernel hangs: restarting it")
            await self._restart()

    def _read_beat(self) -> int | None:
        """The time of the worker's heartbeat, in ns; None when this kernel has no living worker."""
        pid = self._pid()
        for worker in self._lab.store.observer.workers():
            if worker.pid == pid and worker.name == NAME:
                return self._lab.store.observer.beat(worker.id)
        return None

    def _pid(self) -> int | None:
        provisioner = self._kernels.get_kernel(self._kernel).provisioner
        return getattr(provisioner, "pid", None)

    async def _start(self) -> None:
        await self._slow_down()
        self._kernel = await self._kernels.start_kernel(kernel_name="python3", path="")
        logger.info("Started the worker kernel")
        booting = asyncio.create_task(self._boot(), name="boot worker")
        await self._sessions.create_session(
            path=SESSION, name=SESSION, type="console", kernel_id=self._kernel
        )
        await booting

    async def _restart(self) -> None:
        await self._slow_down()
        await self._kernels.restart_kernel(self._kernel, now=True)
        await self._boot()

    async def _boot(self) -> None:
        """Have the kernel start its loop; one that cannot even do that is restarted at the next look."""
        client = self._kernels.get_kernel(self._kernel).client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=BOOT_S)
            reply = await client.execute_interactive(
                BOOT, timeout=BOOT_S, store_history=False, output_hook=lambda _: None
            )
            if reply["content"]["status"] != "ok":
                logger.error(
                    "The worker kernel cannot start its loop: %s", reply["content"].get("evalue")
                )
        except (RuntimeError, TimeoutError) as error:
            logger.warning("The worker kernel does not answer: %s", error)
            await self._kernels.restart_kernel(self._kernel, now=True)
        finally:
            client.stop_channels()
            self._booted_at = time.monotonic()
            self._beat = (0, self._booted_at)

    async def _slow_down(self) -> None:
        """A kernel that dies again and again must not keep the machine busy."""
        now = time.monotonic()
        self._restarts = [at for at in self._restarts if now - at < 2 * SLOW_S]
        if len(self._restarts) >= QUICK_RESTARTS:
            logger.error("The worker kernel was started %s times in a row", len(self._restarts))
            await asyncio.sleep(SLOW_S)
        self._restarts.append(time.monotonic())
