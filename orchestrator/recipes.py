"""How a picture was made, and how a file of it carries that: PNG text, JPEG EXIF. Bytes in, bytes out."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
from PIL import Image
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from orchestrator.errors import ImageInvalid

MAX_PNG_TEXT = 1_000_000  # bytes of a chunk; a workflow of a thousand nodes takes half of it
MAX_SEGMENT = 65_533  # bytes of a JPEG segment beside its own length field
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


class Stamp(NamedTuple):
    """What a picture tells of itself: its recipe, and a digest of the bytes the service sent."""

    recipe: Recipe
    source: str  # BLAKE2b, 16 bytes: only compared here, and twice as fast as SHA-256


class Kind(NamedTuple):
    format: str  # Pillow's name
    mime: str
    ending: str


PNG = Kind("PNG", "image/png", ".png")
JPEG = Kind("JPEG", "image/jpeg", ".jpg")
WEBP = Kind("WEBP", "image/webp", ".webp")


def kind_of(data: bytes) -> Kind | None:
    if data.startswith(PNG_MAGIC):
        return PNG
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    return WEBP if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


# ------------------------------------------------------------------------------ reading and writing


def document_of(stamp: Stamp, *, workflow: bool = True) -> dict[str, Any]:
    recipe = stamp.recipe if workflow else stamp.recipe.model_copy(update={"workflow": None})
    # through JSON, which turns NaN into null: nobody could read the file otherwise
    document: dict[str, Any] = orjson.loads(recipe.model_dump_json(by_alias=True))
    return document | {"sourceDigest": stamp.source}


def parse_stamp(raw: bytes, *, workflow: bytes | None = None) -> Stamp | None:
    try:
        document = orjson.loads(raw)
        if workflow is not None and isinstance(document, dict) and not document.get("workflow"):
            document["workflow"] = orjson.loads(workflow)
        return Stamp(Recipe.model_validate(document), str(document.get("sourceDigest")))
    except (orjson.JSONDecodeError, ValidationError):
        return None


def with_stamp(data: bytes, kind: Kind, stamp: Stamp) -> bytes:
    """The picture with its recipe inside, pixels untouched; as it is when it has no room for one."""
    if kind is PNG:
        return _png_with(data, stamp)
    return _jpeg_with(data, stamp) if kind is JPEG else data  # WebP: the sidecar says it all


def read_embedded(data: bytes) -> Stamp | None:
    try:
        kind = kind_of(data)
        if kind is PNG:
            texts = {key: text for _, _, key, text in _png_texts(data)}
            raw, workflow = texts.get(OURS), texts.get(WORKFLOW)
            return parse_stamp(raw, workflow=workflow) if raw is not None else None
        if kind is JPEG:
            found = _find_exif(data)
            comment = found[2].get_ifd(EXIF_IFD).get(USER_COMMENT) if found else None
            if isinstance(comment, bytes) and comment.startswith(UNICODE):
                text = comment[len(UNICODE) :].decode("utf-16-be")
                return parse_stamp(text.encode())
    except (ImageInvalid, *DAMAGE):
        pass  # a stranger's file
    return None


# ------------------------------------------------------------------------------ PNG


def _png_with(data: bytes, stamp: Stamp) -> bytes:
    """With tEXt chunks after the header: the recipe, and the workflow unless ComfyUI put it there."""
    texts = list(_png_texts(data))
    new = {OURS: json.dumps(document_of(stamp, workflow=False)).encode("ascii")}
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
    for start, end, name in png_chunks(data):
        if name in PNG_TEXTS:
            key, _, text = data[start + 8 : end - 4].partition(b"\0")
            yield start, end, key, text if name == b"tEXt" else b""


def png_chunks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
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


def _jpeg_with(data: bytes, stamp: Stamp) -> bytes:
    """With the recipe as EXIF UserComment, other EXIF kept; as it is when somebody's comment is there."""
    try:
        start, end, exif = _find_exif(data) or (*_after_jfif(data), Image.Exif())
        comments = exif.get_ifd(EXIF_IFD)
    except DAMAGE:
        return data
    if USER_COMMENT in comments and read_embedded(data) is None:
        return data
    for workflow in (True, False):
        text = json.dumps(document_of(stamp, workflow=workflow), ensure_ascii=False)
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
    for start, marker, end in jpeg_segments(data):
        if marker == 0xE1 and data[start + 4 : start + 10] == b"Exif\0\0":
            exif = Image.Exif()
            exif.load(data[start + 4 : end])
            return start, end, exif
    return None


def _after_jfif(data: bytes) -> tuple[int, int]:
    """Where EXIF goes in: right after the JFIF segment, which has to be first."""
    _, marker, end = next(jpeg_segments(data))
    return (end, end) if marker == 0xE0 else (2, 2)


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
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
