"""A job, its attempts, and every move its status may make. Values only: no files, no clock, no network."""

from __future__ import annotations

from orchestrator.jobs.ids import NAMESPACE, new_id, prompt_id
from orchestrator.jobs.job import MAX_CRASHES, MAX_LOG_LINE, MAX_LOGS, MAX_PRIORITY, Job, to_json
from orchestrator.jobs.limits import MAX_DEPTH, MAX_PROMPT, check_prompt
from orchestrator.jobs.status import TERMINAL, TRANSITIONS, Phase, Status
from orchestrator.jobs.values import (
    Attempt,
    Backoff,
    Cost,
    Failure,
    Progress,
    Resolved,
    Result,
    Value,
    one_line,
)

__all__ = [
    "MAX_CRASHES",
    "MAX_DEPTH",
    "MAX_LOGS",
    "MAX_LOG_LINE",
    "MAX_PRIORITY",
    "MAX_PROMPT",
    "NAMESPACE",
    "TERMINAL",
    "TRANSITIONS",
    "Attempt",
    "Backoff",
    "Cost",
    "Failure",
    "Job",
    "Phase",
    "Progress",
    "Resolved",
    "Result",
    "Status",
    "Value",
    "check_prompt",
    "new_id",
    "one_line",
    "prompt_id",
    "to_json",
]
