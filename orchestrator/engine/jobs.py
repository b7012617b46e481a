"""`/api/jobs`: one view over waiting, running and finished prompts. Pure."""

from __future__ import annotations

from typing import Any

from orchestrator.engine.queue import Done, Item, PromptQueue

JSON = Any

STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")


def find(queue: PromptQueue, prompt_id: str) -> dict[str, JSON] | None:
    """One job in full, looked for in the queue first: a job that ends in between is then in the history."""
    running, pending = queue.snapshot()
    for status, items in (("in_progress", running), ("pending", pending)):
        for item in items:
            if item.prompt_id == prompt_id:
                return _waiting(item, status)
    done = queue.done(prompt_id)
    return None if done is None else _finished(done) | _details(done)


def listed(
    queue: PromptQueue,
    *,
    statuses: set[str],
    workflow_id: str | None,
    sort_by: str,
    descending: bool,
    limit: int | None,
    offset: int,
) -> dict[str, JSON]:
    running, pending = queue.snapshot()
    jobs = [_waiting(item, "pending") for item in pending]
    jobs += [_waiting(item, "in_progress") for item in running]
    # A prompt id used again runs again; the newer run hides the older one.
    jobs += [_finished(done) for done in queue.history().values()]
    jobs = [
        job
        for job in jobs
        if job["status"] in statuses and workflow_id in (None, job.get("workflow_id"))
    ]
    jobs.sort(key=_duration if sort_by == "execution_duration" else _created, reverse=descending)
    page = jobs[offset:] if limit is None else jobs[offset : offset + limit]
    pagination = {
        "offset": offset,
        "limit": limit,
        "total": len(jobs),
        "has_more": offset + len(page) < len(jobs),
    }
    return {"jobs": page, "pagination": pagination}


def _created(job: dict[str, JSON]) -> int:
    return int(job["create_time"])


def _duration(job: dict[str, JSON]) -> int:
    return int(job.get("execution_end_time", 0) - job.get("execution_start_time", 0))


def _waiting(item: Item, status: str) -> dict[str, JSON]:
    return {
        "id": item.prompt_id,
        "status": status,
        "priority": item.number,
        "create_time": item.create_time,
        "outputs_count": 0,
    } | _workflow_id(item)


def _finished(done: Done) -> dict[str, JSON]:
    events = dict(done.outcome.messages)
    error = events.get("execution_error")
    status = "completed" if done.outcome.success else "failed" if error else "cancelled"
    files = [
        {**file, "nodeId": node_id, "mediaType": kind}
        for node_id, output in done.outcome.outputs.items()
        for kind, files in output.items()
        for file in files
        if isinstance(file, dict)
    ]
    job: dict[str, JSON] = {
        "id": done.item.prompt_id,
        "status": status,
        "priority": done.item.number,
        "create_time": done.item.create_time,
        "execution_start_time": done.outcome.messages[0][1]["timestamp"],
        "execution_end_time": done.outcome.messages[-1][1]["timestamp"],
    }
    if error:
        job["execution_error"] = error
    job["outputs_count"] = len(files)
    if files:
        job["preview_output"] = files[0]
    return job | _workflow_id(done.item)


def _details(done: Done) -> dict[str, JSON]:
    entry = done.to_json()
    return {
        "outputs": entry["outputs"],
        "execution_status": entry["status"],
        "workflow": {"prompt": done.item.prompt, "extra_data": done.item.extra_data},
    }


def _workflow_id(item: Item) -> dict[str, str]:
    workflow = item.extra_data.get("extra_pnginfo")
    workflow = workflow.get("workflow") if isinstance(workflow, dict) else None
    found = workflow.get("id") if isinstance(workflow, dict) else None
    return {"workflow_id": found} if isinstance(found, str) else {}
