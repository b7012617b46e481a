"""`orchestrator up`: the whole lab in one process tree, until Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import sys
import threading
import webbrowser
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import psutil
from pydantic import SecretStr

from orchestrator import logs
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.embedded import EngineProcess
from orchestrator.errors import AlreadyUp, OrchestratorError, SettingsInvalid
from orchestrator.guardian import Ward, engine
from orchestrator.lab import Lab
from orchestrator.logs import writing
from orchestrator.server.offspring import Offspring
from orchestrator.server.signals import on_signals
from orchestrator.server.tenancy import Tenancy

ANYWHERE = {"0.0.0.0", "::"}


def up(
    lab: Lab,
    *,
    port: int | None = None,
    browser: bool = True,
    orphan_grace_s: float | None = None,
    step_ms: float = 0.0,
) -> int:
    """Run the lab's server, worker and, where there is no ComfyUI, the embedded engine, until a signal.

    `port` replaces the one of ADMIN_URL. `orphan_grace_s`: how long a page's kernel outlives its last visitor.
    `step_ms`: how much longer each sampler step of the embedded engine takes. Returns the exit code: 1 when the port
    is taken, or another server has these jobs. Raises SettingsInvalid. To be called in the main thread.
    """
    address = Address.of(lab.settings.admin_url, port)
    try:
        with Tenancy(lab, url=address.url, port=address.port):
            return _up(lab, address, browser=browser, grace_s=orphan_grace_s, step_ms=step_ms)
    except AlreadyUp as taken:
        _say(f"{taken.message}.\n{taken.remedy}")
        return 1


def _up(lab: Lab, address: Address, *, browser: bool, grace_s: float | None, step_ms: float) -> int:
    if trouble := address.trouble():
        _say(trouble)
        return 1
    given = lab.settings.orchestrator_token
    token = given.get_secret_value() if given else secrets.token_hex(24)
    here = {"admin_url": address.url, "orchestrator_token": SecretStr(token)}
    lab.settings = lab.settings.model_copy(update=here)
    writing.set_up(lab.paths, lab.settings, name="server")
    on_signals(_interrupt)
    with (
        Offspring(lab.store.layout.lab) as offspring,
        Comfy(lab, offspring, step_ms=step_ms) as comfy,  # starts beside the imports
    ):
        try:
            return _serve(lab, address, comfy, offspring, token, browser=browser, grace_s=grace_s)
        except KeyboardInterrupt:
            return 0


def _serve(
    lab: Lab,
    address: Address,
    comfy: Comfy,
    offspring: Offspring,
    token: str,
    *,
    browser: bool,
    grace_s: float | None,
) -> int:
    # jsonschema takes a second to build a check for international addresses, which nothing here needs, if it can
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from orchestrator.server import reaper, server

    app = server.make(
        lab, host=address.host, port=address.port, base_url=address.base_url, token=token
    )
    told = False

    async def started() -> None:
        nonlocal told
        said = await asyncio.wrap_future(comfy.said)
        if not told:
            told = True
            url = f"{address.url}/?token={token}"
            # the screen of a service is a file, where no key belongs
            shown = address.url if os.environ.get(logs.SERVICE) else url
            _say(_banner(lab, shown, said))
            if browser and _has_screen():
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    app.prepare(
        lab,
        offspring=offspring,
        orphan_grace_s=reaper.GRACE_S if grace_s is None else grace_s,
        on_start=started,
        wards=[comfy.ward()],
    )
    app.start()
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@dataclass(frozen=True)
class Address:
    """Where the server listens. `base_url` begins and ends with a slash."""

    host: str
    port: int
    base_url: str

    @classmethod
    def of(cls, admin_url: str, port: int | None) -> Self:
        """The parts of ADMIN_URL. Raises SettingsInvalid."""
        parts = urlsplit(admin_url)
        try:
            chosen = port or parts.port or 80
        except ValueError as error:
            raise SettingsInvalid(f"ADMIN_URL: {error}") from error
        if parts.scheme != "http" or not parts.hostname:
            raise SettingsInvalid(
                f"ADMIN_URL cannot be {admin_url}",
                remedy="Give an http:// address of this machine; for https put a proxy before it.",
            )
        path = parts.path.strip("/")
        return cls(parts.hostname, chosen, f"/{path}/" if path else "/")

    @property
    def url(self) -> str:
        """The address for a browser on this machine, without a slash at its end."""
        host = "127.0.0.1" if self.host in ANYWHERE else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}{self.base_url}".rstrip("/")

    def trouble(self) -> str | None:
        """Why nothing can listen there, and what to do about it."""
        try:
            places = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, kind, proto, _, place in places:
                with socket.socket(family, kind, proto) as probe:
                    if os.name == "posix":  # a port whose last connection is still closing is free
                        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        probe.bind(place)
                    except OSError as error:
                        # localhost may have an IPv6 address although the machine has no IPv6
                        if error.errno != errno.EADDRNOTAVAIL or len(places) == 1:
                            raise
        except OSError as error:
            who = _listener(self.port)
            if who is not None:
                return (
                    f"Port {self.port} is in use by {who}.\n"
                    f"Stop it, or choose another port: orchestrator up --port {self.port + 1}"
                )
            return (
                f"Cannot listen on {self.host}:{self.port}: {error.strerror or error}.\n"
                f"Choose another port (orchestrator up --port {self.port + 1}), or correct ADMIN_URL."
            )
        return None


def _listener(port: int) -> str | None:
    """Who listens on a port, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,):
                if connection.pid is None:
                    return "another program"
                process = psutil.Process(connection.pid)
                return f"process {connection.pid} ({process.name()})"
    except (psutil.Error, OSError):
        pass
    return None


