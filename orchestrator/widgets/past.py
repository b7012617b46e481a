"""The last day of the lab's services, from the lines that the guardian writes: for a table and for plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from orchestrator.health.history import SERVICES
from orchestrator.widgets.services import TITLES

DAY = timedelta(days=1)
STRIP = 96  # stretches of a quarter of an hour, in which a service was up, down, or both
SAME = 0.01  # two looks at the memory of one process within a report differ by less
POINTS = 288  # of a plot: one for five minutes
RANK = {"running": "up", "stopped": "down"}
Line = Mapping[str, Any]


def past(lines: Sequence[Line], *, now: datetime) -> dict[str, Any]:
    """The lines of a day, oldest first, as a page shows them; empty when there are none.

    `services`: each with its `title`, `up` (the share of the looks at which it ran), `falls` (how often it went from
    running to stopped) and its `strip`, a letter for each stretch: u up, d down, m both, - nobody looked. `plots`:
    `at`, the end of each stretch that somebody looked in; `memory`, the most of each service then, in bytes; `waiting`,
    the age of the oldest waiting job then, in seconds.
    """
    begin = now - DAY
    seen = [
        (at, line) for line in lines if begin <= (at := _at(line)) <= now + timedelta(minutes=5)
    ]
    if not seen:
        return {}
    rows = [_service(name, seen, begin) for name in SERVICES]
    return {
        "since": seen[0][0].isoformat(),
        "looks": len(seen),
        "services": [row for row in rows if row is not None],
        "plots": _series(seen, begin),
    }


def _service(
    name: str, seen: Sequence[tuple[datetime, Line]], begin: datetime
) -> dict[str, Any] | None:
    said = [(at, RANK.get(str(_part(line, "services").get(name)))) for at, line in seen]
    known = [(at, state) for at, state in said if state is not None]
    if not known:
        return None  # not needed, as the engine of a lab with a ComfyUI
    stretches: list[set[str]] = [set() for _ in range(STRIP)]
    for at, state in known:
        stretches[_place(at, begin, STRIP)].add(state)
    states = [state for _, state in known]
    falls = sum(a == "up" and b == "down" for a, b in pairwise(states))
    return {
        "name": name,
        "title": TITLES[name],
        "up": states.count("up") / len(states),
        "falls": falls,
        "strip": "".join(_letter(each) for each in stretches),
    }


def _letter(states: set[str]) -> str:
    return "-" if not states else "m" if len(states) > 1 else "u" if "up" in states else "d"


def _series(seen: Sequence[tuple[datetime, Line]], begin: datetime) -> dict[str, Any]:
    places: dict[int, list[Line]] = {}
    for at, line in seen:
        places.setdefault(_place(at, begin, POINTS), []).append(line)
    numbers = sorted(places)
    memory: dict[str, list[float | None]] = {}
    for name in SERVICES:
        values = [_most(_part(line, "memory").get(name) for line in places[n]) for n in numbers]
        if any(value is not None for value in values):
            # some services live in one process: `up` has the panel and the guardian in its own
            twin = next((title for title, other in memory.items() if _is_same(other, values)), None)
            if twin is None:
                memory[TITLES[name]] = values
            else:
                memory[f"{twin}, {TITLES[name]}"] = memory.pop(twin)
    return {
        "at": [(begin + (n + 1) * DAY / POINTS).isoformat() for n in numbers],
        "memory": memory,
        "waiting": [
            _most(line.get("oldestWaitingS") or 0.0 for line in places[n]) for n in numbers
        ],
    }


def _is_same(one: Sequence[float | None], other: Sequence[float | None]) -> bool:
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return bool(pairs) and all(abs(a - b) < SAME * a for a, b in pairs)


def _place(at: datetime, begin: datetime, places: int) -> int:
    return min(places - 1, max(0, int((at - begin) / DAY * places)))


def _most(values: Any) -> float | None:
    return max((value for value in values if isinstance(value, int | float)), default=None)


def _part(line: Line, name: str) -> Mapping[str, Any]:
    part = line.get(name)
    return part if isinstance(part, dict) else {}


def _at(line: Line) -> datetime:
    return datetime.fromisoformat(str(line["at"]))


def memory_in_words(plots: Mapping[str, Any]) -> str:
    """The plot of the memory, for who cannot see it."""
    most = {
        name: max(v for v in values if v is not None) for name, values in plots["memory"].items()
    }
    said = "; ".join(f"{name} {value / 1e6:.0f} MB" for name, value in most.items())
    return f"Memory of the services over the last day; at most: {said or 'none is known'}."


def waiting_in_words(plots: Mapping[str, Any]) -> str:
    """The plot of the queue's age, for who cannot see it."""
    longest = max(plots["waiting"], default=0.0) or 0.0
    return f"How long the oldest waiting job had waited over the last day: at most {longest:.0f} s."
