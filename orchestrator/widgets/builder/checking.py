"""What is wrong with a workflow and where, where its prompt is written, and the workflow as a server runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.jobs import one_line
from orchestrator.workflows import SavedWorkflow
from orchestrator.workflows.saved import PROMPT_MARK
from orchestrator.workflows.ui import Conversion, Plans, convert, validate
from orchestrator.workflows.ui.formats import MARK

MOST = 500  # findings told
MAX_VALUE = 4_000  # characters of a prompt that are shown


@dataclass(frozen=True)
class Checked:
    """A workflow looked at: `prompt` in API format, with what a browser is told of it."""

    prompt: dict[str, Any]
    findings: list[dict[str, Any]]
    place: dict[str, Any]  # of the prompt input; empty when none was found
    inputs: dict[str, list[str]]  # node of the prompt -> where it stands in the document

    @property
    def errors(self) -> int:
        """How many findings keep the workflow from running."""
        return sum(each["severity"] == "error" for each in self.findings)


def check(document: Mapping[str, Any], plans: Plans) -> Checked:
    """Look at a workflow in UI format. Raises WorkflowUnreadable."""
    conversion = convert(document, plans)
    prompt = _marked(conversion, document)
    findings = [*_errors(conversion, plans), *_warnings(conversion)]
    places = {node_id: list(conversion.place(node_id)) for node_id in prompt}
    return Checked(prompt, findings[:MOST], _prompt_place(prompt, conversion), places)


def _errors(conversion: Conversion, plans: Plans) -> Iterator[dict[str, Any]]:
    if not plans.object_info:
        return  # without a server nothing can be held against it
    if not conversion.prompt:
        return  # an empty canvas is no mistake yet
    for each in validate(conversion.prompt, plans):
        yield {
            "path": list(conversion.place(each.node)) if each.node else [],
            "input": each.input,
            "type": each.type,
            "message": each.message,
            "severity": "error" if each.told else "warning",
        }


def _warnings(conversion: Conversion) -> Iterator[dict[str, Any]]:
    for each in conversion.warnings:
        yield {
            "path": list(conversion.place(each.node)) if each.node else [],
            "input": each.input,
            "type": "conversion",
            "message": each.message,
            "severity": "warning",
        }


def _marked(conversion: Conversion, document: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt, with a mark on the input that the user has chosen for the prompt's text."""
    path, name = pinned(document)
    if not path:
        return conversion.prompt
    prompt = dict(conversion.prompt)
    for node_id, node in prompt.items():
        if list(conversion.place(node_id)) == path and isinstance(node["inputs"].get(name), str):
            prompt[node_id] = {**node, "_meta": {**node.get("_meta", {}), PROMPT_MARK: name}}
    return prompt


def pinned(document: Mapping[str, Any]) -> tuple[Sequence[str], str]:
    """Where the user says that the prompt is: ids of nodes from the root, and the input; ([], "") for nowhere."""
    extra = document.get("extra")
    ours = extra.get(MARK) if isinstance(extra, Mapping) else None
    said = ours.get("prompt") if isinstance(ours, Mapping) else None
    path = said.get("path") if isinstance(said, Mapping) else None
    name = said.get("input") if isinstance(said, Mapping) else None
    if not isinstance(path, list) or not path or not isinstance(name, str):
        return [], ""
    return [str(each) for each in path], name


def _prompt_place(prompt: Mapping[str, Any], conversion: Conversion) -> dict[str, Any]:
    try:
        spots = SavedWorkflow.read(prompt, name="workflow").places.prompt
    except OrchestratorError:
        return {}
    if not spots:
        return {}
    node, name = spots[0]
    value = prompt[node]["inputs"].get(name)
    return {
        "path": list(conversion.place(node)),
        "input": name,
        "text": str(value)[:MAX_VALUE],
        "title": one_line(str(prompt[node].get("_meta", {}).get("title", ""))),
    }


def kept_seed(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """The parameter that makes a test run take the seed of the workflow; empty when it has none."""
    try:
        spots = SavedWorkflow.read(prompt, name="workflow").places.fields.get("seed", ())
    except OrchestratorError:
        return {}
    return {"seed": prompt[spots[0].node]["inputs"][spots[0].input]} if spots else {}
