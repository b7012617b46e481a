"""What a server would refuse in a prompt (API format), under the names that ComfyUI itself has for it.

The server looks only at what its output nodes need, and says nothing more once a node class is missing. Here every
node is looked at; whether the server would say it, too, is part of each finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.workflows.declarations import mapping
from orchestrator.workflows.names import listed, near_matches, shown
from orchestrator.workflows.ui.formats import text_id
from orchestrator.workflows.ui.plan import MEDIA, Plan, Plans, Socket, Widget

MISSING_NODE, NO_OUTPUTS = "missing_node_type", "prompt_no_outputs"
MISSING, BAD_LINK, MISMATCH = "required_input_missing", "bad_linked_input", "return_type_mismatch"
NOT_IN_LIST, BAD_VALUE = "value_not_in_list", "invalid_input_type"
TOO_SMALL, TOO_BIG = "value_smaller_than_min", "value_bigger_than_max"
OWN_CHECK = "custom_validation_failed"
RAISED, OUTPUT_RAISED = "exception_during_inner_validation", "exception_during_validation"
CYCLE = "dependency_cycle"
ANYTHING = frozenset({"*", "COMFY_MATCHTYPE_V3"})
OWN_CHOICES = frozenset({"CustomCombo"})  # take every choice, whatever is declared
LIMITS = frozenset({TOO_SMALL, TOO_BIG, NOT_IN_LIST})
FILES = {"LoadLatent": "latent"}  # look for the file themselves, though they declare a plain list
NONE = "none"  # the choice that is no file
MAX_CHOICES = 8  # told when none of them is near


@dataclass(frozen=True)
class Finding:
    """Something wrong. `node` is the id in the prompt ("" for the prompt as a whole), `type` the server's name for it.

    `told` is false for what the server would not say: no output needs the node, or something else stops it before.
    """

    node: str
    input: str
    type: str
    message: str
    told: bool = True

    def as_json(self) -> dict[str, str]:
        """As the command line prints it."""
        return {
            "node": self.node,
            "input": self.input,
            "type": self.type,
            "message": self.message,
        }


def validate(prompt: Mapping[str, Any], plans: Plans) -> list[Finding]:
    """Everything wrong with a prompt, in its order, for the server of these plans.

    What cannot be judged from here (files in folders, choices that the server fetches) is taken to be right.
    """
    fatal = list(_missing(prompt, plans))
    outputs = _outputs(prompt, plans)
    if not outputs:
        fatal.append(Finding("", "", NO_OUTPUTS, "It has no node that gives out a result"))
    nodes = _Nodes(prompt, plans)
    found = {node_id: nodes.findings(node_id) for node_id in nodes.known}
    reached = {} if fatal else nodes.reached(outputs)
    told = [replace(each, told=number == 0) for number, each in enumerate(fatal)]
    for node_id, findings in found.items():
        told += _as_told(node_id, findings, reached)
    told += [
        Finding(node_id, "", CYCLE, "Its inputs lead back to itself", told=node_id in reached)
        for node_id in nodes.circles()
    ]
    return told


def _as_told(
    node_id: str, findings: Sequence[Finding], reached: Mapping[str, str]
) -> Iterator[Finding]:
    """What the server says of a node, then the rest.

    When its check of a node breaks down it says so and nothing else, and names the input that led to the node.
    """
    if node_id not in reached:
        yield from (replace(each, told=False) for each in findings)
        return
    broken = next((each for each in findings if each.type == RAISED), None)
    if broken is None:
        yield from findings
        return
    via = reached[node_id]
    kind = RAISED if via else OUTPUT_RAISED
    yield Finding(node_id, via, kind, f"{broken.input}: {broken.message}")
    yield from (replace(each, told=False) for each in findings if each is not broken)


def _missing(prompt: Mapping[str, Any], plans: Plans) -> Iterator[Finding]:
    for node_id, node in prompt.items():
        kind = mapping(node).get("class_type")
        if not isinstance(kind, str):
            yield Finding(node_id, "", MISSING_NODE, "The node has no class")
        elif kind not in plans.object_info:
            near = near_matches(kind, plans.object_info)
            hint = f"; near: {', '.join(map(shown, near))}" if near else ""
            yield Finding(node_id, "", MISSING_NODE, f"The server has no node {shown(kind)}{hint}")


def _outputs(prompt: Mapping[str, Any], plans: Plans) -> list[str]:
    return [
        node_id
        for node_id, node in prompt.items()
        if (plan := _plan(node, plans)) is not None and plan.is_output
    ]


def _plan(node: object, plans: Plans) -> Plan | None:
    kind = mapping(node).get("class_type")
    return plans.get(kind) if isinstance(kind, str) else None


class _Nodes:
    """The nodes of a prompt whose class is known."""

    def __init__(self, prompt: Mapping[str, Any], plans: Plans) -> None:
        self.prompt = prompt
        self.known = {
            str(node_id): (plan, mapping(mapping(node).get("inputs")))
            for node_id, node in prompt.items()
            if (plan := _plan(node, plans)) is not None
        }
        # node -> what it needs, and by which input
        self.followed: dict[str, list[tuple[str, str]]] = {}

    def findings(self, node_id: str) -> list[Finding]:
        """What is wrong with one node."""
        plan, inputs = self.known[node_id]
        return [
            Finding(node_id, name, kind, message)
            for name, kind, message in self._judged(node_id, plan, inputs)
        ]

    def reached(self, outputs: Sequence[str]) -> dict[str, str]:
        """The nodes that the server looks at, each with the input that led there first ("" for outputs)."""
        reached: dict[str, str] = {}
        waiting = [(node_id, "") for node_id in reversed(outputs)]
        while waiting:
            node_id, via = waiting.pop()
            if node_id not in reached and node_id in self.known:
                reached[node_id] = via
                waiting += reversed(self.followed[node_id])
        return reached

    def circles(self) -> list[str]:
        """The nodes from which links lead in a circle, one for each circle."""
        state: dict[str, bool] = {}  # False while it is on the way, True when done
        found = []
        for start in self.known:
            way: list[tuple[str, Iterator[str]]] = []
            if start not in state:
                state[start] = False
                way.append((start, self._needed(start)))
            while way:
                node_id, rest = way[-1]
                above = next(rest, None)
                if above is None:
                    state[node_id] = True
                    way.pop()
                elif above not in state and above in self.known:
                    state[above] = False
                    way.append((above, self._needed(above)))
                elif state.get(above) is False:
                    found.append(above)
        return list(dict.fromkeys(found))

    def _needed(self, node_id: str) -> Iterator[str]:
        return iter([source for source, _ in self.followed[node_id]])

    def _judged(
        self, node_id: str, plan: Plan, inputs: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, str]]:
        followed = self.followed[node_id] = []
        for entry in live(plan.entries, inputs):
            if entry.name not in inputs:
                if entry.required:
                    yield entry.name, MISSING, "It is required and missing"
                continue
            value = inputs[entry.name]
            if isinstance(value, list):
                fault = self._link(value, entry)
                if fault is None:
                    followed.append((str(value[0]), entry.name))
                else:
                    yield entry.name, *fault
            elif (fault := _value(plan, entry, _unwrapped(value))) and not (
                fault[0] in LIMITS and _judges_all(plan)
            ):
                yield entry.name, *fault
        yield from _own_checks(plan, inputs)

    def _link(self, link: list[Any], entry: Widget | Socket) -> tuple[str, str] | None:
        if len(link) != 2:
            return BAD_LINK, "A link is a node and the number of its output"
        source, place = text_id(link[0]), link[1]
        if source is None or source not in self.prompt:
            return RAISED, f"It is linked to node {shown(link[0])}, which is not there"
        if source not in self.known:
            return None  # a class the server lacks is a finding of its own
        plan, _ = self.known[source]
        if not isinstance(place, int) or not -len(plan.outputs) <= place < len(plan.outputs):
            return RAISED, f"Node {source} ({shown(plan.title)}) has no output {shown(place)}"
        given, wanted = plan.outputs[place], _type(entry)
        if _fits(given, wanted):
            return None
        return MISMATCH, f"It takes {shown(wanted)}, and is linked to {shown(given)}"


def live(
    entries: Sequence[Widget | Socket], inputs: Mapping[str, Any]
) -> Iterator[Widget | Socket]:
    """The inputs that a node has with these values: of dynamic choices what was chosen, of growing sockets each."""
    for entry in entries:
        if isinstance(entry, Socket) and entry.grows:
            for number, name in enumerate(entry.grows):
                required = entry.required and number < entry.least
                yield Socket(name, entry.type, required, entry.config)
            continue
        if isinstance(entry, Socket) or entry.sent:
            yield entry
        if isinstance(entry, Widget) and entry.branches is not None:
            chosen = inputs.get(entry.name)
            if isinstance(chosen, str) and chosen in entry.branches:
                yield from live(entry.branches[chosen], inputs)


def _value(plan: Plan, entry: Widget | Socket, value: Any) -> tuple[str, str] | None:
    kind = _type(entry)
    if kind in ("INT", "FLOAT"):
        try:
            value = int(value) if kind == "INT" else float(value)
        except (TypeError, ValueError, OverflowError):
            return BAD_VALUE, f"{shown(value)} is no {'whole ' if kind == 'INT' else ''}number"
        low, high = entry.config.get("min"), entry.config.get("max")
        if isinstance(low, int | float) and value < low:
            return TOO_SMALL, f"{shown(value)} is smaller than {low}"
        if isinstance(high, int | float) and value > high:
            return TOO_BIG, f"{shown(value)} is larger than {high}"
        return None
    if isinstance(entry, Socket) or entry.choices is None or entry.branches is not None:
        return None
    if plan.class_type in OWN_CHOICES or _looks_for_file(plan, entry):
        return None
    if entry.config.get("multiselect") is True and isinstance(value, list):
        wrong = [each for each in value if each not in entry.choices]
    else:
        wrong = [] if value in entry.choices else [value]
    return (NOT_IN_LIST, _not_offered(wrong[0], entry.choices)) if wrong else None


def _own_checks(plan: Plan, inputs: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Nodes that load a file look for it; which files there are stands in their choices."""
    for entry in plan.entries:
        if not isinstance(entry, Widget) or not _looks_for_file(plan, entry):
            continue
        value = _unwrapped(inputs.get(entry.name))
        if not isinstance(value, str):
            yield entry.name, RAISED, "It takes the name of a file"
        elif _is_missing_file(value, entry.choices or ()):
            names = [entry.name]
            if _judges_all(plan):
                names = [
                    each.name
                    for each in live(plan.entries, inputs)
                    if each.name in inputs and not isinstance(inputs[each.name], list)
                ]
            for name in names:
                yield name, OWN_CHECK, f"The server has no file {shown(value)}"


