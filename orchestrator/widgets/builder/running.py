"""A test run as the editor shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.jobs import Job, Progress, one_line
from orchestrator.widgets.rows import label

NODE = re.compile(r"\(node ([0-9A-Za-z_:-]{1,200})\)")  # how the connector's messages name a node


def run_state(
    job: Job, progress: Progress | None, places: Mapping[str, list[str]]
) -> dict[str, Any]:
    """How far a job is, with the places of its nodes in the document: the one that runs, those done, that at fault."""
    failure = job.failure
    at_fault = NODE.search(failure.message) if failure else None
    running = job.status == "running"
    return {
        "job": job.id,
        "status": str(job.status),
        "label": label(job),
        "over": job.is_terminal,
        "text": one_line(progress.text) if progress and running else "",
        "fraction": progress.fraction if progress and running else 0.0,
        "step": progress.step if progress and running else None,
        "steps": progress.steps if progress and running else None,
        "node": places.get(progress.node or "", []) if progress and running else [],
        "finished": [places[node] for node in progress.finished if node in places]
        if progress and running
        else [],
        "failure": one_line(failure.message) if failure else "",
        "remedy": one_line(failure.remedy) if failure else "",
        "fault": places.get(at_fault[1], []) if at_fault else [],
        "pictures": len(job.result.files) if job.result else 0,
        "prompt": job.prompt[:500],
    }
