"""The door of every route: who may come in, and which faults are shown there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError, RequestHandler

if TYPE_CHECKING:
    from orchestrator.engine.engine import Engine

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


async def guard(handler: RequestHandler, engine: Engine) -> None:
    """Refuse other sites' pages, then show the faults the engine was told to show."""
    if _is_foreign(handler.request.headers, modern=engine.dialect.modern):
        raise HTTPError(403)
    path = handler.request.path.removeprefix("/api")
    if path.startswith("/engine/"):  # the way to end the faults stays open
        return
    faults = engine.faults
    if faults.latency_s:
        await asyncio.sleep(faults.latency_s)
    if faults.take_hang(path):
        await engine.stopping.wait()
        raise HTTPError(503)
    status = faults.take_http_status(path)
    if status is not None:
        raise HTTPError(status)


def _is_foreign(headers: HTTPHeaders, *, modern: bool) -> bool:
    """A browser on this machine must not let other sites' pages use the engine."""
    if modern and headers.get("Sec-Fetch-Site") == "cross-site":
        return True
    host, origin = headers.get("Host", ""), headers.get("Origin")
    if origin is None:
        return False
    try:
        there, here = urlsplit(origin), urlsplit(f"//{host}")
        ports = there.port or {"http": 80, "https": 443}.get(there.scheme), here.port or 80
    except ValueError:
        return True
    return here.hostname in LOOPBACK and (there.hostname != here.hostname or ports[0] != ports[1])
