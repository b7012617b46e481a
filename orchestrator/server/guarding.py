"""The guardian in the server's process, and what brings it back should it end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from tornado.ioloop import PeriodicCallback

from orchestrator.guardian import Guardian, Ward
from orchestrator.lab import Lab

LOOK_S = 1.0
HANGS_S = 30.0  # its heart beats every second; a slow disk may hold that up

logger = logging.getLogger(__name__)


class Guarding:
    """Runs a guardian for as long as the server runs."""

    def __init__(self, lab: Lab, *, wards: Sequence[Ward] = (), hangs_s: float = HANGS_S) -> None:
        self._hangs_s = hangs_s
        self.guardian: Guardian = lab.guardian(wards)
        self._task: asyncio.Task[None] | None = None
        self._looks = PeriodicCallback(self._look, LOOK_S * 1000)

    def start(self) -> None:
        """Begin. From the server's event loop."""
        self._begin()
        self._looks.start()

    async def stop(self) -> None:
        """End; a ComfyUI that it has started ends, too."""
        self._looks.stop()
        was_in_charge = self.guardian.is_in_charge
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for comfyui in self.guardian.comfyuis if was_in_charge else ():
            await asyncio.to_thread(comfyui.stop)

    def _begin(self) -> None:
        self.guardian.beat_at = time.monotonic()
        self._task = asyncio.create_task(self.guardian.run(), name="guardian")

    def _look(self) -> None:
        task = self._task
        if task is None:
            return
        if task.done():
            error = None if task.cancelled() else task.exception()
            logger.error("The guardian ended; it is started again", exc_info=error)
            self._begin()
        elif time.monotonic() - self.guardian.beat_at > self._hangs_s:
            logger.error("The guardian hangs; it is started again")
            task.cancel()
