"""The kernels of pages: one waits for the next visitor, with everything imported.

Most of what a visitor waits for is the start of a Python and its imports.
"""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server.serverapp import ServerApp

from orchestrator.server.kernels import NEEDS, Kernels, Spare, start_once

PAGE = "page"  # the type of the session of a kernel that a page has, and nobody else holds
SPARE = "orchestrator-page-spare"
WARM_UP = "from orchestrator.widgets.warm import warm_up; warm_up()"
QUIET_S = 3.0  # the page that was just opened has the processor first
IDLE_S = 1800.0  # after the last visitor


class PageKernels:
    """Gives kernels to pages, in the place of Jupyter's own manager. There is no spare until a page was opened."""

    def __init__(self, app: ServerApp, *, needs: int = NEEDS) -> None:
        """`needs`: bytes of memory that must be free for a spare to be started."""
        self._kernels: Any = app.kernel_manager
        self._waiting = Kernels(app, forked=True)
        self._spare = Spare(self._waiting, name=SPARE, code=WARM_UP, needs=needs)
        self._tending: asyncio.Task[None] | None = None

    async def start_kernel(self, **asked: Any) -> str:
        """The id of a kernel for a page. The spare has no variables of the request: no page asks for them."""
        kernel_id = await self._spare.take()
        if kernel_id is not None:
            await self._waiting.rename(kernel_id, PAGE, kind=PAGE)
        else:
            kernel_id = await start_once(self._kernels, **asked, forked=True)
        if self._tending is not None:
            self._tending.cancel()
        self._tending = asyncio.create_task(self._tend(), name="tend spare page kernel")
        return kernel_id

    def get_kernel(self, kernel_id: str) -> Any:
        """As Jupyter's manager."""
        return self._kernels.get_kernel(kernel_id)

    async def stop(self) -> None:
        """End the spare; the kernels of pages are the reaper's."""
        if self._tending is not None:
            self._tending.cancel()
        await self._spare.end()

    async def _tend(self) -> None:
        await asyncio.sleep(QUIET_S)
        self._spare.tend()
        await asyncio.sleep(IDLE_S)
        await self._spare.end()
        await self._kernels.zygote.rest()
