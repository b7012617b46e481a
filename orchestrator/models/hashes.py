"""SHA-256 of model files: measured once, kept until the file changes, compared with what was published."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from orchestrator.errors import CorruptFile
from orchestrator.files import read_json, write_whole
from orchestrator.models.known import KNOWN
from orchestrator.paths import Paths

FILE_NAME = "models-hashes.json"
CHUNK_BYTES = 4 << 20
DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
Progress = Callable[[int, int], None]  # bytes done, bytes in all


def sha256(path: Path, progress: Progress | None = None) -> str:
    """The SHA-256 of a file, in hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        done = 0
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, size)
    return digest.hexdigest()


class Hashes:
    """Digests of files, and where pulled ones came from, in data/. It can be deleted at any time."""

    def __init__(self, paths: Paths) -> None:
        self._file = paths.data / FILE_NAME
        self._lock = threading.Lock()

    def of(self, path: Path, progress: Progress | None = None) -> str:
        """The SHA-256 of a file, measured only if the file changed since the last time. Raises OSError."""
        if known := self.remembered(path):
            return known
        state = _state(path)
        digest = sha256(path, progress)
        # else it was written to meanwhile: this digest is of no state it was in
        if _state(path) == state:
            self.remember(path, digest)
        return digest

    def remembered(self, path: Path) -> str | None:
        """The SHA-256 of the file as it is now, if it was measured before."""
        entry = self._read().get(str(path), {})
        try:
            return entry["sha256"] if entry.get("state") == _state(path) else None
        except (OSError, KeyError):
            return None

    def source(self, path: Path) -> str | None:
        """Where a file was pulled from, as `repo@commit:file`, if it still is what was pulled."""
        entry = self._read().get(str(path), {})
        return entry.get("source") if self.remembered(path) else None

    def remember(self, path: Path, digest: str, *, source: str | None = None) -> None:
        """Keep a digest; with `source`, as the one that was published for a file pulled from there."""
        with self._lock:
            kept = {name: entry for name, entry in self._read().items() if Path(name).exists()}
            entry = {"state": _state(path), "sha256": digest}
            before = kept.get(str(path), {})
            if source is not None:
                entry |= {"source": source, "published": digest}
            elif "published" in before:
                entry |= {"source": before["source"], "published": before["published"]}
            kept[str(path)] = entry
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, orjson.dumps(kept), durable=False)

    def published(self, path: Path) -> str | None:
        """The digest a file should have: from a file beside it, its download, Hugging Face's cache, our list."""
        for beside in (path.with_name(path.name + ".sha256"), path.with_suffix(".sha256")):
            if found := _first_digest(beside):
                return found
        if found := self._read().get(str(path), {}).get("published"):
            return str(found)
        stored = path.resolve().name  # the cache names each file by its digest, and links to it
        if path.is_symlink() and DIGEST.fullmatch(stored):
            return stored
        metadata = path.parent / ".cache" / "huggingface" / "download" / f"{path.name}.metadata"
        if found := _first_digest(metadata):
            return found
        # of the same length: other versions of a model go by the same name
        size = path.stat().st_size
        fitting = (k for k in KNOWN.values() if k.name == path.name and k.size == size)
        return next((known.sha256 for known in fitting), None)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            document = read_json(self._file)
        except (OSError, CorruptFile):
            return {}
        if not isinstance(document, dict):
            return {}
        return {name: entry for name, entry in document.items() if isinstance(entry, dict)}


def _first_digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            text = file.read(4096).decode("ascii", "replace").lower()
    except OSError:
        return None
    found = DIGEST.search(text)
    return found[0] if found else None


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino]
