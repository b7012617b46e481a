"""What the lab adds to a Jupyter Server: its pages and its REST interface."""

from __future__ import annotations

from typing import Any

from jupyter_server.serverapp import ServerApp

from orchestrator.errors import ConfigError
from orchestrator.lab import Lab
from orchestrator.server import pages, rest


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
    app.panel = rest.load(app, lab)  # type: ignore[attr-defined]  # for `up`, which ends it
    web_app: Any = app.web_app
    web_app.add_handlers(".*$", pages.handlers(app.config, app.base_url, pages.folder()))
