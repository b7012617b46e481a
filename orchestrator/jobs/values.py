"""What a job file is made of, beside the job itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from orchestrator.errors import OrchestratorError, ServiceError
from orchestrator.jobs.status import Phase


class Value(BaseModel):
    """Base of everything in a job file: frozen, camelCase on disk, foreign fields kept as they are."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="allow"
    )

    def having(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return self.model_copy(update=changes)


class Failure(Value):
    """Why an attempt or a job failed, and what to do about it."""

    kind: str
    message: str
    remedy: str = ""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """What to store of an exception."""
        if isinstance(error, ServiceError):
            return cls(kind=error.kind, message=one_line(error.message), remedy=error.remedy)
        if isinstance(error, OrchestratorError):
            kind = type(error).__name__
            return cls(kind=kind, message=one_line(error.message), remedy=error.remedy)
        return cls(
            kind="internal",
            message=one_line(f"{type(error).__name__}: {error}"),
            remedy="This is a fault in the lab: please report it with the newest lines of the worker's log.",
        )


class Cost(Value):
    """What a service charged."""

    credits: float
    currency: str = "USD"
    amount: str  # decimal, as text: money is not a float


class Result(Value):
    """What a job made. `error` repeats the failure's message for readers of the old format."""

    file: str | None = None
    files: list[str] = Field(default_factory=list)
    error: str | None = None
    cost: Cost | None = None


class Lease(Value):
    """A worker's claim. `slot` is its place in the limit of a service host."""

    worker: str
    host: str
    fence: int
    slot: str | None = None


class Backoff(Value):
    """A pause before the next attempt, kept as a length: a wall clock set back must not strand the job."""

    written: AwareDatetime
    delay: float  # seconds

    def is_over(self, now: datetime) -> bool:
        """Whether the pause has passed, or the clock has moved to before it was written."""
        passed = (now - self.written).total_seconds()
        return not -1 <= passed < self.delay


class Progress(Value):
    """How far a running attempt is. Kept beside the job file, never in it: it changes too often."""

    fraction: float = 0.0  # 0.0-1.0 of the whole attempt
    step: int | None = None  # sampler step, from 1
    steps: int | None = None
    text: str = ""  # what is happening, in a word or two: "waiting on the server", "sampling"
    node: str | None = None  # of a ComfyUI workflow: the node that runs, `host:inner` in a subgraph
    finished: tuple[str, ...] = ()  # and those that are done
    preview: bytes | None = Field(default=None, exclude=True, repr=False)  # JPEG or PNG


class Attempt(Value):
    """One numbered try at a service."""

    number: int
    service: str
    host: str
    phase: Phase = Phase.INTENT
    remote_id: str | None = None
    polling_url: str | None = None
    slot: str | None = None  # its place in the limit of the host
    receipt: str | None = None  # name of the receipt reserved before paying
    cost: Cost | None = None
    started_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    failure: Failure | None = None

    @property
    def is_open(self) -> bool:
        """Whether the service may still be working on it, or hold its picture."""
        return self.finished_at is None


class Resolved(Value):
    """What is sent for a job whose prompt is more than text: styles, wildcards and translation applied."""

    prompt: str
    negative_prompt: str | None = None  # None: as the parameters say
    original: str | None = None  # the prompt before it was translated
    translated_from: str | None = None  # ISO 639-1
    styles: list[str] = Field(default_factory=list)


def one_line(text: str) -> str:
    """Text without line breaks or control characters, so that it cannot forge a line of a log."""
    if text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
