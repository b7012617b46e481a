"""A workflow in API format as one that the editor can show: with widgets, links and places of our own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import WorkflowUnreadable
from orchestrator.workflows.declarations import mapping
from orchestrator.workflows.names import shown
from orchestrator.workflows.ui.arrange import Size, arrange
from orchestrator.workflows.ui.choices import kept, settled
from orchestrator.workflows.ui.convert import Warned
from orchestrator.workflows.ui.formats import MARK, NUMBER, Format, format_of, text_id
from orchestrator.workflows.ui.plan import CONTROL, Plan, Plans, Socket, Widget

WIDTH, TITLE, ROW, TEXT = 315, 30, 24, 110  # pixels; TEXT for a field of several lines
EMPTY_PLAN = Plan("", (), (), is_output=False, title="")


@dataclass(frozen=True)
class Drawn:
    """A workflow in UI format, and what of the prompt it cannot hold."""

    document: dict[str, Any]
    warnings: tuple[Warned, ...]


def draw(prompt: Mapping[str, Any], plans: Plans) -> Drawn:
    """A prompt (API format) in UI format, schema 0.4, laid out by us; equal prompts give equal documents.

    Nodes keep their ids where those are whole numbers. Raises WorkflowUnreadable.
    """
    if format_of(prompt) is not Format.API:
        raise WorkflowUnreadable("The workflow is in UI format already")
    return _Drawer(prompt, plans).drawn()


class _Drawer:
    def __init__(self, prompt: Mapping[str, Any], plans: Plans) -> None:
        self.plans = plans
        self.prompt = {
            str(node_id): node
            for node_id, node in prompt.items()
            if isinstance(mapping(node).get("class_type"), str)
        }
        self.ids = _whole_numbers(list(self.prompt))
        self.links: list[list[Any]] = []
        self.warnings = [
            Warned(str(node_id), "", "it has no class, and is left out")
            for node_id in prompt
            if str(node_id) not in self.prompt
        ]

    def drawn(self) -> Drawn:
        nodes = {node_id: self._node(node_id) for node_id in self.prompt}
        names = {number: node_id for node_id, number in self.ids.items()}
        for link, origin, slot, *_ in self.links:
            outputs = nodes[names[origin]]["outputs"]
            while len(outputs) <= slot:  # of a class that the server does not have
                outputs.append({"name": f"output {len(outputs)}", "type": "*", "links": []})
            outputs[slot]["links"].append(link)
        sizes = {node_id: Size(*node["size"]) for node_id, node in nodes.items()}
        places = arrange(sizes, [(names[link[1]], names[link[3]]) for link in self.links])
        for number, (node_id, node) in enumerate(nodes.items()):
            node |= {"pos": list(places[node_id]), "order": number}
        document = {
            "last_node_id": max(self.ids.values(), default=0),
            "last_link_id": len(self.links),
            "nodes": list(nodes.values()),
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {MARK: {"laidOut": True}},
            "version": 0.4,
        }
        return Drawn(document, tuple(self.warnings))

    def _node(self, node_id: str) -> dict[str, Any]:
        node = mapping(self.prompt[node_id])
        kind = str(node["class_type"])
        plan = self.plans.get(kind)
        given = {str(name): value for name, value in mapping(node.get("inputs")).items()}
        entries = list(self._entries(plan or EMPTY_PLAN, given))
        ordered = sorted(entries, key=lambda entry: isinstance(entry, Widget))  # as the editor does
        sockets = [_socket(entry) for entry in ordered if self._shows(entry, given)]
        known = {entry.name for entry in entries}
        linked = {name for name, value in given.items() if self._source(value) is not None}
        # links of inputs that the class does not declare: the server may know better
        sockets += [
            {"name": name, "type": "*", "link": None} for name in given if name in linked - known
        ]
        for slot, socket in enumerate(sockets):
            if socket["name"] in linked:
                socket["link"] = self._link(given[socket["name"]], node_id, slot, socket["type"])
        self._tell_lost(node_id, plan, entries, given, linked)
        widgets = [entry for entry in entries if isinstance(entry, Widget)]
        drawn: dict[str, Any] = {
            "id": self.ids[node_id],
            "type": kind,
            "pos": [0, 0],
            "size": [WIDTH, _height(len(sockets), widgets)],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": sockets,
            "outputs": [
                {"name": name, "type": name, "links": []} for name in (plan or EMPTY_PLAN).outputs
            ],
            "properties": {"Node name for S&R": kind},
            "widgets_values": [_value(widget, given, linked) for widget in widgets],
        }
        literals = {
            entry.name: given[entry.name]
            for entry in entries
            if isinstance(entry, Socket) and not isinstance(given.get(entry.name, []), list)
        }
        if literals:  # the editor has no field for them, but nothing of a prompt is to be lost
            drawn["properties"][MARK] = {"literals": literals}
        if plan is None:
            drawn["widgets_values_named"] = {
                name: _unwrapped(value) for name, value in given.items() if name not in linked
            }
        title = mapping(node.get("_meta")).get("title")
        if isinstance(title, str) and title and (plan is None or title != plan.title):
            drawn["title"] = title
        return drawn

    def _entries(self, plan: Plan, given: Mapping[str, Any]) -> Iterator[Widget | Socket]:
        yield from self._live(plan.entries, given)
        number = 1
        while plan.rest is not None and f"{plan.rest}{number}" in given:
            yield Widget(f"{plan.rest}{number}", "STRING")
            number += 1

    def _live(
        self, entries: Sequence[Widget | Socket], given: Mapping[str, Any]
    ) -> Iterator[Widget | Socket]:
        for entry in entries:
            if isinstance(entry, Socket) and entry.grows:
                used = [at for at, name in enumerate(entry.grows, start=1) if name in given]
                shown_ones = max([entry.least, *used]) + 1  # one more, to link the next to
                for name in entry.grows[:shown_ones]:
                    yield Socket(name, entry.type, entry.required, entry.config)
                continue
            yield entry
            if isinstance(entry, Widget) and entry.branches is not None:
                chosen = given.get(entry.name, entry.default)
                if isinstance(chosen, str):
                    yield from self._live(entry.branches.get(chosen, ()), given)

    def _shows(self, entry: Widget | Socket, given: Mapping[str, Any]) -> bool:
        """Whether an input is drawn with a socket: not buttons and the like, unless something is linked to them."""
        if isinstance(entry, Socket) or self._source(given.get(entry.name)) is not None:
            return True
        return entry.sent and entry.config.get("socketless") is not True

    def _source(self, value: Any) -> tuple[str, int] | None:
        """Where a link leads from; None for what is none, or leads to nothing."""
        if not isinstance(value, list) or len(value) != 2:
            return None
        source, slot = text_id(value[0]), value[1]
        if source not in self.prompt or not isinstance(slot, int) or not 0 <= slot < 1_000:
            return None
        return source, slot

    def _link(self, value: Any, node_id: str, slot: int, kind: str) -> int | None:
        found = self._source(value)
        if found is None:
            return None
        origin, origin_slot = found
        number = len(self.links) + 1
        self.links.append([number, self.ids[origin], origin_slot, self.ids[node_id], slot, kind])
        return number

    def _tell_lost(
        self,
        node_id: str,
        plan: Plan | None,
        entries: Sequence[Widget | Socket],
        given: Mapping[str, Any],
        linked: set[str],
    ) -> None:
        if plan is None:
            kind = shown(mapping(self.prompt[node_id]).get("class_type"))
            self.warnings.append(Warned(node_id, "", f"the server has no node {kind}"))
            return
        for entry in entries:
            value = given.get(entry.name)
            if entry.config.get("dynamicPrompts") is not True or not isinstance(value, str):
                continue
            if settled(kept(value))[0] != value:
                said = "the editor takes a part of it for a comment, and would not send it"
                self.warnings.append(Warned(node_id, entry.name, said))
        widgets = {entry.name for entry in entries if isinstance(entry, Widget)}
        sockets = {entry.name for entry in entries} - widgets
        for name, value in given.items():
            if name in linked or (name in widgets and not isinstance(value, list)):
                continue
            if isinstance(value, list):
                said = "its link leads to nothing, and is left out"
            elif name in sockets:
                said = f"the editor has no field for it: {shown(value)} is kept beside the node"
            else:
                said = "the node has no such input: it is left out"
            self.warnings.append(Warned(node_id, name, said))


def _socket(entry: Widget | Socket) -> dict[str, Any]:
    if isinstance(entry, Socket):
        return {"name": entry.name, "type": entry.type, "link": None}
    kind = entry.type or entry.kind
    return {"name": entry.name, "type": kind, "widget": {"name": entry.name}, "link": None}


def _whole_numbers(ids: Sequence[str]) -> dict[str, int]:
    """A number for each id: its own where it is one."""
    numbers = {each: int(each) for each in ids if NUMBER.fullmatch(each) and str(int(each)) == each}
    numbers = {each: number for each, number in numbers.items() if number >= 0}
    last = max(numbers.values(), default=0)
    for each in ids:
        if each not in numbers:
            last += 1
            numbers[each] = last
    return {each: numbers[each] for each in ids}


def _value(widget: Widget, given: Mapping[str, Any], linked: set[str]) -> Any:
    if widget.name == CONTROL:
        return "fixed"  # what was exported is to stay as it was
    if widget.name in given and widget.name not in linked and widget.sent:
        value = given[widget.name]
        if widget.config.get("dynamicPrompts") is True and isinstance(value, str):
            return kept(value)
        return widget.default if isinstance(value, list) else _unwrapped(value)
    return widget.default


def _unwrapped(value: Any) -> Any:
    return value["__value__"] if isinstance(value, Mapping) and "__value__" in value else value


def _height(sockets: int, widgets: Sequence[Widget]) -> int:
    texts = sum(widget.config.get("multiline") is True for widget in widgets)
    return TITLE + ROW * (sockets + len(widgets)) + TEXT * texts
