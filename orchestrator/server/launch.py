"""`orchestrator up`: JupyterLab, the pages, a worker and, where there is no ComfyUI, the embedded engine."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import webbrowser
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from orchestrator.embedded import EngineProcess
from orchestrator.errors import ConfigError
from orchestrator.lab import Lab
from orchestrator.paths import VARIABLE

DEFAULT_PORT = 3000
NO_UPDATES = "jupyterlab.handlers.announcements.NeverCheckForUpdate"  # nothing is asked elsewhere
QUIET = ("tornado.access", "tornado.general", "voila")


class PortTaken(ConfigError):
    """The port is in use."""

    remedy = "Choose another with `orchestrator up --port N` or ADMIN_URL, or end the program that has it."


def up(lab: Lab, *, port: int | None, browser: bool) -> int:
    """Serve a lab until Ctrl-C or a signal; returns the exit code.

    Everything that was started ends with this process, even when it is killed. Raises PortTaken.
    """
    address = urlsplit(lab.settings.admin_url)
    host = address.hostname or "127.0.0.1"
    port = port if port is not None else address.port or DEFAULT_PORT
    _require_free(host, port)
    token = lab.settings.orchestrator_token
    secret = token.get_secret_value() if token else secrets.token_hex(24)
    shown = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    # the server and its kernels open the same lab, and know where it is served
    os.environ |= {VARIABLE: str(lab.paths.file), "ADMIN_URL": shown}
    with _engine(lab) as engine:
        app = _server(lab, host=host, port=port, token=secret)

        def greet() -> None:
            _greet(f"{shown}/?token={secret}", _painter(lab, engine.result()), screen)
            if browser:
                webbrowser.open(f"{shown}/?token={secret}")

        app.io_loop.add_callback(greet)
        with _noise_to(lab.paths.logs / "jupyter.log") as screen:
            app.start()
    return 0


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":  # there it would allow a second server on the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(f"Port {port} of {host} cannot be used: {error.strerror}") from error


@contextmanager
def _engine(lab: Lab) -> Iterator[Future[EngineProcess | None]]:
    """The embedded engine if it is needed, started while the server is still being imported."""
    with ThreadPoolExecutor(1) as starter:
        engine = starter.submit(_start_engine, lab)
        try:
            yield engine
        finally:
            if engine.exception() is None and (process := engine.result()) is not None:
                lab.stop_engine(process)


def _start_engine(lab: Lab) -> EngineProcess | None:
    return None if asyncio.run(lab.has_comfyui()) else lab.start_engine()


def _server(lab: Lab, *, host: str, port: int, token: str) -> Any:
    # the imports take a second, in which the engine starts
    from jupyter_server.serverapp import ServerApp
    from traitlets.config import Config

    from orchestrator.server import pages

    folders = [str(pages.TEMPLATES), os.environ.get("JUPYTER_PATH")]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, folders))
    config = Config()
    config.ServerApp.update(
        {
            "ip": host,
            "port": port,
            "port_retries": 0,
            "open_browser": False,
            "root_dir": str(lab.paths.project_root),
            "default_url": pages.HOME,
            "allow_root": True,  # GPU boxes and containers
            "answer_yes": True,  # Ctrl-C means it
            "log_level": logging.getLevelName(lab.settings.log_level)
            if lab.settings.log_level == "DEBUG"
            else logging.ERROR,
            "jpserver_extensions": {
                "jupyterlab": True,
                "voila.server_extension": True,
                "orchestrator.server": True,
                "jupyter_lsp": False,
                "notebook_shim": False,
            },
            # Voilà would load it from another host
            "tornado_settings": {"mathjax_url": "/static/no-mathjax.js"},
        }
    )
    config.IdentityProvider.token = token
    config.LabApp.update(
        {"news_url": None, "check_for_updates_class": NO_UPDATES, "log_level": logging.ERROR}
    )
    config.VoilaConfiguration.update(
        {
            "template": "orchestrator",
            "resources": {"pages": pages.navigation()},
            "extension_allowlist": [
                "@jupyter-widgets/jupyterlab-manager",
                "@voila-dashboards/widgets-manager8",
                "anywidget",
            ],
        }
    )
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    app = ServerApp.instance(config=config)
    app.initialize(argv=[])
    if hasattr(signal, "SIGHUP"):  # the terminal was closed
        signal.signal(signal.SIGHUP, app._signal_stop)
    return app


def _painter(lab: Lab, engine: EngineProcess | None) -> str:
    if engine is not None:
        return f"the embedded engine, no model ({engine.url})"
    return ", ".join(lab.comfy_hosts())


def _greet(url: str, painter: str, screen: TextIO) -> None:
    lines = ["", "  Orchestrator", f"    page      {url}", f"    pictures  {painter}"]
    screen.write("\n".join([*lines, "    stop      Ctrl-C", "", ""]))
    screen.flush()


@contextmanager
def _noise_to(log: Path) -> Iterator[TextIO]:
    """Send what the server and its kernels say on standard error to a file; gives the real one."""
    sys.stderr.flush()
    with log.open("ab") as file, os.fdopen(os.dup(2), "w") as screen:
        os.dup2(file.fileno(), 2)
        try:
            yield screen
        finally:
            sys.stderr.flush()
            screen.flush()
            os.dup2(screen.fileno(), 2)
