"""The gates of the Builder's page: every template is opened by the real bundle in headless Chromium.

Nothing stands between the page and the kernel's own `Document` but a model that hands their messages to and fro.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "server"))
from browser import chromium

from orchestrator.errors import OrchestratorError
from orchestrator.widgets.builder import bundle
from orchestrator.widgets.builder.document import Document
from orchestrator.widgets.view import static
from orchestrator.workflows.ui.plan import Widget

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from orchestrator.workflows.ui import Plans

ADDRESS = "http://builder.test"
WINDOW = {"width": 1440, "height": 900}
OPEN_MS = 100.0  # the median template, of the page's own time: how long all takes is the machine's affair, too
TYPED = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN"})
EDITED = 3  # nodes that are tried until one has a field to type in
HTML = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/builder.css">
<style>body { margin: 0 } #here { height: 880px }</style><div id="here"></div>"""

SCRIPT = Path(__file__).with_name("page.js").read_text("utf-8")


@dataclass
class Opened:
    """What was seen of each template, by its name."""

    templates: int = 0
    levels: int = 0
    nodes: int = 0
    links: int = 0
    loose: int = 0
    milliseconds: list[float] = field(default_factory=list)
    own_ms: list[float] = field(default_factory=list)  # in which the page was at work for it
    undrawn: dict[str, list[str]] = field(default_factory=dict)
    thrown: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)  # an edit and undo did not give the file
    moved: int = 0
    typed: int = 0
    unreachable: list[str] = field(default_factory=list)  # subgraphs that nothing stands for

    @property
    def holds(self) -> bool:
        """Whether every gate holds; that of time is for whoever knows the machine."""
        return not (self.undrawn or self.thrown or self.changed) and self.moved == self.templates


@dataclass(frozen=True)
class LevelSeen:
    """What is to be seen of one level of a document."""

    path: tuple[str, ...]
    nodes: frozenset[str]
    links: frozenset[str]
    loose: int  # links to or from nodes that are not in the file
    groups: int


def levels_of(document: Mapping[str, Any]) -> tuple[list[LevelSeen], list[str]]:
    """The root and every subgraph, each once with a way into it; and the subgraphs without one.

    Read from the JSON alone, by nothing of ours.
    """
    definitions = {
        each["id"]: each for each in (document.get("definitions") or {}).get("subgraphs") or []
    }
    found = [_level((), document, is_root=True)]
    ways: dict[str, tuple[str, ...]] = {}
    waiting: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [((), document)]
    while waiting:
        path, graph = waiting.pop(0)
        for node in graph["nodes"]:
            kind = node["type"]
            if kind in definitions and kind not in ways:
                ways[kind] = (*path, str(node["id"]))
                found.append(_level(ways[kind], definitions[kind], is_root=False))
                waiting.append((ways[kind], definitions[kind]))
    return found, sorted(definitions.keys() - ways.keys())


def _level(path: tuple[str, ...], graph: Mapping[str, Any], *, is_root: bool) -> LevelSeen:
    nodes = frozenset() if is_root else frozenset({"-10", "-20"})
    nodes |= {str(node["id"]) for node in graph["nodes"]}
    links = [
        (each[0], each[1], each[3])
        if isinstance(each, list)
        else (each["id"], each["origin_id"], each["target_id"])
        for each in graph.get("links") or []
    ]
    drawable = {f"link:{each}" for each, *ends in links if {*map(str, ends)} <= nodes}
    groups = len(graph.get("groups") or [])
    return LevelSeen(path, nodes, frozenset(drawable), len(links) - len(drawable), groups)


