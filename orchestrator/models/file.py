"""One model file: what it is and what is wrong with it, found out without loading it. Nothing is ever unpickled."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from orchestrator.models.essentials import MAX_NAMED
from orchestrator.models.families import Identity, Kind, identify
from orchestrator.models.faults import Fault, Note
from orchestrator.models.header import Broken, read_header, shown

SAFE = frozenset({".safetensors", ".sft"})
PICKLES = frozenset({".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl"})
SUFFIXES = SAFE | PICKLES | {".gguf"}
# endings under which programs keep a download that is not finished
UNFINISHED = (
    ".incomplete",
    ".part",
    ".partial",
    ".crdownload",
    ".aria2__temp",
    ".download",
    ".opdownload",
)
BESIDE = (".aria2", ".st")  # files that lie beside an unfinished one: aria2's, axel's
SHARD = re.compile(r"-\d{5}-of-\d{5}\.")
HEAD_BYTES = 512
OPEN_FLAGS = os.O_RDONLY
for _flag in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK"):  # a FIFO must not hang us
    OPEN_FLAGS |= getattr(os, _flag, 0)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What is known of a file. `fault` None is a whole file; `detail` says where the fault is."""

    path: Path
    size: int
    format: str | None = None  # safetensors, torch_zip, pickle, gguf
    kind: Kind | None = None
    family: str | None = None
    variant: str | None = None
    dtype: str | None = None
    tensors: int = 0
    fault: Fault | None = None
    detail: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found wrong with it."""
        return self.fault is None

    @property
    def problem(self) -> str | None:
        """What is wrong, in one sentence, or None."""
        if self.fault is None:
            return None
        return f"{self.fault.sentence}: {self.detail}" if self.detail else self.fault.sentence

    def document(self) -> dict[str, Any]:
        """The file as JSON."""
        return {
            "path": str(self.path),
            "size": self.size,
            "format": self.format,
            "kind": self.kind,
            "family": self.family,
            "variant": self.variant,
            "dtype": self.dtype,
            "tensors": self.tensors,
            "fault": self.fault,
            "detail": self.detail,
            "notes": list(self.notes),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> ModelFile:
        """The file that `document` told of. Raises KeyError, TypeError or ValueError for anything else."""
        kind, fault = document["kind"], document["fault"]
        typed = {
            "path": Path(document["path"]),
            "kind": None if kind is None else Kind(kind),
            "fault": None if fault is None else Fault(fault),
            "notes": tuple(Note(note) for note in document["notes"]),
        }
        return cls(**{**document, **typed})


def is_model(name: str) -> bool:
    """Whether a file of this name is a model, or the beginning of one."""
    lowered = name.lower()
    return lowered.endswith((*SUFFIXES, *UNFINISHED))


def is_unfinished(name: str, beside: Iterable[str]) -> bool:
    """Whether the name, or a file beside it, says that the download is not finished."""
    names = beside if isinstance(beside, set | frozenset) else set(beside)
    return name.lower().endswith(UNFINISHED) or any(name + mark in names for mark in BESIDE)


def verify(path: Path, *, named: str | None = None) -> ModelFile:
    """What a file is and whether it is whole. Milliseconds, however large it is; raises nothing for a bad file.

    `named` is the name to judge it by, where it is to have another than it has.
    """
    name = named or path.name
    beside = {name + mark for mark in BESIDE if path.with_name(name + mark).exists()}
    return judged(examined(path, name), name, beside)


def examined(path: Path, name: str) -> ModelFile:
    """What the content of a file says, judged by the ending of `name`."""
    try:
        return _looked_at(path, name)
    except OSError as error:
        return ModelFile(path, 0, fault=Fault.UNREADABLE, detail=error.strerror or str(error))


def judged(found: ModelFile, name: str, beside: Iterable[str]) -> ModelFile:
    """The file with what its name and its neighbours say of it."""
    if found.fault is not Fault.UNREADABLE and is_unfinished(name, beside):
        return replace(found, fault=Fault.PARTIAL_DOWNLOAD, detail="")
    return found


def _looked_at(path: Path, name: str) -> ModelFile:
    descriptor = os.open(path, OPEN_FLAGS)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 — with flags of our own
        state = os.fstat(descriptor)
        known = ModelFile(path, state.st_size)
        try:
            if not stat.S_ISREG(state.st_mode):
                raise Broken(Fault.NOT_A_FILE)
            if state.st_size == 0:
                raise Broken(Fault.EMPTY)
            return _of_content(known, name, file)
        except Broken as broken:
            return replace(known, fault=broken.fault, detail=broken.detail)


def _of_content(known: ModelFile, name: str, file: BinaryIO) -> ModelFile:
    head = file.read(HEAD_BYTES)
    suffix = PurePath(name).suffix.lower()
    _refuse_text(head)
    if head.startswith(b"GGUF"):
        if suffix != ".gguf":
            raise Broken(Fault.RENAMED_GGUF)
        return _gguf(known, head)
    if suffix == ".gguf":
        raise Broken(Fault.NOT_A_MODEL, "it does not start with GGUF")
    if suffix in PICKLES:
        return _pickle(known, file, head)
    if head.startswith(b"PK\x03\x04"):
        raise Broken(Fault.RENAMED_ARCHIVE)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" and not _could_be_safe(head):
        raise Broken(Fault.RENAMED_PICKLE)
    if not any(head) and not any(file.read(65536)):
        raise Broken(
            Fault.PARTIAL_DOWNLOAD, "it starts with zeros: its space was reserved and not filled"
        )
    return _safetensors(known, name, file)


def _could_be_safe(head: bytes) -> bool:
    return head[8:9] == b"{" and not any(head[5:8])


def _refuse_text(head: bytes) -> None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if start.startswith(b"version https://git-lfs"):
        raise Broken(Fault.LFS_POINTER)
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b'{"error', b'{"message')):
        words = re.search(rb"<title>([^<]{1,80})", head, re.IGNORECASE)
        raise Broken(Fault.WEB_PAGE, shown(words[1].decode("utf-8", "replace")) if words else "")
    if start.startswith(
        (b"access to model", b"invalid username", b"entry not found", b"unauthorized")
    ):
        raise Broken(Fault.WEB_PAGE, shown(start.decode("ascii", "replace")))


def _safetensors(known: ModelFile, name: str, file: BinaryIO) -> ModelFile:
    header = read_header(file)
    identity = identify(header.shapes, header.metadata)
    known = replace(
        known,
        format="safetensors",
        kind=identity.kind,
        family=identity.family,
        variant=identity.variant,
        dtype=header.dtype,
        tensors=len(header.shapes),
    )
    if SHARD.search(name):
        return replace(known, notes=(Note.SHARD,))
    if identity.missing:
        return replace(known, fault=Fault.MISSING_TENSORS, detail=_listed(identity.missing))
    return replace(known, notes=_notes(identity))


def _listed(names: tuple[str, ...]) -> str:
    text = ", ".join(shown(name) for name in names[:MAX_NAMED])
    return f"{text} and more" if len(names) > MAX_NAMED else text


def _notes(identity: Identity) -> tuple[Note, ...]:
    if identity.kind is Kind.DIFFUSION_MODEL:
        return (Note.DIFFUSION_MODEL_ONLY,)
    if identity.kind is not Kind.CHECKPOINT:
        return ()
    notes = []
    if not identity.has_text_encoder:
        notes.append(Note.NO_TEXT_ENCODER)
    if not identity.has_vae:
        notes.append(Note.NO_VAE)
    return tuple(notes)


def _gguf(known: ModelFile, head: bytes) -> ModelFile:
    """Magic, version, and the count of tensors (github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""
    if len(head) < 24:
        raise Broken(Fault.TRUNCATED, f"it has {len(head)} bytes")
    version = int.from_bytes(head[4:8], "little")
    count = int.from_bytes(head[8:16], "little")
    if not 1 <= version <= 3:
        raise Broken(Fault.HEADER_INVALID, f"version {version} of GGUF is not known")
    if count == 0:
        raise Broken(Fault.NO_TENSORS)
    notes = (Note.NEEDS_CUSTOM_NODE,)
    return replace(known, format="gguf", tensors=count, notes=notes)


def _pickle(known: ModelFile, file: BinaryIO, head: bytes) -> ModelFile:
    notes = (Note.CAN_CARRY_CODE,)
    if head.startswith(b"PK\x03\x04"):
        _check_archive(file, known.size)
        return replace(known, format="torch_zip", notes=notes)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" and not _could_be_safe(head):
        return replace(known, format="pickle", notes=notes)
    if head[8:9] == b"{":
        try:
            read_header(file)
        except Broken as broken:
            raise Broken(Fault.NOT_A_MODEL, "neither an archive nor a pickle") from broken
        raise Broken(Fault.RENAMED_SAFETENSORS)
    if not any(head):
        raise Broken(
            Fault.PARTIAL_DOWNLOAD, "it starts with zeros: its space was reserved and not filled"
        )
    raise Broken(Fault.NOT_A_MODEL, "neither an archive nor a pickle")


def _check_archive(file: BinaryIO, size: int) -> None:
    """A PyTorch archive by its table of contents, which stands at its end; entries are stored uncompressed."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            start_of_table = archive.start_dir
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RecursionError) as error:
        raise Broken(
            Fault.BAD_ARCHIVE, "its table of contents, at the end, is missing or damaged"
        ) from error
    if not any(entry.filename.endswith("data.pkl") for entry in entries):
        raise Broken(Fault.NOT_A_MODEL, "an archive without data.pkl is no PyTorch file")
    at = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < at or entry.header_offset + entry.compress_size > start_of_table:
            raise Broken(Fault.BAD_ARCHIVE, f"{shown(entry.filename)} does not lie where it should")
        at = entry.header_offset + entry.compress_size
    if start_of_table > size:
        raise Broken(Fault.BAD_ARCHIVE, "it is cut off")
