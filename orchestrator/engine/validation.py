"""Is a prompt fit to run? Pure: a prompt and the node table in, what ComfyUI would answer out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.engine.dialects import Dialect
from orchestrator.engine.nodes import Node

JSON = Any

LONGEST_SHOWN = 20  # choices; a longer list is only counted in the answer

_CONVERT: dict[str, Callable[[Any], Any]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}


@dataclass
class Verdict:
    """What to answer: an error for 400, or the outputs to run, and the errors of those that were dropped."""

    error: dict[str, JSON] | None = None
    outputs: list[str] = field(default_factory=list)
    node_errors: dict[str, JSON] = field(default_factory=dict)


def validate(
    prompt: JSON, nodes: dict[str, Node], dialect: Dialect, *, targets: Iterable[str] | None = None
) -> Verdict:
    """Check every output and all it depends on; values are converted in place, as ComfyUI does."""
    if not isinstance(prompt, dict):
        return Verdict(error("invalid_prompt", "The prompt is not an object of nodes."))
    wanted = None if targets is None else set(targets)
    outputs = []
    for node_id, entry in prompt.items():
        missing = _missing(node_id, entry, nodes, dialect)
        if missing:
            return Verdict(missing)
        if nodes[entry["class_type"]].output_node and (wanted is None or node_id in wanted):
            outputs.append(node_id)
    if not outputs:
        return Verdict(error("prompt_no_outputs", "Prompt has no outputs"))

    check = _Check(prompt, nodes, dialect)
    verdict = Verdict()
    reasons: list[dict[str, JSON]] = []
    for output in outputs:
        if check.passes(output):
            verdict.outputs.append(output)
            continue
        reasons += check.errors.get(output, [])
        for node_id in check.reached:
            if check.errors.get(node_id):
                shown = verdict.node_errors.setdefault(
                    node_id,
                    {
                        "errors": check.errors[node_id],
                        "dependent_outputs": [],
                        "class_type": prompt[node_id]["class_type"],
                    },
                )
                shown["dependent_outputs"].append(output)
    if not verdict.outputs:
        details = "\n".join(f"{reason['message']}: {reason['details']}" for reason in reasons)
        verdict.error = error(
            "prompt_outputs_failed_validation", "Prompt outputs failed validation", details
        )
    return verdict


def error(type_: str, message: str, details: str = "", **extra_info: JSON) -> dict[str, JSON]:
    return {"type": type_, "message": message, "details": details, "extra_info": extra_info}


def _missing(
    node_id: str, entry: JSON, nodes: dict[str, Node], dialect: Dialect
) -> dict[str, JSON] | None:
    """The answer for a node without a class, or of one the server has not."""
    class_type = entry.get("class_type") if isinstance(entry, dict) else None
    if isinstance(class_type, str) and class_type in nodes:
        return None
    where = f"Node ID '#{node_id}'"
    if not dialect.modern:
        message = (
            "Cannot execute because a node is missing the class_type property."
            if class_type is None
            else f"Cannot execute because node {class_type} does not exist."
        )
        return error("invalid_prompt", message, where)
    meta = entry.get("_meta") if isinstance(entry, dict) else None
    title = (meta.get("title") if isinstance(meta, dict) else None) or class_type
    extra = {"node_id": node_id, "class_type": class_type, "node_title": title}
    if class_type is None:
        message = f"Node '{title or node_id}' has no class_type. The workflow may be corrupted."
    else:
        message = f"Node '{title}' not found. The custom node may not be installed."
    return error("missing_node_type", message, where, **extra)


class _Unresolved(Exception):
    """A linked node could not be looked at."""


class _Check:
    """One validation: each node is looked at once, however many outputs lead to it."""

    def __init__(self, prompt: dict[str, JSON], nodes: dict[str, Node], dialect: Dialect) -> None:
        self.errors: dict[str, list[dict[str, JSON]]] = {}
        self.reached: list[str] = []  # the nodes behind the output being checked, consumers first
        self._prompt, self._nodes, self._dialect = prompt, nodes, dialect
        self._passed: dict[str, bool] = {}

    def passes(self, output: str) -> bool:
        self.reached = list(self._behind(output))
        cycle = self._cycle(output)
        if cycle:
            self._report_cycle(output, cycle)
            return False
        try:
            return self._node(output)
        except _Unresolved as exc:
            extra = {"exception_type": "KeyError", "traceback": []}
            self._passed[output] = False
            self.errors[output] = [
                error(
                    "exception_during_validation",
                    "Exception when validating node",
                    str(exc),
                    **extra,
                )
            ]
            return False

    def _behind(self, output: str) -> dict[str, None]:
        found: dict[str, None] = {}
        waiting = [output]
        while waiting:
            node_id = waiting.pop()
            if node_id not in found and node_id in self._prompt:
                found[node_id] = None
                waiting += [link[0] for link in links(self._prompt[node_id]).values()]
        return found

    def _cycle(self, output: str) -> list[str]:
        """The nodes of a ring behind this output, or nothing."""
        finished: set[str] = set()
        path: list[str] = []
        steps = [(output, iter(self._sources(output)))]
        path.append(output)
        while steps:
            source = next(steps[-1][1], None)
            if source is None:
                steps.pop()
                finished.add(path.pop())
            elif source in path:
                return path[path.index(source) :]
            elif source not in finished:
                path.append(source)
                steps.append((source, iter(self._sources(source))))
        return []

    def _sources(self, node_id: str) -> list[str]:
        return [
            link[0] for link in links(self._prompt[node_id]).values() if link[0] in self._prompt
        ]

    def _report_cycle(self, output: str, cycle: list[str]) -> None:
        for node_id in cycle:
            self._passed[node_id] = False
        if not self._dialect.modern:
            # 0.3.64 walks the ring until Python's stack ends.
            self.errors[output] = [
                error(
                    "exception_during_validation",
                    "Exception when validating node",
                    "maximum recursion depth exceeded",
                    exception_type="RecursionError",
                    traceback=[],
                )
            ]
            return
        named = [f"{n} ({self._prompt[n]['class_type']})" for n in [*cycle, cycle[0]]]
        details = " -> ".join(named)
        for node_id in cycle:
            extra = {"node_id": node_id, "cycle_nodes": cycle}
            self.errors[node_id] = [
                error("dependency_cycle", "Dependency cycle detected", details, **extra)
            ]

    def _node(self, node_id: str) -> bool:
        if node_id in self._passed:
            return self._passed[node_id]
        if node_id not in self._prompt:
            raise _Unresolved(repr(node_id))
        node = self._nodes[self._prompt[node_id]["class_type"]]
        inputs = self._prompt[node_id].get("inputs")
        inputs = inputs if isinstance(inputs, dict) else {}
        problems: list[dict[str, JSON]] = []
        sound = True
        for name, spec in node.inputs.items():
            if name not in inputs:
                problems.append(
                    error(
                        "required_input_missing", "Required input is missing", name, input_name=name
                    )
                )
            elif isinstance(inputs[name], list):
                problem, source_passes = self._link(name, spec, inputs[name])
                problems += [problem] if problem else []
                sound &= source_passes
            else:
                problem = self._value(node, name, spec, inputs)
                problems += [problem] if problem else []
        self.errors[node_id] = problems
        self._passed[node_id] = sound and not problems
        return self._passed[node_id]

    def _link(
        self, name: str, spec: list[JSON], value: list[JSON]
    ) -> tuple[dict[str, JSON] | None, bool]:
        if not (len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)):
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return _about(
                "bad_linked_input", message, name, name, spec, received_value=value
            ), False
        source, slot = value
        if source not in self._prompt:
            raise _Unresolved(repr(source))
        given = self._nodes[self._prompt[source]["class_type"]].outputs
        if not 0 <= slot < len(given):
            raise _Unresolved("tuple index out of range")
        wanted = spec[0]
        if given[slot] != wanted:
            kind = "COMBO" if isinstance(wanted, list) else wanted
            details = f"{name}, received_type({given[slot]}) mismatch input_type({kind})"
            extra = {"received_type": given[slot], "linked_node": value}
            message = "Return type mismatch between linked nodes"
            return _about("return_type_mismatch", message, details, name, spec, **extra), False
        try:
            return None, self._node(source)
        except _Unresolved as exc:
            self._passed[source] = False
            extra = {
                "exception_message": str(exc),
                "exception_type": "KeyError",
                "traceback": [],
                "linked_node": value,
            }
            message = "Exception when validating inner node"
            about = _about(
                "exception_during_inner_validation", message, str(exc), name, spec, **extra
            )
            return about, False

    def _value(
        self, node: Node, name: str, spec: list[JSON], inputs: dict[str, JSON]
    ) -> dict[str, JSON] | None:
        kind, options = spec[0], spec[1] if len(spec) > 1 else {}
        value = inputs[name]
        if isinstance(kind, str) and kind in _CONVERT:
            try:
                value = inputs[name] = _CONVERT[kind](value)
            except (TypeError, ValueError, OverflowError) as exc:
                message = f"Failed to convert an input value to a {kind} value"
                extra = {"received_value": value, "exception_message": str(exc)}
                details = f"{name}, {value}, {exc}"
                return _about("invalid_input_type", message, details, name, spec, **extra)
        if name in node.check:
            refusal = node.check[name](value)
            if refusal:
                message = "Custom validation failed for node"
                details = f"{name} - {refusal}"
                return _about(
                    "custom_validation_failed", message, details, name, spec, received_value=value
                )
            return None
        if "min" in options and value < options["min"]:
            message = f"Value {value} smaller than min of {options['min']}"
            return _about("value_smaller_than_min", message, name, name, spec, received_value=value)
        if "max" in options and value > options["max"]:
            message = f"Value {value} bigger than max of {options['max']}"
            return _about("value_bigger_than_max", message, name, name, spec, received_value=value)
        choices = options["options"] if kind == "COMBO" else kind
        if isinstance(choices, list) and value not in choices:
            many = len(choices) > LONGEST_SHOWN
            shown = f"(list of length {len(choices)})" if many else str(choices)
            details = f"{name}: '{value}' not in {shown}"
            config = None if many else spec
            return _about(
                "value_not_in_list",
                "Value not in list",
                details,
                name,
                config,
                received_value=value,
            )
        return None


def _about(
    type_: str, message: str, details: str, name: str, spec: list[JSON] | None, **extra: JSON
) -> dict[str, JSON]:
    return error(type_, message, details, input_name=name, input_config=spec, **extra)


def links(entry: dict[str, JSON]) -> dict[str, tuple[str, int]]:
    """The inputs of a node that come from other nodes."""
    inputs = entry.get("inputs")
    return {
        name: (value[0], value[1])
        for name, value in (inputs if isinstance(inputs, dict) else {}).items()
        if isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    }
