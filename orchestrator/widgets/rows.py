"""What a page shows of a job, as JSON. Pure functions of their arguments; all text is data, escaped where shown."""

from __future__ import annotations

from typing import Any

from orchestrator import backends
from orchestrator.diagnosis import Context
from orchestrator.jobs import Job, Progress, Status, one_line
from orchestrator.remedies import may_pay_again
from orchestrator.widgets.advice import advice

SHORT_PROMPT = 50  # characters
LONG_PROMPT = 1000  # shown on hover; a longer one would only fill the screen
SHORT_ID = 13  # characters of a UUIDv7: its milliseconds, so that an id is told from its neighbours
MAX_PRIORITY = 1000  # as `lab.prioritise` clips it
SHOWN_PARAMS = {
    "width": "width",
    "height": "height",
    "aspectratio": "aspect ratio",
    "steps": "steps",
    "cfg": "cfg",
    "sampler": "sampler",
    "samplername": "sampler",
    "scheduler": "scheduler",
    "negativeprompt": "negative prompt",
    "styles": "styles",
    "image": "begins with",
    "denoise": "denoise",
    "mask": "mask",
    "frames": "frames",
    "fps": "fps",
    "motion": "motion",
    "checkpoint": "checkpoint",
    "loras": "LoRAs",
    "vae": "VAE",
    "clipskip": "CLIP skip",
    "hiresscale": "second pass",
    "upscaler": "upscaler",
    "refiner": "refiner",
}
FILMS = (".mp4",)
NO_WORKER = {
    "text": "No worker is running, so jobs wait.",
    "remedy": "Start one in a terminal: orchestrator up, or orchestrator worker. "
    "In a notebook: async with lab.worker(): …",
}


def row(job: Job, context: Context | None = None) -> dict[str, Any]:
    """A job as the queue and the view of one job show it, without its live progress. `context`: what was around it
    when it failed."""
    backend = backends.BACKENDS.get(job.backend)
    text = one_line(job.prompt)
    return {
        "id": job.id,
        "short": short_id(job.id),
        "status": job.status.value,
        "label": label(job),
        "backend": backend.title if backend else one_line(job.backend)[:SHORT_PROMPT],
        "price": backend.price if backend and backend.paid else "",
        "priority": job.priority,
        "prompt": text if len(text) <= SHORT_PROMPT else text[: SHORT_PROMPT - 1] + "…",
        "whole": text[:LONG_PROMPT],
        "sent": one_line(job.text)[:LONG_PROMPT] if job.text != job.prompt else "",
        "moves": moves(job),
        "created": job.created_at.isoformat(),
        "started": job.started_at.isoformat() if job.started_at else None,
        "finished": job.finished_at.isoformat() if job.finished_at else None,
        "pictures": len(job.result.files) if job.result and job.status is Status.DONE else 0,
        "cost": job.result.cost.amount if job.result and job.result.cost else "",
        "failure": failure(job, context),
        "ambiguous": may_pay_again(job),
        "actions": actions(job),
        "settings": settings(job),
    }


def moves(job: Job) -> bool:
    """Whether what a job makes is a film, or a picture that moves."""
    backend = backends.BACKENDS.get(job.backend)
    files = job.result.files if job.result else []
    return (backend is not None and backend.model == "svd") or any(
        file.lower().endswith(FILMS) for file in files
    )


def short_id(job_id: str) -> str:
    """The beginning of an id, long enough for `lab.job` and the command line to find the job by."""
    return job_id[:SHORT_ID]


def label(job: Job) -> str:
    """The status in a word or two."""
    if job.cancel_requested and not job.is_terminal:
        return "cancelling"
    if job.status is Status.CREATED:
        return "held" if job.is_held else "draft" if job.hold else "queued"
    return job.status.value


def actions(job: Job) -> list[str]:
    """The buttons of a job: those that would do something now, in their order."""
    if job.status is Status.DONE:
        view = ["view"] if job.result and job.result.files else []
        return [*view, "duplicate", "delete"]
    if job.is_terminal:
        return ["retry", "duplicate", "delete"]
    draft = ["run"] if job.status is Status.CREATED and job.hold else []
    cancel = [] if job.cancel_requested else ["cancel"]
    return [*draft, *cancel, *_moves(job), "duplicate"]


def _moves(job: Job) -> list[str]:
    """Up and down the queue, of a job that has not begun."""
    if job.status is Status.RUNNING or job.cancel_requested:
        return []
    up = ["raise"] if job.priority < MAX_PRIORITY else []
    return [*up, *(["lower"] if job.priority > -MAX_PRIORITY else [])]


def failure(job: Job, context: Context | None = None) -> dict[str, Any] | None:
    """What went wrong, why, and what to do, of a job that failed or is about to be tried again.

    `context`: what was around it when it failed.
    """
    known = advice(job, context)
    if job.failure is None and known is not None:  # a file of the old system
        said = job.result.error if job.result else None
        return {"text": one_line(said or "It failed"), "kind": "unclassified", **known}
    if job.failure is None or job.status is Status.DONE:
        return None
    again = "" if job.is_terminal else "Held. " if job.is_held else "Will be tried again. "
    return {
        "text": again + one_line(job.failure.message),
        "remedy": one_line(job.failure.remedy),
        "kind": one_line(job.failure.kind),
        "cause": "",
        "actions": [],
        **(known or {}),
    }


def live(progress: Progress | None) -> dict[str, Any] | None:
    """How far a running job is; None when its service has said nothing yet."""
    if progress is None:
        return None
    return {
        "fraction": min(1.0, max(0.0, progress.fraction)),
        "step": progress.step,
        "steps": progress.steps,
        "text": one_line(progress.text),
    }


def settings(job: Job) -> list[list[str]]:
    """The parameters that a picture's caption names, as name and value."""
    given = {str(key).replace("_", "").lower(): value for key, value in job.params.items()}
    said = [
        [name, words(given[key])[:LONG_PROMPT]]
        for key, name in SHOWN_PARAMS.items()
        if given.get(key) not in (None, "", [])
    ]
    seed = given.get("seed")
    return said if seed is None else [["seed", one_line(str(seed))[:40]], *said]


def words(value: Any) -> str:
    """A parameter's value on one line; a list of LoRAs or styles as one reads it aloud."""
    if not isinstance(value, list):
        return one_line(str(value))
    return ", ".join(
        one_line(
            f"{each.get('name')} {each.get('strength', 1)}" if isinstance(each, dict) else str(each)
        )
        for each in value
    )
