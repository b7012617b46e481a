"""The chunks of a PNG file, and its texts (PNG specification, third edition, 5 and 11.3.3). Bytes in, bytes out."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

from orchestrator.errors import ImageInvalid
from orchestrator.recipes.kinds import PNG_MAGIC

# bytes of a chunk that is read; a workflow of a thousand nodes takes half a million
MAX_TEXT = 4_000_000
MAX_WRITTEN = 1_000_000  # bytes of a chunk that is written
MAX_TEXTS = 64  # of a file; a program writes two or three
TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
HEADER = len(PNG_MAGIC) + 25  # bytes: IHDR is always first and always as long


def chunks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Start, end and name of every chunk to IEND. Raises ImageInvalid at the first damage."""
    at, name = len(PNG_MAGIC), b""
    view = memoryview(data)  # the pixels are not copied for their checksum
    while name != b"IEND":
        length = int.from_bytes(data[at : at + 4], "big")
        name, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            raise ImageInvalid("The PNG picture is damaged: it stops before its end")
        if (at == len(PNG_MAGIC)) != (name == b"IHDR" and length == 13):
            raise ImageInvalid("The PNG picture is damaged: its header is not where it belongs")
        if zlib.crc32(view[at + 4 : end - 4]).to_bytes(4, "big") != data[end - 4 : end]:
            raise ImageInvalid(f"The PNG picture is damaged: checksum of {name!r}")
        yield at, end, name
        at = end


def size(data: bytes) -> tuple[int, int]:
    """Width and height as the header says. Raises struct.error when there is none."""
    width, height = struct.unpack_from(">II", data, len(PNG_MAGIC) + 8)
    return width, height


def texts(data: bytes) -> dict[str, str]:
    """The texts by their keywords; of two with one keyword the first. Raises ImageInvalid at damage.

    tEXt is Latin-1 by the book, but many programs write UTF-8 there, and ComfyUI's page reads it so: what is valid
    UTF-8 is taken for that.
    """
    found: dict[str, str] = {}
    for start, end, name in chunks(data):
        if name in TEXTS and end - start <= MAX_TEXT and len(found) < MAX_TEXTS:
            key, _, rest = data[start + 8 : end - 4].partition(b"\0")
            if (text := _text(name, rest)) is not None:
                found.setdefault(key.decode("latin-1"), text)
    return found


def _text(name: bytes, rest: bytes) -> str | None:
    if name == b"tEXt":
        raw: bytes | None = rest
    elif name == b"zTXt":
        raw = _inflated(rest[1:])
    else:  # flag, method, language, translated keyword
        _, _, after = rest[2:].partition(b"\0")
        _, _, content = after.partition(b"\0")
        raw = _inflated(content) if rest[:1] == b"\1" else content
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _inflated(packed: bytes) -> bytes | None:
    """What was compressed; None when it is damaged or unpacks to more than anybody writes."""
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, MAX_TEXT)
    except zlib.error:
        return None
    return raw if unpacker.eof else None


def with_texts(data: bytes, new: Mapping[str, str], *, kept: frozenset[str]) -> bytes:
    """With these texts after the header, in place of those with the same keywords.

    Of a keyword in `kept` the text that is there stays, as it stands. Raises ImageInvalid at damage.
    """
    pieces, at, staying = [], 0, set()
    for start, end, name in chunks(data):
        if name in TEXTS:
            key = data[start + 8 : end - 4].partition(b"\0")[0].decode("latin-1")
            if key in kept:
                staying.add(key)
            elif key in new:
                pieces.append(data[at:start])
                at = end
    rest = b"".join([*pieces, data[at:]])
    added = [_text_chunk(key, text) for key, text in new.items() if key not in staying]
    fitting = [chunk for chunk in added if len(chunk) <= MAX_WRITTEN]
    return b"".join([rest[:HEADER], *fitting, rest[HEADER:]])


def _text_chunk(key: str, text: str) -> bytes:
    # Latin-1 letters too go to iTXt: ComfyUI's page would read them as UTF-8 in tEXt
    if text.isascii():
        return chunk(b"tEXt", key.encode("latin-1") + b"\0" + text.encode("ascii"))
    content = key.encode("latin-1") + b"\0\0\0\0\0" + text.encode(errors="replace")
    return chunk(b"iTXt", content)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    crc = zlib.crc32(content, zlib.crc32(name))
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)
