"""The REST handlers: each parses, calls the lab, and replies."""

from __future__ import annotations

import json

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from orchestrator.lab import Lab


class LabHandler(APIHandler):
    """Base of the REST handlers: for whoever has the token, as everything on this server."""

    auth_resource = "orchestrator"

    def initialize(self, *, lab: Lab) -> None:
        """Called by Tornado for each request."""
        self.lab = lab


class HealthHandler(LabHandler):
    """`GET /api/health`: what runs, what does not, and what to do about it."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The lab's health report."""
        report = await self.lab.health()
        self.finish(json.dumps(report.model_dump(mode="json", by_alias=True, exclude_none=True)))
