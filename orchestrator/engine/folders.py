"""The engine's output, input and temporary folders: names that cannot lead out of them and are never overwritten."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import weakref
from pathlib import Path, PurePosixPath
from time import localtime

TYPES = ("output", "input", "temp")


class PathRefused(ValueError):
    """The path leads out of its folder."""


class Folders:
    """Where files are. Folders not given are temporary and removed on `close`."""

    def __init__(self, output: Path | None = None, input: Path | None = None) -> None:
        self._own = Path(tempfile.mkdtemp(prefix="embedded-engine-"))
        # Also for an engine that is never stopped: at the latest when the interpreter ends.
        self._remove = weakref.finalize(self, shutil.rmtree, self._own, ignore_errors=True)
        self._roots = {
            "output": output or self._own / "output",
            "input": input or self._own / "input",
            "temp": self._own / "temp",
        }
        for root in self._roots.values():
            root.mkdir(parents=True, exist_ok=True)
        self._next: dict[tuple[Path, str], int] = {}

    def close(self) -> None:
        self._remove()

    def path(self, type_: str, subfolder: str, name: str = "") -> Path:
        """A path inside a folder; raises PathRefused when it would be outside, symbolic links followed."""
        root = self._roots[type_].resolve()
        if "\0" in subfolder + name:
            raise PathRefused(subfolder)
        path = (root / subfolder.replace("\\", "/") / name).resolve()
        if not path.is_relative_to(root):
            raise PathRefused(f"{subfolder}/{name}")
        return path

    def inputs(self) -> list[str]:
        return sorted(p.name for p in self._roots["input"].iterdir() if p.is_file())

    def save(
        self,
        data: bytes,
        *,
        prefix: str,
        type_: str = "output",
        size: tuple[int, int],
        ext: str = "png",
    ) -> dict[str, str]:
        """Write a picture under the next free `prefix_00001_.png`; the prefix may name a subfolder."""
        path = PurePosixPath(_filled(prefix, size).replace("\\", "/"))
        subfolder = "" if str(path.parent) == "." else str(path.parent)
        folder = self.path(type_, subfolder)
        folder.mkdir(parents=True, exist_ok=True)
        stem = path.name or "ComfyUI"
        number = self._next.get((folder, stem)) or _first_free(folder, stem)
        while True:
            name = f"{stem}_{number:05}_.{ext}"
            number += 1
            try:
                with (folder / name).open("xb") as file:
                    file.write(data)
            except FileExistsError:  # another program writes here too
                continue
            self._next[folder, stem] = number
            return {"filename": name, "subfolder": subfolder, "type": type_}

    def upload(
        self, data: bytes, *, name: str, type_: str, subfolder: str, overwrite: bool
    ) -> dict[str, str]:
        """Keep an uploaded file; one of the same name and other bytes is not replaced unless asked."""
        folder = self.path(type_, subfolder)
        name = PurePosixPath(name.replace("\\", "/")).name
        path = self.path(type_, subfolder, name)
        if not name or path == folder:
            raise PathRefused(name)
        folder.mkdir(parents=True, exist_ok=True)
        stem, suffix = Path(name).stem, Path(name).suffix
        number = 1
        while not overwrite and path.exists() and path.read_bytes() != data:
            path = folder / f"{stem} ({number}){suffix}"
            number += 1
        path.write_bytes(data)
        return {"name": path.name, "subfolder": subfolder, "type": type_}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _first_free(folder: Path, stem: str) -> int:
    taken = re.compile(re.escape(stem) + r"_(\d+)_?\.", re.IGNORECASE)
    found = (taken.match(p.name) for p in folder.iterdir())
    return 1 + max((int(match[1]) for match in found if match), default=0)


def _filled(prefix: str, size: tuple[int, int]) -> str:
    """The prefix with `%width%`, `%year%` and the like replaced."""
    now = localtime()
    values = {
        "width": f"{size[0]}",
        "height": f"{size[1]}",
        "year": f"{now.tm_year}",
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    return re.sub(r"%(\w+)%", lambda m: values.get(m[1], m[0]), prefix)
