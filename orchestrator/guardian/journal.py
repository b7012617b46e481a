"""What a guardian did: a line of JSON each in `logs/guardian.jsonl`, and counts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from orchestrator.jobs import one_line

MAX_BYTES = 5_000_000
MAX_TEXT = 500  # characters

logger = logging.getLogger(__name__)


class Happened(StrEnum):
    """What an event tells."""

    RESTART = "restart"
    FAILED = "restart-failed"
    OPENED = "circuit-open"
    CLOSED = "circuit-closed"
    QUARANTINED = "job-quarantined"
    PAUSED = "disk-paused"
    RESUMED = "disk-resumed"
    LATE = "loop-blocked"
    REPORT = "bug-report"


@dataclass(frozen=True)
class Event:
    """Something a guardian did or saw, to one service."""

    what: Happened
    service: str
    why: str = ""
    more: dict[str, Any] = field(default_factory=dict)


class Journal:
    """The events of one process. Safe to use from several threads."""

    def __init__(
        self, file: Path, *, now: Callable[[], datetime], redact: Callable[[str], str] = str
    ) -> None:
        self._file = file
        self._now = now
        self._redact = redact
        self._lock = Lock()
        self._listeners: list[Callable[[Event], None]] = []
        self.counts: Counter[tuple[str, str]] = Counter()  # by what and service

    def listen(self, tell: Callable[[Event], None]) -> None:
        """Call `tell` with every event from now on, in the thread in which it happens."""
        self._listeners.append(tell)

    def note(self, event: Event) -> None:
        """Write an event down. Raises nothing: a full disk must not keep a guardian from its work."""
        why = self._redact(one_line(event.why))[:MAX_TEXT]
        self.counts[event.what.value, event.service] += 1
        logger.warning("%s %s: %s", event.service, event.what.value, why)
        said = {
            "at": self._now(),
            "event": event.what,
            "service": event.service,
            "why": why,
            **event.more,
        }
        try:
            with self._lock:
                self._rotate()
                with self._file.open("ab") as file:
                    file.write(orjson.dumps(said) + b"\n")
        except OSError as error:
            logger.warning("Could not write to %s: %s", self._file, error)
        for tell in self._listeners:
            tell(event)

    def _rotate(self) -> None:
        try:
            if self._file.stat().st_size > MAX_BYTES:
                self._file.replace(self._file.with_name(self._file.name + ".1"))
        except FileNotFoundError:
            pass
