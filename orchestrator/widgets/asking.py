"""The jobs that one press of the form's button asks for, and what a job was asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from orchestrator import backends
from orchestrator.backends import MAX_BFL_SEED, MAX_COMFYUI_SEED, Backend
from orchestrator.errors import ParamsInvalid
from orchestrator.jobs import Job
from orchestrator.widgets.fields import number, told, told_unread
from orchestrator.widgets.rows import short_id

MOST = 50  # jobs of one press


def asked_for(job: Job, fields: Sequence[Mapping[str, Any]], backend: Backend) -> dict[str, str]:
    """What a job was asked for, as the form's text."""
    try:
        return told(backends.parse(backend, job.params), fields)
    except ParamsInvalid:  # an old job file: what it says is shown, and judged when it is asked for
        return told_unread(job.params, fields)


def with_next_seed(params: Mapping[str, Any], nth: int, backend: Backend) -> dict[str, Any]:
    """The parameters of the nth job of one press, from 0: a seed that was typed goes up by one for each."""
    seed = params.get("seed")
    if not isinstance(seed, int):
        return dict(params)  # none: each is chosen anew
    most = MAX_BFL_SEED if backend.service == "bfl" else MAX_COMFYUI_SEED
    return {**params, "seed": seed if nth == 0 else (seed + nth) % (most + 1)}


def count_of(value: Any) -> int:
    """How many jobs were asked for. Raises ParamsInvalid."""
    asked = number(value)
    if type(asked) is not int or not 1 <= asked <= MOST:
        raise ParamsInvalid(
            f"How many = {str(value)[:20]}: must be a whole number from 1 to {MOST}",
            remedy="Correct the number.",
            fields={"count": f"must be a whole number from 1 to {MOST}"},
        )
    return asked


def amount_of(said: Any) -> Decimal | None:
    """An amount of dollars that a page says was agreed to; None for anything else."""
    try:
        amount = Decimal(said) if isinstance(said, str) else None
    except InvalidOperation:
        return None
    return amount if amount is not None and amount.is_finite() else None


def submitted(jobs: list[Job], *, hold: bool) -> dict[str, str]:
    """What became of the jobs of one press, in words, with the id of the only one."""
    if len(jobs) == 1:
        text = "is kept as a draft: press Run in the queue" if hold else "is in the queue"
        return {"id": short_id(jobs[0].id), "text": text}
    what = "drafts are kept: press Run in the queue" if hold else "jobs are in the queue"
    return {"id": "", "text": f"{len(jobs)} {what}"}
