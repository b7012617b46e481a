"""What the REST interface takes and what it answers. The OpenAPI document is made of these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from orchestrator.jobs import MAX_PRIORITY, MAX_PROMPT, Job, Status

MAX_LIMIT = 500
MAX_OFFSET = 10_000_000
MAX_REASON = 300  # characters
Blank = Literal[""]  # `?status=&backend=` as a form sends it: not given


# ------------------------------------------------------------------------------ requests


def whole(value: Any) -> Any:
    """A number without a fraction as an integer: to JSON 5.0 and 5 are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Priority = Annotated[int, BeforeValidator(whole), Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)]


class Body(BaseModel):
    """Base of the bodies: a field that nobody knows is a mistake, and so is a number written as text."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True
    )


class GenerateBody(Body):
    """A picture that somebody asks for. `params` are the backend's; a seed is chosen when there is none."""

    prompt: Annotated[str, Field(max_length=MAX_PROMPT, description="What the picture shows.")]
    backend: Annotated[str, Field(description="What makes it.")]
    params: dict[str, Any] | None = None
    hold: Annotated[bool | None, Field(description="Keep it as a draft until it is run.")] = None
    priority: Priority | None = None
    confirm: Annotated[bool | None, Field(description="Agree to whatever it costs.")] = None

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty: say what the picture should show")
        return value


class PriorityBody(Body):
    """Where a job stands among those that wait: higher ones are taken first."""

    priority: Priority


class PauseBody(Body):
    """Why the queue is paused."""

    reason: Annotated[str, Field(max_length=MAX_REASON)] | None = None


class NoBody(Body):
    """Nothing, or an empty object."""


class JobsQuery(BaseModel):
    """Which jobs to list. `text`: each word is in the prompt, or begins the id."""

    model_config = ConfigDict(frozen=True)

    status: Status | Blank = ""
    backend: Annotated[str, Field(max_length=200)] = ""
    text: Annotated[str, Field(max_length=MAX_PROMPT)] = ""
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] | Blank = 50
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] | Blank = 0


class StreamQuery(BaseModel):
    """Where to go on after a broken connection; browsers send the header Last-Event-ID instead."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)

    last_event_id: str | None = None


# ------------------------------------------------------------------------------ answers


class Answer(BaseModel):
    """Base of the answers: more may be added to them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow")


class Refused(Answer):
    """An error. `fields` says what is wrong with which field of the request."""

    success: Literal[False]
    error: str
    remedy: str
    fields: dict[str, str] | None = None


class Submitted(Answer):
    """The request is a job now."""

    success: Literal[True]
    job_id: str


class Changed(Submitted):
    """The job as it is now."""

    job: Job


class Cleared(Answer):
    """How many jobs were removed from the list."""

    success: Literal[True]
    removed: int


class Jobs(Answer):
    """A page of jobs, newest first; `total` counts all that match."""

    jobs: list[Job]
    total: int


class PauseNote(Answer):
    """Since when and why no job is taken."""

    since: str
    reason: str


class Queue(Answer):
    """The queue. `counts` by status, `byBackend` by backend and status; ages in seconds."""

    paused: PauseNote | None
    counts: dict[str, int]
    by_backend: dict[str, dict[str, int]]
    waiting: int
    oldest_waiting_s: float | None


class BackendSaid(Answer):
    """A backend, its defaults, and what it takes. `notes`: what cannot be changed in a saved workflow."""

    name: str
    title: str
    service: str
    model: str
    defaults: dict[str, Any]
    paid: bool
    price: str
    params: dict[str, Any]
    notes: list[str]


class Backends(Answer):
    """What a picture can be made with."""

    backends: list[BackendSaid]


class OffersSaid(Answer):
    """What the ComfyUI servers have to choose from, and why backends that none of them can run are not available."""

    samplers: list[str]
    schedulers: list[str]
    checkpoints: list[str]
    loras: list[str]
    vaes: list[str]
    upscalers: list[str]
    unavailable: dict[str, str]
