"""Damaged files are named with their fault, from the file alone and in milliseconds."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.models import Fault, Note, verify

WEIGHT = "body.0.rdb1.conv1.weight"


def entry(
    begin: int, end: int, *, dtype: str = "U8", shape: list[int] | None = None
) -> dict[str, Any]:
    return {
        "dtype": dtype,
        "shape": [end - begin] if shape is None else shape,
        "data_offsets": [begin, end],
    }


def packed(header: dict[str, Any] | str | bytes, data: bytes = b"") -> bytes:
    raw = (
        header
        if isinstance(header, bytes)
        else (header if isinstance(header, str) else json.dumps(header)).encode()
    )
    return struct.pack("<Q", len(raw)) + raw + data


GOOD = packed({"a": entry(0, 40), "b": entry(40, 100)}, bytes(range(100)))


def zipped(name: str = "archive/data.pkl") -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        archive.writestr(name, b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(5000))
    return kept.getvalue()


DAMAGED: list[tuple[str, str, bytes, Fault]] = [
    ("empty", "x.safetensors", b"", Fault.EMPTY),
    ("seven bytes", "x.safetensors", b"1234567", Fault.TRUNCATED),
    ("cut by one byte", "x.safetensors", GOOD[:-1], Fault.TRUNCATED),
    ("cut in the header", "x.safetensors", GOOD[:40], Fault.TRUNCATED),
    ("one byte more", "x.safetensors", GOOD + b"\0", Fault.TRAILING_BYTES),
    ("header length of garbage", "x.safetensors", b"\xff" * 8 + GOOD[8:], Fault.HEADER_LENGTH),
    ("header length too long", "x.safetensors", struct.pack("<Q", 10**6) + b"x" * 500, Fault.HEADER_LENGTH),
    ("header length nought", "x.safetensors", bytes(8) + b"{}" + b"x" * 9, Fault.HEADER_LENGTH),
    ("header garbage", "x.safetensors", GOOD[:8] + os.urandom(1) * 20 + GOOD[28:], Fault.HEADER_NOT_JSON),
    ("one letter of the header", "x.safetensors", GOOD.replace(b'"a"', b'"a\x01', 1), Fault.HEADER_NOT_JSON),
    ("header is a list", "x.safetensors", packed("[1, 2]"), Fault.HEADER_NOT_JSON),
    ("header nested deep", "x.safetensors", packed('{"a":' + "[" * 5000 + "]" * 5000 + "}"), Fault.HEADER_NOT_JSON),
    ("no tensors", "x.safetensors", packed({"__metadata__": {}}), Fault.NO_TENSORS),
    ("entry of no use", "x.safetensors", packed({"a": 5}), Fault.HEADER_INVALID),
    ("negative shape", "x.safetensors", packed({"a": entry(0, 4, shape=[-4])}, b"1234"), Fault.HEADER_INVALID),
    ("true for a number", "x.safetensors", packed({"a": entry(0, 1, shape=[True])}, b"1"), Fault.HEADER_INVALID),
    ("three offsets", "x.safetensors", packed({"a": entry(0, 4) | {"data_offsets": [0, 4, 4]}}, b"1234"),
     Fault.HEADER_INVALID),
    ("offsets backwards", "x.safetensors", packed({"a": entry(4, 0, shape=[4])}, b"1234"), Fault.SHAPE_MISMATCH),
    ("unknown type", "x.safetensors", packed({"a": entry(0, 4, dtype="F3")}, b"1234"), Fault.UNKNOWN_DTYPE),
    ("shape too small", "x.safetensors", packed({"a": entry(0, 4, dtype="F32", shape=[2])}, b"1234"),
     Fault.SHAPE_MISMATCH),
    ("shape of an astronomical size", "x.safetensors", packed({"a": entry(0, 4, shape=[2**62, 2**62])}, b"1234"),
     Fault.SHAPE_MISMATCH),
    ("overlap", "x.safetensors", packed({"a": entry(0, 60), "b": entry(40, 100)}, bytes(100)), Fault.OVERLAP),
    ("hole", "x.safetensors", packed({"a": entry(0, 30), "b": entry(40, 100)}, bytes(100)), Fault.HOLE),
    ("hole at the start", "x.safetensors", packed({"a": entry(8, 40)}, bytes(40)), Fault.HOLE),
    ("tensor twice", "x.safetensors",
     packed('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
            b"1234"), Fault.DUPLICATE_TENSOR),
    ("tensor twice, once in disguise", "x.safetensors",
     packed('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},'
            '"\\u0061":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', b"1234"), Fault.DUPLICATE_TENSOR),
    ("metadata of numbers", "x.safetensors", packed({"__metadata__": {"step": 5}, "a": entry(0, 4)}, b"1234"),
     Fault.HEADER_INVALID),
    ("pickle renamed", "x.safetensors", pickle.dumps({"weights": list(range(100))}, protocol=2), Fault.RENAMED_PICKLE),
    ("archive renamed", "x.safetensors", zipped(), Fault.RENAMED_ARCHIVE),
    ("gguf renamed", "x.safetensors", b"GGUF" + struct.pack("<IQQ", 3, 5, 5), Fault.RENAMED_GGUF),
    ("safetensors renamed", "x.ckpt", GOOD, Fault.RENAMED_SAFETENSORS),
    ("web page", "x.safetensors", b"\n<!DOCTYPE html><html><title>Sign in</title>" + b" " * 500, Fault.WEB_PAGE),
    ("error message", "x.safetensors", b'{"error":"Repository is gated"}', Fault.WEB_PAGE),
    ("gated, in words", "x.ckpt", b"Access to model x/y is restricted.", Fault.WEB_PAGE),
    ("lfs pointer", "x.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n",
     Fault.LFS_POINTER),
    ("reserved, not filled", "x.safetensors", bytes(100_000), Fault.PARTIAL_DOWNLOAD),
    ("named unfinished", "x.safetensors.part", GOOD, Fault.PARTIAL_DOWNLOAD),
    ("named unfinished by hugging face", "x.safetensors.incomplete", GOOD[:50], Fault.PARTIAL_DOWNLOAD),
    ("archive cut by one byte", "x.ckpt", zipped()[:-1], Fault.BAD_ARCHIVE),
    ("archive cut in the middle", "x.pt", zipped()[:2000], Fault.BAD_ARCHIVE),
    ("archive with its middle cut out", "x.ckpt", zipped()[:1000] + zipped()[3000:], Fault.BAD_ARCHIVE),
    ("archive of something else", "x.ckpt", zipped("readme.txt"), Fault.NOT_A_MODEL),
    ("noise as ckpt", "x.ckpt", b"\x01noise" * 50, Fault.NOT_A_MODEL),
    ("noise as gguf", "x.gguf", b"\x01noise" * 50, Fault.NOT_A_MODEL),
    ("gguf of nothing", "x.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 0), Fault.NO_TENSORS),
    ("gguf of the future", "x.gguf", b"GGUF" + struct.pack("<IQQ", 99, 5, 5), Fault.HEADER_INVALID),
    ("gguf cut off", "x.gguf", b"GGUF\x03\0", Fault.TRUNCATED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "fault"), [row[1:] for row in DAMAGED], ids=[row[0] for row in DAMAGED]
)
def test_a_damaged_file_is_named_with_its_fault_in_a_tenth_of_a_second(
    tmp_path: Path, name: str, content: bytes, fault: Fault
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    start = time.process_time()
    found = verify(path)
    took = time.process_time() - start
    assert found.fault is fault, found
    assert found.problem is not None
    assert found.problem.startswith(fault.sentence)
    assert took < 0.1


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_says_what_is_wrong_and_what_to_do(fault: Fault) -> None:
    assert fault.sentence[0].isupper()
    assert not fault.sentence.endswith(".")
    assert fault.remedy.endswith(".")


@pytest.mark.parametrize("note", Note)
def test_every_note_has_words(note: Note) -> None:
    assert note.sentence


def test_a_whole_file_has_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(GOOD)
    found = verify(path)
    assert found.is_whole
    assert found.tensors == 2
    assert found.dtype == "U8"


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [
        ("F8_E4M3", [3], 3),
        ("F8_E5M2", [3], 3),
        ("BF16", [2, 3], 12),
        ("I64", [2], 16),
        ("F64", [2], 16),
        ("BOOL", [5], 5),
        ("C64", [1], 8),
        ("F4", [6], 3),  # two in a byte
        ("F32", [], 4),  # a single number
        ("F16", [0, 7], 0),  # a tensor without content
    ],
)
def test_every_number_type_of_the_format_is_read(
    tmp_path: Path, dtype: str, shape: list[int], size: int
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(packed({"a": entry(0, size, dtype=dtype, shape=shape)}, bytes(size)))
    assert verify(path).fault is None


def test_spaces_after_the_header_and_tensors_in_any_order_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    header = json.dumps({"late": entry(40, 100), "early": entry(0, 40)}) + "   "
    path.write_bytes(packed(header, bytes(100)))
    assert verify(path).is_whole


def test_a_tensor_may_be_called_like_a_field(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(packed({"dtype": entry(0, 4), "shape": entry(4, 8)}, bytes(8)))
    assert verify(path).is_whole


def test_a_download_that_its_program_marks_beside_it_is_unfinished(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(GOOD)
    (tmp_path / "x.safetensors.aria2").write_bytes(b"")
    assert verify(path).fault is Fault.PARTIAL_DOWNLOAD


def test_a_pickle_is_whole_and_said_to_carry_code(tmp_path: Path) -> None:
    for name, content in [("a.ckpt", zipped()), ("b.pt", pickle.dumps([1] * 99, protocol=2))]:
        path = tmp_path / name
        path.write_bytes(content)
        assert verify(path).is_whole
        assert verify(path).notes == (Note.CAN_CARRY_CODE,)


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (os.environ["BOMB"],)


def test_no_pickle_is_ever_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "went off"))
    bomb = pickle.dumps([Bomb()], protocol=2)
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    for name, content in [("a.ckpt", bomb), ("b.ckpt", kept.getvalue()), ("c.safetensors", bomb)]:
        path = tmp_path / name
        path.write_bytes(content)
        verify(path)
    assert not (tmp_path / "went off").exists()


def test_a_file_that_is_gone_or_no_file_is_a_fault_and_no_exception(tmp_path: Path) -> None:
    assert verify(tmp_path / "gone.safetensors").fault is Fault.UNREADABLE
    (tmp_path / "folder.safetensors").mkdir()
    assert verify(tmp_path / "folder.safetensors").fault in {Fault.NOT_A_FILE, Fault.UNREADABLE}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    assert verify(tmp_path / "x.safetensors").fault is Fault.NOT_A_FILE


def test_hostile_names_reach_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(packed({"\x1b[2Jboo\n" * 99: 5}))
    detail = verify(path).detail
    assert detail.isprintable()
    assert len(detail) <= 120


def test_a_header_as_large_as_sdxls_is_read_in_a_tenth_of_a_second(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    names = [
        f"model.diffusion_model.output_blocks.{n}.1.transformer_blocks.attn.to_out.0.weight"
        for n in range(2515)
    ]
    header = {
        name: entry(8 * n, 8 * n + 8, dtype="F16", shape=[2, 2]) for n, name in enumerate(names)
    }
    path.write_bytes(packed(header, bytes(8 * len(names) - 1)))
    tries = []
    # the first pays for what is not its own: a collection of all the tests' garbage
    for _ in range(3):
        start = time.process_time()
        found = verify(path)
        tries.append(time.process_time() - start)
    assert min(tries) < 0.1
    assert found.fault is Fault.TRUNCATED
    assert found.detail.startswith("1 of 20,120 bytes")


@given(st.binary(max_size=300), st.sampled_from([".safetensors", ".ckpt", ".gguf", ".pt"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_never_whole_and_never_raises(tmp_path: Path, noise: bytes, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(noise)
    found = verify(path)
    if suffix == ".safetensors":
        assert not found.is_whole


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_flipped_byte_of_the_header_raises(tmp_path: Path, at: int, flip: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(GOOD[:at] + bytes([GOOD[at] ^ flip]) + GOOD[at + 1 :])
    verify(path)


@given(st.integers(0, len(GOOD) - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_beginning_of_a_file_is_whole(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(GOOD[:length])
    assert not verify(path).is_whole
