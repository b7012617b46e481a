"""Why a ComfyUI server refused a workflow: its answer to POST /prompt, read into one error that names everything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.connectors.comfyui_info import ObjectInfo, Workflow, choices, class_type, nearest
from orchestrator.connectors.http import shown
from orchestrator.errors import (
    MissingCheckpoint,
    MissingNode,
    RequestRejected,
    UnknownSampler,
    WorkflowRejected,
)

# 0.3; newer servers have a type for it
NO_SUCH_NODE = re.compile(r"because node (.+?) does not exist")
WEIGHTS = frozenset({"ckpt_name", "unet_name"})
SAMPLING = frozenset({"sampler_name", "scheduler"})
MAX_CHOICES = 8  # listed when nothing is near
MAX_MESSAGE = 2000
# When several things are wrong, the one that has to be mended first gives the error its class.
BY_URGENCY: tuple[type[RequestRejected], ...] = (
    MissingNode,
    MissingCheckpoint,
    UnknownSampler,
    WorkflowRejected,
)


@dataclass(frozen=True)
class Complaint:
    """One thing that is wrong with a workflow."""

    kind: type[RequestRejected]
    text: str


def needs_info(answer: Mapping[str, Any]) -> bool:
    """Whether the server kept to itself what it would accept: lists of more than 20 are left out."""
    if _missing_node(answer) is not None:
        return True
    return any(
        error.get("type") == "value_not_in_list"
        and not choices(_mapping(error.get("extra_info")).get("input_config"))
        for _, node in _nodes(answer)
        for error in _errors(node)
    )


def rejection(
    answer: Mapping[str, Any], *, workflow: Workflow, info: ObjectInfo | None
) -> RequestRejected:
    """The error for an answer with `error` and `node_errors`, of either dialect.

    With `info` the message names all missing node classes (the server names only the first) and near matches.
    """
    complaints = list(_complaints(answer, workflow=workflow, info=info))
    kind = min((c.kind for c in complaints), key=BY_URGENCY.index)
    message = "; ".join(dict.fromkeys(c.text for c in complaints))
    return kind(shown(message, limit=MAX_MESSAGE))


def _complaints(
    answer: Mapping[str, Any], *, workflow: Workflow, info: ObjectInfo | None
) -> Iterator[Complaint]:
    found = False
    if (named := _missing_node(answer)) is not None:
        found = True
        known = info.classes if info else ()
        for name in dict.fromkeys([named, *(info.missing(workflow) if info else [])]):
            yield Complaint(
                MissingNode,
                f"The server has no node {shown(name, limit=80)}{_like(nearest(name, known))}",
            )
    for node_id, node in _nodes(answer):
        of_class = str(node.get("class_type") or class_type(workflow.get(node_id)) or "node")
        for error in _errors(node):
            found = True
            yield _node_complaint(error, node_id=node_id, of_class=of_class, info=info)
    if not found:
        yield Complaint(WorkflowRejected, _overall(answer.get("error")))


def _node_complaint(
    error: Mapping[str, Any], *, node_id: str, of_class: str, info: ObjectInfo | None
) -> Complaint:
    place = f"{shown(of_class, limit=80)} (node {shown(node_id, limit=20)})"
    extra = _mapping(error.get("extra_info"))
    name = str(extra.get("input_name") or "")
    if error.get("type") != "value_not_in_list":
        told = [str(error.get(key) or "") for key in ("message", "details")]
        return Complaint(WorkflowRejected, shown(f"{place}: {': '.join(filter(None, told))}"))
    wanted = str(extra.get("received_value", ""))
    options = choices(extra.get("input_config"))
    if not options and info:
        options = info.options(of_class, name)
    close = nearest(wanted, options)
    kind = (
        MissingCheckpoint if name in WEIGHTS else UnknownSampler if name in SAMPLING else None
    ) or WorkflowRejected
    text = f"{place}: the server has no {shown(name, limit=40)} {shown(wanted, limit=120)!r}"
    if close or not options:
        return Complaint(kind, f"{text}{_like(close)}")
    listed = ", ".join(shown(option, limit=80) for option in options[:MAX_CHOICES])
    return Complaint(kind, f"{text}; it has {listed}{', …' if len(options) > MAX_CHOICES else ''}")


def _like(names: list[str]) -> str:
    return f"; near it: {', '.join(shown(name, limit=80) for name in names)}" if names else ""


def _missing_node(answer: Mapping[str, Any]) -> str | None:
    error = _mapping(answer.get("error"))
    if error.get("type") == "missing_node_type":
        return str(_mapping(error.get("extra_info")).get("class_type") or "of an unnamed class")
    found = NO_SUCH_NODE.search(str(error.get("message") or ""))
    return found[1] if found else None


def _overall(error: Any) -> str:
    if not isinstance(error, Mapping):
        return f"The server refused the workflow: {shown(str(error))}"
    told = [str(error.get(key) or "") for key in ("message", "details")]
    return f"The server refused the workflow: {shown(': '.join(dict.fromkeys(filter(None, told))))}"


def _nodes(answer: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    nodes = _mapping(answer.get("node_errors"))
    return [(str(key), node) for key, node in nodes.items() if isinstance(node, Mapping)]


def _errors(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    errors = node.get("errors")
    return [e for e in errors if isinstance(e, Mapping)] if isinstance(errors, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
