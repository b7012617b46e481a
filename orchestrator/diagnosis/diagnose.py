"""From a failure to its diagnosis: the first rule that speaks for it."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.diagnosis.facts import blanks, sentence, start_worker
from orchestrator.diagnosis.rules import RULES, UNKNOWN
from orchestrator.diagnosis.values import Context, Diagnosis, Facts
from orchestrator.errors import OrchestratorError
from orchestrator.jobs import Failure, Job, Status, one_line

MAX_REMEDY = 600  # characters


def diagnose(failure: Failure | None, *, job: Job, context: Context | None = None) -> Diagnosis:
    """Why a job failed and what to do. Without a failure: what the old system wrote, else how the job stands."""
    around = context or Context()
    if failure is None:
        failure = job.failure or _of_the_old_system(job)
    if failure is None:
        return _standing(job, around)
    facts = Facts(failure, job, around)
    rule = next((rule for rule in RULES if rule.speaks_for(facts)), UNKNOWN)
    words = blanks(facts)
    actions = rule.offer(facts) if rule.offer else ()
    remedy = rule.remedy.format_map(words)
    own = one_line(failure.remedy)[:MAX_REMEDY]
    # a remedy that was made for this very failure knows more than the table
    if own and not rule.wins and own not in _usual_remedies():
        remedy = own
    if actions:
        step = f"{actions[0].title}: `orchestrator diagnose {job.id} --apply`"
    else:
        step = (rule.step or "By hand; then `orchestrator retry {job}`").format_map(words)
    return Diagnosis(
        cause=sentence(rule.cause.format_map(words)),
        remedy=remedy,
        action=actions[0] if actions else None,
        others=actions[1:],
        step=step,
        rule=rule.name,
    )


def _of_the_old_system(job: Job) -> Failure | None:
    """The failure of a job file that has only an error's text."""
    if job.status is not Status.FAILED:
        return None
    said = job.result.error if job.result else None
    return Failure(kind="unclassified", message=said or "It failed, and does not say why")


def _standing(job: Job, context: Context) -> Diagnosis:
    """A job that has not failed."""
    if job.status is Status.RUNNING:
        return Diagnosis(cause="It runs.", remedy="Wait for it.", rule="running")
    if not job.is_waiting:
        said = {
            Status.DONE: "Nothing is wrong with it: it is done.",
            Status.CANCELLED: "It was cancelled.",
            Status.CREATED: "It is a draft.",
        }[job.status]
        remedy = (
            "Nothing to do."
            if job.status is Status.DONE
            else f"Run it: `orchestrator run {job.id}`."
        )
        return Diagnosis(cause=said, remedy=remedy, rule=job.status.value)
    if context.workers == 0:
        facts = Facts(Failure(kind="", message=""), job, context)
        return Diagnosis(
            cause="It waits, and no worker runs.",
            remedy="Run `orchestrator up`, or `orchestrator worker` for a worker alone.",
            action=start_worker(facts)[0],
            step="Start the worker: `orchestrator up`",
            rule="no_worker",
        )
    if context.pause is not None:
        why = f" ({one_line(context.pause)})" if context.pause else ""
        return Diagnosis(
            cause=f"It waits: the queue is paused{why}.",
            remedy="Resume the queue on the page, or with `lab.resume()`.",
            rule="paused",
        )
    return Diagnosis(cause="It waits for its turn.", remedy="Wait for it.", rule="waiting")


def _usual_remedies() -> frozenset[str]:
    return frozenset(one_line(kind.remedy) for kind in _kinds(OrchestratorError))


def _kinds(kind: type[OrchestratorError]) -> Iterator[type[OrchestratorError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
