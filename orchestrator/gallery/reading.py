"""What one file of dropOut says of itself. Every name and every byte may be a stranger's."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from PIL import Image

from orchestrator.errors import ImageInvalid
from orchestrator.files import DISK, READ_FLAGS, WINDOWS
from orchestrator.images import RESERVED
from orchestrator.jobs import MAX_PROMPT
from orchestrator.recipes import (
    DAMAGE,
    JPEG,
    MP4,
    PNG,
    PNG_MAGIC,
    Kind,
    document_of,
    kind_of,
    read_embedded,
    recipe_in,
)
from orchestrator.recipes.mp4 import inspected
from orchestrator.store.layout import JOB_ID

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".mp4")
UNSEEN = {"Cc", "Cs", "Zl", "Zp"}  # characters of a name that break lines, JSON or addresses
MAX_SIDECAR = 4_000_000  # bytes; the largest workflow takes one million
HEAD = 65_536  # bytes read of every picture: a recipe mostly fits
MAX_HEAD = 4_000_000  # bytes read of a picture whose recipe is longer
MAX_WHOLE = 64_000_000  # bytes of a picture that is read whole to learn its size in pixels
MAX_BACKEND = 64  # characters
TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
ORIENTATION = 0x0112
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
PNG_END = b"\0\0\0\0IEND\xaeB\x60\x82"


class Marks(NamedTuple):
    """By what a file and its sidecar are told from other contents: inode, size and time of each."""

    picture: tuple[int, int, int]
    sidecar: tuple[int, int, int] | None

    @property
    def version(self) -> str:
        """A short name of the picture's content."""
        return hashlib.blake2b(repr(self.picture).encode(), digest_size=8).hexdigest()


class Facts(NamedTuple):
    """What is known of a picture."""

    marks: Marks
    mime: str
    width: int
    height: int
    created_us: int  # microseconds since 1970
    job_id: str | None = None
    backend: str | None = None
    prompt: str = ""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.marks.picture[1]


def is_name(name: str) -> bool:
    """Whether a file of this name can be a picture of the gallery: a plain, visible name with a picture's ending."""
    if not name.lower().endswith(ENDINGS) or name.startswith(".") or "/" in name or "\\" in name:
        return False
    if WINDOWS and (":" in name or RESERVED.match(name)):  # a stream of a file, a device
        return False
    return name.isprintable() or not any(unicodedata.category(c) in UNSEEN for c in name)


