"""What a page says of a failed job's diagnosis: why, what to do, and a button for what a machine can do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator.diagnosis import Context, Diagnosis, diagnose
from orchestrator.diagnosis.rules import UNKNOWN
from orchestrator.jobs import Job, one_line
from orchestrator.remedies import can_be_mended, question

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
