"""Pictures in a folder: each whole, named once and never overwritten, and knowing how it was made."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
from PIL import Image, UnidentifiedImageError
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from orchestrator.errors import DiskFull, ImageInvalid, PathOutside
from orchestrator.files import DISK, Disk, is_full, temp_name, write_whole
from orchestrator.jobs import one_line

MAX_PIXELS = 8192 * 8192  # four times the largest picture a backend makes; 200 MB when decoded
MAX_STEM = 100  # characters; with ending and sidecar far below any file system's 255 bytes
MAX_PNG_TEXT = 1_000_000  # bytes of a chunk; a workflow of a thousand nodes takes half of it
MAX_SEGMENT = 65_533  # bytes of a JPEG segment beside its own length field
RESERVED = re.compile(
    r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE
)  # device names on Windows
# how FAT, some shares and Windows say that they have no hard links
NO_LINKS = frozenset(
    {errno.EPERM, errno.EACCES, errno.EINVAL, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP}
)

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
    """What a picture tells of itself: its recipe, and a digest of the bytes the service sent."""

    recipe: Recipe
    source: str  # BLAKE2b, 16 bytes: only compared here, and twice as fast as SHA-256


# ------------------------------------------------------------------------------ publishing


def publish(
    data: bytes, *, folder: Path, stem: str, recipe: Recipe, disk: Disk = DISK
) -> Published:
    """Give a finished download its final name in `folder`, with its recipe inside and in a sidecar.

    The name is `stem`, made safe, and the ending of what the bytes really are; if another picture
    has that name already, `-2`, `-3`, … follows the stem. The same picture of the same attempt is
    not published twice: the file that is there is returned. Pixels stay as they are.
    Blocks on the disk. Raises ImageInvalid, DiskFull, OSError; no temporary file stays behind then,
    and a picture that has its name keeps it even if its sidecar could not be written.
    """
    kind, width, height = _inspect(data)
    stamp = _Stamp(recipe, hashlib.blake2b(data, digest_size=16).hexdigest())
    content = _with_stamp(data, kind, stamp)
    folder.mkdir(parents=True, exist_ok=True)
    safe = safe_stem(stem)
    draft = folder / f".{temp_name(safe)}"
    try:
        disk.write(draft, content)
        path, held = _give_name(draft, folder, safe, kind.ending, content, stamp, disk)
    except OSError as error:
        if is_full(error):
            raise DiskFull(f"No space left for the picture {safe}{kind.ending}") from error
        raise
    finally:
        with suppress(OSError):  # the first error is the one to tell
            disk.unlink(draft)
    published = Published(
        path=path,
        width=width,
        height=height,
        size=len(held),
        sha256=hashlib.sha256(held).hexdigest(),
        mime=kind.mime,
    )
    if _same_picture(_read_sidecar(path), stamp):
        disk.sync_folder(folder)  # whoever published it may have died before its name was safe
    else:
        # its sync of the folder makes the picture's own name safe as well
        write_whole(sidecar(path), _sidecar_json(published, stamp), disk=disk)
    return published


def inside(folder: Path, name: str) -> Path:
    """The path of a file in `folder`. Raises PathOutside for a name that leads anywhere else."""
    plain = PurePosixPath(name).name == PureWindowsPath(name).name == name
    if not plain or name in {"", ".."} or "\0" in name:
        raise PathOutside(f"Not the name of a file in {folder.name}: {one_line(name)[:120]!r}")
    return folder / name


def safe_stem(stem: str) -> str:
    """A file name without ending that every system takes, as close to `stem` as that allows."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip(".-")[:MAX_STEM].rstrip(".-") or "image"
    return f"_{plain}"[:MAX_STEM] if RESERVED.match(plain) else plain


def sidecar(path: Path) -> Path:
    """Where the recipe of a picture stands beside it."""
    return path.with_name(f"{path.name}.json")


def _give_name(
    draft: Path,
    folder: Path,
    stem: str,
    ending: str,
    content: bytes,
    stamp: _Stamp,
    disk: Disk,
) -> tuple[Path, bytes]:
    """Name the draft, or find the picture already there. Returns the path and the bytes it holds."""
    for number in count(1):
        path = inside(folder, f"{stem}{f'-{number}' if number > 1 else ''}{ending}")
        if _take_name(draft, path, disk):
            return path, content
        held = _held(path, content, stamp)
        if held is not None:
            return path, held
    raise AssertionError("count() has no end")


def _take_name(draft: Path, path: Path, disk: Disk) -> bool:
    """Give the draft its final name unless something has it; in one step, so that no two can."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    else:
        return True
    try:
        path.touch(exist_ok=False)  # exclusive: whoever makes the empty file has the name
    except FileExistsError:
        return False
    try:
        disk.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            disk.unlink(path)
        raise
    return True


def _held(path: Path, content: bytes, stamp: _Stamp) -> bytes | None:
    """The bytes of the file that has the name, if it is this very picture: published before a crash."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        held = path.read_bytes()
    except OSError:
        return None  # just removed, or not ours to read
    embedded = _read_embedded(held)
    if embedded is not None:
        return held if _same_picture(embedded, stamp) else None
    beside = _read_sidecar(path)
    same = held == content and (beside is None or _same_picture(beside, stamp))
    return held if same else None