def _judges_all(plan: Plan) -> bool:
    """Whether a class checks all its inputs itself: the server then says of each that they failed, and no limits.

    Those that load 3D models do since they have the choice "none" (1,342 of 1,342 errors of server 0.27.0).
    """
    return any(
        isinstance(entry, Widget) and _is_3d_model(entry) and NONE in (entry.choices or ())
        for entry in plan.entries
    )


def _is_3d_model(entry: Widget) -> bool:
    return bool(entry.config.get("file_upload"))


def _looks_for_file(plan: Plan, entry: Widget) -> bool:
    if entry.choices is None:
        return False
    if _is_3d_model(entry):  # older servers have a plain list there
        return NONE in entry.choices
    return any(entry.config.get(key) for key in MEDIA) or FILES.get(plan.class_type) == entry.name


def _is_missing_file(value: str, choices: Sequence[Any]) -> bool:
    """Folders and other places (`name [output]`) are not in the choices, so nothing is said of what lies there."""
    elsewhere = "/" in value or "\\" in value or value.endswith("]")
    return bool(value) and value not in choices and not elsewhere


def _not_offered(value: Any, choices: Sequence[Any]) -> str:
    names = [str(each) for each in choices]
    if not names:
        return f"The server has no {shown(value)}; it has nothing to choose from"
    near = near_matches(str(value), names)
    hint = (
        f"near: {', '.join(map(shown, near))}"
        if near
        else f"it has {listed(names, most=MAX_CHOICES)}"
    )
    return f"{shown(value)} is not one of the server's choices; {hint}"


def _unwrapped(value: Any) -> Any:
    return value["__value__"] if isinstance(value, Mapping) and "__value__" in value else value


def _type(entry: Widget | Socket) -> str:
    return entry.type or (entry.kind if isinstance(entry, Widget) else "*")


def _fits(given: str, wanted: str) -> bool:
    """Whether the server takes an output for an input. A choice may be linked to whatever makes texts."""
    if given == wanted or given in ANYTHING or wanted in ANYTHING:
        return True
    if wanted == "COMBO":
        return given == "STRING"
    names = (
        {each.strip() for each in given.split(",")},
        {each.strip() for each in wanted.split(",")},
    )
    return bool(names[0] & names[1])
