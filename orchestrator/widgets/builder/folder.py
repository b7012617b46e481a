"""The workflow files of a lab: listed, read, written, copied, renamed, thrown away. None outside the folder."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.backends import BACKENDS
from orchestrator.catalogue import COMPANIONS, companion
from orchestrator.errors import PathOutside, RequestInvalid
from orchestrator.files import write_whole
from orchestrator.jobs import one_line
from orchestrator.paths import inside
from orchestrator.widgets.builder.document import digest

MAX_NAME = 120
MAX_LISTED = 2_000
SEPARATOR = re.compile(r"[/\\]")
TRASH = ".trash"


class FileChanged(RequestInvalid):
    """A file is not what it was when it was opened, or is there already."""


class FileUnknown(RequestInvalid):
    """There is no such file."""

    remedy = "It was renamed or deleted; the list shows what is there."


class Folder:
    """The folder `workflows` of paths.json. Names are those of files without ".json"; all methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def list(self) -> list[dict[str, Any]]:
        """Name, size in bytes and time of change of each file, the newest first."""
        found = []
        for file in self.path.glob("*.json"):
            if file.name.startswith("."):
                continue
            try:
                stat = file.stat()
            except OSError:  # just removed
                continue
            changed = datetime.fromtimestamp(stat.st_mtime, UTC).isoformat()
            found.append({"name": file.stem, "size": stat.st_size, "changed": changed})
        return sorted(found, key=lambda each: str(each["changed"]), reverse=True)[:MAX_LISTED]

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises FileUnknown, PathOutside."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise FileUnknown(f"There is no workflow {one_line(name)[:100]!r}") from None
        except OSError as error:
            raise FileUnknown(
                f"{one_line(name)[:100]!r} cannot be read: {error.strerror}"
            ) from None

    def write(
        self, name: str, data: bytes, *, was: str | None, prompt: Mapping[str, Any] | None
    ) -> None:
        """Write a file. `was`: the digest it must have ("" for no such file), None to write in any case.

        `prompt`: the same workflow in API format, by which it is a backend at once. Raises FileChanged, DiskFull.
        """
        path = self._new_path(name)
        if was is not None:
            self._compare(path, name, was)
        self.path.mkdir(parents=True, exist_ok=True)
        beside = self.path / COMPANIONS / path.name
        if prompt is not None:  # first: who sees the new file is to find what belongs to it
            beside.parent.mkdir(exist_ok=True)
            write_whole(beside, json.dumps(companion(data, prompt), ensure_ascii=False).encode())
        write_whole(path, data)
        if prompt is None:
            beside.unlink(missing_ok=True)

    def rename(self, name: str, new: str) -> None:
        """Give a file another name. Raises FileChanged when there is one of that name."""
        self.read(name)
        source, target = self._path(name), self._new_path(new)
        self._compare(target, new, "")
        beside = self.path / COMPANIONS / source.name
        source.rename(target)
        if beside.is_file():
            beside.rename(beside.with_name(target.name))

    def duplicate(self, name: str) -> str:
        """Copy a file; returns the name of the copy."""
        data = self.read(name)
        new = self.free(f"{name[: MAX_NAME - 12]} copy")
        write_whole(self._path(new), data)
        beside = self.path / COMPANIONS / f"{name}.json"
        if beside.is_file():
            write_whole(beside.with_name(f"{new}.json"), beside.read_bytes())
        return new

    def trash(self, name: str) -> None:
        """Move a file to the folder .trash."""
        self.read(name)
        path = self._path(name)
        bin_ = self.path / TRASH
        bin_.mkdir(exist_ok=True)
        path.rename(bin_ / f"{name}.{time.time_ns()}.json")
        (self.path / COMPANIONS / path.name).unlink(missing_ok=True)

    def export(self, name: str, prompt: Mapping[str, Any]) -> str:
        """Write a workflow in API format as a file of its own; returns its name."""
        new = self.free(f"{name[: MAX_NAME - 12]}.api")
        data = json.dumps(prompt, ensure_ascii=False, indent=2).encode()
        self.write(new, data, was="", prompt=None)
        return new

    def free(self, name: str) -> str:
        """The name, or the next with a number that no file has."""
        new, number = name, 2
        while self._path(new).exists():
            new = f"{name} {number}"
            number += 1
        return new

    def state(self, name: str) -> str:
        """The digest of a file; "" when there is none."""
        try:
            return digest(self._path(name).read_bytes())
        except OSError:
            return ""

    def _compare(self, path: Path, name: str, was: str) -> None:
        now = self.state(name)
        if now == was:
            return
        if not was:
            raise FileChanged(
                f"There is a workflow {one_line(name)[:100]!r} already",
                remedy="Choose another name.",
            )
        became = "changed" if path.exists() else "removed"
        raise FileChanged(
            f"The file {one_line(path.name)[:100]!r} was {became} on the disk since it was opened",
            remedy="Save over it, or save under another name.",
        )

    def _path(self, name: str) -> Path:
        clean = name.strip()
        if not clean or len(clean) > MAX_NAME or SEPARATOR.search(clean) or clean.startswith("."):
            raise PathOutside(
                f"{one_line(name)[:100]!r} cannot be the name of a workflow",
                remedy="A name is plain text without slashes, and does not begin with a dot.",
            )
        return inside(self.path, f"{clean}.json")

    def _new_path(self, name: str) -> Path:
        """The path of a file to write: not by the name of a built-in backend, which would hide it in the form."""
        if name.strip() in BACKENDS:
            raise PathOutside(
                f"{name.strip()!r} is the name of a built-in backend", remedy="Choose another name."
            )
        return self._path(name)
