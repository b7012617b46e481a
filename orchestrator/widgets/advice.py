"""What a page says of a failed job's diagnosis: why, what to do, and a button for what a machine can do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator import backends
from orchestrator.diagnosis import Action, Context, Diagnosis, diagnose
from orchestrator.diagnosis.rules import UNKNOWN
from orchestrator.diagnosis.values import OTHER_CHECKPOINT, OTHER_SAMPLER, RETRY, RETRY_SMALLER
from orchestrator.jobs import Job, Status, one_line

RUNS_AGAIN = frozenset({RETRY, RETRY_SMALLER, OTHER_CHECKPOINT, OTHER_SAMPLER})
MAX_TITLE = 90  # characters of a button


def advice(job: Job, context: Context | None = None) -> dict[str, Any] | None:
    """The diagnosis of a job that failed or is held, as a page shows it; None for any other.

    `context`: what was around it when it failed. What is around it when a button is pressed is looked at then.
    """
    if not can_be_mended(job):
        return None
    said = diagnose(job.failure, job=job, context=context)
    if said.rule == UNKNOWN.name and job.failure is not None and job.failure.remedy:
        # no rule knows more than whoever told of the failure
        said = replace(said, remedy=job.failure.remedy)
    return shown(said, job)


def can_be_mended(job: Job) -> bool:
    """Whether a job stands still because something went wrong."""
    return job.status is Status.FAILED or (job.is_held and job.failure is not None)


def shown(diagnosis: Diagnosis, job: Job) -> dict[str, Any]:
    """`cause`, `remedy`, and `actions`, each with its `name`, its `title`, and the `question` that it asks first."""
    return {
        "cause": one_line(diagnosis.cause),
        "remedy": one_line(diagnosis.remedy),
        "actions": [
            {
                "name": action.name,
                "title": one_line(action.title)[:MAX_TITLE],
                "question": question(job, action),
            }
            for action in diagnosis.actions
        ],
    }


def question(job: Job, action: Action) -> str:
    """What is asked before an action that may pay; empty for one that costs nothing."""
    if action.name not in RUNS_AGAIN:
        return ""
    if needs_second_click(job):
        return "Pay again?"
    backend = backends.BACKENDS.get(job.backend)
    return f"Pay {backend.price.split(' ')[0]}?" if backend is not None and backend.paid else ""


def needs_second_click(job: Job) -> bool:
    """Whether running the job again may pay a second time for the same picture."""
    return job.is_terminal and job.status is not Status.DONE and job.is_ambiguous
