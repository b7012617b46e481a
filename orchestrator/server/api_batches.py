"""The routes of grids and batches: plan one, run it, see how far it is, change it, fetch its sheet."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.batch import Batch, Plan
from orchestrator.errors import ConfirmationNeeded, JobNotFound, RequestInvalid
from orchestrator.jobs import MAX_PROMPT, one_line
from orchestrator.lab import Lab
from orchestrator.server.api_models import (
    MAX_LIMIT,
    MAX_OFFSET,
    Answer,
    Blank,
    Body,
    NoBody,
    Priority,
)
from orchestrator.server.handlers import LabHandler
from orchestrator.server.operations import Route, operation
from orchestrator.server.refusals import Refusal
from orchestrator.spending import money

F = TypeVar("F", bound=Callable[..., Any])
OWN = frozenset(inspect.signature(Lab.grid).parameters)  # what is no parameter of a backend
BATCH = r"/api/batches/(?P<name>[^/]+)"
TAG = "batches"
NOTHING_RUNS = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
Prompt = Annotated[str, Field(max_length=MAX_PROMPT)]


class GridBody(Body):
    """Every combination of some values: a parameter with a list of values is an axis, and so are several prompts.

    `together`: axes that advance at once. `name` names the batch; the same request without one is the same batch.
    """

    prompt: Prompt | list[Prompt] | None = None
    backend: str | list[str] | None = None
    params: dict[str, Any] | None = None
    together: list[list[str]] | None = None
    rows: Annotated[
        list[dict[str, Any]] | None, Field(description="Each goes through the whole grid.")
    ] = None
    name: Annotated[str | None, Field(max_length=100)] = None
    priority: Priority | None = None
    confirm: Annotated[bool | None, Field(description="Agree to whatever it costs.")] = None


class ConfirmBody(Body):
    """Agreement to what it costs."""

    confirm: bool | None = None


class BatchesQuery(BaseModel):
    """Which batches to list, the newest first."""

    model_config = ConfigDict(frozen=True)

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] | Blank = 50
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] | Blank = 0


class PlanSaid(Answer):
    """What a grid would do. `seconds`: how long the missing jobs may take, null when nobody knows; `usd` at most."""

    name: str
    jobs: int
    missing: int
    axes: dict[str, list[Any]]
    seconds: float | None
    usd: str
    said: str


class BatchSaid(Answer):
    """A batch as it is now. `counts` by status; `removed`: jobs that somebody took off the list."""

    name: str
    created_at: datetime
    axes: dict[str, list[Any]]
    total: int
    ended: int
    counts: dict[str, int]
    removed: int
    seconds_left: float | None
    paused_since: datetime | None


class RowSaid(Answer):
    """One job of a batch: its place on the axes, and its status, or `removed`."""

    id: str
    at: dict[str, Any]
    status: str


class BatchWhole(BatchSaid):
    """A batch with all its jobs, in the order of its rows."""

    jobs: list[RowSaid]


class BatchesSaid(Answer):
    """A page of batches, the newest first; `total` counts all."""

    batches: list[BatchSaid]
    total: int


class BatchStarted(Answer):
    """The grid is a batch now; `jobs` were submitted or run again, the others were there."""

    success: Literal[True]
    name: str
    jobs: int


class BatchesHandler(LabHandler):
    """`/api/batches`"""

    @operation("List the batches", tag=TAG, query=BatchesQuery, reply=BatchesSaid, refusals=(400,))
    async def get(self) -> None:
        """A page of batches."""
        asked = self.query(BatchesQuery)
        self.reply(await self.blocking(self._page, int(asked.limit or 50), int(asked.offset or 0)))

    def _page(self, limit: int, offset: int) -> dict[str, Any]:
        found = self.lab.batches()
        shown = found[offset : offset + limit]
        return {"batches": [batch.document() for batch in shown], "total": len(found)}

    @operation(
        "Run a grid: submit what is missing of it",
        tag=TAG,
        body=GridBody,
        reply=BatchStarted,
        status=201,
        refusals=(400, 404),
    )
    async def post(self) -> None:
        """The batch. The same request again makes only what is missing."""
        said = await self.blocking(self._run)
        self.set_header("Location", f"{self.base_url}api/batches/{said['name']}")
        self.reply(said, status=201)

    def _run(self) -> dict[str, Any]:
        body = self.body(GridBody)
        plan = _plan(self, body)
        missing = len(plan.missing)
        try:
            batch = plan.submit(confirm=bool(body.confirm))
        except ConfirmationNeeded as error:
            raise _unconfirmed(error) from error
        return {"success": True, "name": batch.name, "jobs": missing}


class PlanHandler(LabHandler):
    """`/api/batches/plan`"""

    @operation(
        "Say what a grid would do: nothing is submitted",
        tag=TAG,
        body=GridBody,
        reply=PlanSaid,
        refusals=(400, 404),
    )
    async def post(self) -> None:
        """The number of jobs, how long they may take, and what they cost."""
        plan = await self.blocking(lambda: _plan(self, self.body(GridBody)))
        self.reply(
            {
                "name": plan.name,
                "jobs": len(plan),
                "missing": len(plan.missing),
                "axes": plan.axes,
                "seconds": plan.seconds,
                "usd": money(plan.usd),
                "said": str(plan),
            }
        )


class BatchHandler(LabHandler):
    """`/api/batches/{name}`"""

    @operation("One batch, with all its jobs", tag=TAG, reply=BatchWhole, refusals=(404,))
    async def get(self, name: str) -> None:
        """How far it is."""
        self.reply(await self.blocking(lambda: _batch(self, name).document(jobs=True)))


class SheetHandler(LabHandler):
    """`/api/batches/{name}/sheet`"""

    costly = True

    @operation("Its pictures on one labelled sheet", tag=TAG, media="image/png", refusals=(404,))
    async def get(self, name: str) -> None:
        """A PNG."""
        data = await self.blocking(lambda: _batch(self, name).sheet().png())
        self.finish(data, set_content_type="image/png")


class PageHandler(LabHandler):
    """`/api/batches/{name}/sheet.html`"""

    costly = True

    @operation("The same as a page", tag=TAG, media="text/html", refusals=(404,))
    async def get(self, name: str) -> None:
        """A page that needs nothing else."""
        page = await self.blocking(lambda: _batch(self, name).sheet().html())
        # its texts are other people's: nothing in it may run here
        self.set_header("Content-Security-Policy", NOTHING_RUNS)
        self.finish(page.encode(errors="replace"), set_content_type="text/html; charset=utf-8")


class _Change(LabHandler):
    """`/api/batches/{name}/…`: something done with a batch."""

    async def changed(self, name: str, change: Callable[[Batch], int | None]) -> None:
        """Do it, and say how many jobs it changed."""

        def work() -> dict[str, Any]:
            batch = _batch(self, name)
            return {"success": True, "name": batch.name, "jobs": change(batch) or 0}

        self.reply(await self.blocking(work))


def _change(summary: str, *, body: type[Body] = NoBody) -> Callable[[F], F]:
    return operation(
        summary, tag=TAG, body=body, body_optional=True, reply=BatchStarted, refusals=(400, 404)
    )


class PauseBatchHandler(_Change):
    """`/api/batches/{name}/pause`"""

    @_change("Take no further job of it; what runs goes on")
    async def post(self, name: str) -> None:
        """The batch."""
        self.body(NoBody, optional=True)
        await self.changed(name, Batch.pause)


class ResumeBatchHandler(_Change):
    """`/api/batches/{name}/resume`"""

    @_change("Take its jobs again")
    async def post(self, name: str) -> None:
        """The batch."""
        self.body(NoBody, optional=True)
        await self.changed(name, Batch.resume)


class CancelBatchHandler(_Change):
    """`/api/batches/{name}/cancel`"""

    @_change("Cancel every job of it that has not ended")
    async def post(self, name: str) -> None:
        """The batch, and how many jobs were cancelled."""
        self.body(NoBody, optional=True)
        await self.changed(name, Batch.cancel)


class RetryBatchHandler(_Change):
    """`/api/batches/{name}/retry`"""

    @_change("Run the jobs of it that failed once more", body=ConfirmBody)
    async def post(self, name: str) -> None:
        """The batch, and how many jobs run again."""
        confirm = bool(self.body(ConfirmBody, optional=True).confirm)
        try:
            await self.changed(name, lambda batch: batch.retry_failed(confirm=confirm))
        except ConfirmationNeeded as error:
            raise _unconfirmed(error) from error


def _batch(handler: LabHandler, name: str) -> Batch:
    try:
        return handler.lab.batch(name)
    except RequestInvalid as error:  # what cannot be a name is nobody's
        raise JobNotFound(f"There is no batch {one_line(name)[:80]!r}") from error


def _plan(handler: LabHandler, body: GridBody) -> Plan:
    params = {name: value for name, value in (body.params or {}).items() if value is not None}
    if taken := sorted(OWN & params.keys()):
        raise Refusal(
            400,
            f"{taken[0]} is no parameter of a backend",
            remedy="It is a field of its own, beside `params`.",
            fields={f"params.{taken[0]}": "is a field of its own"},
        )
    return handler.lab.grid(
        body.prompt,
        backend=body.backend or "sd15",
        name=body.name,
        together=body.together or (),
        rows_from=body.rows,
        priority=body.priority or 0,
        **params,
    )


def _unconfirmed(error: ConfirmationNeeded) -> Refusal:
    fields = {"confirm": "must be true for a request that costs so much"}
    return Refusal(400, error.message, remedy=error.remedy, fields=fields)


ROUTES: list[Route] = [
    (r"/api/batches", BatchesHandler),
    (r"/api/batches/plan", PlanHandler),
    (BATCH, BatchHandler),
    (rf"{BATCH}/sheet", SheetHandler),
    (rf"{BATCH}/sheet\.html", PageHandler),
    (rf"{BATCH}/pause", PauseBatchHandler),
    (rf"{BATCH}/resume", ResumeBatchHandler),
    (rf"{BATCH}/cancel", CancelBatchHandler),
    (rf"{BATCH}/retry", RetryBatchHandler),
]
