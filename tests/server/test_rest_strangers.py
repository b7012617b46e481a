"""Who gets nothing from the REST interface, and how much everybody else gets."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from bare_server import BareServer
from lengths import LONG
from served_lab import TOKEN

from orchestrator.server.handlers import METHODS, LabHandler
from orchestrator.server.rest import ROUTES

ALL_METHODS = [*(name.upper() for name in METHODS), "OPTIONS"]
PATHS = [
    "/" + re.sub(r"\([^()]*\)", "x", pattern).replace("\\", "").lstrip("/") for pattern, _ in ROUTES
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    server = BareServer(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.mark.parametrize("path", [*PATHS, "/api/nothing", "/api/jobs/x/y"])
def test_an_anonymous_caller_gets_nothing_on_any_route_by_any_method(
    server: BareServer, path: str
) -> None:
    job = server.lab.submit("a secret prompt", hold=True)
    wrong = {"Authorization": "token wrong"}  # is looked at in one place, whatever the method
    tried: list[tuple[str, dict[str, str]]] = [(method, {}) for method in ALL_METHODS]
    tried += [(method, wrong) for method in (ALL_METHODS if LONG else ("GET", "POST"))]
    for method, headers in tried:
        body = b'{"prompt": "x", "backend": "sd15"}'
        reply = server.stranger.request(
            method, path.replace("x", job.id, 1), headers=headers, content=body
        )
        assert reply.status_code == 403, (method, reply.text)
        assert "secret" not in reply.text
        if method != "HEAD":
            said = reply.json()
            assert said["success"] is False
            assert "token" in said["error"]
            assert "Authorization" in said["remedy"]
    assert server.lab.store.get(job.id).revision == 1
    server.lab.cancel(job.id)
    server.lab.delete(job.id)
    assert server.get("/api/jobs")["total"] == 0


def test_every_handler_is_guarded_by_the_base_whatever_it_says_itself() -> None:
    for _, handler in ROUTES:
        assert issubclass(handler, LabHandler)

    class Forgetful(LabHandler):
        async def get(self) -> None:
            """Says nothing about who may come in."""

    # Tornado's own mark of a method behind a log-in
    assert Forgetful.get.__code__.co_filename.endswith("tornado/web.py")


@pytest.mark.parametrize("scheme", ["token", "Bearer", "query"])
def test_the_token_is_taken_as_jupyter_takes_it(server: BareServer, scheme: str) -> None:
    if scheme == "query":
        reply = server.stranger.get("/api/jobs", params={"token": TOKEN})
    else:
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        reply = server.stranger.get("/api/jobs", headers=headers)
    assert reply.status_code == 200


def test_a_page_with_only_the_cookie_must_prove_that_it_is_ours(server: BareServer) -> None:
    body = {"prompt": "x", "backend": "sd15", "hold": True}
    with httpx.Client(base_url=server.url) as browser:
        browser.get("/api/jobs", params={"token": TOKEN})
        assert browser.get("/api/jobs").status_code == 200
        refused = browser.post("/api/generate", json=body)
        assert refused.status_code == 403
        assert "X-XSRFToken" in refused.json()["remedy"]
        assert refused.json()["success"] is False
        browser.get("/no-such-page")  # a page for people: it sets the cookie
        proof = {"X-XSRFToken": browser.cookies["_xsrf"]}
        assert browser.post("/api/generate", json=body, headers=proof).status_code == 201
        foreign = browser.post(
            "/api/generate", json=body, headers=proof | {"Origin": "http://evil.example"}
        )
        assert foreign.status_code in {403, 404}
        assert foreign.json()["success"] is False


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: BareServer) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as wire:
        wire.sendall(
            f"POST /api/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: token {TOKEN}\r\n"
            "Content-Length: 300000000\r\n\r\n{".encode()
        )
        assert wire.recv(100).startswith(b"HTTP/1.1 413 ")


def test_whoever_sends_too_much_sees_the_answer_and_may_go_on(server: BareServer) -> None:
    for content in (b"x" * 1_000_001, b"x" * 20_000_000, (b"x" * 100_000 for _ in range(50))):
        reply = server.http.post("/api/generate", content=content)  # the last one says no size
        assert reply.status_code == 413
        assert reply.json()["success"] is False
        assert reply.headers.get("Connection") != "close"
        assert server.get("/api/jobs")["total"] >= 0


def test_a_client_that_asks_too_often_is_told_when_to_come_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = BareServer(tmp_path_factory.mktemp("limited"), writes=[5, 60], reads=[8, 60])
    try:
        replies = [server.post("/api/queue/resume") for _ in range(7)]
        assert [reply.status_code for reply in replies] == [200] * 5 + [429] * 2
        said = replies[-1].json()
        assert said["success"] is False
        assert 1 <= int(replies[-1].headers["Retry-After"]) <= 60
        assert replies[-1].headers["Retry-After"] in said["remedy"]
        reads = [server.http.get("/api/jobs").status_code for _ in range(9)]
        assert reads == [200] * 8 + [429]
    finally:
        server.stop()


def test_a_refused_stranger_does_not_use_up_what_others_may_ask(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = BareServer(tmp_path_factory.mktemp("limited"), reads=[3, 60])
    try:
        assert {server.stranger.get("/api/jobs").status_code for _ in range(10)} == {403}
        assert server.http.get("/api/jobs").status_code == 200
    finally:
        server.stop()
