"""Pictures in a folder: each whole, named once and never overwritten, and knowing how it was made."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
from PIL import Image
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from orchestrator.errors import DiskFull, ImageInvalid, PathOutside
from orchestrator.files import DISK, Disk, is_full, temp_name, write_whole

MAX_PIXELS = 8192 * 8192  # four times the largest picture a backend makes; 200 MB when decoded
MAX_STEM = 100  # characters; with ending and sidecar far below any file system's 255 bytes
MAX_PNG_TEXT = 1_000_000  # bytes of a chunk; a workflow of a thousand nodes takes half of it
MAX_SEGMENT = 65_533  # bytes of a JPEG segment beside its own length field
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # device names on Windows
NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
OURS, WORKFLOW = b"orchestrator", b"prompt"  # PNG text keywords; ComfyUI reads the second one
EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
UNICODE = b"UNICODE\0"  # how a UserComment in UTF-16 begins (EXIF 2.3, 4.6.5)

# What Pillow raises on bytes that are not what they seem.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    EOFError,
    TypeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,
)


class Recipe(BaseModel):
    """How a picture was made: enough to make it again. camelCase in files."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )

    job_id: str
    attempt: int
    index: int  # of the picture among those of the attempt, from 0
    backend: str
    prompt: str
    params: dict[str, Any]
    seed: int | None
    service: str
    host: str
    workflow: dict[str, Any] | None
    created_at: AwareDatetime
    software: str  # name and version of what made the recipe

    @field_validator("host")
    @classmethod
    def _without_password(cls, host: str) -> str:
        # a picture is shared; a password in COMFY_URL is not
        userinfo, at, _ = urlsplit(host).netloc.rpartition("@")
        return host.replace(userinfo + at, "", 1) if at else host

    @property
    def place(self) -> tuple[str, int, int]:
        """Which picture of which attempt of which job it is."""
        return (self.job_id, self.attempt, self.index)


@dataclass(frozen=True)
class Published:
    """A picture under its final name. `size` in bytes, `width` and `height` in pixels."""

    path: Path
    width: int
    height: int
    size: int
    sha256: str
    mime: str


class _Kind(NamedTuple):
    format: str  # Pillow's name
    mime: str
    ending: str


PNG = _Kind("PNG", "image/png", ".png")
JPEG = _Kind("JPEG", "image/jpeg", ".jpg")
WEBP = _Kind("WEBP", "image/webp", ".webp")


class _Stamp(NamedTuple):
    """What a picture tells of itself: its recipe, and the checksum of the bytes the service sent."""

    recipe: Recipe
    source: str


# ------------------------------------------------------------------------------ publishing


def publish(
    data: bytes, *, folder: Path, stem: str, recipe: Recipe, disk: Disk = DISK
) -> Published:
    """Give a finished download its final name in `folder`, with its recipe inside and in a sidecar.

    The name is `stem`, made safe, and the ending of what the bytes really are; if another picture
    has that name already, `-2`, `-3`, … follows the stem. The same picture of the same attempt is
    not published twice: the file that is there is returned. Blocks on the disk; pixels stay as they
    are. Raises ImageInvalid, DiskFull, PathOutside, OSError; then no temporary file stays behind.
    """
    kind, width, height = _inspect(data)
    source = hashlib.sha256(data).hexdigest()
    content = _with_recipe(data, kind, recipe, source)
    folder.mkdir(parents=True, exist_ok=True)
    safe = safe_stem(stem)
    draft = folder / f".{temp_name(safe)}"
    try:
        disk.write(draft, content)
        path = _give_name(draft, folder, safe, kind, content, _Stamp(recipe, source), disk)
    except OSError as error:
        if is_full(error):
            raise DiskFull(f"No space left for the picture {safe}{kind.ending}") from error
        raise
    finally:
        _remove(draft, disk)
    published = Published(
        path=path,
        width=width,
        height=height,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        mime=kind.mime,
    )
    beside = sidecar(path)
    if _read_sidecar(path) is None:
        # its fsync of the folder puts the picture's own name on the disk as well
        write_whole(beside, _sidecar_json(published, recipe, source), disk=disk)
    return published
