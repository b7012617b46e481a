"""What the diagnostics say of model files and saved workflows. Pure; all text is data, escaped where shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.backends import SAVED, Backend
from orchestrator.jobs import one_line
from orchestrator.models import Entry
from orchestrator.widgets.choices import title

SHOWN = 200  # model files; of more, those with a fault and then the first
MAX_TEXT = 400  # characters
FAMILIES = {"sd15": "SD 1.5", "sdxl": "SDXL", "sd3": "SD 3.5", "svd": "Stable Video"}


def stock(
    entries: Sequence[Entry],
    *,
    known: Iterable[Backend],
    problems: Mapping[str, str],
    unavailable: Mapping[str, str],
) -> dict[str, Any]:
    """The model files, those with a fault first; the saved workflows, and the backends that no server can run."""
    backends = list(known)
    by_name = {backend.name: backend for backend in backends}
    ordered = sorted(entries, key=lambda each: each.file.is_whole)
    folders = Counter(entry.folder_type or "elsewhere" for entry in entries)
    return {
        "files": [_file(entry) for entry in ordered[:SHOWN]],
        "total": len(entries),
        "bad": sum(not entry.file.is_whole for entry in entries),
        "folders": [[name, number] for name, number in sorted(folders.items())],
        "workflows": [
            {"name": _short(name), "problem": _short(problem)}
            for name, problem in _workflows(backends, problems).items()
        ],
        "unavailable": [
            {"title": title(name, by_name), "why": _short(why)}
            for name, why in unavailable.items()
            if name not in problems
        ],
    }


def _workflows(known: Iterable[Backend], problems: Mapping[str, str]) -> dict[str, str]:
    sound = {backend.name: "" for backend in known if backend.model == SAVED}
    return dict(sorted((sound | dict(problems)).items()))


def _file(entry: Entry) -> dict[str, Any]:
    file = entry.file
    family = FAMILIES.get(file.family or "", file.family or "")
    return {
        "name": _short(entry.name),
        "folder": entry.folder_type,
        "family": _short(" ".join(filter(None, [family, file.variant]))),
        "kind": (file.kind or "").replace("_", " "),
        "size": file.size,
        "problem": _short(file.problem or ""),
        "remedy": file.fault.remedy if file.fault else "",
        "notes": [note.sentence for note in file.notes],
        "seen": entry.seen_by_comfyui,
    }


def _short(text: str) -> str:
    return one_line(text)[:MAX_TEXT]
