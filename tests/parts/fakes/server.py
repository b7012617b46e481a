"""A loopback HTTP server with a registry of routes, a list of what it was asked, and faults on demand."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

HANG_S = 30.0  # the most that a hanging request is held


@dataclass(frozen=True)
class Asked:
    """One request as it came in; `host` is set when it came as to a proxy."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]  # names in lower case
    body: bytes
    host: str | None = None

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    def one(self, name: str) -> str:
        """The first value of a query's parameter, empty when it has none."""
        return self.query.get(name, [""])[0]


@dataclass(frozen=True)
class Reply:
    """What is answered. `body` may be bytes, text, or what becomes JSON."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    hangs: bool = False  # never answers; sees when the client goes
    sent: int | None = None  # bytes of the body that go out before the connection is cut
    drops: bool = False  # cut without a word

    def payload(self) -> tuple[bytes, str]:
        if isinstance(self.body, bytes):
            return self.body, "application/octet-stream"
        if isinstance(self.body, str):
            return self.body.encode(), "text/html; charset=utf-8"
        return json.dumps(self.body).encode(), "application/json; charset=utf-8"


Route = Callable[[Asked], Reply | None]


class FakeServer:
    """Use it in `with`. `asked` is every request in order; a fault stands before a path's routes until used up."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.gone = threading.Event()  # a client left while it was waiting
        self.gone_at: float | None = None  # time.monotonic()
        self.waiting = threading.Event()  # somebody waits for a reply that hangs
        self._routes: dict[tuple[str, str], Route] = {}
        self._faults: dict[str, list[Reply]] = {}
        self._always: dict[str, Reply] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Listener(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}
        )

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def route(self, method: str, path: str, answer: Route | Reply) -> None:
        """Answer `path`; a path that ends in / answers all below it. None from a route is a 404."""
        self._routes[method, path] = (lambda _: answer) if isinstance(answer, Reply) else answer

    def fail(self, path: str, *replies: Reply) -> None:
        """Answer the next requests below `path` with these, one each, before its routes are asked again."""
        self._faults.setdefault(path, []).extend(replies)

    def always(self, path: str, reply: Reply | None) -> None:
        """Answer every request below `path` with this; None: its routes answer again."""
        if reply is None:
            self._always.pop(path, None)
        else:
            self._always[path] = reply

    def calls(self, path: str = "/") -> int:
        """How many requests came below `path`."""
        return sum(each.path.startswith(path) for each in self.asked)

    def reply(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            for path, replies in self._faults.items():
                if asked.path.startswith(path) and replies:
                    return replies.pop(0)
        for path, reply in self._always.items():
            if asked.path.startswith(path):
                return reply
        path = asked.path
        while True:
            if answer := self._routes.get((asked.method, path)):
                return answer(asked) or Reply({"error": "nothing here"}, 404)
            if path == "/":
                return Reply({"error": "no such address"}, 404)
            path = path.rstrip("/").rpartition("/")[0] + "/"

    def hold(self, connection: socket.socket, seconds: float) -> bool:
        """Wait, but not for a client that has gone; whether it is still there."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._closing.is_set():
            readable, _, _ = select.select([connection], [], [], min(left, 0.02))
            if readable:
                try:
                    there = connection.recv(1, socket.MSG_PEEK) != b""
                except OSError:
                    there = False
                if not there:
                    self.gone_at = time.monotonic()
                    self.gone.set()
                    return False
        return not self._closing.is_set()


class FakeProxy(FakeServer):
    """A proxy for http:// addresses: records what came with its host and answers in the place of the far end.

    CONNECT gets what is registered under the method CONNECT, else 502.
    """


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # joined at the end: no thread outlives its test

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is what some tests are about."""


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a kept connection's answers take 40 ms
        wbufsize = -1  # headers and body go out together
        timeout = 2  # an idle connection must not hold up the end of a test

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            target = urlsplit(self.path)
            reply = server.reply(
                Asked(
                    self.command,
                    target.path or "/",
                    parse_qs(target.query, keep_blank_values=True),
                    {name.lower(): value for name, value in self.headers.items()},
                    body,
                    target.hostname,
                )
            )
            self._answer(reply)

        def _answer(self, reply: Reply) -> None:
            if reply.drops:
                self.close_connection = True
                return
            if reply.hangs:
                server.waiting.set()
                server.hold(self.connection, HANG_S)
                self.close_connection = True
                return
            if reply.delay_s and not server.hold(self.connection, reply.delay_s):
                self.close_connection = True
                return
            payload, kind = reply.payload()
            self.send_response(reply.status)
            for name, value in {"Content-Type": kind, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            if reply.sent is not None:
                payload = payload[: reply.sent]
                self.close_connection = True
            self.end_headers()
            self.wfile.write(payload)
            self.wfile.flush()

        do_GET = do_POST = do_CONNECT = _serve

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    return Handler
