"""How far a running job is, with the sampler's newest preview: as the stream tells it, and the preview's bytes."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from orchestrator.errors import ImageNotFound
from orchestrator.jobs import Progress, one_line
from orchestrator.lab import Lab
from orchestrator.recipes import kind_of
from orchestrator.server.handlers import LabHandler
from orchestrator.server.operations import Route, operation


def live_document(job_id: str, progress: Progress, *, base_url: str) -> dict[str, Any]:
    """Live progress as JSON. The preview's address changes with the preview, so that a page can show it as it is."""
    preview = None
    if progress.preview:
        version = hashlib.blake2b(progress.preview, digest_size=8).hexdigest()
        preview = f"{base_url}api/jobs/{quote(job_id, safe='')}/preview?v={version}"
    return {
        "fraction": progress.fraction,
        "step": progress.step,
        "steps": progress.steps,
        "text": one_line(progress.text),
        "preview": preview,
    }


class PreviewHandler(LabHandler):
    """`/api/jobs/{id}/preview`"""

    @operation(
        "The newest preview of a running job, as its service sent it: JPEG or PNG",
        media="image/*",
        refusals=(404,),
    )
    async def get(self, job_id: str) -> None:
        """The picture's bytes. 404 while there is none, and when the job has ended."""
        data = await self.blocking(_preview, self.lab, job_id)
        kind = kind_of(data)
        self.set_header("Cache-Control", "private, no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.finish(data, set_content_type=kind.mime if kind else "application/octet-stream")


def _preview(lab: Lab, job_id: str) -> bytes:
    job = lab.store.get(job_id)
    progress = lab.store.progress.read(job.id)
    if progress is None or not progress.preview:
        raise ImageNotFound(
            f"Job {job.id} has no preview now", remedy="There is one only while a sampler works."
        )
    return progress.preview


ROUTES: list[Route] = [(r"/api/jobs/(?P<job_id>[^/]+)/preview", PreviewHandler)]
