"""A workflow held against what a server says of its nodes (ComfyUI's /object_info), before anything is sent.

The server itself names only the first missing node class, and hides long lists of choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.jobs import one_line
from orchestrator.workflows.names import near_matches


class Fault(StrEnum):
    """What can be wrong with a node."""

    NO_CLASS = "the server has no such node"
    MISSING = "is required and missing"
    NOT_OFFERED = "is not one of the server's choices"
    TOO_SMALL = "is smaller than the server allows"
    TOO_LARGE = "is larger than the server allows"
    WRONG_TYPE = "is not of the right type"
    BAD_LINK = "leads to an output that does not exist or does not fit"


@dataclass(frozen=True)
class Problem:
    """One thing that the server would refuse. `input` is empty when the node as a whole is at fault."""

    node_id: str
    class_type: str
    fault: Fault
    input: str = ""
    value: Any = None
    near: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One sentence for a user."""
        where = f"{self.class_type} (node {self.node_id})"
        what = f"{self.input} = {self.value!r} {self.fault}" if self.input else str(self.fault)
        hint = f"; near: {', '.join(self.near)}" if self.near else ""
        return one_line(f"{where}: {what}{hint}")[:500]


def check_against(workflow: Mapping[str, Any], object_info: Mapping[str, Any]) -> list[Problem]:
    """Everything in a workflow (API format) that the server of this /object_info would refuse.

    Inputs that a node does not know are ignored, as the server ignores them. What cannot be judged
    from here (uploads, choices the server fetches, types of custom nodes) is taken to be right.
    """
    return [
        problem
        for node_id, node in workflow.items()
        for problem in _check_node(str(node_id), _mapping(node), workflow, object_info)
    ]


def _check_node(
    node_id: str, node: Mapping[str, Any], workflow: Mapping[str, Any], info: Mapping[str, Any]
) -> Iterator[Problem]:
    class_type = str(node.get("class_type"))
    if class_type not in info:
        near = tuple(near_matches(class_type, map(str, info)))
        yield Problem(node_id, class_type, Fault.NO_CLASS, near=near)
        return
    inputs = _mapping(node.get("inputs"))
    known = _mapping(_mapping(info[class_type]).get("input"))
    for group in ("required", "optional"):
        for name, spec in _mapping(known.get(group)).items():
            if name not in inputs:
                # inputs of the newest types are named in dotted parts, so absence proves nothing
                if group == "required" and not _type(spec).startswith("COMFY_"):
                    yield Problem(node_id, class_type, Fault.MISSING, name)
                continue
            value = inputs[name]
            if isinstance(value, list):  # in API format a list is a link, never a value
                fault, near = _link_fault(value, _type(spec), workflow, info), ()
            else:
                fault, near = _value_fault(value, spec)
            if fault is not None:
                yield Problem(node_id, class_type, fault, name, value, near)


def _value_fault(value: Any, spec: Any) -> tuple[Fault | None, tuple[str, ...]]:
    options, config = _options(spec), _config(spec)
    kind = _type(spec)
    if options is not None:
        if any(key.endswith("_upload") for key in config) or config.get("multiselect"):
            return None, ()  # the node itself decides
        if value in options:
            return None, ()
        return Fault.NOT_OFFERED, tuple(near_matches(str(value), map(str, options)))
    if kind not in {"INT", "FLOAT"}:
        # a socket type wants a link; text and switches are made of whatever is given
        is_socket = kind in {"MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE"}
        return (Fault.WRONG_TYPE if is_socket else None), ()
    try:
        number = int(value) if kind == "INT" else float(value)
    except (TypeError, ValueError, OverflowError):
        return Fault.WRONG_TYPE, ()
    low, high = config.get("min"), config.get("max")
    if isinstance(low, int | float) and number < low:
        return Fault.TOO_SMALL, ()
    if isinstance(high, int | float) and number > high:
        return Fault.TOO_LARGE, ()
    return (Fault.WRONG_TYPE if number != number else None), ()


def _link_fault(
    link: list[Any], wanted: str, workflow: Mapping[str, Any], info: Mapping[str, Any]
) -> Fault | None:
    if len(link) != 2 or not isinstance(link[1], int) or str(link[0]) not in workflow:
        return Fault.BAD_LINK
    source, place = str(link[0]), link[1]
    outputs = _mapping(info.get(str(_mapping(workflow[source]).get("class_type")))).get("output")
    if not isinstance(outputs, list):
        return None  # a class the server lacks is a problem of its own
    if not 0 <= place < len(outputs):
        return Fault.BAD_LINK
    given = outputs[place]
    if not isinstance(given, str) or "*" in (given, wanted) or wanted.startswith("COMFY_"):
        return None
    fits = set(given.split(",")) & set(wanted.split(",")) or wanted == "COMBO"
    return None if fits else Fault.BAD_LINK


# ------------------------------------------------------------------------------ reading /object_info


def _options(spec: Any) -> list[Any] | None:
    """The choices of a combo, in either of its two shapes, or None when it is none or does not tell."""
    if isinstance(spec, list | tuple) and spec and isinstance(spec[0], list):
        return spec[0]
    choices = _config(spec).get("options") if _type(spec) == "COMBO" else None
    return choices if isinstance(choices, list) else None


def _type(spec: Any) -> str:
    if not isinstance(spec, list | tuple) or not spec:
        return "*"
    return spec[0] if isinstance(spec[0], str) else "COMBO"


def _config(spec: Any) -> Mapping[str, Any]:
    return _mapping(spec[1]) if isinstance(spec, list | tuple) and len(spec) > 1 else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
