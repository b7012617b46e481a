"""What the lab adds to a Jupyter Server: its pages and its REST interface."""

from __future__ import annotations

from typing import Any

from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join

from orchestrator.errors import ConfigError
from orchestrator.lab import Lab
from orchestrator.server import pages
from orchestrator.server.handlers import HealthHandler


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Called by Jupyter Server. `orchestrator up` gives it the lab; a JupyterLab started otherwise gets the lab of
    the current folder, to look at: the worker runs under `up` only."""
    lab = getattr(app, "lab", None)
    if lab is None:
        try:
            lab = Lab.open()
        except ConfigError as error:
            app.log.info("orchestrator: no lab here: %s", error.message)
            return
    routes = [(url_path_join(app.base_url, "api/health"), HealthHandler, {"lab": lab})]
    routes += pages.handlers(app.config, app.base_url, pages.folder())
    web_app: Any = app.web_app
    web_app.add_handlers(".*$", routes)