def _same_picture(told: _Stamp | None, stamp: _Stamp) -> bool:
    return told is not None and (told.recipe.place, told.source) == (
        stamp.recipe.place,
        stamp.source,
    )


# ------------------------------------------------------------------------------ judging


def _inspect(data: bytes) -> tuple[_Kind, int, int]:
    """Kind, width and height of a picture that decodes to its last pixel. Raises ImageInvalid."""
    kind = _kind(data)
    if kind is None:
        start = data[:16]
        what = f"they begin with {start!r}" if data else "there are none"
        raise ImageInvalid(f"The bytes are not a PNG, JPEG or WebP picture: {what}")
    _require_end(data, kind)
    try:
        with Image.open(io.BytesIO(data), formats=[kind.format]) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageInvalid(
                    f"The picture claims {width}×{height} pixels; {MAX_PIXELS:,} are allowed"
                )
            image.load()
    except DAMAGE as error:
        raise ImageInvalid(f"The {kind.format} picture is damaged: {_reason(error)}") from error
    return kind, width, height


def _kind(data: bytes) -> _Kind | None:
    if data.startswith(PNG_MAGIC):
        return PNG
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    return WEBP if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _require_end(data: bytes, kind: _Kind) -> None:
    """Refuse a picture whose last bytes are missing: the decoders do without them."""
    if kind is PNG:
        for _ in _png_chunks(data):
            pass
        return
    if kind is JPEG:
        scan = max((end for _, _, end in _jpeg_segments(data)), default=2)
        whole = data.find(b"\xff\xd9", scan) != -1
    else:
        whole = len(data) >= 8 + int.from_bytes(data[4:8], "little")
    if not whole:
        raise ImageInvalid(f"The {kind.format} picture is damaged: it stops before its end")


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its header makes no sense"  # Pillow names the object it read from
    return one_line(str(error))[:200] or type(error).__name__


# ------------------------------------------------------------------------------ recipes in files


def read_recipe(path: Path) -> Recipe | None:
    """How a picture was made, by itself or its sidecar; None when neither says. Raises OSError."""
    embedded, beside = _read_embedded(path.read_bytes()), _read_sidecar(path)
    if embedded is None:
        return beside.recipe if beside else None
    # the sidecar has what a JPEG had no room for, but it may be another picture's
    if beside is not None and _same_picture(beside, embedded):
        return beside.recipe
    return embedded.recipe


