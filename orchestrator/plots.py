"""Plots of the lab's statistics, as SVG.

`python -m orchestrator.plots` reads JSON from standard input and writes JSON to standard output, because matplotlib
takes half a second and 40 MB: a process that ends with the drawing spares a page's kernel both.
"""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from orchestrator.errors import PlotsFailed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATIENCE_S = 60.0  # the first drawing on a machine makes matplotlib look for its fonts
WIDE, HIGH = 5.2, 2.6  # inches; the page scales it: wider, and nobody could read it on a phone
GAP_S = 900.0  # without a look, after which a line is broken
MAX_LABEL = 20  # characters of a backend in the legend
STACK = ("done", "failed", "cancelled", "running", "waiting")  # from the bottom
# the colours of the pages, server/share/…/frame.css
LIGHT = {
    "ink": "#15181e",
    "muted": "#59616e",
    "line": "#dfe3e9",
    "done": "#0b7445",
    "failed": "#b3261e",
    "cancelled": "#8a93a1",
    "running": "#1d55c9",
    "waiting": "#835600",
    "line 1": "#4338ca",
    "line 2": "#0e7490",
    "line 3": "#b3530b",
    "line 4": "#a21caf",
    "line 5": "#4d5561",
}
DARK = {
    "ink": "#e9edf2",
    "muted": "#9da8b7",
    "line": "#2b333e",
    "done": "#52d596",
    "failed": "#ff8d83",
    "cancelled": "#6b7686",
    "running": "#82b6ff",
    "waiting": "#e8bf6a",
    "line 1": "#a9a4ff",
    "line 2": "#5fd4f0",
    "line 3": "#ffb067",
    "line 4": "#f0a3ff",
    "line 5": "#b4bdc9",
}
# of the backends' lines; each is told by its marker too, not by its colour alone
LINES = ("line 1", "line 2", "line 3", "line 4", "line 5")
MARKERS = "osD^v"


def draw(
    statistics: Mapping[str, Any],
    *,
    zone: str,
    cache: Path,
    past: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, bytes]]:
    """The plots `jobs` and `durations`, each in `light` and `dark`, drawn in a process of its own; with a `past`
    also `memory` and `waiting`.

    `statistics` as `Statistics` writes itself in JSON; without jobs, only the past is drawn. `past`: `at`, moments;
    `memory`, the bytes of each service at each; `waiting`, the age of the oldest waiting job in seconds. None where
    nothing is known. matplotlib keeps its list of fonts in `cache`. Blocks for a second or two. Raises PlotsFailed.
    """
    asked: dict[str, Any] = {"zone": zone, "past": past or None}
    if statistics["total"]:
        asked |= {"step_s": statistics["stepS"], "buckets": statistics["buckets"]}
        asked["targets"] = {
            each["backend"]: each["targetS"] for each in statistics["backends"] if each["targetS"]
        }
    environment = {"MPLCONFIGDIR": str(cache), **os.environ, "MPLBACKEND": "svg"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator.plots"],
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=PATIENCE_S,
            env=environment,
            check=True,
        )
        drawn = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise PlotsFailed("".join(last) or f"exit code {error.returncode}") from error
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise PlotsFailed(str(error)) from error
    return {
        name: {theme: svg.encode() for theme, svg in themes.items()}
        for name, themes in drawn.items()
    }


