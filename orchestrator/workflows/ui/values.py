"""The saved values of a node, each under the name of its widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.workflows.ui.formats import Node
from orchestrator.workflows.ui.plan import Plan, Socket, Widget

PREVIEWS = frozenset({"IMAGECOMPARE"})  # show what came out; the server ignores their value
EMPTY = (None, "", False)  # what buttons and removed widgets leave behind


@dataclass(frozen=True, slots=True)
class Values:
    """What the widgets of a node hold, in their order. `entries` are the same widgets with the sockets between them.

    `doubts` says what of it the file does not tell for certain.
    """

    widgets: tuple[tuple[Widget, Any], ...]
    entries: tuple[Widget | Socket, ...]
    doubts: tuple[tuple[str, str], ...]  # input ("" for the node) and a sentence

    def sent(self) -> dict[str, Any]:
        """Input -> value, for the server."""
        return {
            widget.name: value
            for widget, value in self.widgets
            if widget.sent and (value is not None or _keeps_null(widget))
        }

    def all(self) -> dict[str, Any]:
        """Widget -> value, with those that the server never sees."""
        return {widget.name: value for widget, value in self.widgets}


def values_of(node: Node, plan: Plan) -> Values:
    """The values of a saved node: those saved by name first, else by their place."""
    reader = _Reader(node, plan)
    reader.read(plan.entries)
    reader.finish()
    return Values(tuple(reader.widgets), tuple(reader.entries), tuple(reader.doubts))


class _Reader:
    def __init__(self, node: Node, plan: Plan) -> None:
        self.named = node.named
        self.plan = plan
        self.values = _without_forced(node.values, plan.forced)
        self.at = 0
        self.widgets: list[tuple[Widget, Any]] = []
        self.entries: list[Widget | Socket] = []
        self.doubts: list[tuple[str, str]] = []

    def read(self, entries: Sequence[Widget | Socket]) -> None:
        for entry in entries:
            self.entries.append(entry)
            if isinstance(entry, Socket):
                continue
            value = self._next(entry)
            self.widgets.append((entry, value))
            if entry.branches is not None:
                self._branch(entry, value)

    def finish(self) -> None:
        """Take the values that any number of widgets may have, and judge what is left over."""
        if self.plan.rest is not None:
            for number, value in enumerate(self.values[self.at :] or [""], start=1):
                self.widgets.append((Widget(f"{self.plan.rest}{number}", "STRING"), value))
            self.at = len(self.values)
        left = [value for value in self.values[self.at :] if value not in EMPTY]
        if left and not self.named:
            self.doubts.append(
                ("", f"{len(left)} more values are saved than it has widgets: they are left out")
            )

    def _next(self, widget: Widget) -> Any:
        """The value of the next widget; where the file has none, or null, the editor shows the default."""
        by_place = self.values[self.at : self.at + 1]
        self.at += 1
        saved = (self.named[widget.name],) if widget.name in self.named else by_place
        if len(by_place) and saved[0] != by_place[0] and widget.sent:
            self.doubts.append(
                (widget.name, "its value by name is sent, and differs from the one by place")
            )
        if saved and (saved[0] is not None or _keeps_null(widget)):
            return saved[0]
        if widget.sent and widget.kind not in PREVIEWS and widget.default is not None:
            self.doubts.append((widget.name, "no value is saved for it: the default is sent"))
        return widget.default

    def _branch(self, widget: Widget, value: Any) -> None:
        branches = widget.branches or {}
        if isinstance(value, str) and value in branches:
            self.read(branches[value])
        else:
            self.doubts.append(
                (widget.name, "its saved choice is none of the server's: what follows is not known")
            )


def _keeps_null(widget: Widget) -> bool:
    """Numbers, switches and texts of one line do; longer texts and choices show something else instead."""
    is_line = widget.kind == "STRING" and widget.config.get("multiline") is not True
    return is_line or widget.kind in {"INT", "FLOAT", "BOOLEAN"}


def _without_forced(values: tuple[Any, ...], forced: tuple[bool, ...]) -> tuple[Any, ...]:
    """Values of an old file, without those of inputs that only a link can fill today."""
    if any(forced) and len(forced) == len(values):
        return tuple(v for v, gone in zip(values, forced, strict=True) if not gone)
    return values
