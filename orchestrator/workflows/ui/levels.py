"""Where a link really comes from: through reroutes, bypassed nodes, and in and out of subgraphs.

Rules: litegraph's ExecutableNodeDTO (MIT), and what front end 1.45.20 was seen to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from orchestrator.workflows.ui.formats import (
    SUBGRAPH_INPUTS,
    Document,
    Graph,
    Input,
    Link,
    Mode,
    Node,
    Subgraph,
)
from orchestrator.workflows.ui.plan import Plans, Socket, Widget
from orchestrator.workflows.ui.values import values_of

MAX_NESTED = 50  # subgraphs inside subgraphs
MAX_STEPS = 20_000  # from an input to its source
REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
GETTER, SETTER = "GetNode", "SetNode"  # of KJNodes: a link without a line, by name
VIRTUAL = frozenset({REROUTE, PRIMITIVE, GETTER, SETTER, "Note", "MarkdownNote"})


@dataclass(frozen=True, eq=False)
class Level:
    """One use of a graph: the root, or a subgraph as the node `host` of the level `above` stands for it."""

    document: Document
    plans: Plans
    graph: Graph
    host: Node | None = None
    above: Level | None = None

    @cached_property
    def path(self) -> tuple[str, ...]:
        """Ids of the hosts while they run, from the root."""
        if self.above is None or self.host is None:
            return ()
        return (*self.above.path, self.above.running_id(self.host))

    @cached_property
    def place(self) -> tuple[str, ...]:
        """Ids of the hosts in the document, from the root."""
        return () if self.above is None or self.host is None else (*self.above.place, self.host.id)

    @cached_property
    def below(self) -> dict[str, Level]:
        """The levels that nodes of this one stand for, by the id of the node; empty when nested too deeply."""
        if len(self.path) >= MAX_NESTED:
            return {}
        return {
            node.id: Level(self.document, self.plans, subgraph, node, self)
            for node in self.graph.nodes.values()
            if (subgraph := self.document.subgraphs.get(node.type)) is not None
        }

    @cached_property
    def setters(self) -> dict[str, Node]:
        """Nodes that give a name to what leads into them."""
        return {
            str(node.values[0]): node
            for node in self.graph.nodes.values()
            if node.type == SETTER and node.values
        }

    def execution_id(self, node: Node) -> str:
        """The id under which the server knows a node: `host:inner`."""
        return ":".join((*self.path, self.running_id(node)))

    def running_id(self, node: Node) -> str:
        """The last part of that id: the node's own, if no other graph has it."""
        return (
            self.graph.renamed.get(node.id, node.id)
            if isinstance(self.graph, Subgraph)
            else node.id
        )


@dataclass(frozen=True, slots=True)
class Source:
    """What fills an input: a node's output, a primitive's value, or a subgraph's socket that nothing leads into."""

    level: Level
    node: Node
    slot: int = 0
    port: Input | None = None


Say = Callable[[str], None]


def source_of(level: Level, node: Node, socket: Input, say: Say) -> Source | None:
    """Follow an input to its source, or to None when there is none; `say` is told why the file is at fault.

    Ends on every file: each step is taken once only.
    """
    seen: set[tuple[tuple[str, ...], str, int, bool]] = set()
    here: _In | _Out | Source | None = _In(level, node, socket)
    for_type = socket.type  # of the input that was left last: a bypassed node chooses by it
    while isinstance(here, _In | _Out):
        step = (here.level.path, here.node.id, _number(here), isinstance(here, _In))
        if step in seen or len(seen) == MAX_STEPS:
            say("its link leads in a circle, or through too many nodes")
            return None
        seen.add(step)
        if isinstance(here, _In):
            for_type = here.socket.type
            here = _from_input(here, say)
        else:
            here = _from_output(here, for_type, say)
    return here


@dataclass(frozen=True, slots=True)
class _In:
    level: Level
    node: Node
    socket: Input


@dataclass(frozen=True, slots=True)
class _Out:
    level: Level
    node: Node
    slot: int


def _number(here: _In | _Out) -> int:
    """Which of the node's sockets it is; outputs and inputs are told apart elsewhere."""
    if isinstance(here, _Out):
        return here.slot
    names = [socket.name for socket in here.node.inputs]
    return names.index(here.socket.name) if here.socket.name in names else -1


def _from_input(here: _In, say: Say) -> _In | _Out | Source | None:
    level, link_id = here.level, here.socket.link
    if link_id is None:
        return None
    link = level.graph.links.get(link_id)
    if link is None:
        say("its link is not in the file")
        return None
    return _along(level, link, say)


