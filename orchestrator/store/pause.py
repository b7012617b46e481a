"""A queue that is held for a while: a note beside the jobs that every worker heeds."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import orjson
from pydantic import AwareDatetime, ValidationError

from orchestrator.files import DISK, Disk, write_whole
from orchestrator.jobs import Value, one_line

MAX_REASON = 300  # characters


class Pause(Value):
    """Since when no job is taken, and why."""

    since: AwareDatetime
    reason: str = ""


class PauseNote:
    """The note of one store. Its file lies in the watched folder, so that workers and pages hear of it at once."""

    def __init__(self, file: Path, *, disk: Disk = DISK) -> None:
        self._file = file
        self._path = str(file)
        self._disk = disk

    @property
    def name(self) -> str:
        """The file's name."""
        return self._file.name

    def is_there(self) -> bool:
        """Whether the queue is paused. Costs one call."""
        return os.path.exists(self._path)

    def read(self) -> Pause | None:
        """The note; None while jobs are taken. A note that makes no sense pauses all the same."""
        try:
            return Pause.model_validate_json(self._disk.read(self._file)[0])
        except FileNotFoundError:
            return None
        except ValidationError:
            changed = datetime.fromtimestamp(self._file.stat().st_mtime).astimezone()
            return Pause(since=changed, reason="paused by hand")

    def write(self, *, now: datetime, reason: str) -> Pause:
        """Pause, durably. The first pause stands."""
        if note := self.read():
            return note
        note = Pause(since=now, reason=one_line(reason)[:MAX_REASON])
        data = orjson.dumps(note.model_dump(mode="json", by_alias=True))
        write_whole(self._file, data, disk=self._disk)
        return note

    def remove(self) -> None:
        """Let jobs be taken again."""
        self._file.unlink(missing_ok=True)
