"""Kernels of the server's own: started, asked and ended; and one that waits to take another's place.

Most of the time that a new kernel costs is the start of a Python and its imports. A spare has them behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import psutil
from jupyter_core.utils import ensure_async
from jupyter_server.serverapp import ServerApp

CONSOLE = "console"
WARM_S = 60.0  # for a spare to start and import, on a machine that has better things to do
AGAIN_S = 30.0  # between two tries to have a spare
NEEDS = 1_000_000_000  # bytes of memory that must be left: a spare takes about 75 MB of them
STOP_S = 3.0
IDLE_S = 5.0  # one that starts is never idle for so long
LOOK_S = 0.5
BUSY_S = 0.01  # of processor time between two looks: one that waits in vain takes less

logger = logging.getLogger(__name__)


async def start_once(kernels: Any, **asked: Any) -> str:
    """Start a kernel that Jupyter does not restart when it dies; returns its id before it answers.

    A worker's is restarted by its supervisor, and two at once would be too many; a page's has lost its widgets.
    """
    kernel_id = str(await ensure_async(kernels.start_kernel(**asked)))
    kernel = kernels.get_kernel(kernel_id)
    kernel.stop_restarter()
    kernel.autorestart = False
    return kernel_id


class Kernels:
    """Starts, asks and ends kernels of one server. They are in sight in JupyterLab."""

    def __init__(self, app: ServerApp, *, forked: bool = False) -> None:
        """`forked`: they are forks of a process that has imported what the kernels of pages do."""
        self._forked = {"forked": True} if forked else {}
        self._kernels: Any = app.kernel_manager
        self._sessions: Any = app.session_manager

    def __contains__(self, kernel_id: str) -> bool:
        return kernel_id in self._kernels

    async def start(self, name: str) -> str:
        """Start a kernel; returns its id before it answers."""
        kernel_id = await start_once(self._kernels, kernel_name="python3", path="", **self._forked)
        await self._sessions.create_session(path=name, name=name, type=CONSOLE, kernel_id=kernel_id)
        return kernel_id

    async def rename(self, kernel_id: str, name: str, *, kind: str = CONSOLE) -> None:
        """Have JupyterLab list a kernel by another name. `kind`: who has it from now on, as Jupyter's session types."""
        session = await self._sessions.get_session(kernel_id=kernel_id)
        await self._sessions.update_session(session["id"], path=name, name=name, type=kind)

    async def is_alive(self, kernel_id: str) -> bool:
        """Whether there is such a kernel, and its process lives."""
        if kernel_id not in self._kernels:
            return False
        return bool(await ensure_async(self._kernels.get_kernel(kernel_id).is_alive()))

    async def end(self, kernel_id: str) -> None:
        """End a kernel, whatever is wrong with it."""
        # it must not keep us from a new one
        with contextlib.suppress(Exception):
            async with asyncio.timeout(STOP_S):
                await ensure_async(self._kernels.shutdown_kernel(kernel_id, now=True))

    async def execute(
        self,
        kernel_id: str,
        code: str,
        value: str | None = None,
        *,
        answer_s: float,
        is_new: bool = False,
        most_s: float = 0.0,
    ) -> Any:
        """Run code in a kernel; the content of its answer. `is_new`: it may not listen yet, which is waited for.
        `most_s`: how long it is waited for while it is at work: on a busy machine its imports take their time.

        Raises TimeoutError; RuntimeError if it dies meanwhile.
        """
        kernel = self._kernels.get_kernel(kernel_id)
        client = kernel.client()
        client.start_channels()
        most_s = max(answer_s, most_s)
        try:
            async with asyncio.timeout(answer_s) as limit, contextlib.AsyncExitStack() as stack:
                if most_s > answer_s:
                    pid = getattr(kernel.provisioner, "pid", None)
                    await stack.enter_async_context(while_busy(limit, pid, most_s=most_s))
                if is_new:
                    # without its own limit, which goes by the clock on the wall: that may jump
                    await client.wait_for_ready()
                reply = await client.execute(
                    code,
                    store_history=False,
                    allow_stdin=False,
                    user_expressions={"started": value} if value else {},
                    reply=True,
                    timeout=most_s,
                )
        finally:
            client.stop_channels()
        return reply["content"]


@contextlib.asynccontextmanager
async def while_busy(
    limit: asyncio.Timeout, pid: int | None, *, most_s: float, idle_s: float = IDLE_S
) -> AsyncIterator[None]:
    """Have a limit in time put off while a process takes processor time, up to `most_s` from now; it is over when the
    process has been idle for `idle_s`."""
    if pid is None:
        yield
        return
    task = asyncio.create_task(_put_off(limit, pid, most_s, idle_s), name="wait while it is busy")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _put_off(limit: asyncio.Timeout, pid: int, most_s: float, idle_s: float) -> None:
    loop = asyncio.get_running_loop()
    last, known_s = loop.time() + most_s, 0.0
    with contextlib.suppress(psutil.Error):  # it ended: whoever waits for it hears of that
        process = psutil.Process(pid)
        while True:
            taken_s = sum(process.cpu_times()[:2])
            when = min(last, loop.time() + idle_s)
            if taken_s - known_s > BUSY_S and when > (limit.when() or 0.0):
                limit.reschedule(when)
            known_s = taken_s
            await asyncio.sleep(LOOK_S)


class Spare:
    """One kernel that has imported all that will be needed, and does nothing."""

    def __init__(
        self,
        kernels: Kernels,
        *,
        name: str,
        code: str,
        value: str | None = None,
        needs: int = NEEDS,
    ) -> None:
        """`name`: as JupyterLab lists it. `code` and the expression `value` import it. `needs`: bytes of memory that
        must be free to start one."""
        self._kernels = kernels
        self._name, self._code, self._value = name, code, value
        self._needs = needs
        self._task: asyncio.Task[None] | None = None
        self._kernel_id: str | None = None
        self._is_warm = False
        self._tried_at: float | None = None

    def tend(self) -> None:
        """See to it that there is one, or soon will be. To be called now and then, while the worker is well."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(), name=self._name)

    async def take(self) -> str | None:
        """The id of the kernel, which is the caller's from now on; None when none is ready."""
        kernel_id, is_warm = self._kernel_id, self._is_warm
        if kernel_id is None or not is_warm or not await self._kernels.is_alive(kernel_id):
            return None
        self._kernel_id, self._is_warm = None, False
        self._tried_at = None  # the next may be started at once
        return kernel_id

    async def end(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._drop()

    async def _look(self) -> None:
        try:
            await self._keep()
        except Exception as error:  # noqa: BLE001  # without one a restart takes longer, that is all
            logger.warning("There is no %s: %s", self._name, str(error) or type(error).__name__)
        if not self._is_warm:
            await self._drop()

    async def _keep(self) -> None:
        if self._kernel_id is not None:
            if await self._kernels.is_alive(self._kernel_id):
                return
            await self._drop()
        now = time.monotonic()
        if self._tried_at is not None and now - self._tried_at < AGAIN_S:
            return
        self._tried_at = now
        if psutil.virtual_memory().available < self._needs:
            return  # a picture needs it more
        self._kernel_id = await self._kernels.start(self._name)
        said = await self._kernels.execute(
            self._kernel_id, self._code, self._value, answer_s=WARM_S, is_new=True
        )
        said = said.get("user_expressions", {}).get("started", said)
        self._is_warm = said["status"] == "ok"

    async def _drop(self) -> None:
        kernel_id, self._kernel_id, self._is_warm = self._kernel_id, None, False
        if kernel_id is not None:
            await self._kernels.end(kernel_id)