def drawings(asked: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What the process answers: the name of each plot, of each theme, and the SVG."""
    import matplotlib as mpl

    mpl.rcParams.update({
        "svg.fonttype": "none",  # text stays text, in the font of the page's reader
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 8.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "orchestrator",
        "text.parse_math": False,  # the name of a backend is not a formula
    })  # fmt: skip
    zone = ZoneInfo(asked["zone"])
    light: dict[str, str] = {}
    if asked.get("buckets"):
        times = partial(_label_buckets, asked=asked, zone=zone)
        light |= {"jobs": _svg(_jobs, asked, times), "durations": _svg(_durations, asked, times)}
    if past := asked.get("past"):
        times = partial(_label_day, past=past, zone=zone)
        light |= {"memory": _svg(_memory, past, times), "waiting": _svg(_waiting, past, times)}
    return {name: {"light": svg, "dark": _darkened(svg)} for name, svg in light.items()}


def _darkened(svg: str) -> str:
    """The same drawing in the colours of the dark theme: drawing it again would take half a second more."""
    for name, colour in LIGHT.items():
        svg = svg.replace(colour, DARK[name])
    return svg


def _svg(paint: Any, asked: Mapping[str, Any], label_times: Callable[[Axes], None]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDE, HIGH), layout="constrained")
    axes = figure.add_subplot()
    paint(axes, asked)
    axes.tick_params(colors=LIGHT["muted"], length=0)
    axes.grid(axis="y", color=LIGHT["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LIGHT["line"])
    label_times(axes)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc="outside upper left",
            ncols=5 if all(len(label) < 10 for label in labels) else 3,
            frameon=False,
            labelcolor=LIGHT["ink"],
            handlelength=1.2,
            columnspacing=1.4,
        )
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()


def _jobs(axes: Axes, asked: Mapping[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    buckets: Sequence[Mapping[str, Any]] = asked["buckets"]
    below = [0] * len(buckets)
    for status in STACK:
        names = ("created", "queued") if status == "waiting" else (status,)
        heights = [sum(bucket["counts"].get(name, 0) for name in names) for bucket in buckets]
        if any(heights):
            axes.bar(
                range(len(buckets)), heights, bottom=below, width=0.82, label=status,
                color=LIGHT[status],
            )  # fmt: skip
            below = [low + high for low, high in zip(below, heights, strict=True)]
    axes.set_ylim(0, max(1, *below) * 1.08)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_ylabel("jobs", color=LIGHT["muted"])


def _durations(axes: Axes, asked: Mapping[str, Any]) -> None:
    buckets: Sequence[Mapping[str, Any]] = asked["buckets"]
    totals: dict[str, int] = {}
    for bucket in buckets:
        for backend in bucket["mediansS"]:
            totals[backend] = totals.get(backend, 0) + 1
    shown = sorted(totals, key=lambda name: (-totals[name], name))[: len(MARKERS)]
    for number, backend in enumerate(shown):
        points = [
            (place, bucket["mediansS"][backend])
            for place, bucket in enumerate(buckets)
            if backend in bucket["mediansS"]
        ]
        colour = LIGHT[LINES[number]]
        axes.plot(
            *zip(*points, strict=True), color=colour, marker=MARKERS[number], markersize=4, linewidth=1.4,
            # a leading underscore would hide the line from the legend
            label=backend.lstrip("_")[:MAX_LABEL] or "?",
        )  # fmt: skip
        if target := asked["targets"].get(backend):
            axes.axhline(target, color=colour, linewidth=1, linestyle=(0, (4, 3)), alpha=0.8)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("seconds, median", color=LIGHT["muted"])


def _memory(axes: Axes, past: Mapping[str, Any]) -> None:
    for number, (title, values) in enumerate(list(past["memory"].items())[: len(LINES)]):
        _past_line(axes, past, [v and v / 1e6 for v in values], LIGHT[LINES[number]], title)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("MB", color=LIGHT["muted"])


def _waiting(axes: Axes, past: Mapping[str, Any]) -> None:
    minutes = [v and v / 60 for v in past["waiting"]]
    _past_line(axes, past, minutes, LIGHT["waiting"])
    axes.set_ylim(0, max(1.0, *(1.08 * (v or 0) for v in minutes)))
    axes.set_ylabel("minutes", color=LIGHT["muted"])


def _past_line(
    axes: Axes,
    past: Mapping[str, Any],
    values: Sequence[float | None],
    colour: str,
    title: str | None = None,
) -> None:
    """A line that is broken where nobody looked for a while."""
    places: list[float] = []
    heights: list[float] = []
    for at, value in zip(past["at"], values, strict=True):
        place = datetime.fromisoformat(at).timestamp()
        if places and place - places[-1] > GAP_S:
            places.append(place)
            heights.append(math.nan)
        places.append(place)
        heights.append(math.nan if value is None else value)
    axes.plot(places, heights, color=colour, linewidth=1.4, label=title, marker="o", markersize=1.8)


def _label_day(axes: Axes, *, past: Mapping[str, Any], zone: tzinfo) -> None:
    """The 24 hours until the newest look, every fourth full hour of the reader's clock with its time."""
    end = datetime.fromisoformat(past["at"][-1]).astimezone(zone)
    hour = end.replace(minute=0, second=0, microsecond=0)
    ticks = [hour - timedelta(hours=h) for h in range(25) if (hour.hour - h) % 4 == 0]
    first = end - timedelta(days=1)
    shown = [at for at in ticks if at >= first]
    axes.set_xticks([at.timestamp() for at in shown], [f"{at:%H:%M}" for at in shown])
    axes.set_xlim(first.timestamp(), end.timestamp() + 300)


def _label_buckets(axes: Axes, *, asked: Mapping[str, Any], zone: tzinfo) -> None:
    starts = [
        datetime.fromisoformat(bucket["start"]).astimezone(zone) for bucket in asked["buckets"]
    ]
    every = max(1, -(-len(starts) // 8))
    places = list(range(len(starts)))[::-1][::every][::-1]  # the newest has one
    form = "%H:%M" if asked["step_s"] < 6 * 3600 else "%d %b"
    axes.set_xticks(places, [starts[place].strftime(form) for place in places])
    axes.set_xlim(-0.7, len(starts) - 0.3)


def main() -> None:
    """Answer one request."""
    sys.stdout.write(json.dumps(drawings(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
