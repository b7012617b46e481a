"""The job loop inside the worker kernel, as a task, so that the kernel stays free to be looked into.

The supervisor runs `start()` in the kernel, as often as it likes.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from contextlib import suppress

from orchestrator import logs
from orchestrator.errors import OrchestratorError
from orchestrator.lab import Lab

WORKER = "worker"

logger = logging.getLogger(__name__)
_task: asyncio.Task[None] | None = None
_starts = 0


def start() -> tuple[int, int]:
    """Have the job loop run in the running event loop, if it does not.

    Returns the process id and how many times the loop was started in it. Raises ConfigError and its kinds.
    """
    global _task, _starts
    if _task is None or _task.done():
        lab = Lab.open()
        if not _starts:
            logs.set_up(lab.paths, lab.settings, name=WORKER)
            atexit.register(_hand_back, lab)
        _task = asyncio.create_task(_work(lab), name=WORKER)
        _task.add_done_callback(_note_end)
        _starts += 1
    return os.getpid(), _starts


async def stop() -> None:
    """End the job loop; its jobs are handed back."""
    if _task is not None:
        _task.cancel()
        await asyncio.wait([_task])


async def _work(lab: Lab) -> None:
    with lab:
        await lab.work(name=WORKER)


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
