"""Pictures as a page shows them: small ones made once, whole ones on demand, none from outside the lab's folder."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from orchestrator.errors import ImageInvalid
from orchestrator.gallery.thumbnails import shrunk
from orchestrator.jobs import Job
from orchestrator.lab import Lab
from orchestrator.recipes import kind_of

KEPT = 400  # thumbnails in memory, 5-20 kB each


class Thumbnails:
    """Makes small WebP pictures, and keeps the newest. Blocks on the disk; safe to use from several threads."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path, *, side: int) -> bytes | None:
        """A picture of at most `side` pixels each way; None when the file is gone or is no picture."""
        try:
            key = (str(path), path.stat().st_mtime_ns, side)
            with self._lock:
                if (known := self._made.get(key)) is not None:
                    self._made.move_to_end(key)
                    return known
            with path.open("rb") as file:
                made = shrunk(file, side)
        except (OSError, ImageInvalid):
            return None
        with self._lock:
            self._made[key] = made
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        return made


THUMBNAILS = Thumbnails()  # one for all views of a kernel: they show the same pictures


def picture_path(lab: Lab, job: Job, index: int) -> Path | None:
    """Where a picture of a job lies, if it is there."""
    files = job.result.files if job.result else []
    return lab.picture_path(files[index]) if 0 <= index < len(files) else None


def whole_picture(lab: Lab, job: Job, index: int) -> tuple[bytes, str]:
    """A picture's bytes and media type. Raises ImageInvalid when it is gone or is none."""
    path = picture_path(lab, job, index)
    try:
        data = path.read_bytes() if path else b""
    except OSError:
        data = b""
    kind = kind_of(data)
    if kind is None:
        raise ImageInvalid(
            "The picture is not in its folder any more",
            remedy="It was moved or deleted; the same prompt and seed make it again.",
        )
    return data, kind.mime
