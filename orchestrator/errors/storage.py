"""Errors of what the lab keeps: jobs and images."""

from __future__ import annotations

from orchestrator.errors.base import OrchestratorError


class StoreError(OrchestratorError):
    """The job store cannot do that."""


class JobNotFound(StoreError):
    """There is no such job."""

    remedy = (
        "List the jobs with `orchestrator jobs`; an id may be shortened to its first characters."
    )


class ImageNotFound(StoreError):
    """There is no such picture."""

    remedy = (
        "It was renamed, moved or deleted; deleted pictures lie in `.trash` in the folder dropOut."
    )


class JobExists(StoreError):
    """A job with this id exists already."""

    remedy = "Nothing is lost: look the job up by its id, or submit with another id."


class InvalidTransition(StoreError):
    """The job's status does not allow that."""

    remedy = "Look at the job's status with `orchestrator jobs`."


class Fenced(StoreError):
    """Another worker has taken this job over; this worker's write is refused."""

    remedy = "Nothing to do: the other worker finishes the job."


class CorruptFile(StoreError):
    """The file does not hold a job."""

    remedy = (
        "Look at jobs/_corrupt: the file was moved there with a note; repair it and move it back."
    )


class StoreBusy(StoreError):
    """Another process has held this job's lock for too long."""

    remedy = (
        "Look for a stopped (suspended) orchestrator process and end it; its lock goes with it."
    )


class DiskFull(StoreError):
    """The disk that holds the jobs is full."""

    remedy = "Free some space (`orchestrator paths` shows how much each folder's disk has) and try again."


class ImageInvalid(OrchestratorError):
    """The bytes are not a picture that can be read."""

    remedy = "Run the job again; if it happens again, look at the picture in the service's own output folder."
