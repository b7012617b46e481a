"""The grids of a lab on one page: plan one, run it, follow it, and compare what came of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import traitlets

from orchestrator import backends
from orchestrator.batch import Batch, Plan
from orchestrator.errors import (
    ConfirmationNeeded,
    OrchestratorError,
    ParamsInvalid,
    RequestInvalid,
)
from orchestrator.jobs import one_line
from orchestrator.lab import Lab
from orchestrator.spending import Estimate
from orchestrator.widgets.answering import answering
from orchestrator.widgets.asking import amount_of
from orchestrator.widgets.axes import Wanted, wanted
from orchestrator.widgets.choices import choices
from orchestrator.widgets.fields import fields_of
from orchestrator.widgets.planning import planned, question
from orchestrator.widgets.sheets import (
    MOST_CELLS,
    Batches,
    cell,
    layout,
    listed,
    table,
    thumbnails,
)
from orchestrator.widgets.view import Action, LiveView, Message, static, worker_banner

logger = logging.getLogger(__name__)

MOST_JOBS = 2_000  # submitted while a page waits; a notebook takes more
SHOWN_BATCHES = 12
MOST_THUMBNAILS = 60  # in one answer
SIDE_PX = 256
MOST_FAVOURITES = 10_000
OFFERS_S = 20.0
OFFERED = ("samplers", "schedulers", "checkpoints", "loras", "vaes", "upscalers")
PARTS = (
    "gallery_parts.js", "form_fields.js", "form_lists.js", "form_money.js", "compare_parts.js", "grid_plan.js",
    "grid_sheet.js", "grid.js",
)  # fmt: skip
STYLES = ("lab.css", "form.css", "compare.css", "grid.css")


class GridPanel(LiveView):
    """Plans grids, lists the batches and shows one as a sheet, of which two pictures can be compared."""

    script = "grid"
    pause_s: ClassVar[float] = 0.3  # a sheet is more than a row

    # as `choices.choice` makes them
    backends: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    unavailable = traitlets.Dict().tag(sync=True)  # backend -> why it cannot run
    offers = traitlets.Dict().tag(sync=True)  # such as samplers -> their names on the servers
    styles: traitlets.List[dict[str, str]] = traitlets.List().tag(sync=True)  # name, prompt
    # what is typed, for a view that is shown anew: prompts, backend, axes, params, name
    typed = traitlets.Dict().tag(sync=True)
    # as `sheets.listed` makes them, the newest first
    batches: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)  # batches in all
    opened = traitlets.Unicode("").tag(sync=True)  # the name of the batch that is shown
    sheet = traitlets.Dict().tag(sync=True)  # as `sheets.layout` makes it
    cells = traitlets.Dict().tag(sync=True)  # job id -> as `sheets.cell` makes it
    favourites: traitlets.List[str] = traitlets.List().tag(sync=True)  # files of the sheet

    def __init__(self, lab: Lab, *, batch: str | None = None) -> None:
        """`batch`: the name of one to open with."""
        key = lab.settings.bfl_api_key
        self._has_key = key is not None and bool(key.get_secret_value())
        found = choices(backends.BACKENDS.values(), has_key=self._has_key)
        self._known = Batches(lab)
        self._shown = SHOWN_BATCHES
        self._learnt = float("-inf")
        self._laid_out: tuple[int, dict[str, Any]] | None = None
        super().__init__(lab, backends=found, opened=batch or "")
        answers: dict[str, Callable[[Message], dict[str, Any]]] = {
            "plan": self._plan,
            "thumbs": self._thumbs,
            "download": self._download,
        }
        changes: dict[str, Callable[[Message], dict[str, Any]]] = {
            "run": self._run,
            "change": self._change,
            "favourite": self._favourite,
        }
        self._actions |= {name: answering(self, work) for name, work in answers.items()}
        self._actions |= {name: self._then_drawn(work) for name, work in changes.items()}
        self._actions |= {"open": self._open, "more": self._more}

    @traitlets.default("_esm")
    def _read_parts(self) -> str:
        return "".join(static(part) for part in ("shared.js", *PARTS))

    @traitlets.default("_css")
    def _read_styles(self) -> str:
        return "".join(static(part) for part in STYLES)

    # ---------------------------------------------------------------- following

    async def refresh(self) -> None:
        """Show the batches, and the one that is open, as they are now."""
        if time.monotonic() - self._learnt > OFFERS_S:
            self._learnt = time.monotonic()
            self.start(self._learn(), name="GridPanel asks what the servers have")
        look = await asyncio.to_thread(self._look, self.opened)
        with self.hold_sync():
            for name, value in look.items():
                if getattr(self, name) != value:
                    setattr(self, name, value)

    def _look(self, opened: str) -> dict[str, Any]:
        everything = self._known.all()
        batch = self._known.get(opened) if opened else None
        look: dict[str, Any] = {
            "batches": [listed(each) for each in everything[: self._shown]],
            "total": len(everything),
            "banner": worker_banner(self._lab),
            "sheet": {},
            "cells": {},
            "favourites": [],
        }
        if batch is not None:
            marked, _ = self._lab.gallery.page(favourite=True, limit=MOST_FAVOURITES)
            starred = {image.file for image in marked}
            pairs = batch.pairs()[:MOST_CELLS]
            cells = {row.id: cell(self._lab, job) for row, job in pairs}
            look |= {
                "sheet": self._layout(batch),
                "cells": cells,
                "favourites": sorted(starred & {each["file"] for each in cells.values()}),
            }
        return look

    def _layout(self, batch: Batch) -> dict[str, Any]:
        """Laid out once for a note: only the cells change while it runs."""
        if self._laid_out is None or self._laid_out[0] != id(batch.note):
            self._laid_out = id(batch.note), layout(batch)
        return self._laid_out[1]

    async def _learn(self) -> None:
        try:
            known = await asyncio.to_thread(self._lab.catalogue.all)
            styles = await asyncio.to_thread(self._lab.phrasebook.styles)
            with self.hold_sync():
                self.backends = choices(known, has_key=self._has_key)
                self.styles = [
                    {"name": style.name, "prompt": one_line(style.prompt)} for style in styles
                ]
            said = await self._lab.offers()
        except OrchestratorError as error:
            logger.warning("The page offers the usual names: %s", error.message)
            return
        with self.hold_sync():
            self.offers = {name: list(getattr(said, name)) for name in OFFERED}
            self.unavailable = {name: one_line(why) for name, why in said.unavailable.items()}

    def _then_drawn(self, work: Callable[[Message], dict[str, Any]]) -> Action:
        answer = answering(self, work)

        async def answer_and_draw(message: Message) -> None:
            await answer(message)
            await self.redraw()

        return answer_and_draw

    # ---------------------------------------------------------------- planning

    def _planned(self, message: Message) -> Plan:
        said = message.get("grid")
        if not isinstance(said, Mapping):
            raise ParamsInvalid
        fields = fields_of(self._lab.catalogue.get(str(said.get("backend", ""))))
        asked = wanted(said, fields)
        _check_size(asked)
        return self._lab.grid(
            asked.prompt, backend=asked.backend, name=asked.name, **dict(asked.params)
        )

    def _plan(self, message: Message) -> dict[str, Any]:
        plan = self._planned(message)
        return planned(plan, self._lab.ledger.spending(self._lab.budget))

    def _run(self, message: Message) -> dict[str, Any]:
        """Submit a grid, or say what has to be confirmed first: no more is spent than was `agreed` to."""
        plan = self._planned(message)
        agreed = amount_of(message.get("agreed"))
        making = len(plan.missing)
        try:
            batch = plan.submit(confirm=agreed is not None and plan.usd <= agreed)
        except ConfirmationNeeded:
            return {"confirm": self._question([row.estimate for row in plan.missing])}
        return {"name": batch.name, "jobs": making}

    def _question(self, estimates: Sequence[Estimate]) -> dict[str, Any]:
        return question(estimates, self._lab.ledger.spending(self._lab.budget))

    # ---------------------------------------------------------------- one batch

    async def _open(self, message: Message) -> None:
        async with self._drawing:  # a look that is under way would show the other one again
            self.opened = str(message.get("name", ""))[:100]
        await self.redraw()

    async def _more(self, _: Message) -> None:
        self._shown += SHOWN_BATCHES
        await self.redraw()

    def _batch(self, message: Message) -> Batch:
        return self._lab.batch(str(message.get("name", "")))

    def _change(self, message: Message) -> dict[str, Any]:
        batch = self._batch(message)
        what = message.get("what")
        if what == "pause":
            batch.pause()
        elif what == "resume":
            batch.resume()
        elif what == "cancel":
            return {"jobs": batch.cancel()}
        elif what == "retry":
            return self._retry(batch, amount_of(message.get("agreed")))
        else:
            raise RequestInvalid(f"Nobody knows how to {str(what)[:20]} a batch")
        return {"jobs": 0}

    def _retry(self, batch: Batch, agreed: Decimal | None) -> dict[str, Any]:
        """Run what failed once more, or say what has to be confirmed first, as for a grid that is submitted."""
        again = batch.to_retry()
        try:
            return {"jobs": again.run(confirm=agreed is not None and again.usd <= agreed)}
        except ConfirmationNeeded:
            return {"confirm": self._question(again.estimates)}

    def _download(self, message: Message) -> dict[str, Any]:
        batch = self._batch(message)
        what = message.get("what")
        if what == "csv":
            return {"file": f"{batch.name}.csv", "mime": "text/csv", "bytes": [table(batch)]}
        if what == "html":
            page = batch.sheet().html().encode(errors="replace")
            return {"file": f"{batch.name}.html", "mime": "text/html", "bytes": [page]}
        return {"file": f"{batch.name}.png", "mime": "image/png", "bytes": [batch.sheet().png()]}

    # ---------------------------------------------------------------- pictures

    def _thumbs(self, message: Message) -> dict[str, Any]:
        asked = message.get("files")
        names = [str(name) for name in asked[:MOST_THUMBNAILS]] if isinstance(asked, list) else []
        made, data = thumbnails(self._lab, names, side=SIDE_PX)
        return {"files": made, "bytes": data}

    def _favourite(self, message: Message) -> dict[str, Any]:
        name, on = str(message.get("file", "")), message.get("on") is True
        self._lab.gallery.favourite(name, on)
        return {"file": name, "on": on}


def _check_size(asked: Wanted) -> None:
    if asked.jobs > MOST_JOBS:
        raise RequestInvalid(
            f"That is {asked.jobs:,} jobs; {MOST_JOBS:,} fit a page",
            remedy="Leave out some values, or run it from a notebook: notebooks/grid.ipynb.",
        )
