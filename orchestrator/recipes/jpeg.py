"""The segments of a JPEG file (ITU-T T.81, annex B). Bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from orchestrator.errors import ImageInvalid

MAX_SEGMENT = 65_533  # bytes of a segment beside its own length field
EXIF_HEAD = b"Exif\0\0"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"  # XMP specification, part 3, 1.1.3
APP0, APP1, SCAN = 0xE0, 0xE1, 0xDA
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers that say the size


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Start, marker and end of every segment to the first scan. Raises ImageInvalid."""
    at, marker = 2, 0
    while marker != SCAN:
        while data[at + 1 : at + 2] == b"\xff":  # markers may be padded
            at += 1
        marker = data[at + 1] if at + 1 < len(data) else 0
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at : at + 1] != b"\xff" or not 0xC0 <= marker <= 0xFE or end > len(data):
            raise ImageInvalid("The JPEG picture is damaged: it stops before its end")
        yield at, marker, end
        at = end


def size(data: bytes) -> tuple[int, int]:
    """Width and height as the frame's header says. Raises ImageInvalid."""
    for start, marker, end in segments(data):
        if marker in FRAMES and end - start >= 9:
            height, width = struct.unpack_from(">HH", data, start + 5)
            return width, height
    raise ImageInvalid("The JPEG picture is damaged: it does not say its size")


def require_end(data: bytes) -> None:
    """Raises ImageInvalid when the last bytes are missing: decoders do without them."""
    scan = max((end for _, _, end in segments(data)), default=2)
    if data.find(b"\xff\xd9", scan) == -1:
        raise ImageInvalid("The JPEG picture is damaged: it stops before its end")


def payload(data: bytes, head: bytes) -> bytes | None:
    """What the first APP1 segment that begins with `head` says after it. Raises ImageInvalid."""
    found = _find(data, head)
    return data[found[0] + 4 + len(head) : found[1]] if found else None


def with_payload(data: bytes, head: bytes, content: bytes) -> bytes:
    """With an APP1 segment in place of the one that begins with `head`, or where such a one belongs.

    Raises ImageInvalid, and ValueError when the content is larger than a segment.
    """
    if len(head) + len(content) > MAX_SEGMENT:
        raise ValueError("too large for a segment")
    start, end = _find(data, head) or _free_place(data)
    size = struct.pack(">H", len(head) + len(content) + 2)
    return b"".join([data[:start], b"\xff\xe1", size, head, content, data[end:]])


def _find(data: bytes, head: bytes) -> tuple[int, int] | None:
    for start, marker, end in segments(data):
        if marker == APP1 and data.startswith(head, start + 4):
            return start, end
    return None


def _free_place(data: bytes) -> tuple[int, int]:
    """Behind JFIF, which has to be first, and behind EXIF."""
    place = 2
    for start, marker, end in segments(data):
        if marker == APP0 or (marker == APP1 and data.startswith(EXIF_HEAD, start + 4)):
            place = end
        else:
            break
    return place, place