def _along(level: Level, link: Link, say: Say) -> _In | _Out | Source | None:
    if link.origin == SUBGRAPH_INPUTS and isinstance(level.graph, Subgraph):
        return _out_of(level, level.graph, link, say)
    node = level.graph.nodes.get(link.origin)
    if node is None:
        say("its link comes from a node that is not in the file")
        return None
    return _Out(level, node, link.origin_slot)


def _out_of(level: Level, graph: Subgraph, link: Link, say: Say) -> _In | Source | None:
    """From inside a subgraph to what leads into the node that stands for it."""
    if not 0 <= link.origin_slot < len(graph.inputs) or level.above is None or level.host is None:
        say("its link comes from an input that the subgraph does not have")
        return None
    port = graph.inputs[link.origin_slot]
    outer = next((each for each in level.host.inputs if each.name == port.name), None)
    if outer is not None and outer.link is not None and outer.link in level.above.graph.links:
        return _In(level.above, level.host, outer)
    return Source(level.above, level.host, link.origin_slot, port)


def _from_output(here: _Out, for_type: str, say: Say) -> _In | _Out | Source | None:
    level, node = here.level, here.node
    if node.type == PRIMITIVE:  # it gives its value even when it is switched off
        return Source(level, node, here.slot)
    if node.mode == Mode.MUTED:
        return None
    if node.mode == Mode.BYPASSED:
        socket = _passes(sockets_of(level, node), here.slot, for_type)
        return None if socket is None else _In(level, node, socket)
    inner = level.below.get(node.id)
    if inner is not None and isinstance(inner.graph, Subgraph):
        link = inner.graph.arriving.get(here.slot)
        return None if link is None else _along(inner, link, say)
    if node.type in (REROUTE, SETTER):
        return _In(level, node, node.inputs[0]) if node.inputs else None
    if node.type == GETTER:
        return _named(level, node, say)
    if node.type in VIRTUAL:
        return None
    return Source(level, node, here.slot)


def _named(level: Level, node: Node, say: Say) -> _In | None:
    name = str(node.values[0]) if node.values else ""
    at: Level | None = level
    while at is not None:
        setter = at.setters.get(name)
        if setter is not None and setter.inputs:
            return _In(at, setter, setter.inputs[0])
        at = at.above
    say("it takes a value by name, and no SetNode gives that name")
    return None


def sockets_of(level: Level, node: Node) -> Sequence[Input]:
    """The inputs of a node as the editor shows them: in the order of its class, with those that the file leaves out."""
    subgraph = level.document.subgraphs.get(node.type)
    saved = {socket.name: socket for socket in node.inputs}
    if subgraph is not None:
        declared = {port.name: port.type for port in subgraph.inputs}
    elif (plan := level.plans.get(node.type)) is not None:
        declared = dict(_declared(values_of(node, plan).entries, saved))
    else:
        return node.inputs
    shown = [
        replace(saved[name], type=kind) if name in saved else Input(name, kind, None, None)
        for name, kind in declared.items()
    ]
    return [*shown, *(socket for name, socket in saved.items() if name not in declared)]


def _declared(
    entries: Sequence[Widget | Socket], saved: Mapping[str, Input]
) -> Iterator[tuple[str, str]]:
    for entry in sorted(entries, key=lambda each: isinstance(each, Widget)):  # sockets come first
        if isinstance(entry, Socket) and entry.grows:
            yield from ((name, saved[name].type) for name in entry.grows if name in saved)
        elif isinstance(entry, Socket):
            # what it takes may have been settled by what is linked to it
            yield entry.name, saved[entry.name].type if entry.name in saved else entry.type
        elif entry.sent and entry.config.get("socketless") is not True:
            yield entry.name, entry.type or entry.kind


def _passes(inputs: Sequence[Input], slot: int, wanted: str) -> Input | None:
    """What a bypassed node hands on: the input of the same place if it fits, else an equal one, else any that fits."""
    if 0 <= slot < len(inputs) and fits(inputs[slot].type, wanted):
        return inputs[slot]
    equal = next((each for each in inputs if each.type == wanted), None)
    return equal or next((each for each in inputs if fits(each.type, wanted)), None)


def fits(given: str, wanted: str) -> bool:
    """Whether the editor lets a value of one type into an input of another."""
    given, wanted = given.upper(), wanted.upper()
    if given == wanted or given in ("*", "") or wanted in ("*", ""):
        return True
    return bool({*given.split(",")} & {*wanted.split(",")})
