"""The REST interface as a whole: every route, and what gives them to a server."""

from __future__ import annotations

from functools import partial
from typing import Any

from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.routing import PathMatches, Rule

from orchestrator.lab import Lab
from orchestrator.server import (
    api_batches,
    api_jobs,
    api_lab,
    api_mending,
    api_parts,
    api_workflows,
    images,
    inputs,
    live,
)
from orchestrator.server.handlers import UnknownHandler
from orchestrator.server.openapi import document
from orchestrator.server.operations import Route
from orchestrator.server.panel import Panel

ROUTES: list[Route] = [
    *api_jobs.ROUTES,
    *api_mending.ROUTES,
    *api_batches.ROUTES,
    *live.ROUTES,
    *api_parts.ROUTES,
    *api_workflows.ROUTES,
    *api_lab.ROUTES,
    *images.ROUTES,
    *inputs.ROUTES,
]
# Jupyter has addresses below /api as well, and so may other extensions
FIRST = sorted({pattern.lstrip("/").split("/")[1] for pattern, _ in ROUTES})
OURS = rf"/api/(?:{'|'.join(FIRST)})(?:/.*)?"


def load(app: ServerApp, lab: Lab, **options: Any) -> Panel:
    """Give a server the REST interface of a lab. `options` are the panel's: limits, and those of its Broadcaster."""
    base_url = app.base_url
    panel = Panel(
        lab,
        document=document(ROUTES, base_url=base_url),
        describe=partial(images.told, base_url=base_url),
        live=partial(live.live_document, base_url=base_url),
        **options,
    )
    shared = {"lab": lab, "panel": panel}
    routes = [(url_path_join(base_url, pattern), handler, shared) for pattern, handler in ROUTES]
    web_app: Any = app.web_app
    web_app.add_handlers(".*$", [*routes, (url_path_join(base_url, OURS), UnknownHandler, shared)])
    # what nobody knows below /api is answered in JSON: Jupyter's last handler would answer with a page
    router = web_app.wildcard_router
    rest = PathMatches(url_path_join(base_url, r"/api/.*"))
    rule = router.process_rule(Rule(rest, UnknownHandler, shared))
    router.rules.insert(len(router.rules) - 1, rule)
    app.io_loop.add_callback(panel.begin)
    return panel
