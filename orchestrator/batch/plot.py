"""A measure of a batch along one of its axes, drawn. matplotlib is imported when something is drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import RequestInvalid
from orchestrator.files import write_whole
from orchestrator.plots import LIGHT, LINES, MARKERS

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, HIGH, DPI = 7.0, 3.6, 120  # inches, pixels an inch
MAX_LABEL = 24  # characters
UNITS = {
    "sharpness": "variance of the Laplacian",
    "entropy": "bits",
    "colourfulness": "Hasler & Süsstrunk",
    "distance": "bits of 64, from the first picture",
    "seconds": "s",
    "cost": "US dollars",
}


class Plot:
    """A drawing; shown in a cell, or saved."""

    def __init__(self, figure: Figure, title: str) -> None:
        self.figure = figure
        self.title = title

    def png(self) -> bytes:
        """The drawing as PNG."""
        out = io.BytesIO()
        self.figure.savefig(out, format="png", dpi=DPI, facecolor="white")
        return out.getvalue()

    def save(self, path: Path | str) -> Path:
        """Write it as PNG. Raises OSError."""
        file = Path(path)
        write_whole(file, self.png(), durable=False)
        return file

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"image/png": self.png(), "text/plain": f"Plot({self.title!r})"}


def drawn(frame: pandas.DataFrame, measure: str, *, x: str, by: str | None, title: str) -> Plot:
    """Every job's value as a dot and the medians as a line; with `by` a line for each value of that axis.

    Raises RequestInvalid for a column that is not there or holds no numbers.
    """
    import pandas
    from matplotlib.figure import Figure

    for name in filter(None, (measure, x, by)):
        if name not in frame.columns:
            raise RequestInvalid(
                f"The batch has no column {name[:80]!r}",
                remedy=f"Choose one of: {', '.join(map(str, frame.columns))}.",
            )
    values = pandas.to_numeric(frame[measure], errors="coerce")
    if len(frame) and frame[measure].notna().any() and not values.notna().any():
        raise RequestInvalid(
            f"{measure!r} is not a number", remedy=f"Choose one of: {', '.join(UNITS)}."
        )
    places, labels = _places(frame[x].tolist())
    figure = Figure(figsize=(WIDE, HIGH), layout="constrained")
    axes = figure.add_subplot()
    groups = [None] if by is None else list(dict.fromkeys(map(str, frame[by])))[: len(LINES)]
    for number, group in enumerate(groups):
        chosen = [group is None or str(each) == group for each in (frame[by] if by else places)]
        _line(axes, places, values.tolist(), chosen, number, label=_short(by, group))
    if labels is not None:
        axes.set_xticks(range(len(labels)), labels, rotation=0 if len(labels) < 8 else 30)
    if not values.notna().any():
        axes.text(0.5, 0.5, "no pictures yet", transform=axes.transAxes, ha="center")
    _dress(axes, measure, x, title, has_legend=by is not None)
    return Plot(figure, title)


def _line(
    axes: Axes,
    places: Sequence[float],
    values: Sequence[float],
    chosen: Sequence[bool],
    number: int,
    *,
    label: str,
) -> None:
    import statistics

    points: dict[float, list[float]] = {}
    for place, value, is_chosen in zip(places, values, chosen, strict=True):
        if is_chosen and value == value:  # nan is not itself
            points.setdefault(place, []).append(value)
    colour, marker = LIGHT[LINES[number]], MARKERS[number]
    every = [(place, value) for place, group in points.items() for value in group]
    across, up = [place for place, _ in every], [value for _, value in every]
    axes.scatter(across, up, s=14, color=colour, alpha=0.35, linewidths=0)
    middle = sorted((place, statistics.median(group)) for place, group in points.items())
    if middle:
        axes.plot(
            *zip(*middle, strict=True), color=colour, marker=marker, markersize=5, linewidth=1.6,
            label=label,
        )  # fmt: skip


def _places(values: Sequence[Any]) -> tuple[list[float], list[str] | None]:
    """Where each value stands: as a number where all are, else side by side in their order, with labels."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return [float(value) for value in values], None
    known = list(dict.fromkeys(str(value) for value in values))
    labels = [_cut(value) for value in known]
    return [float(known.index(str(value))) for value in values], labels


def _dress(axes: Axes, measure: str, x: str, title: str, *, has_legend: bool) -> None:
    unit = UNITS.get(measure)
    # names come from files and pages: none of it is a formula
    said: dict[str, Any] = {"parse_math": False, "color": LIGHT["ink"]}
    axes.set_xlabel(_cut(x), **said)
    axes.set_ylabel(f"{measure}, {unit}" if unit else _cut(measure), **said)
    axes.set_title(title, fontsize=10, loc="left", **said)
    axes.tick_params(colors=LIGHT["muted"], length=0)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    axes.grid(axis="y", color=LIGHT["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if has_legend and axes.get_legend_handles_labels()[0]:
        legend = axes.legend(frameon=False, fontsize=8.5)
        for text in legend.get_texts():
            text.set_parse_math(False)


def _short(by: str | None, group: str | None) -> str:
    # a leading underscore would hide the line from the legend
    return "median" if group is None else f"{by} {_cut(group)}".lstrip("_")


def _cut(text: str) -> str:
    said = " ".join(text.split())
    return said if len(said) <= MAX_LABEL else said[: MAX_LABEL - 1] + "…"
