"""Zip files made piece by piece, so that none has to be held whole anywhere."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.gallery.reading import open_plain

PART = 1 << 20  # bytes read at once
YEARS = (1980, 2107)  # what the format can say


def zip_parts(files: Iterable[Path]) -> Iterator[bytes]:
    """The parts of a zip file of plain files; one that is not there is left out."""
    sink = _Sink()
    # stored: pictures are compressed already
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            try:
                file = open_plain(str(path))
            except FileNotFoundError:
                continue
            with file, archive.open(_entry(path.name, file), "w") as copy:
                while part := file.read(PART):
                    copy.write(part)
                    yield sink.take()
    yield sink.take()


def _entry(name: str, file: io.BufferedReader) -> zipfile.ZipInfo:
    state = os.fstat(file.fileno())
    changed = time.localtime(state.st_mtime)
    year = min(max(changed.tm_year, YEARS[0]), YEARS[1])
    entry = zipfile.ZipInfo(name, (year, *changed[1:6]))
    entry.file_size = state.st_size  # tells whether the entry needs the large format
    return entry


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._kept += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._kept)
        self._kept.clear()
        return taken
