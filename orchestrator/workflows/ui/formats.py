"""The two formats a workflow is saved in, read as tolerantly as ComfyUI reads them.

UI format is what the editor saves: nodes with positions, values in the order of the widgets, links as a list of their
own, subgraphs as definitions. API format is what a server runs: node id -> class and inputs by name. The raw document
stays as it is; what is read here only looks into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from types import NoneType
from typing import Any

from orchestrator.errors import WorkflowUnreadable
from orchestrator.workflows.declarations import mapping
from orchestrator.workflows.names import shown

MAX_NODES = 20_000  # of one document, subgraphs counted as often as they are used
MAX_DEPTH = 100  # of the JSON
MAX_PARTS = 3_000_000  # values in the JSON
MARK = "orchestrator"  # our key in `extra` of a document and `properties` of a node
NUMBER = re.compile(r"-?[0-9]{1,9}")
SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS = "-10", "-20"  # ids that stand for a subgraph's own sockets
# most values are atoms, and whether one is a Mapping is slow to say
ATOMS = (str, int, float, NoneType)
NESTING = (dict, list, Mapping)


class Format(Enum):
    """How a document holds its workflow."""

    UI = "ui"
    API = "api"


class Mode(IntEnum):
    """Whether a node runs."""

    ALWAYS = 0
    MUTED = 2
    BYPASSED = 4


@dataclass(frozen=True, slots=True)
class Link:
    """From an output to an input. Ids of nodes are texts, whatever they are in the file."""

    id: str
    origin: str
    origin_slot: int
    target: str
    target_slot: int
    type: str


@dataclass(frozen=True, slots=True)
class Input:
    """An input socket. `widget` is the widget it stands for, `link` the id of what leads there."""

    name: str
    type: str
    link: str | None
    widget: str | None
    links: tuple[str, ...] = ()  # of a subgraph's own socket: what leads on from it, inside


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it was saved. `values` are those of its widgets in order; `named` by name, if the file has them so."""

    id: str
    type: str
    mode: int
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]  # their types
    values: tuple[Any, ...]
    named: Mapping[str, Any]
    properties: Mapping[str, Any]
    title: str
    order: int = 0  # in which the editor ran through them


@dataclass(frozen=True)
class Graph:
    """Nodes and links of one level, in the order of the file."""

    nodes: Mapping[str, Node]
    links: Mapping[str, Link]


@dataclass(frozen=True)
class Subgraph(Graph):
    """A graph that nodes of others stand for: their type is its id."""

    id: str
    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[Input, ...]
    arriving: Mapping[int, Link] = field(default_factory=dict)  # output slot -> what leads there
    renamed: Mapping[str, str] = field(default_factory=dict)  # id in the file -> id while it runs


@dataclass(frozen=True)
class Document:
    """A workflow in UI format."""

    root: Graph
    subgraphs: Mapping[str, Subgraph]


def format_of(document: object) -> Format:
    """Which format a document is in. Raises WorkflowUnreadable when it is neither, or too large or deep."""
    if not isinstance(document, Mapping) or not document:
        raise WorkflowUnreadable("The file holds no workflow: it is not a JSON object")
    _measure(document)
    if isinstance(document.get("nodes"), list):
        return Format.UI
    for node_id, node in document.items():
        if not isinstance(node, Mapping):
            raise WorkflowUnreadable(
                f"The file is neither in UI nor in API format: {shown(node_id)} is no node"
            )
    if not any("class_type" in node for node in document.values()):
        raise WorkflowUnreadable("The file is neither in UI nor in API format: it has no nodes")
    if len(document) > MAX_NODES:
        raise WorkflowUnreadable(f"The workflow has more than {MAX_NODES:,} nodes")
    return Format.API


def read(document: Mapping[str, Any]) -> Document:
    """A workflow in UI format, schema 0.4 or 1.0. What is no node or link in it is passed over.

    Raises WorkflowUnreadable.
    """
    if format_of(document) is not Format.UI:
        raise WorkflowUnreadable("The workflow is in API format, not in UI format")
    definitions = mapping(document.get("definitions")).get("subgraphs")
    subgraphs = [_subgraph(raw) for raw in items(definitions) if isinstance(raw.get("id"), str)]
    nodes = len(items(document.get("nodes"))) + sum(len(each.nodes) for each in subgraphs)
    if nodes > MAX_NODES:
        raise WorkflowUnreadable(f"The workflow has more than {MAX_NODES:,} nodes")
    root = _graph(document)
    return Document(root, {each.id: each for each in _distinct(root, subgraphs, document)})