def open_plain(path: str) -> io.BufferedReader:
    """Open a file for reading. Raises FileNotFoundError for a link, a folder or a device of that name too."""
    try:
        descriptor = os.open(path, READ_FLAGS)
    except OSError as error:
        raise FileNotFoundError(error.errno, "not a plain file that can be read", path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(None, "not a plain file", path)
    return os.fdopen(descriptor, "rb")


def marks_of(path: str) -> Marks | None:
    """How a picture and its sidecar look from outside; None when there is no plain file of that name."""
    picture = _mark(path)
    return Marks(picture, _mark(f"{path}.json")) if picture else None


def _mark(path: str) -> tuple[int, int, int] | None:
    try:
        state = os.lstat(path)
    except (OSError, ValueError):
        return None
    return _mark_of(state) if stat.S_ISREG(state.st_mode) else None


def _mark_of(state: os.stat_result) -> tuple[int, int, int]:
    return (state.st_ino, state.st_size, state.st_mtime_ns)


def facts_of(path: str) -> Facts | Marks | None:
    """What a file and its sidecar say. Only its marks when it is not a picture (yet); None when it is not there."""
    marks = marks_of(path)  # first: a change while it is read shows in the marks afterwards
    if marks is None:
        return None
    try:
        with open_plain(path) as file:
            head = file.read(HEAD)
            kind = kind_of(head)
            if kind is None:
                return marks
            return _facts(marks, kind, file, head, _sidecar(path) if marks.sidecar else {})
    except OSError:
        return marks


def _facts(
    marks: Marks, kind: Kind, file: io.BufferedReader, head: bytes, beside: dict[str, Any]
) -> Facts:
    _, size, changed_ns = marks.picture
    width, height = _pixels(beside.get("width")), _pixels(beside.get("height"))
    said = beside
    if beside.get("bytes") != size or not (width and height):
        # no sidecar, or one of other bytes: then the picture itself knows best
        before = _before_pixels(file, head, kind)
        width, height = _measured(before, kind)
        if (embedded := read_embedded(before)) is not None:
            said = document_of(embedded, workflow=False)
        elif not beside and (foreign := recipe_in(before)) is not None:
            said = {"prompt": foreign.prompt}
    return Facts(
        marks=marks,
        mime=kind.mime,
        width=width,
        height=height,
        created_us=_time_us(said.get("createdAt"), changed_ns),
        job_id=_job_id(said.get("jobId")),
        backend=_text(said.get("backend"), MAX_BACKEND) or None,
        prompt=_text(said.get("prompt"), MAX_PROMPT),
    )


def _sidecar(path: str) -> dict[str, Any]:
    """What the file beside a picture holds; nothing when it is none of ours."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if os.lstat(f"{path}.json").st_size <= MAX_SIDECAR:
            document = orjson.loads(DISK.read(f"{path}.json")[0])
            return document if isinstance(document, dict) else {}
    return {}


# ------------------------------------------------------------------------------ the picture itself


def _before_pixels(file: io.BufferedReader, head: bytes, kind: Kind) -> bytes:
    """The part of a picture that tells its size and its recipe, as a file of its own; without the pixels if it can."""
    if kind is PNG:
        end = _png_pixels(head)
        if end is None and len(head) == HEAD:
            head += file.read(MAX_HEAD - HEAD)
            end = _png_pixels(head)
        return head[:end] + PNG_END if end is not None else head
    # a WebP is only decoded whole, a film's end tells all
    limit = MAX_HEAD if kind is JPEG else MAX_WHOLE
    return head + file.read(limit - HEAD) if len(head) == HEAD else head


def _png_pixels(data: bytes) -> int | None:
    """Where the pixels of a PNG begin, as far as its beginning tells."""
    at = len(PNG_MAGIC)
    while at + 8 <= len(data):
        if data[at + 4 : at + 8] in {b"IDAT", b"IEND"}:
            return at
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return None


def _measured(data: bytes, kind: Kind) -> tuple[int, int]:
    """Width and height as a page shows the picture; zeros when the header makes no sense."""
    try:
        if kind is MP4:
            return inspected(data)
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            width, height = image.size
            # a PNG's EXIF may stand behind the pixels: not worth reading them
            turned = image.format == "JPEG" and image.getexif().get(ORIENTATION) in TURNED
    except (ImageInvalid, *DAMAGE):
        return 0, 0
    return (height, width) if turned else (width, height)


# ------------------------------------------------------------------------------ what strangers wrote


def _pixels(said: object) -> int:
    return said if isinstance(said, int) and 0 < said < 1_000_000 else 0


def _text(said: object, limit: int) -> str:
    return said[:limit] if isinstance(said, str) else ""


def _job_id(said: object) -> str | None:
    return said if isinstance(said, str) and JOB_ID.fullmatch(said) else None


def _time_us(said: object, changed_ns: int) -> int:
    """A time as a recipe says it, or else the file's own, as microseconds that a datetime can hold."""
    told = changed_ns // 1000
    if isinstance(said, str):
        with contextlib.suppress(ValueError):
            when = datetime.fromisoformat(said)
            told = us_of(when if when.tzinfo else when.replace(tzinfo=UTC))
    return min(max(told, us_of(FIRST)), us_of(LAST))


def us_of(when: datetime) -> int:
    """Microseconds since 1970 of a time with a zone, without the rounding of floats."""
    return (when - EPOCH) // timedelta(microseconds=1)
