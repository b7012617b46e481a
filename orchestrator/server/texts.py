"""What the REST interface says of a job and of the lab's health."""

from __future__ import annotations

from typing import Any

from orchestrator.health import HealthReport, ServiceHealth
from orchestrator.jobs import Job

HEAVY = {"logs", "attempts", "lease"}  # what a list of jobs on a page does not need


def job_document(job: Job, *, light: bool = False) -> dict[str, Any]:
    """A job as JSON; `light` leaves out its history."""
    return job.model_dump(mode="json", by_alias=True, exclude=HEAVY if light else None)


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
