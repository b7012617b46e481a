"""What became of a period's jobs: how many, how well, how long, how dear, and why some failed. For notebooks."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrator import plots
from orchestrator.errors import RequestInvalid
from orchestrator.jobs import one_line
from orchestrator.statistics import BackendFigures, FailureFigures, History, Statistics, Window

if TYPE_CHECKING:
    import pandas

    from orchestrator.lab import Lab

DRAWINGS = ("jobs", "durations")


class Drawing:
    """A plot as SVG; shown in a cell. Without jobs there is nothing to draw, and `svg` is None."""

    def __init__(self, name: str, svg: bytes | None) -> None:
        self.name = name
        self.svg = svg

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        if self.svg is None:
            return {"text/plain": f"No {self.name} in this period"}
        return {"image/svg+xml": self.svg.decode(), "text/plain": f"Drawing({self.name!r})"}


class Report:
    """The jobs submitted within a period, and what was paid in it."""

    def __init__(self, lab: Lab, period: str = Window.WEEK) -> None:
        """`period`: 24h, 7d, 30d or all. Raises RequestInvalid."""
        try:
            self._window = Window(period.strip().lower())
        except ValueError:
            raise RequestInvalid(
                f"{period[:40]!r} is no period of a report",
                remedy=f"Say one of: {', '.join(Window)}.",
            ) from None
        self._lab = lab

    def __repr__(self) -> str:
        figures = self.figures
        rate = figures.success_rate
        share = "nothing has ended yet" if rate is None else f"{rate:.1%} of those that ended well"
        return f"Report({self._window.value!r}: {figures.total} jobs, {share})"

    @cached_property
    def figures(self) -> Statistics:
        """The figures, looked at once. Blocks on the disk."""
        return History(self._lab.store).summary(self._window)

    def summary(self) -> pandas.DataFrame:
        """A row with how many jobs there were, and how they ended."""
        import pandas

        figures = self.figures
        row: dict[str, Any] = {"jobs": figures.total, **dict(sorted(figures.counts.items()))}
        row |= {
            "success rate": figures.success_rate,
            "goal": figures.goal,
            "attempts, mean": figures.attempts_mean,
            "spent, USD": round(float(self.spending()["usd"].sum()), 4),
        }
        return pandas.DataFrame([row], index=[self._window.value])

    def backends(self) -> pandas.DataFrame:
        """A row per backend: its jobs, how they ended, and how long they took, in seconds."""
        import pandas

        rows = [each.model_dump() for each in self.figures.backends]
        frame = pandas.DataFrame(rows, columns=list(BackendFigures.model_fields))
        return frame.set_index("backend")

    def failures(self) -> pandas.DataFrame:
        """A row per kind of failure, the most frequent first, with its newest message and what to do about it."""
        import pandas

        rows = [each.model_dump() for each in self.figures.failures]
        return pandas.DataFrame(rows, columns=list(FailureFigures.model_fields))

    def spending(self) -> pandas.DataFrame:
        """A row per day (of UTC) and backend, newest first: dollars and pictures."""
        import pandas

        since = self.figures.since
        rows = self._lab.ledger.spending(self._lab.budget).rows()
        shown = [row for row in rows if since is None or row["day"] >= _day(since)]
        return pandas.DataFrame(shown, columns=["day", "backend", "usd", "pictures"])

    def plot(self, name: str) -> Drawing:
        """The plot `jobs` or `durations` over the period. Blocks for a second or two. Raises PlotsFailed."""
        if name not in DRAWINGS:
            raise RequestInvalid(
                f"There is no plot {one_line(name)[:40]!r}",
                remedy=f"Say one of: {', '.join(DRAWINGS)}.",
            )
        drawn = self._drawn.get(name)
        return Drawing(name, drawn["light"] if drawn else None)

    @cached_property
    def _drawn(self) -> dict[str, dict[str, bytes]]:
        said = self.figures.model_dump(mode="json", by_alias=True)
        return plots.draw(said, zone="UTC", cache=self._lab.paths.data / "matplotlib")


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
