"""How the lab is doing: its services, its figures, why jobs failed, its disks and its log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import ipywidgets
import traitlets

from orchestrator import health, logs, plots
from orchestrator.errors import OrchestratorError, ParamsInvalid, PlotsFailed
from orchestrator.health import HealthHistory, PlaceHealth, low_mark
from orchestrator.jobs import Job, one_line
from orchestrator.lab import Lab
from orchestrator.statistics import History, Statistics, Window
from orchestrator.widgets.advice import advice
from orchestrator.widgets.around import Around
from orchestrator.widgets.heartbeat import Heartbeat
from orchestrator.widgets.mending import Mending
from orchestrator.widgets.money import panel
from orchestrator.widgets.past import DAY, memory_in_words, past, waiting_in_words
from orchestrator.widgets.report import report
from orchestrator.widgets.services import ServiceCards
from orchestrator.widgets.stock import stock
from orchestrator.widgets.view import LiveView, Message, static

logger = logging.getLogger(__name__)

PLACES_S = 10.0  # between two looks at the disks: each writes a file to every place
PLOTS_S = 15.0  # between two drawings, each a second or two of another process
MONEY_S = 15.0  # between two looks at the ledger and the account's credits
PAST_S = 30.0  # between two looks at the history, to which the guardian adds a line a minute
STOCK_S = 30.0  # between two looks at the model files
MOST_USD = 1000  # of one picture, as a page may say it
LOG_LINES = 200
REPORT_LINES = 50
MAX_FILES = 50  # of the log, offered
PARTS = ("diagnostics_parts.js", "diagnostics_money.js", "diagnostics_stock.js", "diagnostics.js")


class Diagnostics(ipywidgets.Box):  # type: ignore[misc]  # it has no types
    """The services and the figures of a lab, one below the other."""

    def __init__(self, lab: Lab) -> None:
        self.services = ServiceCards(lab)
        self.figures = DiagnosticsView(lab)
        self.heartbeat = Heartbeat()
        super().__init__([self.services, self.figures, self.heartbeat])
        self.add_class("lab-diagnostics-page")

    def close(self) -> None:
        """End every view's tasks and take the page away."""
        for view in self.children:
            view.close()
        super().close()


