"""A queue that is held for a while: notes beside the jobs that every worker heeds."""

from __future__ import annotations

import os
from datetime import datetime
from enum import StrEnum
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


class Pauser(StrEnum):
    """Who holds the queue. Each has a note of its own, so that neither ends the other's pause."""

    USER = "user"
    DISK = "disk"  # the guardian, while there is too little room


class PauseNotes:
    """The notes of one store. They lie in the watched folder, so that workers and pages hear of them at once."""

    def __init__(self, file: Path, *, disk: Disk = DISK) -> None:
        """`file` is the user's note; the other's lies beside it."""
        self._files = {
            Pauser.USER: file,
            Pauser.DISK: file.with_name(f"{file.name}-{Pauser.DISK.value}"),
        }
        self._paths = [str(each) for each in self._files.values()]
        self._disk = disk
        self.names = frozenset(each.name for each in self._files.values())

    def is_there(self) -> bool:
        """Whether the queue is paused. Costs two calls."""
        return any(map(os.path.exists, self._paths))

    def read(self, who: Pauser | None = None) -> Pause | None:
        """The note of one, or what all say together; None while jobs are taken."""
        notes = [self._read(each) for name, each in self._files.items() if who in (None, name)]
        found = [note for note in notes if note is not None]
        if not found:
            return None
        since = min(note.since for note in found)
        reasons = (note.reason for note in found if note.reason)
        return Pause(since=since, reason="; ".join(reasons))

    def _read(self, file: Path) -> Pause | None:
        """A note that makes no sense pauses all the same."""
        try:
            return Pause.model_validate_json(self._disk.read(file)[0])
        except FileNotFoundError:
            return None
        except ValidationError:
            try:
                changed = datetime.fromtimestamp(file.stat().st_mtime).astimezone()
            except FileNotFoundError:  # ended while we looked
                return None
            return Pause(since=changed, reason="paused by hand")

    def write(self, *, now: datetime, reason: str, who: Pauser) -> Pause:
        """Pause, durably. The first pause of each stands."""
        file = self._files[who]
        if note := self._read(file):
            return note
        note = Pause(since=now, reason=one_line(reason)[:MAX_REASON])
        data = orjson.dumps(note.model_dump(mode="json", by_alias=True))
        write_whole(file, data, disk=self._disk)
        return note

    def remove(self, who: Pauser | None = None) -> None:
        """Let jobs be taken again: as far as one is concerned, or whoever held them."""
        for name, file in self._files.items():
            if who in (None, name):
                file.unlink(missing_ok=True)
