"""What travels between the lab and a Dask worker: plain values, so that neither needs the other's very version."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, TypedDict

from orchestrator import errors
from orchestrator.errors import OrchestratorError, ServiceError
from orchestrator.jobs import Progress, one_line
from orchestrator.workflows.names import squashed

# the resource that each attempt takes one of, and the name of the worker's plugin
COMFYUI = "comfyui"
MODEL = "model:"  # of a tag: a backend's name, or the name of a model's file


class Order(TypedDict):
    """One attempt. It has no key of any service in it, and no path of the lab's machine."""

    key: str  # of the Dask task: "{job id}-{fence}"
    topic: str  # where progress is told
    remote_id: str  # the prompt's id, derived from job and attempt
    backend: str
    params: dict[str, Any]
    text: str
    prefix: str
    document: dict[str, Any] | None  # the saved workflow
    # input pictures by the name the job gives: file name, content
    pictures: dict[str, tuple[str, bytes]]
    sent: bool  # the prompt may be at a server already: ask before sending it again
    taken: bool  # the server at `place` had taken it: if it is not there, it vanished
    place: str
    storage: str | None  # where the files go; None: they travel back


class Made(TypedDict):
    """What comes back: files as bytes, or where they lie; or an error."""

    place: str
    taken: bool  # the server has, or had, the prompt
    workflow: dict[str, Any] | None
    files: list[bytes]
    stored: list[str]
    error: dict[str, Any] | None


def packed(value: Order | Made) -> bytes:
    """An attempt, or what came of it, in one piece.

    Dask makes a task of every dictionary in an argument, and weighs every value in a result: it is to see neither.
    """
    return pickle.dumps(value)


def order_of(data: bytes) -> Order:
    """The attempt that was packed. Whoever may send a task may run any code here, so that nothing is checked."""
    order: Order = pickle.loads(data)
    return order


def made_of(data: bytes) -> Made:
    """What was packed by a worker of the cluster, which is trusted as the scheduler is."""
    made: Made = pickle.loads(data)
    return made


def model_tag(name: str) -> str:
    """The tag of a backend, or of a model's file as people call it."""
    return f"{MODEL}{squashed(name)}"


def said_of(error: Exception) -> dict[str, Any]:
    """An error as plain values: Dask would log the arguments of a task that raises, prompts and all."""
    if isinstance(error, OrchestratorError):
        said: dict[str, Any] = {
            "is": type(error).__name__,
            "message": error.message,
            "remedy": error.remedy,
        }
        if isinstance(error, ServiceError):
            said["retry_after_s"] = error.retry_after_s
        return said
    return {"is": "", "message": one_line(f"{type(error).__name__}: {error}")}


def error_of(said: Mapping[str, Any]) -> Exception:
    """The error that a worker met, as if it had been met here."""
    found = getattr(errors, str(said["is"]), None)
    if not (isinstance(found, type) and issubclass(found, OrchestratorError)):
        return RuntimeError(f"on the cluster's worker: {said['message']}")
    more = {"retry_after_s": said.get("retry_after_s")} if issubclass(found, ServiceError) else {}
    return found(str(said["message"]), remedy=str(said["remedy"]), **more)


def told_of(progress: Progress) -> dict[str, Any]:
    """Progress as plain values, with its preview."""
    return {**progress.model_dump(), "preview": progress.preview}
