"""All model files of this machine, by ComfyUI's folders and names, looked at once and then only if they change."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from orchestrator.errors import CorruptFile, DiskFull
from orchestrator.files import read_json, write_whole
from orchestrator.models.families import Kind
from orchestrator.models.faults import Fault
from orchestrator.models.file import BESIDE, ModelFile, examined, is_model, judged
from orchestrator.models.places import Place, places
from orchestrator.paths import Paths

CACHE = "models-cache.json"
VERSION = 1  # raise it when what is known of a file, or how it is found out, changes
CHECKPOINTS = "checkpoints"
SKIPPED = frozenset({".git", ".cache", "__pycache__"})
MAX_DEPTH = 16
MAX_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A model in a library: its file, and how ComfyUI lists it. `folder_type` "" lies in no folder of a type."""

    folder_type: str
    name: str  # relative to the folder, with this system's separator, as ComfyUI on this machine says it
    file: ModelFile
    seen_by_comfyui: bool

    def document(self) -> dict[str, Any]:
        """The model as JSON."""
        return {
            "folder": self.folder_type,
            "name": self.name,
            "seenByComfyUI": self.seen_by_comfyui,
            **self.file.document(),
        }


def unfit(file: ModelFile) -> str | None:
    """Why no server can load the file as a checkpoint, or None. A file that this user may not read may be fine."""
    if file.fault is not None:
        return file.problem if file.fault.is_damage else None
    if file.kind is Kind.DIFFUSION_MODEL:
        return "It is a diffusion model only, without text encoder and VAE; its place is diffusion_models"
    if file.kind not in {None, Kind.CHECKPOINT}:
        return f"It is no checkpoint but another kind of model ({file.kind})"
    return None


class Library:
    """The models below modelsRoot and ComfyUI's folders. May be asked from several threads, and often."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._file = paths.data / CACHE
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, int, ModelFile]] | None = None  # by path: size, mtime

    def files(self) -> list[Entry]:
        """Every model file, sorted by folder and name. One that vanishes or cannot be read stops nothing."""
        with self._lock:
            return self._files()

    def families_by_name(self) -> dict[str, str | None]:
        """The family of each usable checkpoint, by the name ComfyUI lists it under; None where it is not known."""
        return {
            entry.name: entry.file.family for entry in self._checkpoints() if not unfit(entry.file)
        }

    def faults_by_name(self) -> dict[str, str]:
        """Why a checkpoint cannot be used, damaged or none at all, by the name ComfyUI lists it under."""
        return {entry.name: why for entry in self._checkpoints() if (why := unfit(entry.file))}

    def _checkpoints(self) -> list[Entry]:
        """The checkpoints; of two with one name, the one that ComfyUI finds first."""
        found: dict[str, Entry] = {}
        for entry in self.files():
            if entry.folder_type == CHECKPOINTS:
                known = found.setdefault(entry.name, entry)
                if entry.seen_by_comfyui and not known.seen_by_comfyui:
                    found[entry.name] = entry
        return list(found.values())

    def _files(self) -> list[Entry]:
        before = self._known if self._known is not None else self._load()
        now: dict[str, tuple[int, int, ModelFile]] = {}
        entries: dict[tuple[str, str], Entry] = {}
        for place, name, path, beside in self._names():
            try:
                state = path.stat()
            except OSError:
                continue  # it went, or the link leads nowhere
            key = str(path)
            known = now.get(key) or before.get(key)
            if known is None or known[:2] != (state.st_size, state.st_mtime_ns):
                known = (state.st_size, state.st_mtime_ns, examined(path, path.name))
            # permissions change without a trace in size and time
            if known[2].fault is not Fault.UNREADABLE:
                now[key] = known
            elif not path.exists():
                continue
            file = judged(known[2], path.name, beside)
            entry = Entry(place.folder_type, name, file, place.seen_by_comfyui)
            entries.setdefault((key, place.folder_type), entry)
        if now != before:
            self._save(now)
        self._known = now
        return sorted(entries.values(), key=lambda each: (each.folder_type, each.name))

    def _names(self) -> Iterator[tuple[Place, str, Path, frozenset[str]]]:
        """Place, name, path and unfinished marks of each model file."""
        count = 0
        for place in places(self._paths):
            for path, beside in _walk(place.path, ()):
                yield place, os.path.relpath(path, place.path), path, beside
                count += 1
                if count >= MAX_FILES:
                    return
        loose = Place("", self._paths.models_root, seen_by_comfyui=False)
        for path, beside in _walk(loose.path, (), below=False):
            yield loose, path.name, path, beside

    def _load(self) -> dict[str, tuple[int, int, ModelFile]]:
        try:
            document = read_json(self._file)
            if document["version"] != VERSION:
                return {}
            return {
                name: (size, changed, ModelFile.from_document(found))
                for name, (size, changed, found) in document["files"].items()
            }
        except (OSError, CorruptFile, KeyError, TypeError, ValueError, AttributeError):
            return {}  # it is a cache: what cannot be used is made again

    def _save(self, files: dict[str, tuple[int, int, ModelFile]]) -> None:
        document = {
            "version": VERSION,
            "files": {
                name: [size, changed, file.document()]
                for name, (size, changed, file) in files.items()
            },
        }
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, orjson.dumps(document), durable=False)
        except (OSError, DiskFull, TypeError):
            return  # a cache that cannot be written costs time, nothing else


def _walk(
    folder: Path, above: tuple[tuple[int, int], ...], *, below: bool = True
) -> Iterator[tuple[Path, frozenset[str]]]:
    """Model files of a folder and those below it, links followed; a link to a folder above is not."""
    try:
        state = folder.stat()
        here = (state.st_dev, state.st_ino)
        entries = list(os.scandir(folder))
    except OSError:
        return
    if here in above or len(above) >= MAX_DEPTH:
        return
    marks = frozenset(entry.name for entry in entries if entry.name.endswith(BESIDE))
    for entry in entries:
        try:
            is_folder = entry.is_dir()
        except OSError:
            continue
        if is_folder:
            if below and entry.name not in SKIPPED:
                yield from _walk(Path(entry.path), (*above, here))
        elif is_model(entry.name):
            yield Path(entry.path), marks
