"""Where a job stands, which moves are allowed, and how far an attempt got."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """Where a job stands. CREATED is a draft while `hold` is set; otherwise a worker takes it like QUEUED."""

    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({Status.DONE, Status.FAILED, Status.CANCELLED})
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.CREATED: frozenset({Status.QUEUED, Status.RUNNING, Status.CANCELLED, Status.FAILED}),
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED, Status.FAILED}),
    # back to QUEUED: a retry, or a worker that died or stopped; to CREATED: it may not be paid for now
    Status.RUNNING: frozenset(
        {Status.DONE, Status.FAILED, Status.CANCELLED, Status.QUEUED, Status.CREATED}
    ),
    Status.DONE: frozenset(),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.CANCELLED: frozenset({Status.QUEUED}),
}


class Phase(StrEnum):
    """How far an attempt got with its service."""

    INTENT = "intent"  # about to send; on disk before the POST
    SUBMITTED = "submitted"  # the service has it; its id is on disk
    READY = "ready"  # the picture exists at the service
    PUBLISHED = "published"  # the picture is in dropOut
    AMBIGUOUS = "ambiguous"  # sent, never answered: perhaps paid for
