"""What the events of a search come to: the newest version of each part, in the order of their ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.parts.values import Event, Part


def fold_data(events: Iterable[Event]) -> list[Mapping[str, Any]]:
    """The parts as JSON. Events may be missing, doubled or out of order, as after a lost connection."""
    newest: dict[str, Mapping[str, Any]] = {}
    for event in events:
        if event.name == "part:upsert":
            known = newest.get(event.data["key"])
            if known is None or event.data["version"] > known["version"]:
                newest[event.data["key"]] = event.data
    return [data["part"] for data in sorted(newest.values(), key=lambda data: data["rank"])]


def fold(events: Iterable[Event]) -> list[Part]:
    """The parts that the events of a search (not a public one) come to; the same as in its `result`."""
    return [Part.model_validate(data) for data in fold_data(events)]
