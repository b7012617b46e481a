"""Names of jobs and of what they send."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

NAMESPACE = uuid.UUID("5b0f7d5c-6c3e-5e0b-9d52-3d1f0c8f0a11")  # of the prompt ids derived from jobs


def new_id(now: datetime) -> str:
    """A UUID of version 7 (RFC 9562): sorts by time, and nobody else makes the same."""
    milliseconds = (now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    random = uuid.uuid4().int & ((1 << 74) - 1)
    high, low = random >> 62, random & ((1 << 62) - 1)
    value = (milliseconds & ((1 << 48) - 1)) << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low
    return str(uuid.UUID(int=value))


def prompt_id(job_id: str, attempt: int) -> str:
    """The id under which a ComfyUI server gets an attempt: derived, so that it can be asked for after a crash."""
    return str(uuid.uuid5(NAMESPACE, f"{job_id}/{attempt}"))
