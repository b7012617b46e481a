"""What a route is for, said beside its code: the OpenAPI document is made of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from tornado import web

# a pattern below the server's address, and what answers there
Route = tuple[str, type[web.RequestHandler]]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operation:
    """One method of one route. `refusals`: the statuses of its own, beside those that every route has."""

    summary: str
    tag: str
    body: type[BaseModel] | None = None
    body_optional: bool = False
    query: type[BaseModel] | None = None
    reply: type[BaseModel] | None = None
    media: str = "application/json"
    status: int = 200
    refusals: tuple[int, ...] = ()
    accepts: tuple[str, ...] = ()  # media types of a body that is no JSON


def operation(
    summary: str,
    *,
    tag: str = "jobs",
    body: type[BaseModel] | None = None,
    body_optional: bool = False,
    query: type[BaseModel] | None = None,
    reply: type[BaseModel] | None = None,
    media: str = "application/json",
    status: int = 200,
    refusals: tuple[int, ...] = (),
    accepts: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Say what a handler's method is for."""
    said = Operation(
        summary, tag, body, body_optional, query, reply, media, status, refusals, accepts
    )

    def note(method: F) -> F:
        method.operation = said  # type: ignore[attr-defined]
        return method

    return note


def operations(handler: type[web.RequestHandler]) -> dict[str, Operation]:
    """What a handler's methods say of themselves, by the method's name."""
    found = {}
    for name in ("get", "post", "put", "patch", "delete"):
        said = getattr(getattr(handler, name, None), "operation", None)
        if isinstance(said, Operation):
            found[name] = said
    return found


def path_of(pattern: str) -> tuple[str, list[str]]:
    """A route's address as OpenAPI writes it, and the names in it: `/api/jobs/{jobId}`."""
    names: list[str] = []

    def name(match: re.Match[str]) -> str:
        words = (match["name"] or "name").split("_")
        names.append(words[0] + "".join(word.title() for word in words[1:]))
        return "{" + names[-1] + "}"

    path = re.sub(r"\((?:\?P<(?P<name>\w+)>)?[^()]*\)", name, pattern)
    return path.replace("\\.", "."), names
