"""What a page shows of a picture and its recipe, as JSON. Pure functions; all text is data, escaped where shown."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.gallery import GalleryImage
from orchestrator.jobs import Job, Status, one_line
from orchestrator.recipes.graphs import read_workflow
from orchestrator.widgets.choices import title
from orchestrator.widgets.rows import SHOWN_PARAMS, label, words

SHOWN_PROMPT = 300  # characters under a picture; the recipe has all of them
SHOWN_VALUE = 2000  # characters of a parameter


def item(image: GalleryImage) -> dict[str, Any]:
    """A picture as the grid shows it."""
    return {
        "file": image.file,
        "version": image.version,
        "owned": image.job_id is not None,
        "backend": title(image.backend or ""),
        "prompt": one_line(image.prompt)[:SHOWN_PROMPT],
        "created": image.created_at.isoformat(),
        "size": image.size,
        "width": image.width,
        "height": image.height,
        "favourite": image.favourite,
        "film": image.mime.startswith("video/"),
        "moves": image.mime.startswith("video/") or image.backend == "svd",
    }


def job_state(job: Job) -> dict[str, str]:
    """Why a job has no pictures to show, or not yet."""
    said = {"label": label(job), "text": "", "remedy": ""}
    if job.status is Status.FAILED and job.failure:
        return said | {
            "text": f"This job failed: {one_line(job.failure.message)}",
            "remedy": one_line(job.failure.remedy),
        }
    if job.status is Status.DONE:
        gone = "It is done, but its pictures are not in the output folder any more."
        return said | {
            "text": gone,
            "remedy": "Look into the trash; the same seed makes them again.",
        }
    if job.is_terminal:
        return said | {"text": "This job was cancelled.", "remedy": "Retry it on the dashboard."}
    waits = "It appears here by itself when it is done. The dashboard says how far it is."
    return said | {"text": f"No picture yet: this job is {label(job)}.", "remedy": waits}


def facts(recipe: dict[str, Any]) -> list[list[str]]:
    """A recipe as names and values, the seed first: all text, however strange."""
    given = recipe.get("params") or {}
    seed = recipe.get("seed")
    rows: list[tuple[str, Any]] = [
        ("seed", seed),
        ("backend", title(str(recipe.get("backend") or ""))),
    ]
    rows += [(_word(name), _list(value)) for name, value in given.items() if not _is_seed(name)]
    rows += [
        ("checkpoint", _checkpoint(recipe, given)),
        ("translated from", _resolved(recipe).get("translatedFrom")),
    ]
    rows += [
        ("service", " ".join(filter(None, [recipe.get("service"), recipe.get("host")]))),
        ("job", recipe.get("jobId")),
        ("attempt", recipe.get("attempt")),
        ("made by", recipe.get("software")),
    ]
    return [[name, _text(value)] for name, value in rows if value not in (None, "", [], {})]


def sent(recipe: dict[str, Any]) -> str:
    """What was sent for the prompt, with its styles, wildcards and translation; empty when it was the prompt."""
    said = str(_resolved(recipe).get("prompt") or "")
    return "" if said == recipe.get("prompt") else said


def _resolved(recipe: dict[str, Any]) -> dict[str, Any]:
    said = recipe.get("resolved")
    return said if isinstance(said, dict) else {}


def _checkpoint(recipe: dict[str, Any], given: dict[str, Any]) -> str | None:
    """The checkpoint that a job did not name and that was chosen for it."""
    workflow = recipe.get("workflow")
    if any(_squashed(name) == "checkpoint" for name in given) or not isinstance(workflow, dict):
        return None
    reading = read_workflow(workflow)
    return reading.params.get("checkpoint") if reading else None


def _list(value: Any) -> Any:
    return words(value) if isinstance(value, list) and value else value


def _is_seed(name: object) -> bool:
    return _squashed(name) == "seed"


def _word(name: object) -> str:
    return SHOWN_PARAMS.get(_squashed(name), one_line(str(name))[:100])


def _squashed(name: object) -> str:
    return str(name).replace("_", "").replace("-", "").casefold()


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_VALUE else text[: SHOWN_VALUE - 1] + "…"
