"""A workflow held against what a server says of its nodes (ComfyUI's /object_info), before anything is sent.

The server itself names only the first missing node class, and hides long lists of choices.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.errors import (
    MissingCheckpoint,
    MissingModel,
    MissingNode,
    RequestRejected,
    UnknownSampler,
    WorkflowRejected,
)
from orchestrator.jobs import one_line
from orchestrator.workflows.complaints import Complaint, refusal
from orchestrator.workflows.declarations import config, declared, mapping, options, type_of
from orchestrator.workflows.names import listed, near_matches, shown
from orchestrator.workflows.offered import Offered, shelf_of
from orchestrator.workflows.packs import pack_of

MAX_CHOICES = 8  # told when none of them is near
MAX_PROBLEM = 500  # characters
# Types that only a link can carry; a custom node may call its own values anything.
SOCKETS = frozenset(
    {"MODEL", "CLIP", "CLIP_VISION", "VAE", "CONDITIONING", "LATENT", "IMAGE", "MASK", "VIDEO"}
    | {"UPSCALE_MODEL", "CONTROL_NET", "NOISE", "SAMPLER", "SIGMAS", "GUIDER", "AUDIO"}
)
SAMPLING = frozenset({"sampler_name", "scheduler"})
CHECKPOINT_INPUTS = frozenset({"ckpt_name", "unet_name"})


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
    """One thing that the server would refuse. `input` is empty when the node as a whole is at fault.

    `near` are the server's choices that are most like the value, `choices` all it has.
    """

    node_id: str
    class_type: str
    fault: Fault
    input: str = ""
    value: Any = None
    near: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One sentence for a user."""
        where = f"{self.class_type} (node {self.node_id})"
        what = f"{self.input} = {self.value!r} {self.fault}" if self.input else str(self.fault)
        hint = f"; near: {', '.join(self.near)}" if self.near else ""
        if self.fault is Fault.NOT_OFFERED and not self.near:
            hint = f"; it has {listed(self.choices, most=MAX_CHOICES)}"
        return one_line(f"{where}: {what}{hint}")[:MAX_PROBLEM]

    def complaint(self) -> Complaint:
        """The problem as a user is told of it, with what to do."""
        text = str(self)
        if self.fault is Fault.NO_CLASS:
            return Complaint(MissingNode, text, pack_of(self.class_type))
        if self.fault is not Fault.NOT_OFFERED:
            return Complaint(WorkflowRejected, text, "Correct the inputs named in the message.")
        if self.input in SAMPLING:
            return Complaint(UnknownSampler, text, "Choose a sampler and scheduler that it has.")
        shelf = shelf_of(self.class_type, self.input)
        if shelf is None:
            return Complaint(WorkflowRejected, text, "Choose one of the server's choices.")
        kind: type[RequestRejected] = MissingModel
        if self.input in CHECKPOINT_INPUTS:
            kind = MissingCheckpoint
        return Complaint(kind, text, shelf.remedy)


def preflight(workflow: Mapping[str, Any], offered: Offered) -> None:
    """Raise the fitting RequestRejected, with everything in a workflow that the server would refuse or fail at."""
    if complaints := list(complaints_of(workflow, offered)):
        raise refusal(complaints)


def complaints_of(
    workflow: Mapping[str, Any], offered: Offered, *, told: Collection[str] = ()
) -> Iterator[Complaint]:
    """What is wrong with a workflow. Nothing is said of the names in `told`, which are told of already."""
    for problem in _different(check_against(workflow, offered.classes)):
        if not (problem.fault is Fault.NOT_OFFERED and problem.value in told):
            yield problem.complaint()
    for node_id, node in workflow.items():
        for value in mapping(mapping(node).get("inputs")).values():
            if isinstance(value, str) and value in offered.corrupt and value not in told:
                yield Complaint(
                    MissingCheckpoint,
                    f"{shown(mapping(node).get('class_type'))} (node {shown(node_id)}): "
                    f"{shown(value)} is damaged: {shown(offered.corrupt[value])}",
                    "Download the file again, or choose another one.",
                )


def _different(problems: Iterable[Problem]) -> Iterable[Problem]:
    """Of those that several nodes have in common only the first."""
    found: dict[tuple[str, ...], Problem] = {}
    for each in problems:
        found.setdefault((each.class_type, each.fault, each.input, repr(each.value)), each)
    return found.values()


def check_against(workflow: Mapping[str, Any], object_info: Mapping[str, Any]) -> list[Problem]:
    """Everything in a workflow (API format) that the server of this /object_info would refuse.

    Inputs that a node does not know are ignored, as the server ignores them. What cannot be judged
    from here (uploads, choices the server fetches, types of custom nodes) is taken to be right.
    """
    return [
        problem
        for node_id, node in workflow.items()
        for problem in _check_node(str(node_id), mapping(node), workflow, object_info)
    ]


def _check_node(
    node_id: str, node: Mapping[str, Any], workflow: Mapping[str, Any], info: Mapping[str, Any]
) -> Iterator[Problem]:
    class_type = str(node.get("class_type"))
    if class_type not in info:
        near = tuple(near_matches(class_type, map(str, info)))
        yield Problem(node_id, class_type, Fault.NO_CLASS, near=near)
        return
    inputs = mapping(node.get("inputs"))
    for name, (group, spec) in declared(info, class_type).items():
        if name not in inputs:
            # inputs of the newest types are named in dotted parts, so absence proves nothing
            if group == "required" and not type_of(spec).startswith("COMFY_"):
                yield Problem(node_id, class_type, Fault.MISSING, name)
            continue
        value = inputs[name]
        choices: tuple[str, ...] = ()
        if isinstance(value, list):  # in API format a list is a link, never a value
            fault = _link_fault(value, type_of(spec), workflow, info)
        else:
            fault, choices = _value_fault(value, spec)
        if fault is not None:
            near = tuple(near_matches(str(value), choices)) if choices else ()
            yield Problem(node_id, class_type, fault, name, value, near, choices)


def _value_fault(value: Any, spec: Any) -> tuple[Fault | None, tuple[str, ...]]:
    choices, limits = options(spec), config(spec)
    kind = type_of(spec)
    if choices is not None:
        if any(key.endswith("_upload") for key in limits) or limits.get("multiselect"):
            return None, ()  # the node itself decides
        if value in choices:
            return None, ()
        return Fault.NOT_OFFERED, tuple(map(str, choices))
    if kind not in {"INT", "FLOAT"}:
        # text and switches are made of whatever is given
        return (Fault.WRONG_TYPE if kind in SOCKETS else None), ()
    try:
        number = int(value) if kind == "INT" else float(value)
    except (TypeError, ValueError, OverflowError):
        return Fault.WRONG_TYPE, ()
    low, high = limits.get("min"), limits.get("max")
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
    outputs = mapping(info.get(str(mapping(workflow[source]).get("class_type")))).get("output")
    if not isinstance(outputs, list):
        return None  # a class the server lacks is a problem of its own
    if not 0 <= place < len(outputs):
        return Fault.BAD_LINK
    given = outputs[place]
    if not isinstance(given, str) or "*" in (given, wanted) or wanted.startswith("COMFY_"):
        return None
    fits = set(given.split(",")) & set(wanted.split(",")) or wanted == "COMBO"
    return None if fits else Fault.BAD_LINK
