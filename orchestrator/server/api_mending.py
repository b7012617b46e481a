"""The routes of a failure: why a job failed, and what a machine can do about it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from orchestrator import remedies
from orchestrator.diagnosis import Action
from orchestrator.jobs import Job
from orchestrator.server.api_models import Answer, Body
from orchestrator.server.handlers import LabHandler
from orchestrator.server.operations import Route, operation

JOB = r"/api/jobs/(?P<job_id>[^/]+)"


class MendBody(Body):
    """Which of the actions that the diagnosis offers; `confirm` agrees to one that may pay."""

    action: Annotated[str, Field(min_length=1, max_length=100)]
    confirm: bool | None = None


class ActionSaid(Answer):
    """Something a machine may do. `question`: what it asks first, because it may pay; else empty."""

    name: str
    title: str
    question: str


class DiagnosisSaid(Answer):
    """Why, what to do, and what a machine may do, best first. `cause` is null for a job that nothing is wrong with."""

    cause: str | None
    remedy: str
    rule: str
    actions: list[ActionSaid]


class Mended(Answer):
    """What was done, in a sentence; `jobId` is the job that runs because of it, `good` false for bad news."""

    success: Literal[True]
    message: str
    good: bool
    job_id: str | None


class DiagnosisHandler(LabHandler):
    """`/api/jobs/{id}/diagnosis`"""

    @operation("Why a job failed or is held, and what to do", reply=DiagnosisSaid, refusals=(404,))
    async def get(self, job_id: str) -> None:
        """Looked at anew: what is around the job counts as well."""
        job = await self.blocking(self._job, job_id)
        if not remedies.can_be_mended(job):
            self.reply({"cause": None, "remedy": "", "rule": "", "actions": []})
            return
        said = await remedies.diagnosis_of(self.lab, job)
        self.reply(
            {
                "cause": said.cause,
                "remedy": said.remedy,
                "rule": said.rule,
                "actions": [_said(job, action) for action in said.actions],
            }
        )

    def _job(self, job_id: str) -> Job:
        return self.lab.job(job_id).job


class MendHandler(LabHandler):
    """`/api/jobs/{id}/mend`"""

    @operation(
        "Do what the diagnosis offers", body=MendBody, reply=Mended, refusals=(400, 404, 409, 422)
    )
    async def post(self, job_id: str) -> None:
        """What was done."""
        asked = self.body(MendBody)
        job = await self.blocking(lambda: self.lab.job(job_id).job)
        done = await remedies.mend(self.lab, job, asked.action, is_confirmed=bool(asked.confirm))
        self.reply(
            {
                "success": True,
                "message": done.message,
                "good": done.is_good,
                "jobId": done.job.id if done.job else None,
            }
        )


def _said(job: Job, action: Action) -> dict[str, Any]:
    question = remedies.question(job, action)
    return {"name": action.name, "title": action.title, "question": question}


ROUTES: list[Route] = [(JOB + "/diagnosis", DiagnosisHandler), (JOB + "/mend", MendHandler)]
