"""paths.json: the one place that says where everything lies."""

from __future__ import annotations

import difflib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from orchestrator.errors import CorruptFile, PathOutside, PathsInvalid
from orchestrator.files import read_json, write_whole

FILE_NAME = "paths.json"
VARIABLE = "ORCHESTRATOR_PATHS"
DRIVE = re.compile(r"^([A-Za-z]):[\\/]")
RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)  # on Windows
DEFAULTS: dict[str, str | None] = {
    "projectRoot": ".",
    "comfyRoot": None,
    "modelsRoot": "models",
    "hfCache": "cache/hf",
    "dropIn": "drop/in",
    "dropOut": "drop/out",
    "workflows": "workflows",
    "logs": "logs",
    "data": "data",
    "jobs": "jobs",
}


@dataclass(frozen=True)
class Place:
    """One entry of paths.json and what is found there."""

    key: str
    path: Path
    exists: bool
    writable: bool
    problem: str | None = None


class Paths(BaseModel):
    """Every place the lab reads or writes, absolute. Nobody else builds a path from parts of these names."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid"
    )

    file: Path
    project_root: Path
    comfy_root: Path | None
    models_root: Path
    hf_cache: Path
    drop_in: Path
    drop_out: Path
    workflows: Path
    logs: Path
    data: Path
    jobs: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Self:
        """The paths.json named by ORCHESTRATOR_PATHS, else the nearest above `start` (here), else the checkout's.

        Raises PathsInvalid when there is none, or it cannot be used.
        """
        if named := os.environ.get(VARIABLE):
            return cls.load(Path(named))
        here = (start or Path.cwd()).resolve()
        checkout = Path(__file__).resolve().parent.parent
        for folder in (here, *here.parents):
            if (folder / FILE_NAME).is_file():
                return cls.load(folder / FILE_NAME)
        if (checkout / "pyproject.toml").is_file() and (checkout / FILE_NAME).is_file():
            return cls.load(checkout / FILE_NAME)
        raise PathsInvalid(
            f"There is no {FILE_NAME} in {here} or above it",
            remedy=f"Run `orchestrator paths --init` to make one here, or name one in {VARIABLE}.",
        )

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a paths.json. Relative places are relative to it; missing ones take their default.

        Raises PathsInvalid, naming what is wrong in which file.
        """
        file = Path(os.path.abspath(file))
        try:
            document = read_json(file)
        except FileNotFoundError as error:
            raise PathsInvalid(
                f"{file} does not exist",
                remedy=f"Run `orchestrator paths --init` there, or correct {VARIABLE}.",
            ) from error
        except (OSError, CorruptFile) as error:
            raise PathsInvalid(f"{file} cannot be read: {error}") from error
        if not isinstance(document, dict):
            raise PathsInvalid(f"{file} must hold a JSON object")
        for key in document.keys() - DEFAULTS.keys():
            near = difflib.get_close_matches(str(key), DEFAULTS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise PathsInvalid(f"{file} has an unknown key {key!r}{hint}")
        entries = {**DEFAULTS, **document}
        places = {key: _absolute(key, value, file) for key, value in entries.items()}
        try:
            return cls.model_validate({"file": file, **places})
        except ValidationError as error:
            wrong = ", ".join(str(e["loc"][0]) for e in error.errors())
            raise PathsInvalid(f"{file} needs a folder for {wrong}") from error

    @classmethod
    def init(cls, folder: Path) -> Self:
        """Write a paths.json with the defaults into a folder that has none, and read it."""
        file = folder / FILE_NAME
        if not file.exists():
            lines = (
                f'  "{k}": {"null" if v is None else f"{chr(34)}{v}{chr(34)}"}'
                for k, v in DEFAULTS.items()
            )
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
        return cls.load(file)

    @property
    def env_file(self) -> Path:
        """The .env.local beside paths.json."""
        return self.file.parent / ".env.local"

    def items(self) -> Iterator[tuple[str, Path]]:
        """Each key of the file with its folder; a comfyRoot that is not set is left out."""
        for key in DEFAULTS:
            path = getattr(self, _field(key))
            if path is not None:
                yield key, path

    def create(self) -> None:
        """Make the folders that are missing, except comfyRoot, which is somebody's installation.

        Raises PathsInvalid when one cannot be made.
        """
        for key, path in self.items():
            if key != "comfyRoot":
                _create(key, path)

    def places(self) -> list[Place]:
        """What is found at each place."""
        return [_look(key, path) for key, path in self.items()]


def inside(folder: Path, name: str) -> Path:
    """The path of a file that somebody outside named, which must lie in `folder`, links followed.

    Raises PathOutside for anything else: `..`, an absolute path, a drive, a device, a control character.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    bad = (
        not parts
        or any(part in {"..", "/"} or RESERVED.match(part) for part in parts)
        or not name.isprintable()
        or ":" in name
        or name[0] in "/\\"
    )
    path = folder.joinpath(*parts) if not bad else folder
    if bad or not _stays_in(folder, path):
        raise PathOutside(f"{name[:100]!r} is not a file inside {folder}")
    return path


def _stays_in(folder: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a circle of links
        return False


def _field(key: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), key)


def _absolute(key: str, value: Any, file: Path) -> Path | None:
    if value is None or (key == "comfyRoot" and value == ""):
        return None
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise PathsInvalid(f"{key} in {file} must be the name of a folder, not {value!r}")
    if sys.platform == "win32":
        return Path(os.path.abspath(file.parent / value))
    if drive := DRIVE.match(value):  # the old system's paths, read under WSL or another system
        return Path("/mnt", drive[1].lower(), *PureWindowsPath(value[3:]).parts)
    return Path(os.path.abspath(file.parent / Path(value.replace("\\", "/")).expanduser()))


def _drive_problem(path: Path) -> str | None:
    """Whether the path is on a Windows drive that this machine does not have."""
    parts = path.parts
    if sys.platform == "win32" or parts[1:2] != ("mnt",) or len(parts) < 3 or len(parts[2]) != 1:
        return None
    return (
        None if Path(*parts[:3]).is_dir() else f"drive {parts[2].upper()}: is not on this machine"
    )


def _create(key: str, path: Path) -> None:
    if problem := _drive_problem(path):
        raise PathsInvalid(f"{key} cannot be created: {problem}")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PathsInvalid(f"{key} cannot be created at {path}: {error.strerror}") from error


def _look(key: str, path: Path) -> Place:
    exists = path.is_dir()
    if not exists:
        problem = _drive_problem(path) or ("a file is in its place" if path.exists() else "missing")
        return Place(key, path, exists=False, writable=False, problem=problem)
    try:  # os.access lies on Windows and on network drives: only writing tells
        with tempfile.TemporaryFile(dir=path):
            return Place(key, path, exists=True, writable=True)
    except OSError as error:
        return Place(key, path, exists=True, writable=False, problem=error.strerror or str(error))
