"""Pictures of an attempt: what they were made from, and where they are put."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orchestrator.attempts.held import Held
from orchestrator.diagnosis.smaller import value_of
from orchestrator.errors import ImageInvalid, ServiceBroken
from orchestrator.images import Published, read_recipe, safe_stem
from orchestrator.images import publish as publish_image
from orchestrator.jobs import Job
from orchestrator.recipes import Recipe
from orchestrator.recipes.kinds import JPEG, MP4, PNG, WEBP

BATCH_SIZE = "batch_size"
ENDINGS = frozenset(kind.ending for kind in (PNG, JPEG, WEBP, MP4))
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
    stem = f"{_stem(recipe.backend, recipe.job_id)}{number}"
    try:
        return await held.call(publish_image, data, folder=folder, stem=stem, recipe=recipe)
    except ImageInvalid as error:
        raise ServiceBroken(
            f"What {recipe.service} sent is not a picture: {error.message}", remedy=error.remedy
        ) from error


def published(job: Job, *, folder: Path) -> list[str]:
    """The pictures of the job's newest attempt that are in `folder` already, if all that it asked for are.

    A worker may be killed after it has published, and before its job says so. Blocks on the disk.
    """
    found: dict[int, str] = {}
    for path in folder.glob(f"{_stem(job.backend, job.id)}*"):
        recipe = _recipe(path) if path.suffix in ENDINGS else None
        if recipe and (recipe.job_id, recipe.attempt) == (job.id, job.attempts[-1].number):
            found[recipe.index] = str(path)
    asked = value_of(job, BATCH_SIZE)
    wanted = asked if isinstance(asked, int) else 1
    return [found[index] for index in sorted(found)] if len(found) >= wanted else []


def _recipe(path: Path) -> Recipe | None:
    try:
        return read_recipe(path)
    except OSError:  # just removed
        return None


def _stem(backend: str, job_id: str) -> str:
    return safe_stem(f"{backend}_{job_id}")
