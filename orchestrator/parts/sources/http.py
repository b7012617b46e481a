"""The way to one source: counted, bounded in time and size, through its proxy or not at all; failures told in words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from orchestrator.headers import retry_after_s
from orchestrator.parts.errors import (
    SourceAuth,
    SourceBlocked,
    SourceError,
    SourceProxy,
    SourceRate,
    SourceSchema,
    SourceTimeout,
    SourceUnreachable,
)
from orchestrator.parts.keys import SourceSettings
from orchestrator.parts.sources.base import Meter
from orchestrator.parts.sources.connection import (
    is_loopback,
    is_tls,
    prepare,
    trusting,
    trusting_nobody,
)
from orchestrator.parts.sources.redaction import clean, plain, quiet_logs

ANSWER_LIMIT_BYTES = 8 * 2**20  # 50 products of DigiKey are about 0.6 MB
TIMEOUT_S = 8.0  # of one exchange, whole
CONNECT_S = 4.0
RETRY_WITHIN_S = 2.0  # a longer pause is not worth the wait of whoever searches
MAX_RETRY_AFTER_S = 86_400.0
KEEP_ALIVE_S = 4.0  # shorter than servers keep a connection, so that none is lost to that race
MINUTE_S, DAY_S = 60, 86_400
SOCKS_REMEDY = "Run pip install 'orchestrator-lab[socks]', or name a proxy that begins with http://"
# What a refusal says when it is the key that is refused, and not the address the call came from.
KEY_WORDS = ("api key", "apikey", "api_key", "not authorized", "unauthorized", "subscri", "credential",
             "client id", "client_id", "token", "invalid key")  # fmt: skip

Params = Mapping[str, Any] | Sequence[tuple[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What a source answered, read to its end. It does not know its address, which may have a key in it."""

    title: str
    status: int
    headers: Mapping[str, str] = field(repr=False)  # lower-case or not: found either way
    content: bytes = field(repr=False)
    charset: str = "utf-8"

    @property
    def text(self) -> str:
        """The body as text, after its charset."""
        try:
            return self.content.decode(self.charset, "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises SourceSchema."""
        parsed = self.json_or_none()
        if parsed is None:
            raise SourceSchema(
                f"{self.title} answered {self.status} with something that is not JSON"
            )
        return parsed

    def json_or_none(self) -> Any:
        """The body as JSON; None when it is none."""
        return self._parsed

    @cached_property  # the judge reads it, then the source
    def _parsed(self) -> Any:
        try:
            return orjson.loads(self.content.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError:
            return None

    @property
    def retry_after_s(self) -> float | None:
        """The pause the source asks for, in seconds or as a date (RFC 9110, 10.2.3)."""
        said = self.headers.get("retry-after")
        return retry_after_s(said, now=datetime.now(UTC), longest_s=MAX_RETRY_AFTER_S)


Judge = Callable[[Answer], SourceError | None]
Told = Callable[[Answer, Meter], None]


class Client:
    """HTTP for one source, used in one event loop. Raises SourceError only, whose words never hold a key.

    Values of `params`, `json`, `data` and `headers` may be SecretStr; they are opened as the request is built.
    `judge` may find an error in any answer, also one with status 200, before the status is looked at; `told` reads
    what the headers say of the quota.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        settings: SourceSettings,
        meter: Meter,
        secrets: Sequence[SecretStr] = (),
        title: str | None = None,
        judge: Judge | None = None,
        told: Told | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name = name
        self.title = title or name
        self._base_url = (settings.base_url or base_url).rstrip("/")
        # Asked of the address itself: a proxy elsewhere could not reach what listens on this machine.
        self._proxy = None if is_loopback(self._base_url) else settings.proxy
        self._secrets = [*secrets, *([settings.proxy] if settings.proxy else [])]
        self._tokens: list[SecretStr] = []
        self._meter = meter
        self._judge = judge or (lambda _: None)
        self._told = told or limits_told
        self._timeout_s = timeout_s
        self._http: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        quiet_logs()

    def add_secret(self, secret: SecretStr) -> None:
        """Mask one more value in what is said aloud: a token that was fetched. The last few are remembered."""
        self._tokens = [*self._tokens[-7:], secret]

    def clean(self, text: str) -> str:
        """A text of the source as it may be shown: one short line, no key, no query string."""
        return clean(text, [*self._secrets, *self._tokens])

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        counted: bool = True,
    ) -> Answer:
        """One exchange, and a second one when the source asks for a pause of at most RETRY_WITHIN_S.

        `counted` calls pass the meter first, the second one too. Raises SourceError, also what the meter raises.
        """
        # Errors come back as values: raised here, they carry no frame and no context that holds the request.
        outcome = await self._attempt(method, path, params, json, data, headers, counted=counted)
        pause_s = outcome.retry_after_s if isinstance(outcome, SourceError) else None
        if pause_s is not None and pause_s <= RETRY_WITHIN_S:
            await asyncio.sleep(pause_s)
            outcome = await self._attempt(
                method, path, params, json, data, headers, counted=counted
            )
        if isinstance(outcome, SourceError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Give back the connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _attempt(
        self,
        method: str,
        path: str,
        params: Params | None,
        json: Any,
        data: Mapping[str, Any] | None,
        headers: Mapping[str, Any] | None,
        *,
        counted: bool,
    ) -> Answer | SourceError:
        if counted:
            await self._meter.take()
        try:
            http = await self._client()
            async with asyncio.timeout(self._timeout_s):
                answer = await self._send(
                    http,
                    http.build_request(
                        method,
                        self._address(path, params),
                        json=plain(json),
                        data=plain(dict(data)) if data is not None else None,
                        headers=plain(dict(headers)) if headers is not None else None,
                    ),
                )
        except SourceError as error:
            return _bare(error)
        except TimeoutError:
            return SourceTimeout(f"{self.title} did not answer in {self._timeout_s:g} s")
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            httpx.CookieConflict,
        ) as error:
            return self._failure(error)
        except (ValueError, TypeError, UnicodeError) as error:  # a key with a line end is no header
            return SourceAuth(f"{self.title} cannot be asked: a value is not fit to be sent "
                              f"({type(error).__name__})")  # fmt: skip
        if counted:
            self._told(answer, self._meter)
        return self._judge(answer) or self._status(answer) or answer

    def _address(self, path: str, params: Params | None) -> httpx.URL:
        """The whole address; a query that the base has of its own stays."""
        url = httpx.URL(f"{self._base_url}{path}")
        return url.copy_merge_params(httpx.QueryParams(_pairs(params))) if params else url

    async def _client(self) -> httpx.AsyncClient:
        if self._http is not None:
            return self._http
        async with self._opening:
            if self._http is None:
                try:
                    # 200 ms of imports and certificates at first, which would hold up what other sources bring
                    self._http = await asyncio.to_thread(self._open)
                except ImportError:
                    raise SourceProxy(
                        f"The SOCKS proxy of {self.title} needs a package that is not installed",
                        remedy=SOCKS_REMEDY,
                    ) from None
                except (ValueError, httpx.InvalidURL):
                    raise SourceProxy(f"The proxy of {self.title} is no address") from None
        return self._http

    def _open(self) -> httpx.AsyncClient:
        prepare()
        secure = self._base_url.startswith("https:") or self._proxy is not None
        return httpx.AsyncClient(
            trust_env=False,  # NO_PROXY, netrc and HTTPS_PROXY decide nothing here
            proxy=self._proxy.get_secret_value() if self._proxy else None,
            verify=trusting() if secure else trusting_nobody(),
            follow_redirects=False,  # a key never follows to another host
            timeout=httpx.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s)),
            limits=httpx.Limits(max_connections=8, keepalive_expiry=KEEP_ALIVE_S),
            headers={"user-agent": "orchestrator-lab", "accept": "*/*"},
        )

    async def _send(self, http: httpx.AsyncClient, request: httpx.Request) -> Answer:
        response = await http.send(request, stream=True)
        try:
            pieces: list[bytes] = []
            size = 0
            async for piece in response.aiter_bytes():
                pieces.append(piece)
                size += len(piece)
                if size > ANSWER_LIMIT_BYTES:
                    raise SourceSchema(
                        f"{self.title} sent more than {ANSWER_LIMIT_BYTES >> 20} MB in one answer"
                    )
        finally:
            await response.aclose()
        return Answer(
            self.title,
            response.status_code,
            response.headers,
            b"".join(pieces),
            response.charset_encoding or "utf-8",
        )

    def _failure(self, error: Exception) -> SourceError:
        """What an exception of httpx means. Its own text may quote an address, so only its class is told."""
        reason = type(error).__name__
        if is_tls(error):
            return SourceUnreachable(
                f"{self.title} could not prove who it is (TLS)",
                remedy="Update the package certifi, or name your company's certificates in SSL_CERT_FILE.",
            )
        # Through a proxy the only connection made from here is the one to the proxy.
        if isinstance(error, httpx.ProxyError) or (
            self._proxy and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        ):
            return SourceProxy(f"The proxy of {self.title} does not answer ({reason})")
        if isinstance(error, httpx.TimeoutException):
            return SourceTimeout(f"{self.title} did not answer in time ({reason})")
        if isinstance(error, httpx.DecodingError):
            return SourceSchema(f"{self.title} gave an answer that cannot be unpacked")
        if isinstance(error, httpx.RemoteProtocolError):
            return SourceUnreachable(f"{self.title} broke off in the middle of an answer")
        return SourceUnreachable(f"{self.title} cannot be reached ({reason})")

    def _status(self, answer: Answer) -> SourceError | None:
        """The error that a status means; None for a good one."""
        status, pause_s = answer.status, answer.retry_after_s
        if 200 <= status < 300:
            return None
        if status == 401:
            return SourceAuth(f"{self.title} does not accept the key (401)")
        if status in (403, 451):
            text = answer.text[:4000].lower()
            # A page is what a wall in front of the service shows, and its scripts have such words too.
            told = status == 403 and not text.lstrip().startswith("<")
            if told and any(word in text for word in KEY_WORDS):
                return SourceAuth(f"{self.title} does not allow this to the key (403)")
            return SourceBlocked(f"{self.title} does not serve this address ({status})")
        if status == 407:
            return SourceProxy(f"The proxy of {self.title} wants a name and a password (407)")
        if status == 429:
            return SourceRate(f"{self.title} asks for fewer calls (429)", retry_after_s=pause_s)
        if status >= 500:
            return SourceUnreachable(
                f"{self.title} is in trouble ({status})", retry_after_s=pause_s
            )
        if 300 <= status < 400:
            return SourceSchema(
                f"{self.title} sends its callers elsewhere ({status}); not followed"
            )
        if status == 404:
            return SourceSchema(f"{self.title} has nothing at this address (404)")
        return SourceSchema(f"{self.title} refuses the question ({status})")


def limits_told(answer: Answer, meter: Meter) -> None:
    """Tell the meter the usual headers: X-BurstLimit-* of a minute, X-RateLimit-* of a day."""
    for prefix, window_s in (("x-burstlimit", MINUTE_S), ("x-ratelimit", DAY_S)):
        limit = whole(answer.headers.get(f"{prefix}-limit"))
        remaining = whole(answer.headers.get(f"{prefix}-remaining"))
        if limit is not None or remaining is not None:
            meter.told(window_s=window_s, limit=limit, remaining=remaining)


def whole(text: str | None) -> int | None:
    """A header's whole number, not negative; None when it is none."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _pairs(params: Params) -> list[tuple[str, Any]]:
    """Parameters in order with their secrets opened; a list is repeated under its name."""
    pairs: list[tuple[str, Any]] = []
    for key, value in params.items() if isinstance(params, Mapping) else params:
        for each in value if isinstance(value, list | tuple) else (value,):
            pairs.append((key, plain(each)))  # noqa: PERF401
    return pairs


def _bare(error: SourceError) -> SourceError:
    """The error without the frames it was raised in: they held the request."""
    error.__context__ = None
    return error.with_traceback(None)
