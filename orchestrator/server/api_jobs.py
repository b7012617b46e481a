"""The routes of the jobs and their queue. Each parses, calls the lab, and replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import orjson

from orchestrator import backends
from orchestrator.errors import ConfirmationNeeded, JobNotFound, ParamsInvalid, UnknownBackend
from orchestrator.jobs import Job, Status
from orchestrator.lab import Lab
from orchestrator.server.api_models import (
    Changed,
    Cleared,
    GenerateBody,
    Jobs,
    JobsQuery,
    NoBody,
    PauseBody,
    PriorityBody,
    Queue,
    Submitted,
    whole,
)
from orchestrator.server.handlers import BODY_REMEDY, LabHandler
from orchestrator.server.operations import Route, operation
from orchestrator.server.refusals import Refusal, status_of
from orchestrator.server.texts import job_document

F = TypeVar("F", bound=Callable[..., Any])
JOB = r"/api/jobs/(?P<job_id>[^/]+)"


class GenerateHandler(LabHandler):
    """`/api/generate`"""

    @operation(
        "Ask for a picture",
        body=GenerateBody,
        reply=Submitted,
        status=201,
        refusals=(400, 404),
    )
    async def post(self) -> None:
        """A new job, which a worker takes unless it is held."""
        job = await self.blocking(self._submit)
        self.created(job.id, {"success": True, "jobId": job.id})

    def _submit(self) -> Job:
        try:
            body = self.body(GenerateBody)
        except Refusal as refusal:
            if "backend" in refusal.fields:  # callers compare these words
                refusal.error = str(UnknownBackend())
            raise
        params = {name: whole(value) for name, value in (body.params or {}).items()}
        try:
            backends.parse(self.lab.catalogue.get(body.backend), params, strict=True)
            return self.lab.submit(
                body.prompt,
                backend=body.backend,
                params=params,
                hold=bool(body.hold),
                priority=body.priority or 0,
                confirm=bool(body.confirm),
            )
        except ConfirmationNeeded as error:
            fields = {"confirm": "must be true for a request that costs so much"}
            raise Refusal(400, error.message, remedy=error.remedy, fields=fields) from error
        except UnknownBackend as error:
            fields = {"backend": "is none of the backends"}
            raise Refusal(400, error.message, remedy=error.remedy, fields=fields) from error
        except ParamsInvalid as error:
            fields = {f"params.{name}": said for name, said in error.fields.items()}
            remedy = error.remedy or BODY_REMEDY
            raise Refusal(
                status_of(error),
                error.message,
                remedy=remedy,
                fields=fields or {"params": error.message},
            ) from error


class JobsHandler(LabHandler):
    """`/api/jobs`"""

    @operation("List the jobs, newest first", query=JobsQuery, reply=Jobs, refusals=(400,))
    async def get(self) -> None:
        """A page of jobs."""
        asked = self.query(JobsQuery)
        self.reply(await self.blocking(self._page, asked))

    def _page(self, asked: JobsQuery) -> bytes:
        jobs, total = self.lab.page(
            status=Status(asked.status) if asked.status else None,
            backend=asked.backend or None,
            text=asked.text or None,
            limit=int(asked.limit or JobsQuery().limit),
            offset=int(asked.offset or 0),
        )
        assert self.panel is not None
        text = self.panel.texts.text
        return orjson.dumps({"jobs": [text(job) for job in jobs], "total": total})


class ClearHandler(LabHandler):
    """`/api/jobs/clear`"""

    @operation(
        "Remove the jobs that have ended from the list; their pictures stay",
        body=NoBody,
        body_optional=True,
        reply=Cleared,
        refusals=(400,),
    )
    async def post(self) -> None:
        """How many went."""
        self.body(NoBody, optional=True)
        self.reply({"success": True, "removed": await self.blocking(self.lab.clear_ended)})


class JobHandler(LabHandler):
    """`/api/jobs/{id}`"""

    @operation("One job", reply=Job, refusals=(404,))
    async def get(self, job_id: str) -> None:
        """The job, with its history and its live progress."""
        self.reply(job_document(await self.blocking(self._find, job_id)))

    def _find(self, job_id: str) -> Job:
        try:
            return self.lab.store.get(job_id)
        except JobNotFound:
            return self.lab.job(job_id).job  # the beginning of an id will do

    @operation(
        "Remove a job that has ended; its pictures stay", reply=Submitted, refusals=(404, 409)
    )
    async def delete(self, job_id: str) -> None:
        """The id of what was removed."""
        job = await self.blocking(self.lab.delete, job_id)
        self.reply({"success": True, "jobId": job.id})


class _Action(LabHandler):
    """`/api/jobs/{id}/…`: something done with a job that takes nothing more to say."""

    act: ClassVar[Callable[[Lab, str], Job]]

    async def answer(self, job_id: str) -> None:
        """Do it, and say how the job is now."""
        self.body(NoBody, optional=True)
        job = await self.blocking(type(self).act, self.lab, job_id)
        self.reply(_changed(job))


def _action(summary: str) -> Callable[[F], F]:
    return operation(
        summary, body=NoBody, body_optional=True, reply=Changed, refusals=(400, 404, 409)
    )


class RunHandler(_Action):
    """`/api/jobs/{id}/run`"""

    act = Lab.run

    @_action("Run a draft, or an ended job once more")
    async def post(self, job_id: str) -> None:
        """The job, waiting for a worker."""
        await self.answer(job_id)


class CancelHandler(_Action):
    """`/api/jobs/{id}/cancel`"""

    act = Lab.cancel

    @_action("Cancel a job that has not ended, also while a service works on it")
    async def post(self, job_id: str) -> None:
        """The job, cancelled or about to be: `cancelRequested` says so."""
        await self.answer(job_id)


class RetryHandler(_Action):
    """`/api/jobs/{id}/retry`"""

    act = Lab.retry

    @_action("Try a failed or cancelled job again")
    async def post(self, job_id: str) -> None:
        """The job, waiting for a worker."""
        await self.answer(job_id)


class DuplicateHandler(LabHandler):
    """`/api/jobs/{id}/duplicate`"""

    @operation(
        "Make a draft that asks for the same",
        body=NoBody,
        body_optional=True,
        reply=Changed,
        status=201,
        refusals=(400, 404),
    )
    async def post(self, job_id: str) -> None:
        """The new job."""
        self.body(NoBody, optional=True)
        job = await self.blocking(self.lab.duplicate, job_id)
        self.created(job.id, _changed(job))


class PriorityHandler(LabHandler):
    """`/api/jobs/{id}/priority`"""

    @operation(
        "Move a waiting job: higher priorities are taken first",
        body=PriorityBody,
        reply=Changed,
        refusals=(400, 404, 409),
    )
    async def post(self, job_id: str) -> None:
        """The job with its new priority."""
        wanted = self.body(PriorityBody).priority
        self.reply(_changed(await self.blocking(self.lab.prioritise, job_id, wanted)))


class QueueHandler(LabHandler):
    """`/api/queue`"""

    @operation("The queue in figures, and whether it is paused", tag="queue", reply=Queue)
    async def get(self) -> None:
        """The queue."""
        self.reply(await self.blocking(_queue, self.lab))


class PauseHandler(LabHandler):
    """`/api/queue/pause`"""

    @operation(
        "Have no worker take a job from now on; what runs goes on",
        tag="queue",
        body=PauseBody,
        body_optional=True,
        reply=Queue,
        refusals=(400,),
    )
    async def post(self) -> None:
        """The queue, paused."""
        reason = self.body(PauseBody, optional=True).reason or ""
        await self.blocking(self.lab.pause, reason)
        self.reply({"success": True} | await self.blocking(_queue, self.lab))


class ResumeHandler(LabHandler):
    """`/api/queue/resume`"""

    @operation(
        "Have the workers take jobs again",
        tag="queue",
        body=NoBody,
        body_optional=True,
        reply=Queue,
        refusals=(400,),
    )
    async def post(self) -> None:
        """The queue, running."""
        self.body(NoBody, optional=True)
        await self.blocking(self.lab.resume)
        self.reply({"success": True} | await self.blocking(_queue, self.lab))


def _changed(job: Job) -> dict[str, Any]:
    return {"success": True, "jobId": job.id, "job": job_document(job)}


def _queue(lab: Lab) -> dict[str, Any]:
    lab.store.refresh()
    by_backend: dict[str, dict[str, int]] = {}
    counts = dict.fromkeys((status.value for status in Status), 0)
    for (status, backend), n in lab.store.counts_by_backend().items():
        counts[status.value] += n
        by_backend.setdefault(backend, {})[status.value] = n
    waiting, oldest = lab.store.waiting()
    note = lab.pause_note()
    return {
        "paused": note.model_dump(mode="json", by_alias=True) if note else None,
        "counts": counts,
        "byBackend": by_backend,
        "waiting": waiting,
        "oldestWaitingS": (lab.store.now() - oldest).total_seconds() if oldest else None,
    }


ROUTES: list[Route] = [
    (r"/api/generate", GenerateHandler),
    (r"/api/jobs", JobsHandler),
    (r"/api/jobs/clear", ClearHandler),
    (JOB, JobHandler),
    (JOB + "/run", RunHandler),
    (JOB + "/cancel", CancelHandler),
    (JOB + "/retry", RetryHandler),
    (JOB + "/duplicate", DuplicateHandler),
    (JOB + "/priority", PriorityHandler),
    (r"/api/queue", QueueHandler),
    (r"/api/queue/pause", PauseHandler),
    (r"/api/queue/resume", ResumeHandler),
]
