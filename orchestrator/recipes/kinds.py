"""What a published file can be, told by its first bytes, and what its readers raise on damage."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from PIL import Image

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
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# HEIC and AVIF begin with an ftyp box as well: of the brands, those that mean a film (mp4ra.org)
FILM_BRANDS = (b"iso", b"mp4", b"avc1", b"dash", b"M4V ", b"MSNV")


class Kind(NamedTuple):
    """A kind of file."""

    format: str  # Pillow's name; it has none for MP4
    mime: str
    ending: str


PNG = Kind("PNG", "image/png", ".png")
JPEG = Kind("JPEG", "image/jpeg", ".jpg")
WEBP = Kind("WEBP", "image/webp", ".webp")
MP4 = Kind("MP4", "video/mp4", ".mp4")


def kind_of(data: bytes) -> Kind | None:
    """What the bytes begin as; None when they are nothing that is published."""
    if data.startswith(PNG_MAGIC):
        return PNG
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    return MP4 if data[4:8] == b"ftyp" and data[8:12].startswith(FILM_BRANDS) else None
