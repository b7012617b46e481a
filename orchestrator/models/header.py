"""The header of a safetensors file: read and checked without loading a tensor.

Format (github.com/huggingface/safetensors): 8 bytes little-endian length N, N bytes of JSON that start with `{` and
may end in spaces, then the tensors' bytes, each exactly once, without a gap. An entry is
`name: {"dtype", "shape", "data_offsets": [begin, end]}`; `__metadata__` maps text to text.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from orchestrator.models.faults import Fault

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
METADATA = "__metadata__"
MAX_RANK = 16
# sizes in bits: the format has types of less than a byte
DTYPE_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
FIELDS = ("dtype", "shape", "data_offsets")
# first byte and the one after the last, counted from the header's end; name
Span = tuple[int, int, str]


class Broken(Exception):
    """What is wrong with a file, and where; never leaves this package."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(fault, detail)
        self.fault = fault
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Header:
    """All that a safetensors file says of its content; `length` is the header's own, in bytes."""

    shapes: dict[str, tuple[int, ...]]
    dtype: str  # the number type that takes most of the bytes
    metadata: dict[str, str]
    length: int


def read_header(file: BinaryIO) -> Header:
    """The header of an open safetensors file, which is whole if this returns. Raises Broken, OSError."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    start = file.read(LENGTH_BYTES)
    length = int.from_bytes(start, "little")
    if len(start) < LENGTH_BYTES:
        raise Broken(Fault.TRUNCATED, f"it has {size} bytes; a header needs more")
    if length < 2:
        raise Broken(Fault.HEADER_LENGTH, f"it says {length} bytes")
    if length > MAX_HEADER_BYTES:
        raise Broken(Fault.HEADER_LENGTH, f"it says {length:,} bytes, more than the format allows")
    if length > size - LENGTH_BYTES:
        # the beginning tells which of the two lies: a true header starts with a brace
        cut = file.read(1) == b"{"
        fault = Fault.TRUNCATED if cut else Fault.HEADER_LENGTH
        raise Broken(fault, f"the header alone should have {length:,} bytes; the file has {size:,}")
    entries, metadata = _parsed(file.read(length))
    shapes, dtype, spans = _described(entries)
    _check_layout(spans, data_bytes=size - LENGTH_BYTES - length)
    return Header(shapes, dtype, metadata, length)


def _parsed(raw: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """The entries of the header by name, and its metadata."""
    if raw[:1] != b"{":
        raise Broken(Fault.HEADER_NOT_JSON)
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Broken(Fault.HEADER_NOT_JSON, str(error)[:100]) from error
    metadata = document.pop(METADATA, None)
    if not document:
        raise Broken(Fault.NO_TENSORS)
    # a name that comes twice is lost in parsing, but its fields are not: counting them costs next to nothing
    if any(raw.count(b'"%s"' % field.encode()) != len(document) for field in FIELDS):
        _check_duplicates(raw)
    return document, _texts(metadata)


def _check_duplicates(raw: bytes) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise Broken(Fault.DUPLICATE_TENSOR, shown(twice))
        return found

    try:
        json.loads(raw, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise Broken(Fault.HEADER_NOT_JSON, str(error)[:100]) from error


def _described(entries: dict[str, Any]) -> tuple[dict[str, tuple[int, ...]], str, list[Span]]:
    """The shapes, the main number type, and where each tensor lies. One plain loop: there are thousands."""
    shapes: dict[str, tuple[int, ...]] = {}
    spans: list[Span] = []
    taken: dict[str, int] = {}
    for name, entry in entries.items():
        try:
            dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            bits = DTYPE_BITS.get(dtype, 0)
            sound = type(begin) is int and type(end) is int and begin >= 0 and type(shape) is list
            for number in shape if len(shape) <= MAX_RANK else (-1,):
                # `type is int`: a bool counts as an int, and is not meant
                if type(number) is not int or number < 0:
                    sound = False
                    break
                bits *= number
        except (KeyError, TypeError, ValueError) as error:
            raise Broken(Fault.HEADER_INVALID, shown(name)) from error
        if not sound or type(dtype) is not str:
            raise Broken(Fault.HEADER_INVALID, shown(name))
        if dtype not in DTYPE_BITS:
            raise Broken(Fault.UNKNOWN_DTYPE, f"{shown(dtype)} of {shown(name)}")
        size = end - begin
        if size < 0 or bits != size * 8:
            needed = f"needs {-(-bits // 8):,} bytes and has {size:,}"
            raise Broken(Fault.SHAPE_MISMATCH, f"{shown(name)} {shape} {dtype} {needed}"[:300])
        shapes[name] = tuple(shape)
        spans.append((begin, end, name))
        taken[dtype] = taken.get(dtype, 0) + size
    return shapes, max(taken, key=lambda each: taken[each]), spans


def _texts(metadata: Any) -> dict[str, str]:
    """The metadata; other tools put numbers in it, which the format forbids and its reader refuses."""
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise Broken(Fault.HEADER_INVALID, METADATA)
    return metadata


def _check_layout(spans: list[Span], *, data_bytes: int) -> None:
    """Every byte belongs to exactly one tensor."""
    at, before = 0, ""
    for begin, end, name in sorted(spans):
        if begin < at:
            raise Broken(Fault.OVERLAP, f"{shown(before)} and {shown(name)}")
        if begin > at:
            raise Broken(Fault.HOLE, f"{begin - at:,} bytes before {shown(name)}, at {at:,}")
        at, before = end, name
    if at > data_bytes:
        raise Broken(Fault.TRUNCATED, f"{at - data_bytes:,} of {at:,} bytes are missing")
    if at < data_bytes:
        raise Broken(Fault.TRAILING_BYTES, f"{data_bytes - at:,} bytes too many")


def shown(name: str) -> str:
    """A name from a file, fit to be printed: a damaged header can hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:120]
