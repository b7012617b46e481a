"""Pictures that a job is to begin with, as the form takes and shows them. Everything here blocks on the disk."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from orchestrator import inputs
from orchestrator.errors import InputInvalid, OrchestratorError, PathOutside
from orchestrator.gallery.thumbnails import shrunk
from orchestrator.jobs import Status, one_line
from orchestrator.lab import Lab
from orchestrator.paths import inside
from orchestrator.recipes import MP4, kind_of
from orchestrator.widgets.thumbnails import THUMBNAILS, picture_path

SIDE_PX = 192  # of a thumbnail
MAX_NAME = 255  # characters
AT_ONCE = 8  # pictures on their way; of more, the first is given up
LOOKED_AT, OFFERED = 30, 12  # jobs whose pictures may be picked, pictures


class Uploads:
    """Pictures that arrive in pieces: a page's connection takes no message of twenty megabytes."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._parts: OrderedDict[str, bytearray] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, name: str, piece: bytes, *, at: int, size: int) -> str | None:
        """The next piece; with the last one the picture's name in dropIn. Raises InputInvalid, DiskFull."""
        limits = self._lab.limits
        if size > limits.bytes:
            raise InputInvalid(
                f"{one_line(name)[:80]!r} is larger than {limits.bytes / inputs.MEGA:g} MB",
                remedy="Make it smaller, or raise ORCHESTRATOR_MAX_INPUT_MB.",
            )
        with self._lock:
            if at == 0:
                self._parts[key] = bytearray()
            there = self._parts.get(key)
            if there is None or len(there) != at or at + len(piece) > size:
                self._parts.pop(key, None)
                raise InputInvalid("The picture did not arrive whole", remedy="Choose it again.")
            there += piece
            if len(there) < size and piece:
                while len(self._parts) > AT_ONCE:
                    self._parts.popitem(last=False)
                return None
            data = bytes(self._parts.pop(key))
        return inputs.save_upload(data, name, paths=self._lab.paths, limits=limits)


def looked_at(lab: Lab, name: str) -> dict[str, Any]:
    """An input picture as a page shows it: a thumbnail and its size, or what is wrong with it."""
    try:
        return shown(lab, name)
    except OrchestratorError as error:
        return {"thumb": b"", "size": "", "problem": error.message, "remedy": error.remedy}


def shown(lab: Lab, name: str) -> dict[str, Any]:
    """A thumbnail of a picture that a job may begin with, and its size. Raises InputInvalid, InputNotFound."""
    path = _path(lab, name)
    small = THUMBNAILS.of(path, side=SIDE_PX) if path and not _is_film(path) else None
    if path is None or small is None:
        # it knows what is wrong; or it reads what only it can read, such as a GIF
        loaded = inputs.load(name, paths=lab.paths, limits=lab.limits)
        small = shrunk(io.BytesIO(loaded.data), SIDE_PX)
        size = f"{loaded.width}×{loaded.height}"
    else:
        with Image.open(path) as image:
            size = f"{image.width}×{image.height}"
    return {"thumb": small, "size": size, "problem": "", "remedy": ""}


def _path(lab: Lab, name: str) -> Path | None:
    for folder in (lab.paths.drop_in, lab.paths.drop_out):
        try:
            path = inside(folder, name)
        except (PathOutside, IndexError):
            return None
        if path.is_file():
            return path
    return None


def _is_film(path: Path) -> bool:
    with path.open("rb") as file:
        return kind_of(file.read(16)) is MP4


def newest(lab: Lab) -> tuple[list[dict[str, Any]], Sequence[bytes]]:
    """The newest pictures to pick one from, with their thumbnails; films cannot be begun with."""
    items: list[dict[str, Any]] = []
    thumbs: list[bytes] = []
    jobs, _ = lab.page(status=Status.DONE, limit=LOOKED_AT)
    for job in jobs:
        for index in range(len(job.result.files) if job.result else 0):
            path = picture_path(lab, job, index)
            if path is None or path.suffix.lower() == MP4.ending:
                continue
            thumb = THUMBNAILS.of(path, side=SIDE_PX)
            if thumb is not None:
                items.append({"file": path.name, "prompt": one_line(job.prompt)[:200]})
                thumbs.append(thumb)
            if len(items) == OFFERED:
                return items, thumbs
    return items, thumbs
