"""The job loop inside the worker kernel, as a task, so that the kernel stays free to be looked into.

The supervisor runs `start()` in the kernel, as often as it likes.
"""

from __future__ import annotations

import asyncio
import logging
import os

from orchestrator import logs
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


def _note_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("The job loop died; the supervisor starts it again", exc_info=error)
