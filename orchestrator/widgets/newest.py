"""The newest pictures, small; a click shows one whole."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import traitlets

from orchestrator.jobs import Job, Status
from orchestrator.lab import Lab
from orchestrator.widgets.rows import row
from orchestrator.widgets.thumbnails import THUMBNAILS, picture_path
from orchestrator.widgets.view import LiveView

SHOWN = 9
LOOKED_AT = 30  # jobs: pictures of some may have been deleted
SIDE_PX = 256


class NewestImages(LiveView):
    """The nine newest pictures."""

    script = "newest"
    pause_s: ClassVar[float] = 0.5  # pictures come less often than steps

    items: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)  # as `item` makes them
    thumbnails = traitlets.Dict().tag(sync=True)  # an item's key -> WebP

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)

    async def refresh(self) -> None:
        """Show the pictures that are there now."""
        items, thumbnails = await asyncio.to_thread(self._look)
        with self.hold_sync():
            self.thumbnails = thumbnails
            self.items = items
            self.banner = {}

    def _look(self) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
        items: list[dict[str, Any]] = []
        thumbnails: dict[str, bytes] = {}
        jobs, _ = self.page(status=Status.DONE, limit=LOOKED_AT)
        for job in jobs:
            for index in range(len(job.result.files) if job.result else 0):
                path = picture_path(self._lab, job, index)
                thumbnail = THUMBNAILS.of(path, side=SIDE_PX) if path else None
                if thumbnail is not None:
                    items.append(item(job, index))
                    thumbnails[items[-1]["key"]] = thumbnail
                if len(items) == SHOWN:
                    return items, thumbnails
        return items, thumbnails


def item(job: Job, index: int) -> dict[str, Any]:
    """One picture of a job as a page shows it."""
    return {"key": f"{job.id}/{index}", "index": index} | {
        name: value
        for name, value in row(job).items()
        if name
        in {
            "id",
            "short",
            "prompt",
            "whole",
            "backend",
            "settings",
            "finished",
            "cost",
            "sent",
            "moves",
        }
    }
