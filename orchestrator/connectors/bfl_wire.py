"""What the FLUX API says in its answers, read with care: its forms changed before, and will again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.connectors import http
from orchestrator.errors import ServiceBroken
from orchestrator.jobs import Progress


def document(reply: http.Reply) -> dict[str, Any]:
    """The object in an answer, empty when there is none."""
    try:
        return reply.document()
    except ServiceBroken:
        return {}


def number(value: Any, *, least: float = 0.0) -> float | None:
    """A finite number of at least `least`, None of anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= least else None


def reason(reply: http.Reply) -> str:
    """What an error answer says, field by field: `detail` is a text or a list of {loc, msg, type}."""
    answer = document(reply)
    detail = answer.get("detail", answer.get("error", answer.get("message")))
    if isinstance(detail, list):
        return http.shown("; ".join(_field(item) for item in detail))
    if detail:
        return http.shown(detail if isinstance(detail, str) else str(detail))
    return reply.text() or "it did not say why"


def _field(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    place = item.get("loc")
    parts = [str(part) for part in place if part != "body"] if isinstance(place, list) else []
    return f"{'.'.join(parts)}: {item.get('msg', '')}" if parts else str(item.get("msg", ""))


def why(task: Mapping[str, Any]) -> str:
    """The details of a task that came to nothing, for the end of a sentence."""
    details = task.get("details") or task.get("result")
    if isinstance(details, Mapping):
        reasons = (
            details.get("Moderation Reasons") or details.get("error") or details.get("message")
        )
        details = ", ".join(map(str, reasons)) if isinstance(reasons, list) else reasons
    return f": {http.shown(str(details))}" if details else ""


def progress(task: Mapping[str, Any]) -> Progress:
    """How far a task is, in its own words when they are not the usual ones."""
    done = number(task.get("progress")) or 0.0
    status = str(task.get("status"))
    text = "waiting on the service" if status == "Pending" else http.shown(status, limit=60)
    return Progress(fraction=min(done, 0.99), text=text)
