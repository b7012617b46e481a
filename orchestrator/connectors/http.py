"""One HTTP exchange: bounded in time and size, its failures told in the lab's own words."""

from __future__ import annotations

import json
import logging
import ssl
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import anyio
import httpx
import orjson

from orchestrator.errors import ServiceBroken, ServiceError, ServiceTimeout, ServiceUnreachable
from orchestrator.headers import retry_after_s
from orchestrator.jobs import one_line
from orchestrator.settings import MASK, SHORTEST_PASSWORD

CONNECT_S = 5.0  # a server that listens accepts in milliseconds; a machine that is off never does
# between two pieces of an answer; a server that loads a checkpoint is deaf for seconds
READ_S = 15.0
WRITE_S = 30.0
POOL_S = 15.0
KEEP_ALIVE_S = 4.0  # shorter than any server keeps a connection, so that none is lost to that race
# /object_info of a server with hundreds of custom nodes is about 10 MB
JSON_LIMIT_BYTES = 64 * 2**20
FILE_LIMIT_BYTES = 256 * 2**20
MAX_RETRY_AFTER_S = 3600.0
MAX_DETAIL = 300  # characters of a foreign message that are worth showing
CREDENTIAL_HEADERS = ("x-key", "authorization", "proxy-authorization")
SHORTEST_KEY = 8  # characters: a shorter one is a word that answers are full of
MASKED = MASK.encode()
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# What httpx raises before the first byte of the request is on its way.
NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
# The nearest class in an exception's ancestry decides.
TRANSLATIONS: Mapping[type[BaseException], type[ServiceError]] = {
    **dict.fromkeys(NOTHING_SENT, ServiceUnreachable),
    httpx.NetworkError: ServiceUnreachable,
    httpx.TimeoutException: ServiceTimeout,
    httpx.HTTPError: ServiceBroken,
    httpx.StreamError: ServiceBroken,
    httpx.CookieConflict: ServiceBroken,
}
HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict)
PHRASES: Mapping[type[ServiceError], str] = {
    ServiceUnreachable: "cannot be reached",
    ServiceTimeout: "did not answer in time",
    ServiceBroken: "gave an answer that cannot be read",
}


@contextmanager
def translated(service: str, host: str) -> Iterator[None]:
    """The one seam: an exception of httpx raised inside leaves as a ServiceError.

    Its message names the service, the host and the class of the exception, and never quotes a request.
    """
    try:
        yield
    except HTTPX_ERRORS as error:
        raise translation(error, service=service, host=host) from error


def translation(error: Exception, *, service: str, host: str) -> ServiceError:
    """The ServiceError that says what an exception of httpx means."""
    kind = next(TRANSLATIONS[c] for c in type(error).__mro__ if c in TRANSLATIONS)
    reason = type(error).__name__
    # Only this one's text comes from the operating system alone; others may quote headers or a signed URL.
    if isinstance(error, httpx.ConnectError) and str(error):
        reason = f"{reason}: {shown(str(error))}"
    return kind(f"{service} at {host} {PHRASES[kind]} ({reason})")


def shown(text: str, *, limit: int = MAX_DETAIL) -> str:
    """A foreign text as one line of bounded length."""
    line = one_line(text[: 8 * limit])
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def host_of(url: str) -> str:
    """The part of an address that may be shown: scheme, host and port, no user, no query."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "an address that cannot be read"
    name = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    port = f":{parsed.port}" if parsed.port is not None else ""
    return f"{parsed.scheme}://{name}{port}"


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine, where no proxy should be asked for it."""
    try:
        return httpx.URL(url).host in LOOPBACK
    except httpx.InvalidURL:
        return False


@cache
def _trusting() -> ssl.SSLContext:
    # 60 ms to load the certificates, so once for all clients
    return httpx.create_ssl_context()


def client(
    url: str,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    keep_alive: bool = True,
    read_s: float = READ_S,
) -> httpx.AsyncClient:
    """A client for the service at `url`: follows no redirects, and with `keep_alive` reuses connections."""
    logging.getLogger("httpx").addFilter(_without_queries)
    # A client of a plain http address never speaks TLS; the empty context trusts nobody and costs nothing.
    secure = url.startswith("https:")
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(connect=CONNECT_S, read=read_s, write=WRITE_S, pool=POOL_S),
        limits=httpx.Limits(
            max_connections=100,
            max_keepalive_connections=20 if keep_alive else 0,
            keepalive_expiry=KEEP_ALIVE_S,
        ),
        follow_redirects=False,
        trust_env=not is_loopback(url),
        verify=_trusting() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )


