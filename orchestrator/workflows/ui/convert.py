"""A workflow in UI format as the API format that a server runs, as ComfyUI's own editor would send it.

What cannot be known for certain is converted as well as can be, with a warning on its node: no silent guesses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import WorkflowUnreadable
from orchestrator.workflows.declarations import mapping
from orchestrator.workflows.names import shown
from orchestrator.workflows.ui.choices import settled
from orchestrator.workflows.ui.formats import (
    MARK,
    MAX_NODES,
    Document,
    Format,
    Input,
    Mode,
    Node,
    Subgraph,
    format_of,
    read,
    text_id,
)
from orchestrator.workflows.ui.levels import (
    MAX_NESTED,
    PRIMITIVE,
    VIRTUAL,
    Level,
    Source,
    source_of,
)
from orchestrator.workflows.ui.plan import CONTROL, Plan, Plans
from orchestrator.workflows.ui.values import Values, values_of

CAPTURES = frozenset({"LOAD_3D", "WEBCAM", "AUDIO_RECORD"})  # made by the editor while it sends
HOST = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
GROUP = re.compile(r"workflow[>/]")  # nodes of the editor's old way to group


@dataclass(frozen=True, order=True)
class Warned:
    """Something that is not certain. `node` is its id in the prompt (`host:inner`), `input` "" for the whole node."""

    node: str
    input: str
    message: str

    def as_json(self) -> dict[str, str]:
        """As the command line prints it."""
        return {"node": self.node, "input": self.input, "message": self.message}


@dataclass(frozen=True)
class Conversion:
    """A workflow in API format, and what is not certain about it.

    `renamed`: where nodes stand in the document that had to run under another id.
    """

    prompt: dict[str, Any]
    warnings: tuple[Warned, ...]
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def place(self, node_id: str) -> tuple[str, ...]:
        """Where a node of the prompt stands in the document: the ids of the nodes to enter, then its own."""
        return self.renamed.get(node_id) or tuple(node_id.split(":"))


def convert(document: Mapping[str, Any], plans: Plans) -> Conversion:
    """A workflow, UI or API format, in API format; equal documents give equal prompts.

    Values are those of the document itself, not copies. Raises WorkflowUnreadable.
    """
    if format_of(document) is Format.API:
        return Conversion({str(key): node for key, node in document.items()}, ())
    return _Converter(read(document), plans).converted()


class _Converter:
    def __init__(self, document: Document, plans: Plans) -> None:
        self.plans = plans
        self.root = Level(document, plans, document.root)
        self.warnings: dict[Warned, None] = {}  # in order, each once
        self.values: dict[tuple[str, str], Values] = {}
        self.entered = 0  # subgraphs

    def converted(self) -> Conversion:
        emitted: dict[str, tuple[Level, Node]] = {}
        for level, node in self._running(self.root):
            emitted[level.execution_id(node)] = level, node
            if len(emitted) > MAX_NODES:
                raise WorkflowUnreadable(f"The workflow has more than {MAX_NODES:,} nodes")
        prompt = {
            node_id: self._node(level, node)
            for node_id, (level, node) in sorted(emitted.items(), key=_as_browsers_do)
        }
        for made in prompt.values():
            for name, value in [*made["inputs"].items()]:
                if isinstance(value, list) and value[0] not in prompt:
                    del made["inputs"][name]
        renamed = {
            node_id: place
            for node_id, (level, node) in emitted.items()
            if ":".join(place := (*level.place, node.id)) != node_id
        }
        return Conversion(prompt, tuple(self.warnings), renamed)

    def _running(self, level: Level) -> Iterator[tuple[Level, Node]]:
        """The nodes that are sent, of all levels."""
        for node in sorted(level.graph.nodes.values(), key=lambda each: each.order):
            if node.type in VIRTUAL:
                continue
            off = node.mode in (Mode.MUTED, Mode.BYPASSED)
            if node.type not in level.document.subgraphs:
                if not off:
                    yield level, node
            elif not off:
                yield from self._inside(level, node)
            elif level.above is not None:
                yield from self._idle(level, node)

    def _inside(self, level: Level, host: Node) -> Iterator[tuple[Level, Node]]:
        # a subgraph used twice in one used twice … may hold nothing, and never end
        self.entered += 1
        if self.entered > MAX_NODES:
            raise WorkflowUnreadable(f"The workflow uses subgraphs more than {MAX_NODES:,} times")
        if host.id in level.below:
            self._compare_host(level, host)
            yield from self._running(level.below[host.id])
        else:
            self._warn(level, host, "", f"subgraphs are nested deeper than {MAX_NESTED} levels")

    def _idle(self, level: Level, host: Node) -> Iterator[tuple[Level, Node]]:
        """Of a subgraph that is switched off inside another one, front end 1.45.20 sends the nodes all the same.

        They lead nowhere; but an output among them would run, against what the user said, so then we leave them out.
        """
        nodes = list(self._inside(level, host))
        plans = [self.plans.get(node.type) for _, node in nodes]
        if any(plan is None or plan.is_output for plan in plans):
            self._warn(
                level,
                host,
                "",
                "it is off, yet the editor would send what is in it, outputs too; left out here",
            )
        else:
            yield from nodes

    def _node(self, level: Level, node: Node) -> dict[str, Any]:
        plan = self.plans.get(node.type)
        inputs: dict[str, Any] = {}
        if plan is None:
            self._warn(level, node, "", _unknown(node))
            inputs |= {str(name): _wrapped(value) for name, value in node.named.items()}
        else:
            inputs |= self._widgets(level, node, plan)
        for socket in node.inputs:
            if socket.link is not None:
                self._link(level, node, socket, inputs)
        title = node.title or (plan.title if plan is not None else node.type)
        return {"inputs": inputs, "class_type": node.type, "_meta": {"title": title}}

    def _widgets(self, level: Level, node: Node, plan: Plan) -> dict[str, Any]:
        values = self._values(level, node, plan)
        linked = {socket.name for socket in node.inputs if socket.link is not None}
        for name, doubt in values.doubts:
            if name not in linked:
                self._warn(level, node, name, doubt)
        for widget, _ in values.widgets:
            if widget.kind in CAPTURES and widget.name not in linked:
                self._warn(level, node, widget.name, "only the editor in a browser can make it")
        literals = mapping(mapping(node.properties.get(MARK)).get("literals"))
        sent = values.sent() | {str(name): value for name, value in literals.items()}
        for widget, value in values.widgets:
            if widget.name not in linked and widget.config.get("dynamicPrompts") is True:
                sent[widget.name] = self._settled(level, node, widget.name, value)
        return {name: _wrapped(value) for name, value in sent.items()}

    def _settled(self, level: Level, node: Node, name: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text, chosen = settled(value)
        if chosen:
            self._warn(
                level,
                node,
                name,
                "of each {choice|of words} the first is sent; the editor draws one",
            )
        return text

    def _values(self, level: Level, node: Node, plan: Plan) -> Values:
        # a subgraph's node has the same values wherever the subgraph is used
        key = (level.graph.id if isinstance(level.graph, Subgraph) else "", node.id)
        if key not in self.values:
            self.values[key] = values_of(node, plan)
        return self.values[key]

    def _link(self, level: Level, node: Node, socket: Input, inputs: dict[str, Any]) -> None:
        name = socket.widget or socket.name
        source = source_of(level, node, socket, lambda m: self._warn(level, node, name, m))
        if source is None:
            return
        if source.port is not None:
            found = self._promoted(source)
            if found:
                inputs[name] = _wrapped(found[0])
                self._doubt_promoted(level, node, name, found[0])
        elif source.node.type == PRIMITIVE and not _is_direct(level, socket, source):
            # through a reroute or a subgraph's edge the editor shows the primitive's value, and sends this one
            self._warn(level, node, name, "the primitive does not reach it: its own value is sent")
        elif source.node.type == PRIMITIVE:
            if source.node.values:
                inputs[name] = _wrapped(source.node.values[0])
            else:
                self._warn(level, node, name, "the primitive it is linked to has no value")
        else:
            inputs[socket.name] = [source.level.execution_id(source.node), source.slot]

    def _doubt_promoted(self, level: Level, node: Node, name: str, value: Any) -> None:
        """A text shown on a subgraph's node was seen to be sent as it is; other editors draw its choices."""
        plan = self.plans.get(node.type)
        if plan is None or not isinstance(value, str) or settled(value)[0] == value:
            return
        for widget, _ in self._values(level, node, plan).widgets:
            if widget.name == name and widget.config.get("dynamicPrompts") is True:
                said = "it has braces or comments, and is sent as it is; some editors draw of them"
                self._warn(level, node, name, said)

    def _promoted(self, source: Source) -> tuple[Any] | None:
        """What a subgraph's socket holds that nothing leads into: what its host names, else the first widget inside."""
        level, host, port = source.level, source.node, source.port
        for _ in range(MAX_NESTED):
            if port is None:
                return None
            own = host.named.get(port.name)
            if own is not None:
                return (own,)
            inner = level.below.get(host.id)
            if inner is None:
                return None
            target = self._first_widget(inner, port)
            if target is None:
                return None
            node, socket = target
            if not isinstance(nested := level.document.subgraphs.get(node.type), Subgraph):
                return self._inner_value(inner, node.id, socket.widget or socket.name)
            level, host = inner, node
            port = next((each for each in nested.inputs if each.name == socket.name), None)
        return None

    def _compare_host(self, level: Level, host: Node) -> None:
        """Warn of values saved with a subgraph's node: front end 1.45 sends those inside, 1.58 these, even null."""
        shown_here = host.properties.get("proxyWidgets")
        for entry, outer in zip(
            shown_here if isinstance(shown_here, list) else [], host.values, strict=False
        ):
            if not isinstance(entry, list) or len(entry) < 2 or entry[1] == CONTROL:
                continue
            name = str(entry[1])
            found = self._shown(level, host, text_id(entry[0]), name)
            if found is not None and found[0] != outer:
                what = "no value" if outer is None else "another value than inside"
                said = f"{what} is saved here; that of the widget inside is sent; editors differ"
                self._warn(level, host, name, said)

    def _shown(self, level: Level, host: Node, ref: str | None, name: str) -> tuple[Any] | None:
        """The value inside that a widget of a subgraph's node stands for; None where something is linked to it."""
        if ref != "-1":
            return self._inner_value(level.below[host.id], ref, name)
        ports = level.document.subgraphs[host.type].inputs
        port = next((each for each in ports if each.name == name), None)
        if port is None or any(each.name == name and each.link is not None for each in host.inputs):
            return None
        return self._promoted(Source(level, host, port=port))

    def _inner_value(self, inner: Level, node_id: str | None, name: str) -> tuple[Any] | None:
        node = None if node_id is None else inner.graph.nodes.get(node_id)
        plan = None if node is None else self.plans.get(node.type)
        if node is None or plan is None:
            return None
        values = self._values(inner, node, plan).all()
        return (values[name],) if name in values else None

    def _first_widget(self, inner: Level, port: Input) -> tuple[Node, Input] | None:
        for link_id in port.links:
            link = inner.graph.links.get(link_id)
            node = None if link is None else inner.graph.nodes.get(link.target)
            for socket in node.inputs if node is not None else ():
                if node is not None and socket.link == link_id and socket.widget is not None:
                    return node, socket
        return None

    def _warn(self, level: Level, node: Node, name: str, message: str) -> None:
        self.warnings[Warned(level.execution_id(node), name, message)] = None


def _is_direct(level: Level, socket: Input, source: Source) -> bool:
    link = level.graph.links.get(socket.link or "")
    return source.level is level and link is not None and link.origin == source.node.id


def _unknown(node: Node) -> str:
    kind = shown(node.type)
    if HOST.fullmatch(node.type):
        return f"the file has no definition of the subgraph {kind}"
    if GROUP.match(node.type):
        return f"{kind} is a group node of an old editor, whose values newer ones mix up: ungroup it there"
    return f"the server has no node {kind}: its values cannot be named"


def _wrapped(value: Any) -> Any:
    """A value as it is sent: lists wrapped, for bare ones are links; whole numbers as JavaScript writes them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return {"__value__": value} if isinstance(value, list) else value


def _as_browsers_do(entry: tuple[str, Any]) -> tuple[bool, int]:
    """Keys of a JavaScript object: whole numbers first, in their order."""
    key = entry[0]
    is_number = key.isascii() and key.isdecimal() and len(key) < 10 and str(int(key)) == key
    return not is_number, int(key) if is_number else 0
