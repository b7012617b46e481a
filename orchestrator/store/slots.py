"""How many jobs may be at a service host at once, counted across processes by locked files."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from orchestrator.errors import DiskFull
from orchestrator.files import is_full
from orchestrator.locks import KernelLock

NOTE_BYTES = 129  # the longest id and a line's end


@dataclass(frozen=True)
class Lane:
    """A service host and how many jobs it may have at once."""

    service: str
    host: str
    limit: int

    @property
    def name(self) -> str:
        """A short name that is safe in a file name."""
        return f"{self.service}-{hashlib.sha256(self.host.encode()).hexdigest()[:10]}"


class Slot:
    """One place in a lane, held until released, or until the process dies."""

    def __init__(self, name: str, lock: KernelLock, path: str, lane: Lane) -> None:
        self.name = name
        self.lane = lane
        self._lock = lock
        self._path = path
        self._is_held = True
        self._process = os.getpid()

    def release(self) -> None:
        """Make room for another job. A worker that dies instead leaves its note: the service may have the job."""
        with contextlib.suppress(OSError):
            _note(self, "")
        self.leave()

    def leave(self) -> None:
        """Let go of a place that was only looked at."""
        self._is_held = False
        self._lock.release()

    @property
    def is_held(self) -> bool:
        """Whether this very object has the place; a forked child has none of its parent's."""
        return self._is_held and self._process == os.getpid()


class Slots:
    """The places of all lanes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: the places this process has, so that a search for a free one opens no file of theirs
        self._ours: WeakValueDictionary[str, Slot] = WeakValueDictionary()

    def take(self, lane: Lane, job_id: str, *, in_use: Callable[[str, str], bool]) -> Slot | None:
        """A free place for a job, or None when the lane is full.

        `in_use(job, slot)` says whether a job that last had the place may still be at the service although the
        worker that held it is gone: then the place is not free for others.
        """
        prefix = lane.name
        for number in range(lane.limit):
            name = f"{prefix}.{number}"
            if (ours := self._ours.get(name)) is not None and ours.is_held:
                continue
            if slot := self._try(name, lane):
                holder = _holder(slot)
                if holder and holder != job_id and in_use(holder, name):
                    slot.leave()
                    continue
                try:
                    _note(slot, job_id)
                except OSError as error:
                    slot.leave()
                    if is_full(error):
                        raise DiskFull from error
                    raise
                return slot
        return None

    def retake(self, name: str | None, lane: Lane, job_id: str) -> Slot | None:
        """The place a job had before its worker was lost, if it is free. None is no obstacle to adopting it:
        the job is at the service already, and whoever sits on its place counts for it."""
        slot = self._try(name, lane) if name and name.startswith(f"{lane.name}.") else None
        if slot and _holder(slot) not in {"", job_id}:
            slot.leave()
            return None
        return slot

    def _try(self, name: str, lane: Lane) -> Slot | None:
        path = f"{self._folder}/{name}"
        lock = KernelLock(f"{path}.lock")
        if lock.try_acquire():
            slot = self._ours[name] = Slot(name, lock, path, lane)
            return slot
        lock.release()
        return None


def _holder(slot: Slot) -> str:
    try:
        descriptor = os.open(slot._path, os.O_RDONLY)
    except FileNotFoundError:
        return ""
    try:
        return os.read(descriptor, NOTE_BYTES).decode("ascii", errors="replace").strip()
    finally:
        os.close(descriptor)


def _note(slot: Slot, job_id: str) -> None:
    # in place: a fixed length needs no truncation and, once there, no space on a full disk
    descriptor = os.open(slot._path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, job_id.ljust(NOTE_BYTES - 1).encode() + b"\n")
    finally:
        os.close(descriptor)
