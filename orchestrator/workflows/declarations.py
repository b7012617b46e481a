"""How a ComfyUI server declares a node's inputs in /object_info, in either of its two shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def declared(classes: Mapping[str, Any], class_type: str) -> dict[str, tuple[str, Any]]:
    """The inputs of a node class: name -> its group, "required" or "optional", and its declaration."""
    known = mapping(mapping(classes.get(class_type)).get("input"))
    return {
        str(name): (group, spec)
        for group in ("optional", "required")
        for name, spec in mapping(known.get(group)).items()
    }


def options(spec: Any) -> list[Any] | None:
    """The choices of a combo: [[…], {…}] of old nodes, ["COMBO", {"options": […]}] of new ones.

    None when it is no combo, or does not tell.
    """
    if isinstance(spec, list | tuple) and spec and isinstance(spec[0], list):
        return spec[0]
    choices = config(spec).get("options") if type_of(spec) == "COMBO" else None
    return choices if isinstance(choices, list) else None


def type_of(spec: Any) -> str:
    """The type an input wants; "*" for any, "COMBO" for a list of choices."""
    if not isinstance(spec, list | tuple) or not spec:
        return "*"
    return spec[0] if isinstance(spec[0], str) else "COMBO"


def config(spec: Any) -> Mapping[str, Any]:
    """An input's limits and the rest of what is said of it."""
    return mapping(spec[1]) if isinstance(spec, list | tuple) and len(spec) > 1 else {}


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}
