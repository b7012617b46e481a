"""The folders that models lie in: modelsRoot, ComfyUI's own, and those its extra_model_paths.yaml names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.paths import Paths

EXTRA = "extra_model_paths.yaml"
MAX_YAML_BYTES = 1 << 20
# Folders of other programs and older names, and what ComfyUI calls them
ALIASES = {
    "stable-diffusion": "checkpoints",
    "lora": "loras",
    "lycoris": "loras",
    "unet": "diffusion_models",
    "clip": "text_encoders",
    "t2i_adapter": "controlnet",
    "esrgan": "upscale_models",
    "realesrgan": "upscale_models",
    "swinir": "upscale_models",
    "vae": "vae",
    "controlnet": "controlnet",
}
NOT_MODELS = frozenset({"custom_nodes", "configs", "is_default", "base_path"})


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of models of one type, and whether ComfyUI looks there."""

    folder_type: str
    path: Path
    seen_by_comfyui: bool


def places(paths: Paths) -> list[Place]:
    """Every folder that can hold models; ComfyUI's come first, as its names count."""
    found: dict[tuple[str, str], Place] = {}
    for place in _all(paths):
        found.setdefault((place.folder_type, os.path.realpath(place.path)), place)
    return list(found.values())


def _all(paths: Paths) -> Iterator[Place]:
    for root in comfyui_roots(paths):
        yield from _below(root / "models", seen_by_comfyui=True)
        for folder_type, path in extra_paths(root / EXTRA):
            yield Place(folder_type, path, seen_by_comfyui=True)
    yield from _below(paths.models_root, seen_by_comfyui=False)


def comfyui_roots(paths: Paths) -> list[Path]:
    """ComfyUI's folder; the Windows portable keeps it one level further down."""
    if paths.comfy_root is None:
        return []
    return [
        root
        for root in (paths.comfy_root, paths.comfy_root / "ComfyUI")
        if (root / "models").is_dir() or (root / EXTRA).is_file()
    ]


def folder_type(name: str) -> str:
    """What ComfyUI calls the type of model that a folder of this name holds."""
    return ALIASES.get(name.lower(), name)


def _below(root: Path, *, seen_by_comfyui: bool) -> Iterator[Place]:
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in NOT_MODELS:
            yield Place(folder_type(entry.name), Path(entry.path), seen_by_comfyui)


def extra_paths(file: Path) -> list[tuple[str, Path]]:
    """Folder types and folders of an extra_model_paths.yaml; none where it cannot be read.

    Sections of `type: folder`, or `type: |` with a folder a line, relative to the section's `base_path`, which
    is relative to the file: all that ComfyUI itself reads there. That much is read here without a YAML library.
    """
    try:
        if file.stat().st_size > MAX_YAML_BYTES:
            return []
        text = file.read_text("utf-8-sig", errors="replace")
    except OSError:
        return []
    found = []
    for section in _sections(text):
        base = _expanded(section.pop("base_path", [""])[0])
        root = Path(os.path.normpath(file.parent / base))
        for name, folders in section.items():
            if name not in NOT_MODELS:
                found += [
                    (folder_type(name), Path(os.path.normpath(root / _expanded(folder))))
                    for folder in folders
                    if folder
                ]
    return found


def _sections(text: str) -> list[dict[str, list[str]]]:
    """The mappings of mappings in the file; a value is a list of lines."""
    sections: list[dict[str, list[str]]] = []
    key, key_indent = "", 0
    for line in text.splitlines():
        plain = line.strip()
        if not plain or plain.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        name, colon, value = plain.partition(":")
        if indent == 0:
            key = ""
            if colon and not _uncommented(value):
                sections.append({})
        elif sections and key and indent > key_indent:
            sections[-1][key].append(_unquoted(_uncommented(plain)))
        elif sections and colon:
            value = _uncommented(value)
            block = value[:1] in {"|", ">"}
            key, key_indent = (name.strip(), indent) if block or not value else ("", indent)
            sections[-1][name.strip()] = [] if block or not value else [_unquoted(value)]
    return sections


def _uncommented(value: str) -> str:
    value = value.strip()
    return "" if value.startswith("#") else value.partition(" #")[0].strip()


def _unquoted(value: str) -> str:
    value = value.removeprefix("- ").strip()
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _expanded(folder: str) -> str:
    return os.path.expanduser(os.path.expandvars(folder))  # noqa: PTH111 — it may be a relative part
