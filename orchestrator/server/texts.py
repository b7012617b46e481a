"""What the REST interface says of a job and of the lab's health."""

from __future__ import annotations

from typing import Any

import orjson

from orchestrator.health import HealthReport, ServiceHealth
from orchestrator.jobs import Job

HEAVY = {"logs", "attempts", "lease"}  # what a list of jobs on a page does not need


def job_document(job: Job, *, light: bool = False) -> dict[str, Any]:
    """A job as JSON; `light` leaves out its history."""
    return job.model_dump(mode="json", by_alias=True, exclude=HEAVY if light else None)


class JobTexts:
    """The newest texts of jobs: most jobs of a list are as they were when it was asked for last."""

    def __init__(self, *, kept: int = 4_000) -> None:
        self._kept = kept
        self._texts: dict[str, tuple[Job, orjson.Fragment]] = {}

    def text(self, job: Job) -> orjson.Fragment:
        """A job as JSON. Safe to use from several threads."""
        known = self._texts.get(job.id)
        if known is not None and known[0] is job:  # jobs are frozen: the same one has the same text
            return known[1]
        text = orjson.Fragment(orjson.dumps(job_document(job)))
        if len(self._texts) >= self._kept:
            self._texts.clear()
        self._texts[job.id] = (job, text)
        return text


def health_document(report: HealthReport) -> dict[str, Any]:
    """A health report as JSON. What is not known of a service is left out."""
    whole = report.model_dump(mode="json", by_alias=True)
    short = report.model_dump(mode="json", by_alias=True, exclude_none=True)
    return short | {name: whole[name] for name in ("queue", "places")}


def statuses(report: HealthReport) -> dict[str, str]:
    """What each service of a report is, host by host."""
    found = {"well": str(report.well)}
    for name in type(report).model_fields:
        service = getattr(report, name)
        if isinstance(service, ServiceHealth):
            found[name] = service.status
            for host in service.hosts or []:
                found[f"{name} {host.url}"] = host.status
    return found
