"""The seam to httpx: every exception has a translation, answers are bounded, logs tell no secrets."""

from __future__ import annotations

import asyncio
import inspect
import logging

import httpx
import pytest

from orchestrator.connectors import http
from orchestrator.errors import ServiceBroken, ServiceError, ServiceTimeout, ServiceUnreachable

EXPECTED: dict[type[Exception], type[ServiceError]] = {
    # nobody took the request
    httpx.ConnectError: ServiceUnreachable,
    httpx.ConnectTimeout: ServiceUnreachable,
    httpx.PoolTimeout: ServiceUnreachable,
    httpx.ProxyError: ServiceUnreachable,
    httpx.UnsupportedProtocol: ServiceUnreachable,
    httpx.InvalidURL: ServiceUnreachable,
    # the connection broke
    httpx.NetworkError: ServiceUnreachable,
    httpx.ReadError: ServiceUnreachable,
    httpx.WriteError: ServiceUnreachable,
    httpx.CloseError: ServiceUnreachable,
    # it took too long
    httpx.TimeoutException: ServiceTimeout,
    httpx.ReadTimeout: ServiceTimeout,
    httpx.WriteTimeout: ServiceTimeout,
    # what came makes no sense
    httpx.HTTPError: ServiceBroken,
    httpx.RequestError: ServiceBroken,
    httpx.TransportError: ServiceBroken,
    httpx.ProtocolError: ServiceBroken,
    httpx.LocalProtocolError: ServiceBroken,
    httpx.RemoteProtocolError: ServiceBroken,
    httpx.DecodingError: ServiceBroken,
    httpx.TooManyRedirects: ServiceBroken,
    httpx.HTTPStatusError: ServiceBroken,
    httpx.CookieConflict: ServiceBroken,
    httpx.StreamError: ServiceBroken,
    httpx.StreamConsumed: ServiceBroken,
    httpx.StreamClosed: ServiceBroken,
    httpx.ResponseNotRead: ServiceBroken,
    httpx.RequestNotRead: ServiceBroken,
}


def make(kind: type[Exception]) -> Exception:
    if kind is httpx.HTTPStatusError:
        request = httpx.Request("GET", "http://x")
        return httpx.HTTPStatusError("x", request=request, response=httpx.Response(500))
    try:
        return kind("secret-in-the-text")
    except TypeError:
        return kind()


def test_every_exception_of_httpx_is_listed_here() -> None:
    public = {getattr(httpx, name) for name in httpx.__all__}
    exceptions = {c for c in public if inspect.isclass(c) and issubclass(c, Exception)}
    assert exceptions == set(EXPECTED)


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_an_exception_of_httpx_leaves_the_seam_as_its_service_error(kind: type[Exception]) -> None:
    raised = make(kind)
    with pytest.raises(ServiceError) as caught, http.translated("comfyui", "http://host:1"):
        raise raised
    assert type(caught.value) is EXPECTED[kind]
    assert caught.value.__cause__ is raised
    assert "http://host:1" in caught.value.message
    if kind is not httpx.ConnectError:
        assert "secret" not in caught.value.message


def test_what_is_no_exception_of_httpx_passes_the_seam_unchanged() -> None:
    with pytest.raises(KeyError), http.translated("comfyui", "h"):
        raise KeyError("x")


async def ask(app: object, url: str = "http://test/x", **options: int) -> http.Reply:
    client = http.client("http://test", transport=httpx.MockTransport(app))  # type: ignore[arg-type]
    async with client:
        return await http.exchange(client, "GET", url, service="s", host="h", **options)  # type: ignore[arg-type]


def test_an_answer_larger_than_the_limit_is_refused() -> None:
    with pytest.raises(ServiceBroken, match="more than"):
        asyncio.run(ask(lambda r: httpx.Response(200, content=b"x" * 2000), limit_bytes=1000))


def test_an_answer_shorter_than_it_announced_is_refused() -> None:
    cut = httpx.Response(200, headers={"content-length": "100"}, stream=httpx.ByteStream(b"half"))
    with pytest.raises(ServiceBroken, match="broke off"):
        asyncio.run(ask(lambda r: cut))


def test_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    def app(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(302, headers={"location": "http://evil.test/"})

    assert asyncio.run(ask(app)).status == 302
    assert seen == ["http://test/x"]


def reply(body: bytes) -> http.Reply:
    return http.Reply("s", "h", 200, httpx.Headers(), body)


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_not_json_is_a_broken_service(body: bytes) -> None:
    with pytest.raises(ServiceBroken):
        reply(body).json()


def test_nan_in_json_is_read_as_python_services_write_it() -> None:
    assert reply(b'{"is_changed": [NaN], "n": 1}').document()["n"] == 1


def test_json_that_is_no_object_is_a_broken_service() -> None:
    with pytest.raises(ServiceBroken, match="no object"):
        reply(b"[1]").document()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8188", "http://127.0.0.1:8188"),
        ("https://user:secret@gpu.lan/prefix?token=secret", "https://gpu.lan"),
        ("http://[::1]:8188/", "http://[::1]:8188"),
        ("http://x:notaport", "an address that cannot be read"),
    ],
)
def test_a_host_is_shown_without_user_or_query(url: str, host: str) -> None:
    assert http.host_of(url) == host


def test_a_foreign_text_is_shown_as_one_bounded_line() -> None:
    line = http.shown("first\nsecond\x1b[31m" + "x" * 10_000)
    assert line.startswith("first second")
    assert len(line) == http.MAX_DETAIL
    assert line.isprintable()


def test_the_log_of_httpx_shows_no_query_and_no_password(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="httpx"):
        url = "http://user:hidden@test/picture?sig=hidden"
        asyncio.run(ask(lambda r: httpx.Response(200), url=url))
    assert "/picture" in caplog.text
    assert "hidden" not in caplog.text


def test_a_proxy_is_not_asked_for_this_machine() -> None:
    assert http.is_loopback("http://127.0.0.1:8188")
    assert http.is_loopback("http://localhost:8188")
    assert not http.is_loopback("http://gpu.lan:8188")
    assert not http.is_loopback("http://x:notaport")