class Kernel:
    """The kernel's side of one document: changes and undo, as `Builder` answers them."""

    def __init__(self) -> None:
        self.document = Document("{}")
        self.refused: list[str] = []

    def open(self, text: str) -> dict[str, Any]:
        """A document to show. Returns the message for the page."""
        self.document = Document(text, name="template", data=text.encode())
        return self._told(keep=False)

    def answer(self, said: str) -> str:
        """What the page hears when it asks for a change."""
        message = json.loads(said)
        try:
            if message["action"] == "edit":
                self.document.change(message["ops"], base=message["base"], kind=message["kind"])
                figures = self._figures()
                told = {"kind": "edited", "by": message["page"], "serial": message["serial"]}
                return json.dumps([told | {"ops": message["ops"]} | figures])
            self.document.undo(base=message["base"])
        except OrchestratorError as error:
            self.refused.append(error.message)
            return "[]"
        return json.dumps([self._told(keep=True)])

    def _told(self, *, keep: bool) -> dict[str, Any]:
        told = {"kind": "document", "to": "", "why": "", "keep": keep, "text": self.document.text}
        return told | self._figures()

    def _figures(self) -> dict[str, Any]:
        return {
            "revision": self.document.revision,
            "name": "template",
            "saved": True,
            "undo": self.document.can_undo,
            "redo": self.document.can_redo,
        }


@contextmanager
def editor(plans: Plans, kernel: Kernel, profile: Path, thrown: list[str]) -> Iterator[Page]:
    """A page with the editor in it. What its scripts throw is added to `thrown`."""
    files = {
        "/": ("text/html", HTML),
        "/builder.js": ("text/javascript", bundle.script()),
        "/builder.css": ("text/css", static("lab.css") + bundle.style()),
    }

    def serve(route: Route) -> None:
        kind, body = files.get(route.request.url.removeprefix(ADDRESS), ("text/plain", ""))
        route.fulfill(status=200 if body else 404, content_type=kind, body=body)

    with chromium(profile, viewport=WINDOW) as context:
        page = context.new_page()
        page.route("**/*", serve)
        page.on("pageerror", lambda error: thrown.append(str(error)[:300]))
        page.on(
            "console",
            lambda said: thrown.append(said.text[:300]) if said.type == "error" else None,
        )
        page.expose_function("kernel", kernel.answer)
        page.goto(f"{ADDRESS}/")
        page.evaluate(SCRIPT)
        told = {"kind": "plans", "plans": plans.as_json(), "live": True, "address": "", "host": ""}
        page.evaluate("told => window.gate.say(told)", told)
        yield page