class DiagnosticsView(LiveView):
    """Figures, plots, failures, disks and log lines of a lab, as they change, but not more often than once a second."""

    script = "diagnostics"
    pause_s: ClassVar[float] = 1.0

    window = traitlets.Enum([each.value for each in Window], Window.WEEK.value).tag(sync=True)
    figures = traitlets.Dict().tag(sync=True)  # as `Statistics` writes itself in JSON
    corrupt = traitlets.Int(0).tag(sync=True)  # files in the folder of jobs that hold none
    # as `place` makes them
    places: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    log = traitlets.Dict().tag(sync=True)  # file ("" for all), files, lines
    # state: "" until asked for, drawing, drawn, failed; of these the text and remedy
    drawing = traitlets.Dict({"state": ""}).tag(sync=True)
    plots = traitlets.Dict().tag(sync=True)  # name -> light, dark: SVG; alt: the same in words
    money = traitlets.Dict().tag(sync=True)  # as `money.panel` makes it
    stock = traitlets.Dict().tag(sync=True)  # as `stock.stock` makes it
    past = traitlets.Dict().tag(sync=True)  # as `past.past` makes it, without its plots
    # kind of the failures -> the diagnosis of the newest, as `advice.advice` makes it, and its `job`
    diagnoses = traitlets.Dict().tag(sync=True)

    def __init__(self, lab: Lab) -> None:
        self._history = History(lab.store)
        self._zone = "UTC"
        self._log_file = ""
        self._places_at = -PLACES_S
        self._wants_plots = False
        self._plots_at = -PLOTS_S
        self._plotted: object = None  # what the plots on the page were drawn from
        self._plotting: asyncio.Task[None] | None = None
        self._looks: dict[str, tuple[float, asyncio.Task[None]]] = {}  # begun at, the look
        self._around = Around(self, lab, then=self.redraw)
        self._failed: dict[str, Job] = {}  # the newest failed job of each kind, as it was last read
        self._past_plots: dict[str, Any] = {}
        super().__init__(lab)
        self._actions |= {
            "settle": self._settle,
            "mend": Mending(self, lab),
            "zone": self._set_zone,
            "window": self._choose_window,
            "log": self._choose_log,
            "plots": self._show_plots,
            "report": self._send_report,
        }

    @traitlets.default("_esm")
    def _read_parts(self) -> str:
        return "".join(static(part) for part in ("shared.js", *PARTS))

    async def refresh(self) -> None:
        """Show the figures and the log as they are now, and the disks as they were some seconds ago."""
        figures = await asyncio.to_thread(self._figures)
        failed = await asyncio.to_thread(self._newest_failed, figures)
        log = await asyncio.to_thread(self._log, self._log_file)
        corrupt = await asyncio.to_thread(lambda: len(self._lab.store.quarantine.files()))
        places = self.places
        if time.monotonic() - self._places_at >= PLACES_S:
            found = await asyncio.to_thread(health.look_at, self._lab.paths)
            places = [place(each) for each in found]
            self._places_at = time.monotonic()
        with self.hold_sync():
            self.figures = figures.model_dump(mode="json", by_alias=True)
            self.diagnoses = self._diagnoses(failed)
            self.log = log
            self.places = places
            self.corrupt = corrupt
            self.banner = {}
        self._plot_if_due()
        self._look_if_due("past", PAST_S, self._look_at_past)
        self._look_if_due("money", MONEY_S, self._look_at_money)
        self._look_if_due("models", STOCK_S, self._look_at_stock)

    def _look_if_due(self, name: str, pause_s: float, look: Callable[[], Awaitable[None]]) -> None:
        """Begin a look that may take seconds, beside the others; not while the last one is under way."""
        began, task = self._looks.get(name, (-pause_s, None))
        if (task is None or task.done()) and time.monotonic() - began >= pause_s:
            begun = self.start(self._look_quietly(look), name=f"DiagnosticsView looks at {name}")
            self._looks[name] = (time.monotonic(), begun)

    async def _look_quietly(self, look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        except OrchestratorError as error:
            self.tell(error.message, error.remedy)
        except OSError as error:
            logger.exception("The diagnostics could not look at something")
            self.tell(one_line(str(error)), "Look at the disks and their permissions.")

    async def _look_at_money(self) -> None:
        spending = await self._lab.spending()
        jobs = {
            each.job: await asyncio.to_thread(self._job, each.job) for each in spending.undecided
        }
        known = await asyncio.to_thread(self._lab.catalogue.all)
        titles = {backend.name: backend.title for backend in known}
        self.money = panel(spending, titles=titles, jobs=jobs)

    def _job(self, job_id: str) -> Job | None:
        try:
            return self._lab.job(job_id).job
        except OrchestratorError:
            return None

    async def _look_at_stock(self) -> None:
        entries = await asyncio.to_thread(self._lab.library.files)
        known = await asyncio.to_thread(self._lab.catalogue.all)
        problems = await asyncio.to_thread(self._lab.catalogue.problems)
        offers = await self._lab.offers()
        self.stock = stock(entries, known=known, problems=problems, unavailable=offers.unavailable)

    async def _look_at_past(self) -> None:
        now = self._lab.store.now()
        history = HealthHistory(self._lab.paths.data / "health.jsonl")
        found = past(await asyncio.to_thread(history.since, now - DAY), now=now)
        self._past_plots = found.pop("plots", {})
        self.past = found
        self._plot_if_due()

    def _newest_failed(self, figures: Statistics) -> dict[str, Job]:
        """The newest job of each kind of failure. Blocks on the disk."""
        seen: dict[str, Job] = {}
        for group in figures.failures:
            known = self._failed.get(group.kind)
            if known is None or known.id != group.job_id or known.finished_at != group.at:
                known = self._job(group.job_id)
            if known is not None:
                seen[group.kind] = known
        self._failed = seen
        return seen

    def _diagnoses(self, failed: dict[str, Job]) -> dict[str, dict[str, Any]]:
        """Why each of these jobs failed, and what a machine can do about it."""
        said = {kind: (job, advice(job, self._around(job))) for kind, job in failed.items()}
        return {kind: {"job": job.id, **each} for kind, (job, each) in said.items() if each}

    def _figures(self) -> Statistics:
        return self._history.summary(Window(self.window), zone=zone_of(self._zone))

    def _log(self, file: str) -> dict[str, Any]:
        found = logs.files(self._lab.paths)[:MAX_FILES]
        lines = logs.newest(
            self._lab.paths, LOG_LINES, file=file or None, settings=self._lab.settings
        )
        return {
            "file": file,
            "files": [{"name": one_line(each.name), "size": each.size} for each in found],
            "lines": [[line.file, line.text] for line in lines],
        }

    # ---------------------------------------------------------------- plots

    def _plot_if_due(self) -> None:
        now = (self.figures.get("buckets"), self._past_plots)
        wanted = (self._zone, self.window, now)
        if not self._wants_plots or not self.figures or wanted == self._plotted:
            return
        # another window is a wish of the reader's; a new job is not worth a process each second
        waits = self._plotted is not None and wanted[:2] == self._plotted[:2]  # type: ignore[index]
        if waits and time.monotonic() - self._plots_at < PLOTS_S:
            return
        if self._plotting is None or self._plotting.done():
            self._plotted = wanted
            self._plotting = self.start(self._plot(), name="DiagnosticsView draws its plots")

    async def _plot(self) -> None:
        figures, before = self.figures, self._past_plots
        if not figures["total"] and not before:
            self.plots, self.drawing = {}, {"state": "drawn"}
            return
        self.drawing = {"state": "drawing"}
        try:
            drawn = await asyncio.to_thread(
                plots.draw,
                figures,
                zone=self._zone,
                cache=self._lab.paths.data / "matplotlib",
                past=before,
            )
        except PlotsFailed as error:
            self.drawing = {"state": "failed", "text": error.message, "remedy": error.remedy}
            return
        finally:
            self._plots_at = time.monotonic()
        in_words: dict[str, Callable[[], str]] = {
            "jobs": lambda: jobs_in_words(figures),
            "durations": lambda: durations_in_words(figures),
            "memory": lambda: memory_in_words(before),
            "waiting": lambda: waiting_in_words(before),
        }
        with self.hold_sync():
            self.plots = {
                name: {**themes, "alt": in_words[name]()} for name, themes in drawn.items()
            }
            self.drawing = {"state": "drawn"}

    # ---------------------------------------------------------------- actions

    async def _set_zone(self, message: Message) -> None:
        name = str(message.get("zone", ""))[:100]
        if name != self._zone and await asyncio.to_thread(is_zone, name):
            self._zone = name
            await self.redraw()

    async def _choose_window(self, message: Message) -> None:
        chosen = str(message.get("window", ""))
        if chosen in set(Window):
            async with self._drawing:  # a look that is under way is at the other window
                self.window = chosen
            await self.redraw()

    async def _choose_log(self, message: Message) -> None:
        self._log_file = str(message.get("file", ""))[:300]
        await self.redraw()

    async def _show_plots(self, message: Message) -> None:
        self._wants_plots = message.get("seen") is True
        self._plot_if_due()

    async def _settle(self, message: Message) -> None:
        """The user has looked at the account: a purchase of unknown outcome has cost this much."""
        try:
            usd = Decimal(str(message.get("usd")))
        except InvalidOperation:
            usd = Decimal("NaN")
        if not usd.is_finite() or not 0 <= usd <= MOST_USD:
            raise ParamsInvalid("This is no amount for a picture", remedy="Reload the page.")
        await asyncio.to_thread(self._lab.correct_spending, str(message.get("key", "")), usd)
        await self._look_at_money()
        self.tell("Written down in the ledger", "The day's figures have it.", good=True)

    async def _send_report(self, message: Message) -> None:
        said = await self._lab.health()
        figures, failed = await asyncio.to_thread(self._summary)
        known = self._diagnoses(failed)
        text = await asyncio.to_thread(self._report, said, figures, known)
        self.send({"kind": "report", "number": message.get("number"), "text": text})

    def _summary(self) -> tuple[Statistics, dict[str, Job]]:
        figures = History(self._lab.store).summary(Window(self.window), zone=zone_of(self._zone))
        return figures, self._newest_failed(figures)

    def _report(
        self, said: health.HealthReport, figures: Statistics, known: dict[str, dict[str, Any]]
    ) -> str:
        settings, store = self._lab.settings, self._lab.store
        lines = logs.newest(self._lab.paths, REPORT_LINES, settings=settings)
        return report(said, figures, lines, diagnoses=known, settings=settings, now=store.now())


def place(found: PlaceHealth) -> dict[str, Any]:
    """A folder of paths.json as a page shows it. `state` is ok, low or bad."""
    # comfyRoot is somebody else's installation: read, not written
    is_bad = not found.exists or (not found.writable and found.key != "comfyRoot")
    is_low = found.free is not None and found.free < low_mark(found.total or 0)
    return {
        "key": found.key,
        "path": one_line(found.path),
        "free": found.free,
        "total": found.total,
        "state": "bad" if is_bad else "low" if is_low else "ok",
        "problem": one_line(found.problem or ""),
    }


def zone_of(name: str) -> Any:
    """The time zone of that name."""
    return UTC if name == "UTC" else ZoneInfo(name)


def is_zone(name: str) -> bool:
    """Whether there is such a time zone on this machine."""
    try:
        zone_of(name)
    except (
        ValueError,
        OSError,
        LookupError,
    ):  # a page may say anything, such as "../../etc/passwd"
        return False
    return True


def jobs_in_words(figures: dict[str, Any]) -> str:
    """The plot of the jobs, for who cannot see it."""
    sums = [sum(bucket["counts"].values()) for bucket in figures["buckets"]]
    counts = ", ".join(f"{n} {status}" for status, n in figures["counts"].items() if n)
    hours = figures["stepS"] / 3600
    step = f"{hours:g} h" if hours < 24 else f"{hours / 24:g} d"
    return (
        f"Jobs submitted over time, in steps of {step}: {counts}; at most {max(sums)} in one step."
    )


def durations_in_words(figures: dict[str, Any]) -> str:
    """The plot of the durations, for who cannot see it."""
    said = [
        f"{each['backend']} {each['medianS']:.1f} s"
        + (f" against a target of {each['targetS']:g} s" if each["targetS"] else "")
        for each in figures["backends"]
        if each["medianS"] is not None
    ]
    return f"Median duration over time; in the whole window: {'; '.join(said) or 'none is known'}."