def _sidecar_json(published: Published, stamp: _Stamp) -> bytes:
    document = _document(stamp) | {
        "file": published.path.name,
        "width": published.width,
        "height": published.height,
        "bytes": published.size,
        "sha256": published.sha256,
        "mime": published.mime,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _read_sidecar(path: Path) -> _Stamp | None:
    try:
        return _stamp(sidecar(path).read_bytes())
    except OSError:
        return None


def _document(stamp: _Stamp, *, workflow: bool = True) -> dict[str, Any]:
    recipe = stamp.recipe if workflow else stamp.recipe.model_copy(update={"workflow": None})
    # through JSON, which turns NaN into null: nobody could read the file otherwise
    document: dict[str, Any] = orjson.loads(recipe.model_dump_json(by_alias=True))
    return document | {"sourceDigest": stamp.source}


def _stamp(raw: bytes, *, workflow: bytes | None = None) -> _Stamp | None:
    try:
        document = orjson.loads(raw)
        if workflow is not None and isinstance(document, dict) and not document.get("workflow"):
            document["workflow"] = orjson.loads(workflow)
        return _Stamp(Recipe.model_validate(document), str(document.get("sourceDigest")))
    except (orjson.JSONDecodeError, ValidationError):
        return None


def _with_stamp(data: bytes, kind: _Kind, stamp: _Stamp) -> bytes:
    """The picture with its recipe inside, pixels untouched; as it is when it has no room for one."""
    if kind is PNG:
        return _png_with(data, stamp)
    return _jpeg_with(data, stamp) if kind is JPEG else data  # WebP: the sidecar says it all


def _read_embedded(data: bytes) -> _Stamp | None:
    try:
        kind = _kind(data)
        if kind is PNG:
            texts = {key: text for _, _, key, text in _png_texts(data)}
            raw, workflow = texts.get(OURS), texts.get(WORKFLOW)
            return _stamp(raw, workflow=workflow) if raw is not None else None
        if kind is JPEG:
            found = _find_exif(data)
            comment = found[2].get_ifd(EXIF_IFD).get(USER_COMMENT) if found else None
            if isinstance(comment, bytes) and comment.startswith(UNICODE):
                text = comment[len(UNICODE) :].decode("utf-16-be")
                return _stamp(text.encode())
    except (ImageInvalid, *DAMAGE):
        pass  # a stranger's file
    return None


# ------------------------------------------------------------------------------ PNG


def _png_with(data: bytes, stamp: _Stamp) -> bytes:
    """With tEXt chunks after the header: the recipe, and the workflow unless ComfyUI put it there."""
    texts = list(_png_texts(data))
    new = {OURS: json.dumps(_document(stamp, workflow=False)).encode("ascii")}
    if stamp.recipe.workflow is not None and WORKFLOW not in {key for _, _, key, _ in texts}:
        new[WORKFLOW] = json.dumps(stamp.recipe.workflow).encode("ascii")
    pieces, at = [], 0
    for start, end, key, _ in texts:
        if key == OURS:  # of the picture this one was made from
            pieces.append(data[at:start])
            at = end
    rest = b"".join([*pieces, data[at:]])
    header = len(PNG_MAGIC) + 25  # IHDR is always first and always as long
    added = [
        _png_chunk(b"tEXt", key + b"\0" + text)
        for key, text in new.items()
        if len(text) <= MAX_PNG_TEXT
    ]
    return b"".join([rest[:header], *added, rest[header:]])


def _png_chunk(name: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(content, zlib.crc32(name))
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def _png_texts(data: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Start, end, keyword and raw text of every text chunk."""
    for start, end, name in _png_chunks(data):
        if name in PNG_TEXTS:
            key, _, text = data[start + 8 : end - 4].partition(b"\0")
            yield start, end, key, text if name == b"tEXt" else b""


def _png_chunks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Start, end and name of every chunk to IEND. Raises ImageInvalid at the first damage."""
    at, name = len(PNG_MAGIC), b""
    while name != b"IEND":
        length = int.from_bytes(data[at : at + 4], "big")
        name, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            raise ImageInvalid("The PNG picture is damaged: it stops before its end")
        if (at == len(PNG_MAGIC)) != (name == b"IHDR" and length == 13):
            raise ImageInvalid("The PNG picture is damaged: its header is not where it belongs")
        if zlib.crc32(data[at + 4 : end - 4]).to_bytes(4, "big") != data[end - 4 : end]:
            raise ImageInvalid(f"The PNG picture is damaged: checksum of {name!r}")
        yield at, end, name
        at = end


# ------------------------------------------------------------------------------ JPEG


def _jpeg_with(data: bytes, stamp: _Stamp) -> bytes:
    """With the recipe as EXIF UserComment, other EXIF kept; as it is when somebody's comment is there."""
    try:
        start, end, exif = _find_exif(data) or (*_after_jfif(data), Image.Exif())
        comments = exif.get_ifd(EXIF_IFD)
    except DAMAGE:
        return data
    if USER_COMMENT in comments and _read_embedded(data) is None:
        return data
    for workflow in (True, False):
        text = json.dumps(_document(stamp, workflow=workflow), ensure_ascii=False)
        comment = UNICODE + text.encode("utf-16-be")
        comments[USER_COMMENT] = comment
        try:
            payload = exif.tobytes()
        except DAMAGE:
            return data  # the service's EXIF cannot be written again
        if len(payload) <= MAX_SEGMENT:
            # Pillow types the comment BYTE; the standard wants UNDEFINED
            order = ">" if payload[6:8] == b"MM" else "<"
            entry = (USER_COMMENT, 1, len(comment))
            right = struct.pack(f"{order}HHI", USER_COMMENT, 7, len(comment))
            payload = payload.replace(struct.pack(f"{order}HHI", *entry), right, 1)
            segment = b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload
            return data[:start] + segment + data[end:]
    return data


def _find_exif(data: bytes) -> tuple[int, int, Image.Exif] | None:
    """Start and end of the EXIF segment, and what it holds."""
    for start, marker, end in _jpeg_segments(data):
        if marker == 0xE1 and data[start + 4 : start + 10] == b"Exif\0\0":
            exif = Image.Exif()
            exif.load(data[start + 4 : end])
            return start, end, exif
    return None


def _after_jfif(data: bytes) -> tuple[int, int]:
    """Where EXIF goes in: right after the JFIF segment, which has to be first."""
    _, marker, end = next(_jpeg_segments(data))
    return (end, end) if marker == 0xE0 else (2, 2)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Start, marker and end of every segment to the first scan. Raises ImageInvalid."""
    at, marker = 2, 0
    while marker != 0xDA:
        while data[at + 1 : at + 2] == b"\xff":  # markers may be padded
            at += 1
        marker = data[at + 1] if at + 1 < len(data) else 0
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at : at + 1] != b"\xff" or not 0xC0 <= marker <= 0xFE or end > len(data):
            raise ImageInvalid("The JPEG picture is damaged: it stops before its end")
        yield at, marker, end
        at = end
