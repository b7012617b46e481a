"""Keeps one worker kernel running: in sight in JupyterLab, and back within seconds whatever happens to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from ast import literal_eval
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import psutil
from jupyter_core.utils import ensure_async
from jupyter_server.serverapp import ServerApp

from orchestrator.lab import Lab
from orchestrator.store.workers import HOST, Observer, WorkerInfo

NAME = "orchestrator-worker"  # as JupyterLab lists it among the running kernels
START = "from orchestrator.server import kernel as _worker"
STARTED = "_worker.start()"
STOP = "await _worker.stop()"

LOOK_S = 0.5
STALE_S = 5.0  # the heartbeat comes every second; a worker that is this late hangs
LATE_LOOKS = 4  # in a row: after the machine slept, every heartbeat is late for a moment
DEAD_LOOKS = 2  # in a row: a restart from JupyterLab is dead for a moment, too
ANSWER_S = 15.0  # a kernel needs about a second to start, and more on a busy machine
STOP_S = 3.0
STEADY_S = 5.0  # whoever ran this long is not in a loop of failures
LONGEST_PAUSE_S = 15.0

logger = logging.getLogger(__name__)


class Supervisor:
    """Looks at the worker's presence in the store, which is the truth: a kernel that answers may well do no work,
    and Jupyter does not say when a user restarts one."""

    def __init__(self, app: ServerApp, lab: Lab, *, ready: Callable[[], Awaitable[object]]) -> None:
        """`ready` is awaited before the first job loop starts."""
        self._kernels: Any = app.kernel_manager
        self._sessions: Any = app.session_manager
        self._observer = Observer(lab.store.layout.workers, lease_s=STALE_S)
        self._ready = ready
        self._task: asyncio.Task[None] | None = None
        self._kernel_id: str | None = None
        self._started: tuple[int, int] | None = (
            None  # the kernel's process, and which job loop of it
        )
        self._dead = self._late = self._starts = 0
        self._begun = self._not_before = 0.0

    def start(self) -> None:
        """Begin. From the server's event loop."""
        self._task = asyncio.create_task(self._run(), name="supervise the worker")

    async def stop(self) -> None:
        """End: the worker hands its jobs back, and its kernel goes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._kernel_id is None:
            return
        with contextlib.suppress(Exception):  # it goes in any case; its jobs are taken over later
            if self._started is not None:
                await self._execute(STOP, answer_s=STOP_S)
        with contextlib.suppress(Exception):
            await ensure_async(self._kernels.shutdown_kernel(self._kernel_id, now=True))

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except (
                Exception
            ):  # a supervisor that gives up helps nobody: say it, and try again later
                logger.exception("Could not look after the worker")
                self._count_start()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        """Look once, and act where something is wrong for long enough."""
        if self._kernel_id is None or self._kernel_id not in self._kernels:
            act = self._launch
        elif not await ensure_async(self._kernels.get_kernel(self._kernel_id).is_alive()):
            self._dead += 1
            if self._dead < DEAD_LOOKS:
                return
            act = partial(self._replace, "The worker's kernel died")
        else:
            self._dead = 0
            worker = await asyncio.to_thread(self._worker)
            if worker is None:
                act = self._boot
            elif worker.alive:
                self._late = 0
                if time.monotonic() - self._begun > STEADY_S:
                    self._starts, self._not_before = 0, 0.0
                return
            else:
                self._late += 1
                if self._late < LATE_LOOKS:
                    return
                act = partial(self._replace, "The worker hangs")
        if time.monotonic() >= self._not_before:
            await act()

    def _count_start(self) -> None:
        """Wait longer before each next start, as long as none of them led to a steady worker."""
        self._begun = time.monotonic()
        self._not_before = self._begun + min(LOOK_S * 2**self._starts, LONGEST_PAUSE_S)
        self._starts += 1

    def _worker(self) -> WorkerInfo | None:
        """The presence of the worker in our kernel."""
        pid = self._started[0] if self._started else None
        if pid is None or not psutil.pid_exists(
            pid
        ):  # the kernel has been restarted: what it left tells nothing
            return None
        ours = (w for w in self._observer.workers() if w.pid == pid and w.host == HOST)
        return next(ours, None)

    async def _launch(self) -> None:
        if self._kernel_id is not None:
            logger.warning("Somebody shut the worker's kernel down; it is started again")
        self._kernel_id = self._started = None
        kernel_id = await ensure_async(self._kernels.start_kernel(kernel_name="python3", path=""))
        self._kernel_id = kernel_id
        kernel = self._kernels.get_kernel(kernel_id)
        kernel.stop_restarter()  # it would restart the kernel as well: two at once
        kernel.autorestart = False
        await self._sessions.create_session(
            path=NAME, name=NAME, type="console", kernel_id=kernel_id
        )
        await self._boot()

    async def _replace(self, why: str) -> None:
        """A new kernel for one that is of no use. Not a restart of the old: that takes the same ports again, which
        others may have by now, and waits a minute for a kernel that could not start."""
        logger.warning("%s; a new one is started", why)
        kernel_id, self._kernel_id, self._started = self._kernel_id, None, None
        self._dead = self._late = 0
        with contextlib.suppress(
            Exception
        ):  # whatever is wrong with it, it must not keep us from a new one
            async with asyncio.timeout(STOP_S):
                await ensure_async(self._kernels.shutdown_kernel(kernel_id, now=True))
        await self._launch()

    async def _boot(self) -> None:
        """Have the kernel run the job loop. Nothing happens to one that runs."""
        await self._ready()
        try:
            content = await self._execute(START, STARTED, answer_s=ANSWER_S)
        except TimeoutError:
            await self._replace("The worker's kernel does not answer")
            return
        said = content.get("user_expressions", {}).get("started", content)
        if said["status"] != "ok":
            logger.error("The job loop could not start: %s: %s", said["ename"], said["evalue"])
            self._count_start()
            return
        started = literal_eval(said["data"]["text/plain"])
        if started != self._started:
            self._started = started
            self._count_start()

    async def _execute(self, code: str, value: str | None = None, *, answer_s: float) -> Any:
        """Run code in the kernel; the content of its answer. Raises TimeoutError; RuntimeError if it dies meanwhile."""
        client = self._kernels.get_kernel(self._kernel_id).client()
        client.start_channels()
        try:
            async with asyncio.timeout(answer_s):
                await client.wait_for_ready(timeout=answer_s)
                reply = await client.execute(
                    code,
                    store_history=False,
                    allow_stdin=False,
                    user_expressions={"started": value} if value else {},
                    reply=True,
                    timeout=answer_s,
                )
        finally:
            client.stop_channels()
        return reply["content"]
