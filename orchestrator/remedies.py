"""Carries out what a diagnosis offers: the job once more with other parameters, a look at its model, a service anew."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator import backends, models
from orchestrator.diagnosis import Action, Diagnosis, diagnose
from orchestrator.diagnosis.smaller import value_of, with_values
from orchestrator.diagnosis.values import (
    OTHER_CHECKPOINT,
    OTHER_SAMPLER,
    RESTART_SERVICE,
    RETRY,
    RETRY_SMALLER,
    VERIFY_MODEL,
)
from orchestrator.errors import InvalidTransition, MissingCheckpoint, RequestInvalid
from orchestrator.jobs import Job, Status, one_line
from orchestrator.lab import Lab
from orchestrator.models.library import Entry
from orchestrator.paths import VARIABLE
from orchestrator.surroundings import look_around
from orchestrator.workflows import choose_checkpoint, family_of, near_matches
from orchestrator.workflows.names import squashed

RUNS_AGAIN = frozenset({RETRY, RETRY_SMALLER, OTHER_CHECKPOINT, OTHER_SAMPLER})
SERVICES = frozenset({"comfyui", "worker"})
RESTART_S = 60.0


@dataclass(frozen=True)
class Applied:
    """What was done, in a sentence; and the job that runs because of it, if one does."""

    message: str
    job: Job | None = None
    is_good: bool = True  # it is bad news that a file is damaged

    def document(self) -> dict[str, Any]:
        """What was done, as JSON."""
        return {"message": self.message, "job": self.job.id if self.job else None}


def can_be_mended(job: Job) -> bool:
    """Whether a job stands still because something went wrong."""
    return job.status is Status.FAILED or (job.is_held and job.failure is not None)


def may_pay_again(job: Job) -> bool:
    """Whether running the job again may pay a second time for the same picture."""
    return job.is_terminal and job.status is not Status.DONE and job.is_ambiguous


def question(job: Job, action: Action) -> str:
    """What is asked before an action that may pay; empty for one that costs nothing."""
    if action.name not in RUNS_AGAIN:
        return ""
    if may_pay_again(job):
        return "Pay again?"
    backend = backends.BACKENDS.get(job.backend)
    return f"Pay {backend.price.split(' ')[0]}?" if backend is not None and backend.paid else ""


async def diagnosis_of(lab: Lab, job: Job) -> Diagnosis:
    """Why a job failed, with what is around it now taken into account; takes up to two seconds. Raises nothing."""
    context = await look_around(job, paths=lab.paths, store=lab.store)
    return diagnose(job.failure, job=job, context=context)


async def mend(lab: Lab, job: Job, name: str, *, is_confirmed: bool) -> Applied:
    """Do the action of that name, if a diagnosis made now offers it: nothing else that a caller says is believed.

    `is_confirmed` agrees to one that may pay. Raises InvalidTransition, and what `apply` raises.
    """
    if not can_be_mended(job):
        raise InvalidTransition(
            f"The job is {job.status.value} by now: there is nothing to mend",
            remedy="Look at it in the queue.",
        )
    diagnosis = await diagnosis_of(lab, job)
    action = next((each for each in diagnosis.actions if each.name == name), None)
    if action is None:
        raise InvalidTransition(
            f"That would not help as things are now. {diagnosis.cause}", remedy=diagnosis.remedy
        )
    if question(job, action) and not is_confirmed:
        raise InvalidTransition(
            "This may pay for a picture: it has to be confirmed",
            remedy="Press the button once more when it asks; over REST send `confirm`.",
        )
    return await apply(lab, job, action)


async def apply(lab: Lab, job: Job, action: Action) -> Applied:
    """Do what an action says. A job that is run with other parameters is a new one: the failed one stays as it is.

    Raises RequestInvalid when it cannot be done, and what the lab raises: ParamsInvalid, InvalidTransition, …
    """
    match action.name:
        case name if name == RETRY:
            again = await asyncio.to_thread(lab.retry, job.id)
            return Applied(f"Job {again.id} waits for its next attempt", again)
        case name if name == RETRY_SMALLER:
            return await _again(lab, job, action.params)
        case name if name == OTHER_CHECKPOINT:
            return await _with_other_checkpoint(lab, job, action)
        case name if name == OTHER_SAMPLER:
            return await _with_other_sampler(lab, job)
        case name if name == VERIFY_MODEL:
            return await asyncio.to_thread(_verify, lab, action.params.get("model"))
        case name if name == RESTART_SERVICE:
            return await _restart(lab, str(action.params.get("service")))
    raise RequestInvalid(f"There is no action {action.name[:40]!r}")


async def _again(lab: Lab, job: Job, changes: Mapping[str, Any]) -> Applied:
    """A new job like the old one, but for some parameters."""
    if job.status is not Status.FAILED and not job.is_held:
        raise RequestInvalid(
            f"Job {job.id} is {job.status}: there is nothing to mend",
            remedy="Look at it with `orchestrator jobs`.",
        )
    params = with_values(job.params, **changes)
    chosen = lab.catalogue.get(job.backend)
    backends.parse(chosen, params)  # said now rather than by the worker

    def make() -> Job:
        draft = lab.duplicate(job.id)
        lab.store.update(draft.id, lambda made: made.having(params=params))
        return lab.run(draft.id)

    made = await asyncio.to_thread(make)
    said = ", ".join(f"{key} {value}" for key, value in changes.items() if value is not None)
    left_out = ", ".join(key for key, value in changes.items() if value is None)
    how = "; ".join(
        filter(None, [f"with {said}" if said else "", left_out and f"without {left_out}"])
    )
    return Applied(f"Job {made.id} does the same {how}", made)


async def _with_other_checkpoint(lab: Lab, job: Job, action: Action) -> Applied:
    offers = await lab.offers()
    damaged = await asyncio.to_thread(lab.library.faults_by_name)
    families = await asyncio.to_thread(lab.library.families_by_name)
    unwanted = action.params.get("instead_of") or value_of(job, "checkpoint")
    left = [
        name
        for name in offers.checkpoints
        if name not in damaged and (not unwanted or squashed(name) != squashed(str(unwanted)))
    ]
    chosen = _nearest_checkpoint(job.backend, left, unwanted, families)
    if chosen is None:
        raise RequestInvalid(
            "The server has no other checkpoint that this job can use",
            remedy="Fetch one with `orchestrator models pull`, then run the job again.",
        )
    return await _again(lab, job, {"checkpoint": chosen})


def _nearest_checkpoint(
    backend: str, left: list[str], unwanted: object, families: Mapping[str, str | None]
) -> str | None:
    """The checkpoint most like the unwanted one among those of the family; else the one that the backend would take."""
    known = backends.BACKENDS.get(backend)
    # a saved workflow is of the family of what it has
    family = known.model if known else family_of(str(unwanted or ""), families)
    same = [name for name in left if family and family_of(name, families) == family]
    if unwanted and same and (near := near_matches(str(unwanted), same)):
        return near[0]
    if known is None:
        return same[0] if same else None
    try:
        return choose_checkpoint(known.model, left, None, families=families)
    except MissingCheckpoint:
        return None


async def _with_other_sampler(lab: Lab, job: Job) -> Applied:
    offers = await lab.offers()
    changes = {}
    for field, offered in (("sampler", offers.samplers), ("scheduler", offers.schedulers)):
        asked = value_of(job, field)
        if asked is None or asked in offered or not offered:
            continue
        near = near_matches(str(asked), offered)
        usual = "euler" if field == "sampler" else "normal"
        changes[field] = near[0] if near else usual if usual in offered else offered[0]
    if not changes:
        raise RequestInvalid(
            "The server has the job's sampler and scheduler by now",
            remedy=f"Run it again: `orchestrator retry {job.id}`.",
        )
    return await _again(lab, job, changes)


def _verify(lab: Lab, named: object) -> Applied:
    """Look at the model files of that name, or at all; says what is wrong with the first damaged one."""
    entries = lab.library.files()
    if named:
        entries = [entry for entry in entries if _is_called(entry, str(named))]
        if not entries:
            raise RequestInvalid(
                f"No model {str(named)[:120]!r} lies on this machine",
                remedy="Check it where the server runs: `orchestrator models verify FILE`.",
            )
    files = [models.verify(entry.file.path) for entry in entries]
    for file in files:
        if file.fault is not None:
            said = f"{file.path.name} is damaged: {file.problem}. {file.fault.remedy}"
            return Applied(said, is_good=False)
    return Applied(f"{len(files)} checked, none is damaged: it may be the server's memory or disk")


def _is_called(entry: Entry, name: str) -> bool:
    return squashed(entry.name) == squashed(name)


async def _restart(lab: Lab, service: str) -> Applied:
    """Have the system's service manager restart a service of the lab, as the command line does."""
    if service not in SERVICES:
        raise RequestInvalid(f"There is no service {service[:40]!r} to restart")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator", "services", "restart", service),
        env={**os.environ, VARIABLE: str(lab.paths.file)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(RESTART_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        said = b"it took too long"
    if process.returncode:
        why = one_line(lab.settings.redact(said.decode("utf-8", "replace")))[:300]
        raise RequestInvalid(
            f"{service} could not be restarted: {why}",
            remedy="Is it installed as a service? `orchestrator services status` says so. Else restart it as you "
            "started it.",
        )
    return Applied(f"{service} was restarted; run the job again when it is up")
