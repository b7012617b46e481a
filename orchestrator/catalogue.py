"""All backends of a lab: the built-in ones, and the workflows that its user has saved."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from orchestrator.backends import BACKENDS, Backend
from orchestrator.backends import get as get_builtin
from orchestrator.errors import (
    OrchestratorError,
    PathOutside,
    SavedWorkflowInvalid,
    UnknownBackend,
)
from orchestrator.jobs import one_line
from orchestrator.paths import inside
from orchestrator.workflows import SavedWorkflow, near_matches

logger = logging.getLogger(__name__)

MAX_FILE = 5_000_000  # bytes; a workflow of a thousand nodes takes half of one million
# folder with what the Builder made of its files: the same workflows in API format
COMPANIONS = ".api"


@dataclass(frozen=True)
class Saved:
    """A workflow file: its bytes in API format, and what was made of them."""

    workflow: SavedWorkflow
    data: bytes


class Catalogue:
    """The backends by name. A file is read again when it has changed."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds NAME.json for the backend NAME, a workflow in API format or saved by the Builder."""
        self._folder = folder
        self._read: dict[str, tuple[tuple[int, int], Saved | SavedWorkflowInvalid]] = {}

    def get(self, name: str) -> Backend:
        """The backend of that name. Raises UnknownBackend, SavedWorkflowInvalid."""
        saved = self.saved(name)
        return saved.workflow.backend() if saved else BACKENDS[name]

    def saved(self, name: str) -> Saved | None:
        """The saved workflow of that name; None for a built-in backend, whose name wins.

        Raises UnknownBackend, SavedWorkflowInvalid.
        """
        if name in BACKENDS:
            return None
        try:
            path = inside(self._folder, f"{name}.json")
            stat = path.stat()
        except (PathOutside, OSError, ValueError):
            raise self._unknown(name) from None
        signature = (stat.st_mtime_ns, stat.st_size)
        if name not in self._read or self._read[name][0] != signature:
            self._read[name] = (signature, _read(path, name))
        found = self._read[name][1]
        if isinstance(found, SavedWorkflowInvalid):
            raise found
        return found

    def service_of(self, name: str, workflow: str | None = None) -> str | None:
        """Which service runs a backend; None when there is no such backend. `workflow`: the blob of a job that
        was made from a file, which may be gone since."""
        if (known := BACKENDS.get(name)) is not None:
            return known.service
        if workflow is not None:
            return "comfyui"
        try:
            return self.get(name).service
        except OrchestratorError:
            return None

    def all(self) -> list[Backend]:
        """The built-in backends, then the saved workflows that make sense, by name."""
        return [*BACKENDS.values(), *(saved.workflow.backend() for saved in self._files()[0])]

    def problems(self) -> Mapping[str, str]:
        """The files that are no workflow the lab can run, and why."""
        return self._files()[1]

    def _files(self) -> tuple[list[Saved], dict[str, str]]:
        found: list[Saved] = []
        problems: dict[str, str] = {}
        for name in self._names():
            try:
                if saved := self.saved(name):
                    found.append(saved)
            except SavedWorkflowInvalid as error:
                problems[name] = error.message
            except UnknownBackend:  # just removed, or a link that leads outside
                continue
        return found, problems

    def _names(self) -> list[str]:
        try:
            files = list(self._folder.glob("*.json"))
        except OSError as error:
            logger.warning("Cannot look into the folder of workflows: %s", error)
            return []
        return sorted(file.stem for file in files if not file.name.startswith("."))

    def _unknown(self, name: str) -> UnknownBackend:
        try:
            get_builtin(name)
        except UnknownBackend as error:
            near = near_matches(name, self._names())
            if near:
                return UnknownBackend(
                    remedy=f"Did you mean {' or '.join(map(one_line, near))}? {error.remedy}"
                )
            return error
        raise AssertionError("a built-in backend is known")


def _read(path: Path, name: str) -> Saved | SavedWorkflowInvalid:
    try:
        if path.stat().st_size > MAX_FILE:
            raise SavedWorkflowInvalid(
                f"workflows/{one_line(path.name)} is larger than {MAX_FILE:,} bytes"
            )
        data = path.read_bytes()
        document = orjson.loads(data)
        if isinstance(document, dict) and isinstance(document.get("nodes"), list):
            document = _converted(path, data)
            data = orjson.dumps(document)
        return Saved(SavedWorkflow.read(document, name=name), data)
    except SavedWorkflowInvalid as error:
        return error
    except (OSError, orjson.JSONDecodeError, RecursionError) as error:
        return SavedWorkflowInvalid(f"workflows/{one_line(path.name)} cannot be read: {error}")


def companion(data: bytes, prompt: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept beside a workflow in the editor's format: it in API format, and of which bytes that was made.

    Only with a server's list of nodes can the one be turned into the other, and a catalogue asks no server.
    """
    return {"of": hashlib.sha256(data).hexdigest(), "prompt": dict(prompt)}


def _converted(path: Path, data: bytes) -> Any:
    """A file in the editor's format as the Builder has converted it. Raises SavedWorkflowInvalid."""
    try:
        beside = orjson.loads((path.parent / COMPANIONS / path.name).read_bytes())
        if beside["of"] == hashlib.sha256(data).hexdigest():
            return beside["prompt"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise SavedWorkflowInvalid(
        f"workflows/{one_line(path.name)} is in the format of ComfyUI's editor, and not converted yet",
        remedy="Open it in the Builder while a ComfyUI server is up, and save it there.",
    )
