"""A sign of life: a page whose kernel has died or hangs must say so, not go on looking alive."""

from __future__ import annotations

import asyncio

import traitlets

from orchestrator.widgets.view import View

BEAT_S = 1.0


class Heartbeat(View):
    """Beats once a second; the page says so when it has not heard it for five."""

    script = "heartbeat"

    beat = traitlets.Int(0).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self.live(self._beat, name="Heartbeat")

    async def _beat(self) -> None:
        while self.is_seen:
            self.beat += 1
            await asyncio.sleep(BEAT_S)
