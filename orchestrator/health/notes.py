"""The note by which a monitor or guardian shows that it lives: `{"pid", "at", "startedAt"}`, renewed every few seconds.

A note alone proves nothing: its process must live, and its time must be young by the wall clock. After the clock
was put back or forward, a note looks dead until it is rewritten, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import orjson
import psutil

from orchestrator.files import write_whole
from orchestrator.store.workers import HOST, monotonic

STALE_S = 15.0
MAX_NOTE = 100_000  # bytes


@dataclass(frozen=True)
class Note:
    """What one says of itself; `more` is everything besides."""

    pid: int
    at: datetime
    started_at: datetime
    host: str = HOST
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The note in a file; None when there is none that makes sense."""
        try:
            with path.open("rb") as file:
                said = orjson.loads(file.read(MAX_NOTE))
            at = _instant(said["at"])
            begun = said.get("startedAt") or said.get("since") or said["at"]
            host = str(said.get("host") or HOST)
            return cls(int(said["pid"]), at, _instant(begun), host, said)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return None

    def write(self, path: Path) -> None:
        """Write it whole. Raises OSError, DiskFull."""
        said = {"pid": self.pid, "at": self.at, "startedAt": self.started_at, "host": self.host}
        write_whole(path, orjson.dumps({**self.more, **said}), durable=False)

    def is_alive(self, now: datetime, *, stale_s: float = STALE_S) -> bool:
        """Whether whoever wrote it is there, and its loop turns."""
        return self.has_process and abs((now - self.at).total_seconds()) < stale_s

    @property
    def has_process(self) -> bool:
        """Whether its process lives; one of another machine is taken to."""
        return self.host != HOST or (self.pid > 0 and psutil.pid_exists(self.pid))

    def part(self, name: str) -> dict[str, Any]:
        """An object of the note; an empty one when it has none of that name."""
        found = self.more.get(name)
        return found if isinstance(found, dict) else {}


class Pulse:
    """Whether the one who renews a note lives, as somebody sees who looks again and again: by whether it is renewed,
    on the observer's own clock. However the clock on the wall is set, what lives does not look dead."""

    def __init__(
        self, file: Path, *, stale_s: float = STALE_S, clock: Callable[[], float] = monotonic
    ) -> None:
        """`clock`: seconds that only go forward."""
        self._file = file
        self._stale_s = stale_s
        self._clock = clock
        self._seen: tuple[int, datetime, float] | None = None  # pid, what it said, seen at

    def beats(self) -> bool:
        """Look. Blocks on the disk."""
        note = Note.read(self._file)
        if note is None or not note.has_process:
            return False
        now = self._clock()
        if self._seen is None or self._seen[:2] != (note.pid, note.at):
            self._seen = note.pid, note.at, now
        return now - self._seen[2] < self._stale_s


def _instant(said: Any) -> datetime:
    instant = datetime.fromisoformat(str(said))
    return instant if instant.tzinfo else instant.astimezone()
