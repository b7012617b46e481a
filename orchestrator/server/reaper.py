"""Shuts down the kernels of pages that nobody looks at any more.

Jupyter's own culling does the reverse of what is needed: it ends the worker, which nobody is connected to, and keeps
an orphaned page that ticks. A page's kernel is one without a session; a closed tab leaves it without connections.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

logger = logging.getLogger(__name__)

GRACE_S = 45.0  # a page that is loading, a laptop lid that was shut for a moment
LOOK_S = 5.0


async def reap(app: Any, *, grace_s: float = GRACE_S, look_s: float = LOOK_S) -> None:
    """Look for orphans until cancelled."""
    kernels = app.kernel_manager
    alone_since: dict[str, float] = {}
    while True:
        await asyncio.sleep(look_s)
        sessions = await app.session_manager.list_sessions()
        owned = {session["kernel"]["id"] for session in sessions if session.get("kernel")}
        now = time.monotonic()
        for kernel in list(kernels.list_kernel_ids()):
            if kernel in owned or kernels._kernel_connections.get(kernel, 0):
                alone_since.pop(kernel, None)
            elif now - alone_since.setdefault(kernel, now) > grace_s:
                del alone_since[kernel]
                logger.info("Shutting down the kernel of a page that was left")
                await kernels.shutdown_kernel(kernel)
