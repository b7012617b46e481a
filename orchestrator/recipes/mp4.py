"""The boxes of an MP4 file (ISO/IEC 14496-12): its size, whether it is whole, its texts. Bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from orchestrator.errors import ImageInvalid

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # XMP specification, part 3, 1.2.7
MAX_BOXES = 10_000  # of one level
MAX_TEXT = 4_000_000  # bytes


class Box(NamedTuple):
    """A box: its name, where its content begins, and where it ends."""

    name: bytes
    start: int
    content: int
    end: int


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes of one level. Raises ImageInvalid when one does not fit into what holds it."""
    at, last = start, len(data) if end is None else end
    for _ in range(MAX_BOXES):
        if at >= last:
            return
        size, content = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, content = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0:
            size = last - at  # to the end
        if content > at + size or at + size > last:
            raise ImageInvalid("The MP4 film is damaged: a part of it is longer than the file")
        yield Box(data[at + 4 : at + 8], at, content, at + size)
        at += size
    raise ImageInvalid("The MP4 film is damaged: it has too many parts")


def inspected(data: bytes) -> tuple[int, int]:
    """Width and height of a film that is whole, as its track says. Raises ImageInvalid."""
    top = list(boxes(data))
    movie = next((box for box in top if box.name == b"moov"), None)
    if movie is None or all(box.name != b"mdat" for box in top):
        raise ImageInvalid("The MP4 film is damaged: it stops before its end")
    for track in _all(data, movie, b"trak"):
        if not _is_video(data, track):
            continue
        width, height = _track_size(data, track)
        if not (width and height):
            raise ImageInvalid("The MP4 film is damaged: it does not say its size")
        _require_samples(data, track)
        return width, height
    raise ImageInvalid("The MP4 film is damaged: it has no pictures")


def _all(data: bytes, parent: Box, *path: bytes, skipped: int = 0) -> Iterator[Box]:
    for box in boxes(data, parent.content + skipped, parent.end):
        if box.name == path[0]:
            yield from _all(data, box, *path[1:]) if len(path) > 1 else (box,)


def _first(data: bytes, parent: Box, *path: bytes) -> Box | None:
    return next(_all(data, parent, *path), None)


def _is_video(data: bytes, track: Box) -> bool:
    handler = _first(data, track, b"mdia", b"hdlr")
    return handler is not None and data[handler.content + 8 : handler.content + 12] == b"vide"


def _track_size(data: bytes, track: Box) -> tuple[int, int]:
    """Of the track's header: 16.16 fixed-point numbers, its last two."""
    header = _first(data, track, b"tkhd")
    if header is None or header.end - header.content < 84:
        return 0, 0
    width, height = struct.unpack_from(">II", data, header.end - 8)
    return width >> 16, height >> 16


def _require_samples(data: bytes, track: Box) -> None:
    """Refuse a film whose table of samples points behind its end. A film in fragments has an empty table."""
    table = _first(data, track, b"mdia", b"minf", b"stbl")
    if table is None:
        raise ImageInvalid("The MP4 film is damaged: it has no table of its pictures")
    for name, code, width in ((b"stco", "I", 4), (b"co64", "Q", 8)):
        for box in _all(data, table, name):
            count = int.from_bytes(data[box.content + 4 : box.content + 8], "big")
            if box.content + 8 + count * width > box.end:
                raise ImageInvalid("The MP4 film is damaged: its table of pictures is cut off")
            offsets = struct.unpack_from(f">{count}{code}", data, box.content + 8)
            if any(offset >= len(data) for offset in offsets):
                raise ImageInvalid("The MP4 film is damaged: it stops before its end")


# ------------------------------------------------------------------------------ texts


def packet(data: bytes) -> bytes | None:
    """The XMP packet. Raises ImageInvalid."""
    found = _packet_box(data)
    return data[found.content + 16 : found.end] if found else None


def with_packet(data: bytes, packet: bytes) -> bytes:
    """With an XMP packet behind everything else, where it moves nothing that the tables point to.

    Raises ImageInvalid, and ValueError when nothing can stand behind.
    """
    top = list(boxes(data))
    last = top[-1] if top else None
    found = _packet_box(data)
    if last is None or int.from_bytes(data[last.start : last.start + 4], "big") == 0:
        raise ValueError("its last part has no end")
    if found is not None and found != last:
        raise ValueError("another program's packet stands before the pictures")
    size = struct.pack(">I", 24 + len(packet))
    return data[: found.start if found else None] + size + b"uuid" + XMP_UUID + packet


def _packet_box(data: bytes) -> Box | None:
    for box in boxes(data):
        if box.name == b"uuid" and data[box.content : box.content + 16] == XMP_UUID:
            return box
    return None


def texts(data: bytes) -> dict[str, str]:
    """The texts by their keys, as ffmpeg writes them for ComfyUI's SaveVideo. Raises ImageInvalid."""
    movie = next((box for box in boxes(data) if box.name == b"moov"), None)
    if movie is None:
        return {}
    metas = [*_all(data, movie, b"meta"), *_all(data, movie, b"udta", b"meta")]
    found: dict[str, str] = {}
    for meta in metas:
        # by the ISO's book it begins with a version, by Apple's with its first box
        skipped = 0 if data[meta.content + 4 : meta.content + 8] == b"hdlr" else 4
        keys = next(_all(data, meta, b"keys", skipped=skipped), None)
        items = next(_all(data, meta, b"ilst", skipped=skipped), None)
        if keys is not None and items is not None:
            names = [data[b.content : b.end].decode(errors="replace") for b in _keys(data, keys)]
            for item in boxes(data, items.content, items.end):
                number = int.from_bytes(item.name, "big")
                value = _first(data, item, b"data")
                if 0 < number <= len(names) and value and value.end - value.content <= MAX_TEXT:
                    text = data[value.content + 8 : value.end].decode(errors="replace")
                    found.setdefault(names[number - 1], text)
    return found


def _keys(data: bytes, keys: Box) -> Iterator[Box]:
    return boxes(data, keys.content + 8, keys.end)
