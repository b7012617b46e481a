"""Loads the lab into a Jupyter server: pages, health, the worker kernel's supervisor, the reaper."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.ioloop import IOLoop

from orchestrator import logs
from orchestrator.lab import Lab
from orchestrator.server import pages
from orchestrator.server.reaper import reap
from orchestrator.server.supervisor import Supervisor


class Health(APIHandler):
    """GET /api/health: what runs, what does not, and what to do about it."""

    auth_resource = "orchestrator"

    def initialize(self, lab: Lab) -> None:
        """Answer for this lab."""
        self._lab = lab

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The health report, as `orchestrator health --json` prints it."""
        report = await self._lab.health()
        self.finish(report.model_dump_json(by_alias=True, exclude_none=True))


def load(app: Any) -> None:
    """Add the lab that ORCHESTRATOR_PATHS names to a server that is starting."""
    lab = Lab.open()
    logs.set_up(lab.paths, lab.settings, name="server")
    routes = [(url_path_join(app.base_url, "api/health"), Health, {"lab": lab})]
    app.web_app.add_handlers(".*$", [*routes, *pages.handlers(app)])
    app.web_app.settings["orchestrator_tasks"] = tasks = []

    def begin() -> None:
        tasks.append(asyncio.create_task(Supervisor(app, lab).run(), name="worker kernel"))
        tasks.append(asyncio.create_task(reap(app), name="reap page kernels"))

    IOLoop.current().add_callback(begin)
