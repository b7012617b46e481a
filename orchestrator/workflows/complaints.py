"""What stands in the way of a workflow, and the one error that tells all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.errors import (
    MissingCheckpoint,
    MissingModel,
    MissingNode,
    RequestRejected,
    UnknownSampler,
    WorkflowRejected,
)

MAX_MESSAGE = 4000
# When several things are wrong, the one that has to be mended first gives the error its class.
BY_URGENCY: tuple[type[RequestRejected], ...] = (
    MissingNode,
    MissingCheckpoint,
    MissingModel,
    UnknownSampler,
    WorkflowRejected,
)


@dataclass(frozen=True)
class Complaint:
    """One thing that is wrong: of which kind, what, and what to do about it."""

    kind: type[RequestRejected]
    text: str
    remedy: str


def refusal(complaints: Iterable[Complaint]) -> RequestRejected:
    """The error for some complaints, at least one."""
    found = list(dict.fromkeys(complaints))
    kind = min((each.kind for each in found), key=BY_URGENCY.index)
    text = "; ".join(dict.fromkeys(each.text for each in found))
    text = text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"
    return kind(text, remedy=" ".join(dict.fromkeys(each.remedy for each in found)))
