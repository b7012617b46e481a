"""The monitor's two files, `MONITOR-LOG.md` and `monitor.jsonl`, with their older ones: `MONITOR-LOG.md.1` …"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from orchestrator import logs
from orchestrator.files import DISK, Disk
from orchestrator.monitor.entries import Entry

STORY, LINES = logs.STORY, "monitor.jsonl"
MAX_BYTES = 5_000_000
KEPT = 5  # older files
MAX_WAITING = 5_000  # entries that a full disk keeps in memory
TAIL_BYTES = 500_000


class Rotating:
    """A file that is appended to, and begun anew when it is large. What cannot be written waits."""

    def __init__(
        self, path: Path, *, disk: Disk = DISK, max_bytes: int = MAX_BYTES, kept: int = KEPT
    ) -> None:
        self.path = path
        self._disk = disk
        self._max_bytes = max_bytes
        self._kept = kept
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._mended = False

    def add(self, data: bytes) -> None:
        """Have something written by the next `flush`."""
        self._waiting.append(data)

    def flush(self) -> None:
        """Write what waits. Raises OSError; it waits on then."""
        data = b"".join(self._waiting)
        if not data:
            return
        size = self._size()
        if size and size + len(data) > self._max_bytes:
            self._rotate()
            size = self._size()
        if size and not self._mended and not self._ends_well():
            data = b"\n" + data  # the machine went down in the middle of a line
        self._disk.append(self.path, data)
        self._mended = True
        self._waiting.clear()

    def tail(self) -> list[bytes]:
        """The newest lines, oldest first; of the file before too while this one is short. A torn one may be among
        them."""
        with contextlib.suppress(OSError):
            lines = _tail(self.path)
            before = [] if self._size() > TAIL_BYTES else _tail(self._older(1))
            return before + lines
        with contextlib.suppress(OSError):
            return _tail(self._older(1))
        return []

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _ends_well(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _rotate(self) -> None:
        # one that somebody holds open on Windows stays, and the file grows until they let go
        with contextlib.suppress(OSError):
            for number in range(self._kept - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    self._disk.replace(self._older(number), self._older(number + 1))
            self._disk.replace(self.path, self._older(1))


def _tail(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read(TAIL_BYTES).splitlines()
    except FileNotFoundError:
        return []


class Journal:
    """Both files of a folder of logs. Its calls block on the disk."""

    def __init__(
        self, logs: Path, *, disk: Disk = DISK, max_bytes: int = MAX_BYTES, kept: int = KEPT
    ) -> None:
        self._story = Rotating(logs / STORY, disk=disk, max_bytes=max_bytes, kept=kept)
        self._writing = threading.Lock()
        self._lines = Rotating(logs / LINES, disk=disk, max_bytes=max_bytes, kept=kept)

    def write(self, entries: Iterable[Entry]) -> None:
        """Add entries at the end of both files. Raises OSError; the entries wait for the next call then."""
        with self._writing:  # a monitor that ends may have a thread here still
            for entry in entries:
                if entry.story:
                    self._story.add(entry.story.encode("utf-8", "replace"))
                self._lines.add(orjson.dumps(entry.document, option=orjson.OPT_APPEND_NEWLINE))
            try:
                self._story.flush()
            finally:
                self._lines.flush()

    def newest(self) -> list[dict[str, Any]]:
        """The newest lines as they were written, oldest first; what is no entry is passed over."""
        found = []
        for line in self._lines.tail():
            try:
                said = orjson.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict):
                found.append(said)
        return found
