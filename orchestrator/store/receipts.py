"""Receipts of paid requests: their space is reserved before the money is spent.

A receipt is written without looking at the fence, on purpose: a worker that was taken over while it was paying
must still leave the id of what it bought.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from orchestrator.files import DISK, Disk

SIZE = 4096  # bytes


class Receipts:
    """The receipts of one store."""

    def __init__(self, folder: Path, *, disk: Disk = DISK) -> None:
        self._folder = folder
        self._disk = disk

    def reserve(self, name: str) -> None:
        """Take the space for a receipt, durably. Raises OSError when there is none: then nothing may be bought."""
        self._disk.reserve(self._folder / name, SIZE)
        self._disk.sync_folder(self._folder)

    def write(self, name: str, said: dict[str, Any]) -> None:
        """Store what the service answered; works on a full disk."""
        self._disk.overwrite(self._folder / name, orjson.dumps(said) + b"\n")

    def read(self, name: str | None) -> dict[str, Any] | None:
        """What the service answered, or None when no answer was stored."""
        if not name or "/" in name or "\\" in name:
            return None
        try:
            data = (self._folder / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None
        try:
            said = orjson.loads(data.split(b"\n")[0].rstrip(b"\0"))
        except orjson.JSONDecodeError:  # empty, or cut off in the middle of the write
            return None
        return said if isinstance(said, dict) else None

    def remove(self, name: str) -> None:
        """Drop the receipt of a job that has ended."""
        self._disk.unlink(self._folder / name)