def _clock(page: Page) -> Callable[[], float]:
    """The page's own time in milliseconds: that of its main thread, which other programs do not lengthen."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def now() -> float:
        figures = session.send("Performance.getMetrics")["metrics"]
        return next(each["value"] * 1_000 for each in figures if each["name"] == "TaskDuration")

    return now


def measure(files: Sequence[Path], plans: Plans, *, progress: bool = False) -> Opened:
    """Open every template, enter every level of it, change it and take that back."""
    found = Opened()
    kernel = Kernel()
    thrown: list[str] = []
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        editor(plans, kernel, Path(profile), thrown) as page,
    ):
        clock = _clock(page)
        for file in files:
            text = file.read_bytes().decode()
            document = json.loads(text)
            if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
                continue  # an index beside them
            found.templates += 1
            _one(page, clock, kernel, file.stem, text, document, plans, found)
            if thrown:
                found.thrown[file.stem] = [*thrown]
                thrown.clear()
            if progress and found.templates % 50 == 0:
                bad = sorted(found.undrawn.keys() | found.thrown.keys() | found.changed.keys())
                print(f"  {found.templates} opened; not as they should be: {bad}", flush=True)
    return found


def _one(
    page: Page,
    clock: Callable[[], float],
    kernel: Kernel,
    name: str,
    text: str,
    document: dict[str, Any],
    plans: Plans,
    found: Opened,
) -> None:
    levels, lost = levels_of(document)
    found.unreachable += [f"{name}: {each}" for each in lost]
    faults: list[str] = []
    for level in levels:
        expected = {"nodes": len(level.nodes), "links": len(level.links)}
        if level.path:
            call, given = "([p, e]) => window.gate.enter(p, e)", [list(level.path), expected]
        else:
            call, given = "([d, e]) => window.gate.open(d, e)", [kernel.open(text), expected]
        before = clock()
        seen = page.evaluate(call, given)
        if "ms" in seen:
            found.milliseconds.append(seen["ms"])
            found.own_ms.append(clock() - before)
        faults += [f"{'/'.join(level.path)} {each}" for each in undrawn(level, seen)]
        found.levels += 1
        found.nodes += len(level.nodes)
        found.links += len(level.links)
        found.loose += level.loose
    if faults:
        found.undrawn[name] = faults
    page.evaluate("() => window.gate.top()")
    _edit(page, kernel, name, text, document, plans, found)


def undrawn(level: LevelSeen, seen: Mapping[str, Any]) -> Iterator[str]:
    """What of a level is not drawn, or drawn though it is not there, in sentences."""
    if "missing" in seen:
        yield f"node {seen['missing']} cannot be entered"
        return
    for what, wanted in (("nodes", level.nodes), ("links", level.links)):
        here = set(seen[what])
        if missing := sorted(wanted - here):
            yield f"{len(missing)} of {len(wanted)} {what} are missing: {missing[:5]}"
        if extra := sorted(here - wanted):
            yield f"{what} are drawn that are not in the file: {extra[:5]}"
    if seen["groups"] != level.groups:
        yield f"{seen['groups']} of {level.groups} groups are drawn"


def _edit(
    page: Page,
    kernel: Kernel,
    name: str,
    text: str,
    document: dict[str, Any],
    plans: Plans,
    found: Opened,
) -> None:
    nodes = document["nodes"]
    if not nodes:
        found.moved += 1
        return
    page.evaluate("id => window.gate.move(id)", str(nodes[0]["id"]))
    now = json.loads(kernel.document.text)
    for each, was in zip(now["nodes"], nodes, strict=False):
        if each["id"] == nodes[0]["id"]:
            found.moved += each["pos"] != was["pos"]
            each["pos"] = was["pos"]
    if now != document:
        found.changed[name] = "moving a node changed more than its place"
    _back(page, kernel, name, text, found, "a node was moved")
    for node_id in list(_with_fields(nodes, plans))[:EDITED]:
        page.evaluate("id => window.gate.type(id)", node_id)
        if kernel.document.text != text:
            found.typed += 1
            break
    _back(page, kernel, name, text, found, "a value was typed")
    if kernel.refused:
        found.changed[name] = f"refused: {kernel.refused}"
        kernel.refused.clear()


def _with_fields(nodes: Sequence[Mapping[str, Any]], plans: Plans) -> Iterator[str]:
    """Ids of nodes that something can be typed into, or switched."""
    for node in nodes:
        plan = plans.get(node["type"])
        linked = {each["name"] for each in node.get("inputs") or [] if each.get("link") is not None}
        if plan is not None and any(
            isinstance(each, Widget) and each.kind in TYPED and each.name not in linked
            for each in plan.entries
        ):
            yield str(node["id"])


def _back(page: Page, kernel: Kernel, name: str, text: str, found: Opened, what: str) -> None:
    if kernel.document.text == text:
        return
    page.evaluate("() => window.gate.back()")
    if kernel.document.text != text or kernel.document.data() != text.encode():
        found.changed[name] = f"undo did not give the file, after {what}"


def report(found: Opened) -> bool:
    """Print what was found. Whether every gate holds."""
    print(
        f"{found.templates} templates opened: {found.levels} levels, {found.nodes} nodes, "
        f"{found.links} links; {found.loose} links more lead to nodes that are not in their files"
    )
    for name, lines in [*found.undrawn.items(), *found.thrown.items()]:
        print(f"  {name}: {'; '.join(lines)[:300]}")
    for name, line in found.changed.items():
        print(f"  {name}: {line}")
    if found.unreachable:
        print(f"  subgraphs that no node stands for: {len(found.unreachable)}")
    for what, times in (("all in all", found.milliseconds), ("of the page's own", found.own_ms)):
        ordered = sorted(times)
        p95 = ordered[int(len(ordered) * 0.95)]
        print(
            f"a template opens in {statistics.median(ordered):.0f} ms (median), {p95:.0f} ms "
            f"(p95), {ordered[-1]:.0f} ms (most), {what}"
        )
    print(f"moved and taken back: {found.moved}; typed and taken back: {found.typed}")
    return found.holds and statistics.median(found.own_ms) <= OPEN_MS
