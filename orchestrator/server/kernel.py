"""The job loop inside the worker kernel, as a task, so that the kernel stays free to be looked into; and the monitor.

The supervisor runs `start()` in the kernel, as often as it likes.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from contextlib import suppress

from orchestrator.errors import OrchestratorError
from orchestrator.lab import Lab
from orchestrator.logs import writing

WORKER = "worker"
MONITOR_PAUSE_S = 5.0  # before a monitor that failed is started again

logger = logging.getLogger(__name__)
_task: asyncio.Task[None] | None = None
_monitor: asyncio.Task[None] | None = None
_lab: Lab | None = None
_starts = 0


def start() -> tuple[int, int]:
    """Have the job loop run in the running event loop, if it does not.

    Returns the process id and how many times the loop was started in it. Raises ConfigError and its kinds.
    """
    global _lab, _task, _starts
    if _task is None or _task.done():
        lab = _lab = Lab.open()
        if not _starts:
            writing.set_up(lab.paths, lab.settings, name=WORKER)
            atexit.register(_hand_back, lab)
        _task = asyncio.create_task(_work(lab), name=WORKER)
        _task.add_done_callback(_note_end)
        _starts += 1
    return os.getpid(), _starts


def warm() -> None:
    """Import what `start` will need."""
    from orchestrator import attempts, guardian, monitor, worker  # noqa: F401


async def stop() -> None:
    """End the job loop; its jobs are handed back."""
    if _task is not None:
        _task.cancel()
        await asyncio.wait([_task])


def restart_monitor() -> None:
    """Run the monitor; one that gives no sign of life any more is ended. Does nothing without a job loop."""
    global _monitor
    if _monitor is not None:
        _monitor.cancel()
    if _lab is not None:
        _monitor = asyncio.create_task(_watch(_lab), name="monitor")


async def _work(lab: Lab) -> None:
    with lab:
        restart_monitor()
        try:
            await lab.work(name=WORKER)
        finally:
            if _monitor is not None:
                _monitor.cancel()
                await asyncio.wait([_monitor])


async def _watch(lab: Lab) -> None:
    """Run the monitor, as often as it takes. One that runs elsewhere for this lab is waited for."""
    from orchestrator.monitor import Monitor  # the work begins first

    while True:
        try:
            await Monitor(
                lab.store, paths=lab.paths, settings=lab.settings, health=lab.health
            ).run()
        except Exception:  # the work goes on, whatever becomes of its story
            logger.exception("The monitor failed; it is started again")
        await asyncio.sleep(MONITOR_PAUSE_S)


def _hand_back(lab: Lab) -> None:
    """A kernel that is shut down cancels no task: free its jobs here, so that this does not count as a crash."""
    for worker in lab.store.observer.workers():
        if worker.pid != os.getpid() or not worker.alive:
            continue
        for job_id in lab.store.leased_to(worker.id):
            with suppress(OrchestratorError):  # whatever cannot be freed here is taken over later
                lab.store.update(job_id, lambda job: job.hand_back())


def _note_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("The job loop died; the supervisor starts it again", exc_info=error)
