"""The web server around an engine: which routes there are, and how large a body may be."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.web import Application

from orchestrator.engine import handlers
from orchestrator.engine.dialects import MAX_UPLOAD

if TYPE_CHECKING:
    from orchestrator.engine.engine import Engine


def serve_http(engine: Engine, listening: socket.socket, *, testing: bool) -> HTTPServer:
    """Answer on this socket for this engine."""
    routes = [
        *handlers.EVERYWHERE,
        *((f"/api{path}", handler) for path, handler in handlers.EVERYWHERE),
    ]
    if engine.dialect.modern:
        routes += handlers.JOBS
    if testing:
        routes += handlers.TESTING
    app = _App(
        [(path, handler, {"engine": engine}) for path, handler in routes],
        log_function=lambda handler: None,  # the engine prints nothing
        websocket_ping_interval=0,
        websocket_max_message_size=MAX_UPLOAD,
    )
    server = HTTPServer(app, max_body_size=MAX_UPLOAD)
    server.add_socket(listening)
    return server


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; a port in use is an OSError that says what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            raise
        raise OSError(
            exc.errno,
            f"Port {port} on {host} is in use. Stop the program that holds it, or choose another port.",
        ) from exc
    listening.setblocking(False)
    return listening


class _App(Application):
    """Answers 413 to a body over the limit; tornado itself would answer 400 and hang up in the middle of it."""

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        inner = super().start_request(server_conn, request_conn)
        return _Limited(inner, request_conn)


class _Limited(HTTPMessageDelegate):
    def __init__(self, inner: HTTPMessageDelegate, connection: HTTPConnection) -> None:
        self._inner, self._connection = inner, connection
        self._too_large = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Any:
        length = headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > MAX_UPLOAD:
            self._too_large = True
            if isinstance(self._connection, HTTP1Connection):
                # Read on and throw away, so that the client has ears for the answer.
                self._connection.set_max_body_size(int(length))
            return None
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:
        return None if self._too_large else self._inner.data_received(chunk)

    def finish(self) -> None:
        if not self._too_large:
            self._inner.finish()
            return
        start = ResponseStartLine("HTTP/1.1", 413, "Request Entity Too Large")
        self._connection.write_headers(start, HTTPHeaders({"Content-Length": "0"}))
        self._connection.finish()

    def on_connection_close(self) -> None:
        if not self._too_large:
            self._inner.on_connection_close()
