"""Batches that are held for a while: a note beside the jobs that every worker heeds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import orjson
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from orchestrator.files import DISK, Disk, write_whole

SINCE: TypeAdapter[dict[str, AwareDatetime]] = TypeAdapter(dict[str, AwareDatetime])


class HeldBatches:
    """The note of one store. Its file lies in the watched folder, so that workers and pages hear of it at once.

    A note that makes no sense holds nothing: that a batch goes on is seen, that one never does is not.
    """

    def __init__(self, file: Path, *, disk: Disk = DISK) -> None:
        self._file = file
        self._path = str(file)
        self._disk = disk
        self._read: tuple[tuple[int, int, int], Mapping[str, AwareDatetime]] | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self._file.name

    def since(self) -> Mapping[str, AwareDatetime]:
        """When each batch that is held was paused. Costs one call while the note stays as it is."""
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            return {}
        signature = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if self._read is None or self._read[0] != signature:
            try:
                said = SINCE.validate_json(self._disk.read(self._file)[0])
            except (FileNotFoundError, ValidationError):
                said = {}
            self._read = (signature, said)
        return self._read[1]

    def hold(self, batch: str, *, now: AwareDatetime) -> None:
        """Have no job of the batch taken from now on, durably. The first pause stands. The caller holds the lock."""
        self._write({batch: now, **self.since()})

    def release(self, batch: str) -> None:
        """Have its jobs taken again. The caller holds the lock."""
        left = {name: since for name, since in self.since().items() if name != batch}
        if left:
            self._write(left)
        else:
            self._file.unlink(missing_ok=True)

    def _write(self, said: Mapping[str, AwareDatetime]) -> None:
        write_whole(self._file, orjson.dumps(dict(said)), disk=self._disk)
