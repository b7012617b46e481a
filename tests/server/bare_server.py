"""The REST interface of a lab in a process of its own, without a worker, pages or JupyterLab: there in no time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forks
import httpx
from jupyter_server.serverapp import ServerApp
from served_lab import TOKEN, free_port, until
from traitlets.config import Config

from orchestrator.lab import Lab
from orchestrator.server import rest
from orchestrator.server.limits import Limits, Rate

forks.preload(__name__)


def serve(
    port: int, base_url: str, rates: dict[str, tuple[int, float]], options: dict[str, Any]
) -> None:
    """Serve the lab that the environment names, until killed."""
    if rates:
        options["limits"] = Limits(**{name: Rate(*rate) for name, rate in rates.items()})
    config = Config()
    config.ServerApp.update(
        ip="127.0.0.1",
        port=port,
        port_retries=0,
        base_url=base_url,
        open_browser=False,
        allow_root=True,
        jpserver_extensions={},
    )
    config.IdentityProvider.token = TOKEN
    config.Application.log_level = 40
    lab = Lab.open()
    app = ServerApp.instance(config=config)
    app.initialize(argv=[], find_extensions=False)
    rest.load(app, lab, **options)
    app.start()


class BareServer:
    """A server of the lab in `folder`. Stop it at the end. `options` are those of `rest.load`; `writes` and
    `reads` are rates: so many requests in so many seconds."""

    def __init__(self, folder: Path, *, base_url: str = "/", **options: Any) -> None:
        (folder / "paths.json").write_text("{}")
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{base_url}".rstrip("/")
        unset = {"COMFY_URL", "BFL_API_KEY", "ADMIN_URL"}
        environment = {key: value for key, value in os.environ.items() if key not in unset}
        environment["ORCHESTRATOR_PATHS"] = str(folder / "paths.json")
        environment["JUPYTER_CONFIG_DIR"] = str(folder / "no-jupyter")
        rates = {name: options.pop(name) for name in ("writes", "reads") if name in options}
        self.said = folder / "said.txt"
        self.process = forks.Forked(
            serve,
            *(self.port, base_url, rates, options),
            environment=environment,
            folder=folder,
            out=self.said,
        )
        self.lab = Lab.open(folder)
        self.token = {"Authorization": f"token {TOKEN}"}
        self.http = httpx.Client(base_url=self.url, timeout=20, headers=self.token)
        self.stranger = httpx.Client(base_url=self.url, timeout=20)
        try:
            until(self._answers, 30)
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said.read_text()
        try:
            return self.stranger.get("/api/jobs").status_code == 403
        except httpx.HTTPError:
            return False

    def get(self, path: str, **query: Any) -> Any:
        """What a route answers to somebody with the token, who may ask it."""
        reply = self.http.get(path, params=query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def api(self, method: str, path: str, **options: Any) -> Any:
        """What a route answers to somebody with the token."""
        reply = self.http.request(method, path, **options)
        reply.raise_for_status()
        return reply.json()

    def post(self, path: str, body: Any = None) -> httpx.Response:
        """What a route answers to a body of somebody with the token."""
        return self.http.post(path, json=body) if body is not None else self.http.post(path)

    def generate(self, prompt: str = "a red fox", **more: Any) -> str:
        """Submit a job; returns its id. No worker takes it."""
        reply = self.post("/api/generate", {"prompt": prompt, "backend": "sd15", **more})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["jobId"])

    def stop(self) -> None:
        """End the server."""
        self.process.close()
        self.http.close()
        self.stranger.close()
        self.lab.close()


def eventually(condition: Callable[[], bool]) -> float:
    """Wait for something that the server does; returns how long it took, in seconds."""
    return until(condition, 10)
