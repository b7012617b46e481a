"""Jobs and pictures as pandas tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson

from orchestrator.handles import Picture
from orchestrator.images import sidecar
from orchestrator.jobs import Job

if TYPE_CHECKING:
    import pandas

JOB_COLUMNS = [
    "id", "status", "backend", "prompt", "seed", "priority", "created", "seconds", "attempts",
    "file", "failure", "remedy", "cost",
]  # fmt: skip
IMAGE_COLUMNS = [
    "file", "job", "backend", "prompt", "seed", "created", "size", "width", "height",
]  # fmt: skip


def of_jobs(jobs: Iterable[Job]) -> pandas.DataFrame:
    """A row per job."""
    import pandas

    return pandas.DataFrame([_job_row(job) for job in jobs], columns=JOB_COLUMNS)


def of_pictures(pictures: Iterable[Picture]) -> pandas.DataFrame:
    """A row per picture, with what its sidecar says. Blocks on the disk."""
    import pandas

    return pandas.DataFrame([_image_row(picture) for picture in pictures], columns=IMAGE_COLUMNS)


def _job_row(job: Job) -> dict[str, Any]:
    took = job.finished_at - job.started_at if job.finished_at and job.started_at else None
    return {
        "id": job.id,
        "status": job.status.value,
        "backend": job.backend,
        "prompt": job.prompt,
        "seed": job.params.get("seed"),
        "priority": job.priority,
        "created": job.created_at,
        "seconds": took.total_seconds() if took else None,
        "attempts": len(job.attempts),
        "file": job.result.file if job.result else None,
        "failure": job.failure.message if job.failure else None,
        "remedy": job.failure.remedy if job.failure else None,
        "cost": job.result.cost.amount if job.result and job.result.cost else None,
    }


def _image_row(picture: Picture) -> dict[str, Any]:
    try:
        beside = orjson.loads(sidecar(picture.path).read_bytes())
    except (OSError, ValueError):
        beside = {}
    return {
        "file": str(picture.path),
        "job": picture.job.id,
        "backend": picture.job.backend,
        "prompt": picture.job.prompt,
        "seed": picture.job.params.get("seed"),
        "created": picture.job.finished_at,
        "size": picture.path.stat().st_size,
        "width": beside.get("width"),
        "height": beside.get("height"),
    }
