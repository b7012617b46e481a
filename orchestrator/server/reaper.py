"""Ends the kernels of pages that nobody looks at any more.

A browser says when it leaves a page, but not when it is killed or loses its network. Jupyter's own culling would do
the reverse of what is needed: it spares a page that ticks for nobody and ends the quiet worker.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.serverapp import ServerApp

from orchestrator.server.page_kernels import PAGE

GRACE_S = 45.0  # a browser that lost its connection for a moment comes back much sooner
BUSY_GRACE_S = 600.0  # a page that is still at work may just take long to build
LOOK_S = 2.0

logger = logging.getLogger(__name__)


@dataclass
class Seen:
    """What was last seen of a page's kernel. `lonely_at` is when nobody was connected for the first time."""

    process: Any
    lonely_at: float | None = None


class Reaper:
    """Looks at the kernels that no notebook or console holds: those are pages'."""

    def __init__(self, app: ServerApp, *, grace_s: float = GRACE_S) -> None:
        self._kernels: Any = app.kernel_manager
        self._sessions: Any = app.session_manager
        self._grace_s = grace_s
        self._seen: dict[str, Seen] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. From the server's event loop."""
        self._task = asyncio.create_task(self._run(), name="reap page kernels")

    async def stop(self) -> None:
        """End, and end all pages' kernels: they only look, and have nothing to finish."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        ends = (self._end(kernel_id, "the lab ends") for kernel_id in await self._pages())
        await asyncio.gather(*ends, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            pages = await self._pages()
            for gone in self._seen.keys() - set(pages):
                del self._seen[gone]
            for kernel_id in pages:
                try:
                    await self._look(kernel_id)
                except Exception:
                    # one that ends while we look, in whichever way, must not end the reaper
                    logger.debug("Could not look at page kernel %s", kernel_id, exc_info=True)

    async def _pages(self) -> list[str]:
        sessions = await self._sessions.list_sessions()
        held = {session["kernel"]["id"] for session in sessions if session["type"] != PAGE}
        return [kernel for kernel in self._kernels.list_kernel_ids() if kernel not in held]

    async def _look(self, kernel_id: str) -> None:
        kernel = self._kernels.get_kernel(kernel_id)
        process = getattr(kernel.provisioner, "process", None)
        if process is None:  # it is only just starting
            return
        seen = self._seen.setdefault(kernel_id, Seen(process))
        # a page cannot go on after its kernel died: its widgets are gone. It says so once the kernel is gone, too
        if seen.process is not process or not await ensure_async(kernel.is_alive()):
            await self._end(kernel_id, "it died")
            return
        model = self._kernels.kernel_model(kernel_id)
        if model["connections"]:
            seen.lonely_at = None
            return
        now = time.monotonic()
        seen.lonely_at = now if seen.lonely_at is None else seen.lonely_at
        grace_s = BUSY_GRACE_S if model["execution_state"] == "busy" else self._grace_s
        if now - seen.lonely_at > grace_s:
            await self._end(kernel_id, "nobody looks at it")

    async def _end(self, kernel_id: str, why: str) -> None:
        logger.info("Page kernel %s is ended: %s", kernel_id, why)
        await ensure_async(self._kernels.shutdown_kernel(kernel_id, now=True))