def items(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; of an object with numbered keys too, as some old files have them."""
    if isinstance(value, Mapping):
        value = list(value.values())
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def text_id(value: object) -> str | None:
    """An id as text; None for what is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _measure(document: Mapping[str, Any]) -> None:
    """Refuse what would take for ever or the whole stack; without recursion, for the same reason."""
    level: list[Any] = [document]
    parts = 0
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            children = each if isinstance(each, list) else each.values()
            below += [
                child
                for child in children
                if not isinstance(child, ATOMS) and isinstance(child, NESTING)
            ]
            parts += len(each)
        if parts > MAX_PARTS:
            raise WorkflowUnreadable(f"The file has more than {MAX_PARTS:,} values")
        if not below:
            return
        level = below
    raise WorkflowUnreadable(f"The file is nested deeper than {MAX_DEPTH} levels")


def _graph(raw: Mapping[str, Any]) -> Graph:
    return Graph(dict(_nodes(raw)), {link.id: link for link in _links(raw.get("links"))})


def _subgraph(raw: Mapping[str, Any]) -> Subgraph:
    graph = _graph(raw)
    return Subgraph(
        nodes=graph.nodes,
        links=graph.links,
        id=raw["id"],
        name=text_id(raw.get("name")) or "",
        inputs=tuple(map(_input, items(raw.get("inputs")))),
        outputs=tuple(map(_input, items(raw.get("outputs")))),
        arriving={
            link.target_slot: link
            for link in graph.links.values()
            if link.target == SUBGRAPH_OUTPUTS
        },
    )


def _distinct(
    root: Graph, subgraphs: list[Subgraph], document: Mapping[str, Any]
) -> Iterator[Subgraph]:
    """The subgraphs, with new ids for nodes whose id another graph has already.

    Front end 1.45.20 does so when it opens a file, so the server's messages speak of these ids.
    """
    taken = set(root.nodes)
    last = max([_number(document.get("last_node_id")), *map(_number, taken)])
    for subgraph in subgraphs:
        renamed: dict[str, str] = {}
        for node_id in subgraph.nodes:
            if node_id not in taken:
                taken.add(node_id)
                last = max(last, _number(node_id))
                continue
            last += 1
            while str(last) in taken:
                last += 1
            renamed[node_id] = str(last)
            taken.add(str(last))
        yield replace(subgraph, renamed=renamed)


def _nodes(raw: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
    for node in items(raw.get("nodes")):
        node_id, kind = text_id(node.get("id")), node.get("type")
        if node_id is None or not isinstance(kind, str):
            continue
        values = node.get("widgets_values")
        named = node.get("widgets_values_named")
        mode = node.get("mode")
        yield (
            node_id,
            Node(
                id=node_id,
                type=kind,
                mode=mode if isinstance(mode, int) else Mode.ALWAYS,
                inputs=tuple(map(_input, items(node.get("inputs")))),
                outputs=tuple(_type(output) for output in items(node.get("outputs"))),
                values=tuple(values) if isinstance(values, list) else (),
                named={**mapping(values), **mapping(named)},
                properties=mapping(node.get("properties")),
                title=node["title"] if isinstance(node.get("title"), str) else "",
                order=_slot(node.get("order")),
            ),
        )


def _input(raw: Mapping[str, Any]) -> Input:
    widget = raw.get("widget")
    name = mapping(widget).get("name") if isinstance(widget, Mapping) else widget
    return Input(
        name=text_id(raw.get("name")) or "",
        type=_type(raw),
        link=text_id(raw.get("link")),
        widget=name if isinstance(name, str) else None,
        links=tuple(link for each in raw["linkIds"] if (link := text_id(each)) is not None)
        if isinstance(raw.get("linkIds"), list)
        else (),
    )


def _type(raw: Mapping[str, Any]) -> str:
    kind = raw.get("type")
    return kind if isinstance(kind, str) else "*" if kind in (0, -1, None) else "COMBO"


def _links(raw: object) -> Iterator[Link]:
    """Links as arrays (root of schema 0.4) or as objects (subgraphs, and schema 1.0)."""
    entries = list(raw.values()) if isinstance(raw, Mapping) else raw
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, list):
            parts = [*entry, None, None, None, None, None, None][:6]
        elif isinstance(entry, Mapping):
            names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
            parts = [entry.get(name) for name in names]
        else:
            continue
        link, origin, target = text_id(parts[0]), text_id(parts[1]), text_id(parts[3])
        if link is not None and origin is not None and target is not None:
            kind = parts[5] if isinstance(parts[5], str) else "*"
            yield Link(link, origin, _slot(parts[2]), target, _slot(parts[4]), kind)


def _slot(value: object) -> int:
    number = text_id(value)
    return int(number) if number is not None and NUMBER.fullmatch(number) else 0


def _number(node_id: object) -> int:
    return max(_slot(node_id), 0)
