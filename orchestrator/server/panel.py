"""What the REST handlers of one server share."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.gallery import GalleryImage
from orchestrator.health import HealthReport
from orchestrator.jobs import Progress
from orchestrator.lab import Lab
from orchestrator.server.broadcast import Broadcaster
from orchestrator.server.limits import Limits
from orchestrator.server.metrics import Metrics
from orchestrator.server.searches import Searches
from orchestrator.server.texts import JobTexts

logger = logging.getLogger(__name__)

# many visitors ask at once; each probe asks ComfyUI, the FLUX API and every disk
HEALTH_AGE_S = 1.0


class Panel:
    """The lab's web side, as one server has it. Cheap to make: nothing runs until `begin`, or the first client."""

    def __init__(
        self,
        lab: Lab,
        *,
        document: dict[str, Any],
        describe: Callable[[GalleryImage], dict[str, Any]],
        live: Callable[[str, Progress], dict[str, Any]],
        limits: Limits | None = None,
        searches: Mapping[str, Any] | None = None,
        **stream: Any,
    ) -> None:
        """`document` is the interface's own description, `describe` makes what is told of a picture, `live` of a
        job's live progress; `searches` and `stream` are options of the Searches and of the Broadcaster."""
        self.lab = lab
        self.document = document
        self.limits = limits or Limits()
        self.texts = JobTexts()
        self.searches = Searches(lab.paths, **(searches or {}))
        self.stream = Broadcaster(lab, describe=describe, live=live, health=self.health, **stream)
        self.metrics = Metrics(lab, clients=lambda: self.stream.clients)
        self._probe: asyncio.Task[HealthReport] | None = None
        self._probed_at = 0.0

    async def begin(self) -> None:
        """Follow the lab before anybody asks: lists need not look at every file then."""
        try:
            await self.stream.begin()
        except OSError:
            logger.exception("Could not follow the lab; the next client of the stream tries again")

    async def health(self) -> HealthReport:
        """The lab's health, at most a second old."""
        young = time.monotonic() - self._probed_at < HEALTH_AGE_S
        if self._probe is None or (self._probe.done() and not young):
            self._probe = asyncio.create_task(self._look_at_health(), name="look at health")
        return await asyncio.shield(self._probe)

    async def _look_at_health(self) -> HealthReport:
        report = await self.lab.health()
        self._probed_at = time.monotonic()
        return report

    async def close(self) -> None:
        """End the streams, so that the server can end."""
        await self.stream.close()
        await self.searches.close()
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])
