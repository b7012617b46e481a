"""What is too large for a job file, kept once under the hash of its bytes: saved workflows as they were asked for."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from orchestrator.errors import CorruptFile
from orchestrator.files import DISK, Disk, write_whole

HASH = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """The blobs of one store. A blob never changes, so that nobody needs a lock."""

    def __init__(self, folder: Path, *, temp: Path, disk: Disk = DISK) -> None:
        self._folder = folder
        self._temp = temp
        self._disk = disk

    def put(self, data: bytes) -> str:
        """Keep some bytes, durably; returns the name to get them by. Raises DiskFull, OSError."""
        name = hashlib.sha256(data).hexdigest()
        path = self._folder / f"{name}.json"
        if not path.exists():
            self._folder.mkdir(exist_ok=True)
            write_whole(path, data, temp=self._temp, disk=self._disk)
        return name

    def get(self, name: str) -> bytes:
        """The bytes of that name. Raises CorruptFile when they are gone or damaged."""
        if not HASH.fullmatch(name):
            raise CorruptFile(f"{name[:80]!r} is not the name of a blob")
        try:
            data = (self._folder / f"{name}.json").read_bytes()
        except FileNotFoundError as error:
            raise CorruptFile(f"jobs/_blobs/{name}.json is gone") from error
        if hashlib.sha256(data).hexdigest() != name:
            raise CorruptFile(f"jobs/_blobs/{name}.json has changed since the job was made")
        return data
