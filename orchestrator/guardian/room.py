"""Stops the queue before the disk is full, and lets it go on when there is room again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import psutil

from orchestrator.errors import OrchestratorError
from orchestrator.guardian.journal import Event, Happened
from orchestrator.health import low_mark
from orchestrator.store import Pauser, Store

REASON = "The disk is nearly full"
ENOUGH = 1.25  # times the mark, so that the queue does not stop and go


class Usage(Protocol):
    """The room on a disk, in bytes."""

    @property
    def total(self) -> int: ...
    @property
    def free(self) -> int: ...


def usage_of(path: Path) -> Usage:
    """The room on the disk of a folder. Raises OSError."""
    found: Usage = psutil.disk_usage(str(path))
    return found


class Room:
    """The disks that jobs and pictures are written to."""

    def __init__(
        self,
        store: Store,
        places: Mapping[str, Path],
        *,
        tell: Callable[[Event], None],
        usage: Callable[[Path], Usage] = usage_of,
    ) -> None:
        """`places`: the folders, by their key in paths.json."""
        self._store = store
        self._places = places
        self._tell = tell
        self._usage = usage
        self._is_told = False

    def look(self) -> None:
        """Pause or resume the queue, if need be. Blocks on the disk. Raises OSError."""
        low, enough = self._low()
        note = self._store.pause_note(who=Pauser.DISK)
        if low and note is None:
            why = f"{REASON}: {low}. Free some space; the queue goes on by itself"
            try:
                self._store.pause(why, who=Pauser.DISK)
            except OrchestratorError as error:  # too full for the note itself: tried again
                if self._is_told:
                    return
                why = f"{why} (the pause cannot be written: {error.message})"
            self._is_told = True
            self._tell(Event(Happened.PAUSED, "disk", why))
        elif enough and note is not None:
            self._store.resume(who=Pauser.DISK)
            self._is_told = False
            self._tell(Event(Happened.RESUMED, "disk", "there is room again"))

    def _low(self) -> tuple[str, bool]:
        """Which places have too little room, in words; and whether all have enough to go on."""
        low, enough = [], True
        for key, path in self._places.items():
            try:
                usage = self._usage(path)
            except OSError:  # gone: that is another trouble, and health tells it
                continue
            mark = low_mark(usage.total)
            enough = enough and usage.free >= ENOUGH * mark
            if usage.free < mark:
                low.append(f"{key} has {usage.free // 1_000_000} MB left")
        return ", ".join(low), enough
