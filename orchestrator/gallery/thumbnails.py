"""Small pictures, made once and kept in a folder that can be deleted at any time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageDraw, ImageOps

from orchestrator.errors import DiskFull, ImageInvalid
from orchestrator.files import write_whole
from orchestrator.images import MAX_PIXELS
from orchestrator.recipes import DAMAGE, MP4, kind_of
from orchestrator.recipes.mp4 import inspected

logger = logging.getLogger(__name__)

FORMATS = ("PNG", "JPEG", "WEBP")
QUALITY = 80
EFFORT = 2  # of 6: a third of the time for a tenth more bytes
MIN_SIDE, MAX_SIDE = 16, 2048  # pixels
MAX_FILM = 256_000_000  # bytes of a film that is read for its shape
NIGHT, SIGN = (38, 42, 50), (220, 224, 230)  # colours of the sign that stands for a film
AT_ONCE = max(1, (os.cpu_count() or 2) - 1)  # a picture of the largest size takes 200 MB to decode


class Thumbnails:
    """Thumbnails on the disk. Safe to use from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._making = threading.BoundedSemaphore(AT_ONCE)

    def of(self, name: str, version: str, side: int, opened: Callable[[], BinaryIO]) -> bytes:
        """A WebP of at most `side` pixels each way. `opened` opens the picture when it has to be made.

        Raises ImageInvalid when it is damaged, and what `opened` does.
        """
        side = min(max(side, MIN_SIDE), MAX_SIDE)
        path = self._shelf(name) / f"{_key(name)}-{version}-{side}.webp"
        if (kept := _read(path)) is not None:
            return kept
        with self._making:
            if (kept := _read(path)) is not None:  # somebody else made it while this one waited
                return kept
            with opened() as file:
                made = shrunk(file, side)
        self._keep(path, made)
        return made

    def forget(self, name: str) -> None:
        """Remove the thumbnails of a picture that is gone or has changed."""
        shelf, key = self._shelf(name), _key(name)
        with contextlib.suppress(OSError):
            for path in shelf.glob(f"{key}-*.webp"):
                path.unlink(missing_ok=True)

    def _shelf(self, name: str) -> Path:
        return self._folder / _key(name)[:2]

    def _keep(self, path: Path, made: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, made, durable=False)
        except (OSError, DiskFull) as error:  # it is shown all the same, and made again next time
            logger.warning("A thumbnail was not kept: %s", error)


def _key(name: str) -> str:
    # a digest: any name fits, whatever characters it has and however long it is
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def _read(path: Path) -> bytes | None:
    """A thumbnail that is there whole: a power cut may have left half of one."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    whole = data[:4] == b"RIFF" and len(data) == 8 + int.from_bytes(data[4:8], "little")
    return data if whole and data[8:12] == b"WEBP" else None


def shrunk(file: BinaryIO, side: int) -> bytes:
    """A picture as WebP of at most `side` pixels each way; of an animated one the first frame, of a film a sign.

    Raises ImageInvalid when it is damaged or too large.
    """
    start = file.read(16)
    if kind_of(start) is MP4:
        return _play_sign(*inspected(start + file.read(MAX_FILM)), side)
    file.seek(0)
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageInvalid(
                    f"The picture claims {image.width}×{image.height} pixels: too many to show small",
                    remedy="Open the file itself, with a program for pictures of that size.",
                )
            image.draft("RGB", (side, side))  # JPEG: decoded small at once
            small = image if image.mode in {"RGB", "RGBA"} else image.convert(_mode(image))
            small.thumbnail((side, side), reducing_gap=2.0)
            out = io.BytesIO()
            ImageOps.exif_transpose(small).save(out, "WEBP", quality=QUALITY, method=EFFORT)
            return out.getvalue()
    except DAMAGE as error:
        raise ImageInvalid(
            "The picture is damaged and cannot be shown",
            remedy="Delete it, or run its job again: the same prompt and seed make it again.",
        ) from error


def _play_sign(width: int, height: int, side: int) -> bytes:
    """A film's shape with a play sign: nothing here decodes films, and their first frame is often black anyway."""
    scale = min(side / max(width, height), 1.0)
    wide, high = max(round(width * scale), 1), max(round(height * scale), 1)
    image = Image.new("RGB", (wide, high), NIGHT)
    x, y, r = wide / 2, high / 2, min(wide, high) / 5
    ImageDraw.Draw(image).polygon(
        [(x - 0.7 * r, y - r), (x - 0.7 * r, y + r), (x + r, y)], fill=SIGN
    )
    out = io.BytesIO()
    image.save(out, "WEBP", quality=QUALITY, method=EFFORT)
    return out.getvalue()


def _mode(image: Image.Image) -> str:
    return "RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB"
