"""A record as one line of JSON, which files hold, and as the line that people read."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.jobs import one_line
from orchestrator.logs.redaction import Redactor

INDENT = "    "
MAX_TRACE = 20_000  # characters of a traceback: its end says what happened
OURS = ("at", "level", "logger", "event")  # always there, in this order


class Rendering:
    """The last step of a record on its way to a file or a screen. Nothing is written that did not pass here."""

    def __init__(self, redactor: Redactor, *, for_people: bool) -> None:
        self._redactor = redactor
        self._for_people = for_people

    def __call__(self, logger: object, method: str, event: Any) -> str:
        """The line, or for people the lines, of an event as structlog passes it on."""
        document = self.document({**event})
        if self._for_people:
            return self._redactor.values("\n".join(readable(document)))
        return self._redactor.values(json.dumps(document, ensure_ascii=False))

    def document(self, event: dict[str, Any]) -> dict[str, Any]:
        """What a line of a file says: plain values, one-line texts, no keys."""
        record = event.pop("_record", None)
        event.pop("_from_structlog", None)
        trace = self._trace(event.pop("exc_info", None) or event.pop("exception", None))
        stack = event.pop("stack_info", None) or event.pop("stack", None)
        created = record.created if record else datetime.now(UTC).timestamp()
        at = datetime.fromtimestamp(created, UTC)
        said: dict[str, Any] = {
            "at": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z",
            "level": str(event.pop("level", "info")),
            "logger": str(event.pop("logger", "")),
            "event": self._redactor.plain(str(event.pop("event", ""))),
        }
        if job := event.pop("job", None):
            said["job"] = self._redactor.plain(job)
        if record:
            said["pid"] = record.process
        rest = self._redactor.plain(event)
        said |= {name: value for name, value in rest.items() if name not in said}
        if trace or stack:
            text = "\n".join(filter(None, (trace, str(stack) if stack else "")))
            lines = (_indent(row) + one_line(row) for row in text[-MAX_TRACE:].splitlines())
            said["exception"] = "\n".join(self._redactor.text(row) for row in lines)
        return said

    def _trace(self, given: Any) -> str:
        if given is None or given is False:
            return ""
        if isinstance(given, str):
            return self._redactor.values(given)
        if isinstance(given, BaseException):
            given = (type(given), given, given.__traceback__)
        if not isinstance(given, tuple) or given[0] is None:
            return ""
        # before it is cut: a part of a key is not found
        return self._redactor.values("".join(traceback.format_exception(*given)))


def _indent(row: str) -> str:
    return row[: len(row) - len(row.lstrip(" "))][:40]


def readable(document: Mapping[str, Any]) -> list[str]:
    """The lines for people: time of this machine, level, logger, text, extra fields; then the traceback."""
    at = datetime.fromisoformat(str(document["at"])).astimezone()
    stamp = f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03}"
    level = str(document.get("level", "")).upper()
    line = f"{stamp} {level} {document.get('logger', '')}: {document.get('event', '')}"
    more = [
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in document.items()
        if name not in {*OURS, "exception", "pid"}
    ]
    first = one_line(f"{line} [{' '.join(more)}]" if more else line)
    trace = str(document.get("exception") or "").splitlines()
    return [first, *(INDENT + _indent(row) + one_line(row) for row in trace)]