def warm_up() -> None:
    """Import what httpx imports with its first client, and in an event loop what anyio does with the first request."""
    client("http://127.0.0.1")
    with suppress(RuntimeError):  # there is no loop
        anyio.get_cancelled_exc_class()


def _without_queries(record: logging.LogRecord) -> bool:
    """Take queries and passwords out of the addresses that httpx logs: a signed URL opens the picture."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            f"{host_of(str(value))}{value.path}" if isinstance(value, httpx.URL) else value
            for value in record.args
        )
    return True


@dataclass(frozen=True)
class Reply:
    """What a service answered, read to its end."""

    service: str
    host: str
    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_ok(self) -> bool:
        """Whether the service did what it was asked."""
        return 200 <= self.status < 300

    @property
    def clock_skew_s(self) -> float | None:
        """How far our clock is ahead of the service's, to a second or so; None when it does not tell its time."""
        try:
            at = parsedate_to_datetime(self.headers.get("date", ""))
            return (datetime.now(UTC) - at).total_seconds()
        except (TypeError, ValueError):
            return None

    def json(self) -> Any:
        """The body as JSON. Python services also write NaN, so that is read too. Raises ServiceBroken."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            pass
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise ServiceBroken(
                f"{self.service} at {self.host} answered {self.status} with something that is not JSON"
            ) from error

    def document(self) -> dict[str, Any]:
        """The body as a JSON object. Raises ServiceBroken."""
        parsed = self.json()
        if not isinstance(parsed, dict):
            raise ServiceBroken(f"{self.service} at {self.host} answered JSON that is no object")
        return parsed

    def text(self) -> str:
        """The start of the body as one line, for a message."""
        return shown(self.body[: 8 * MAX_DETAIL].decode("utf-8", "replace"))

    @property
    def retry_after_s(self) -> float | None:
        """The pause the service asks for, in seconds or as a date (RFC 9110, 10.2.3)."""
        said = self.headers.get("retry-after")
        return retry_after_s(said, now=datetime.now(UTC), longest_s=MAX_RETRY_AFTER_S)


async def send(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    service: str,
    host: str,
    limit_bytes: int = JSON_LIMIT_BYTES,
    params: Mapping[str, str] | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send one request, once, and read the whole answer. `body` is JSON.

    Raises what httpx raises, and ServiceBroken for an answer that is cut short or larger than `limit_bytes`.
    """
    content_type = {"content-type": "application/json"} if body is not None else {}
    request = client.build_request(
        method, url, params=params, content=body, headers={**content_type, **(headers or {})}
    )
    response = await client.send(request, stream=True)
    try:
        pieces: list[bytes] = []
        size = 0
        async for piece in response.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > limit_bytes:
                raise ServiceBroken(
                    f"{service} at {host} sent more than {limit_bytes / 2**20:.0f} MB in one answer"
                )
        announced = response.headers.get("content-length", "")
        if announced.isdigit() and max(size, response.num_bytes_downloaded) < int(announced):
            raise ServiceBroken(f"{service} at {host} broke off in the middle of an answer")
    finally:
        await response.aclose()
    body_said = _without_credentials(b"".join(pieces), response.request.headers)
    return Reply(service, host, response.status_code, response.headers, body_said)


def _without_credentials(body: bytes, sent: httpx.Headers) -> bytes:
    """An answer without the key that it was asked with: some services repeat it, and errors are stored and shown."""
    for secret in _credentials(sent):
        if secret in body:
            body = body.replace(secret, MASKED)
    return body


def _credentials(sent: httpx.Headers) -> Iterator[bytes]:
    """What a request's headers have of keys, as sent and, of a password, as it is."""
    for name in CREDENTIAL_HEADERS:
        scheme, _, value = sent.get(name, "").rpartition(" ")
        if len(value) >= SHORTEST_KEY:
            yield value.encode()
        if scheme.lower() == "basic":
            with suppress(ValueError):
                password = b64decode(value).partition(b":")[2]
                if len(password) >= SHORTEST_PASSWORD:
                    yield password


async def exchange(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    service: str,
    host: str,
    limit_bytes: int = JSON_LIMIT_BYTES,
    params: Mapping[str, str] | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """As `send`, with every failure a ServiceError. The status of the answer is the caller's to judge."""
    with translated(service, host):
        return await send(
            client,
            method,
            url,
            service=service,
            host=host,
            limit_bytes=limit_bytes,
            params=params,
            body=body,
            headers=headers,
        )
