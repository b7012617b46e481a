"""The routes of the lab itself: its health, its figures, what it can do, and what this interface is."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from orchestrator.backends import Backend
from orchestrator.health import HealthReport
from orchestrator.lab import Lab
from orchestrator.server.api_models import Backends, Blank, OffersSaid
from orchestrator.server.handlers import LabHandler
from orchestrator.server.metrics import CONTENT_TYPE
from orchestrator.server.openapi import params_schema
from orchestrator.server.operations import Route, operation
from orchestrator.server.stream import StreamHandler
from orchestrator.server.texts import health_document
from orchestrator.statistics import History, Statistics, Window


class HealthHandler(LabHandler):
    """`/api/health`"""

    @operation("What runs, what does not, and what to do about it", tag="lab", reply=HealthReport)
    async def get(self) -> None:
        """The lab's health report."""
        panel = self.panel
        report = await (panel.health() if panel is not None else self.lab.health())
        self.reply(health_document(report))


class MetricsHandler(LabHandler):
    """`/api/metrics`"""

    @operation("Figures for Prometheus", tag="lab", media="text/plain")
    async def get(self) -> None:
        """Prometheus text."""
        assert self.panel is not None
        text = await self.blocking(self.panel.metrics.text)
        self.finish(text, set_content_type=CONTENT_TYPE)


class BackendsHandler(LabHandler):
    """`/api/backends`"""

    @operation("What a picture can be made with", tag="lab", reply=Backends)
    async def get(self) -> None:
        """Every backend, its defaults, what it costs, and a JSON Schema of its parameters; saved workflows last."""
        self.reply({"backends": await self.blocking(_all_said, self.lab)})


class OffersHandler(LabHandler):
    """`/api/offers`"""

    @operation(
        "The samplers, schedulers and checkpoints that the ComfyUI server has",
        tag="lab",
        reply=OffersSaid,
    )
    async def get(self) -> None:
        """Names to choose from; the usual ones when no server answers."""
        self.reply(dataclasses.asdict(await self.lab.offers()))


class StatisticsQuery(BaseModel):
    """How far back to look: at the jobs submitted since then; left out: a day."""

    model_config = ConfigDict(frozen=True)

    window: Window | Blank = ""


class StatisticsHandler(LabHandler):
    """`/api/statistics`"""

    costly = True

    @operation(
        "What became of the jobs: rates, durations, failures by kind",
        tag="lab",
        query=StatisticsQuery,
        reply=Statistics,
        refusals=(400,),
    )
    async def get(self) -> None:
        """The figures of the page Diagnostics."""
        window = Window(self.query(StatisticsQuery).window or Window.DAY)
        figures = await self.blocking(History(self.lab.store).summary, window)
        self.reply(figures.model_dump(mode="json", by_alias=True))


class SpendingHandler(LabHandler):
    """`/api/spending`"""

    @operation("What paid pictures have cost, and what the budget leaves", tag="lab")
    async def get(self) -> None:
        """By day and backend; money is text, in US dollars."""
        self.reply((await self.lab.spending()).document())


class OpenAPIHandler(LabHandler):
    """`/api/openapi.json`"""

    @operation("This document", tag="lab")
    async def get(self) -> None:
        """The OpenAPI document of this interface."""
        assert self.panel is not None
        self.reply(self.panel.document)


def _all_said(lab: Lab) -> list[dict[str, Any]]:
    return [_said(lab, backend) for backend in lab.catalogue.all()]


def _said(lab: Lab, backend: Backend) -> dict[str, Any]:
    saved = lab.catalogue.saved(backend.name)
    return {
        "name": backend.name,
        "title": backend.title,
        "service": backend.service,
        "model": backend.model,
        "defaults": {to_camel(name): value for name, value in backend.defaults.items()},
        "paid": backend.paid,
        "price": backend.price,
        "params": params_schema(backend),
        "notes": list(saved.workflow.notes) if saved else [],
    }


ROUTES: list[Route] = [
    (r"/api/health", HealthHandler),
    (r"/api/stream", StreamHandler),
    (r"/api/metrics", MetricsHandler),
    (r"/api/backends", BackendsHandler),
    (r"/api/offers", OffersHandler),
    (r"/api/statistics", StatisticsHandler),
    (r"/api/spending", SpendingHandler),
    (r"/api/openapi\.json", OpenAPIHandler),
]
