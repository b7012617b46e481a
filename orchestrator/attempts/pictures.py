"""Pictures of an attempt: what they were made from, and where they are put."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orchestrator.attempts.held import Held
from orchestrator.errors import ImageInvalid, ServiceBroken
from orchestrator.images import Published
from orchestrator.images import publish as publish_image
from orchestrator.jobs import Job
from orchestrator.recipes import Recipe

SOFTWARE = f"orchestrator {version('orchestrator-lab')}"


def recipe_of(
    job: Job, *, seed: int | None, workflow: Mapping[str, Any] | None, index: int, now: datetime
) -> Recipe:
    """What a picture of the job's newest attempt was made from."""
    attempt = job.attempts[-1]
    return Recipe(
        job_id=job.id,
        attempt=attempt.number,
        index=index,
        backend=job.backend,
        prompt=job.prompt,
        params=job.params,
        seed=seed,
        service=attempt.service,
        host=attempt.host,
        workflow=dict(workflow) if workflow is not None else None,
        created_at=now,
        software=SOFTWARE,
        resolved=job.resolved,
    )


async def publish(held: Held, data: bytes, *, folder: Path, recipe: Recipe) -> Published:
    """Put a picture into `folder`. Raises ServiceBroken when the service sent something else: it may send it again."""
    number = f"_{recipe.index + 1}" if recipe.index else ""
    stem = f"{recipe.backend}_{recipe.job_id}{number}"
    try:
        return await held.call(publish_image, data, folder=folder, stem=stem, recipe=recipe)
    except ImageInvalid as error:
        raise ServiceBroken(
            f"What {recipe.service} sent is not a picture: {error.message}", remedy=error.remedy
        ) from error