class Comfy:
    """The ComfyUI of the lab, or the embedded engine in its place, found or started in a thread of its own."""

    def __init__(self, lab: Lab, offspring: Offspring, *, step_ms: float) -> None:
        """`offspring` learns of the engine, each of whose steps takes `step_ms` longer."""
        self._step_ms = step_ms
        self._lab = lab
        self._offspring = offspring
        self._engine: EngineProcess | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self.said: Future[str] = Future()  # which it is, in words

    def __enter__(self) -> Self:
        self.said = self._threads.submit(self._find)
        return self

    def __exit__(self, *_: Any) -> None:
        self._threads.shutdown(wait=True)
        if self._engine is not None:
            self._lab.stop_engine(self._engine)

    def ward(self) -> Ward:
        """The embedded engine, for a guardian; it does nothing as long as there is none."""
        return engine.ward(lambda: self._engine, self._restart)

    def _restart(self) -> None:
        if self._engine is not None:
            self._lab.restart_engine(self._engine)
            self._offspring.add(self._engine.pid)

    def _find(self) -> str:
        if address := self._lab.settings.orchestrator_cluster:
            return f"beside the workers of {address}"
        if urls := self._lab.settings.comfy_urls:
            return ", ".join(ComfyUI(url).host for url in urls)
        if asyncio.run(self._lab.has_comfyui()):
            return ", ".join(self._lab.comfy_hosts())
        try:
            self._engine = self._lab.start_engine(step_ms=self._step_ms)
        except OrchestratorError as error:
            return f"none: {error.message}. {error.remedy}"
        self._offspring.add(self._engine.pid)
        return "embedded engine, no model (set COMFY_URL to use a ComfyUI)"


def _banner(lab: Lab, url: str, comfy: str) -> str:
    return (
        "\n  The lab is up.\n\n"
        f"    Open      {url}\n"
        f"    ComfyUI   {comfy}\n"
        f"    Lab       {lab.paths.file}\n"
        "    Stop      Ctrl-C\n"
    )


def _has_screen() -> bool:
    """Whether a browser could show something; without a screen Python would open a text one in the terminal."""
    if sys.platform in {"win32", "darwin"}:
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _say(text: str) -> None:
    sys.stderr.write(text.rstrip("\n") + "\n\n" if text.startswith("\n") else f"{text}\n")
    sys.stderr.flush()
