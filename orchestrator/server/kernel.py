"""What runs inside the worker kernel: the job loop as a task of the kernel's event loop."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os

from orchestrator import logs
from orchestrator.lab import Lab

NAME = "kernel"  # of the worker, so that it can be told from one that runs alone

logger = logging.getLogger(__name__)

_lab: Lab | None = None
_task: asyncio.Task[None] | None = None


def start() -> int:
    """Run the job loop in this kernel, once; returns the process id. Calling it again mends a loop that died.

    Only a task, not awaited: the kernel stays idle, so that one can attach to it from JupyterLab.
    """
    global _lab, _task
    if _lab is None:
        _lab = Lab.open()
        logs.set_up(_lab.paths, _lab.settings, name="worker")
        atexit.register(_hand_back)
    if _task is None or _task.done():
        _task = asyncio.get_running_loop().create_task(_work(_lab), name="worker")
    return os.getpid()


async def _work(lab: Lab) -> None:
    try:
        await lab.work(name=NAME)
    except Exception:
        logger.exception("The job loop ended with a fault; the supervisor starts it again")
        raise


def _hand_back() -> None:
    """A kernel that shuts down cancels no task: free its jobs here, so that this does not count as a crash."""
    if _lab is not None:
        for worker in _lab.store.observer.workers():
            if worker.pid == os.getpid() and worker.name == NAME:
                _lab.store.hand_back(worker.id)
