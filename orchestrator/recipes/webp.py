"""The chunks of a WebP file (RFC 9649). Pixels are never encoded again. Bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from orchestrator.errors import ImageInvalid

ALPHA, EXIF_FLAG, XMP_FLAG = 0x10, 0x08, 0x04  # of VP8X
FLAGS = {b"EXIF": EXIF_FLAG, b"XMP ": XMP_FLAG}
LOSSLESS = 0x2F  # how a VP8L stream begins
KEY_FRAME = b"\x9d\x01\x2a"  # how a VP8 key frame begins, after three bytes


def chunks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Start, end (padding included) and name of every chunk. Raises ImageInvalid when the file stops before its end."""
    last = 8 + int.from_bytes(data[4:8], "little")
    at = 12
    if last > len(data):
        raise ImageInvalid("The WEBP picture is damaged: it stops before its end")
    while at < last:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        if at + 8 + size > last:
            raise ImageInvalid("The WEBP picture is damaged: a part of it is longer than the file")
        yield at, min(end, last), data[at : at + 4]
        at = end


def size(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas. Raises ImageInvalid, struct.error."""
    for start, _, name in chunks(data):
        if name == b"VP8X":
            wide, high = data[start + 12 : start + 15], data[start + 15 : start + 18]
            return int.from_bytes(wide, "little") + 1, int.from_bytes(high, "little") + 1
        if name == b"VP8L" and data[start + 8] == LOSSLESS:
            bits = struct.unpack_from("<I", data, start + 9)[0]
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if name == b"VP8 " and data[start + 11 : start + 14] == KEY_FRAME:
            width, height = struct.unpack_from("<HH", data, start + 14)
            return width & 0x3FFF, height & 0x3FFF  # the upper two bits are a scale for showing
    raise ImageInvalid("The WEBP picture is damaged: it does not say its size")


def payload(data: bytes, name: bytes) -> bytes | None:
    """What the first chunk of a name holds. Raises ImageInvalid."""
    for start, _, found in chunks(data):
        if found == name:
            size = int.from_bytes(data[start + 4 : start + 8], "little")
            return data[start + 8 : start + 8 + size]
    return None


def with_payloads(data: bytes, new: Mapping[bytes, bytes]) -> bytes:
    """With these chunks (EXIF, XMP) in place of those of the same name. Raises ImageInvalid, struct.error.

    They stand before the pixels, which the format leaves open: readers in use stumble over the padding of a chunk
    before them (older pages of ComfyUI), and whoever reads only the beginning of a file finds them.
    """
    last = 8 + int.from_bytes(data[4:8], "little")
    found = list(chunks(data))
    flags = 0
    for name in new:
        flags |= FLAGS[name]
    pieces = []
    for start, end, name in found:
        if name == b"VP8X":
            flags |= data[start + 8]
        elif name not in new:
            part = data[start:end]
            pieces.append(part + b"\0" if len(part) % 2 else part)  # an unpadded last chunk
    width, height = size(data)
    if not any(name == b"VP8X" for _, _, name in found):
        flags |= ALPHA * _has_alpha(data, found)
    head = struct.pack("<I", flags) + (width - 1).to_bytes(3, "little")
    first = [_chunk(b"VP8X", head + (height - 1).to_bytes(3, "little"))]
    body = b"".join([*first, *(_chunk(*each) for each in new.items()), *pieces])
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body + data[last:]


def _has_alpha(data: bytes, found: list[tuple[int, int, bytes]]) -> bool:
    """Whether a file without VP8X has alpha: only a lossless one can."""
    for start, _, name in found:
        if name == b"VP8L":
            return bool(struct.unpack_from("<I", data, start + 9)[0] >> 28 & 1)
    return False


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
