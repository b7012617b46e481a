"""The client of the paid FLUX API of Black Forest Labs: one POST, then polls of the address it answered with.

Wire: docs.bfl.ai. There is no idempotency key and no list of tasks, so a lost answer to the POST is a task
that may have been paid for and cannot be found: it is reported as AmbiguousSubmit, never sent again.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import orjson
from pydantic import SecretStr

from orchestrator.connectors import bfl_wire as wire
from orchestrator.connectors import http
from orchestrator.errors import (
    AmbiguousSubmit,
    ExecutionFailed,
    KeyMissing,
    Moderated,
    NoCredits,
    NotAuthorised,
    RateLimited,
    RequestRejected,
    ServiceBroken,
    ServiceError,
    ServiceTimeout,
    ServiceUnreachable,
    UntrustedAddress,
)
from orchestrator.jobs import Progress

POLL_INTERVAL_S = 1.0
DEADLINE_S = 600.0  # a picture takes seconds; a queue at the service minutes
NOT_FOUND_S = 10.0  # a region that has not heard yet of a task that was just accepted
POST_READ_S = 60.0  # the answer comes before the picture is made, but large images go up first
MAX_REDIRECTS = 3
# strict: httpx lets a backslash into a host name
OWN_HOST = re.compile(rb"(?:[a-z0-9-]+\.)*bfl\.ai")
AWAY = "Check this machine's connection to the internet and BFL_BASE_URL; the service may also be down."
MODERATION = re.compile(r"moderat|content policy|nsfw|flagged", re.I)
KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Receipt:
    """What the service gave for the money. Save it before anything else is done with it."""

    id: str
    polling_url: str  # not checked yet: `wait` does
    cost_credits: float | None  # 1 credit is 0.01 USD; None when the service did not say


class BFL:
    """The FLUX API under one key. Used from one event loop; close it at the end.

    Neither errors nor logs nor the repr show the key or the query of a signed address.
    """

    service = "bfl"

    def __init__(
        self,
        base_url: str,
        key: SecretStr,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        poll_interval_s: float = POLL_INTERVAL_S,
        deadline_s: float = DEADLINE_S,
        not_found_s: float = NOT_FOUND_S,
        max_file_bytes: int = http.FILE_LIMIT_BYTES,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.host = http.host_of(self.base_url)
        self._key = key
        self._poll_interval_s = poll_interval_s
        self._deadline_s = deadline_s
        self._not_found_s = not_found_s
        self._max_file_bytes = max_file_bytes
        # Paid requests go out on connections of their own: when a kept one turns out to be closed, nobody can
        # tell whether the request was read before.
        self._payer = http.client(
            self.base_url, transport=transport, keep_alive=False, read_s=POST_READ_S
        )
        self._client = http.client(self.base_url, transport=transport)

    def __repr__(self) -> str:
        return f"BFL({self.host!r})"

    async def close(self) -> None:
        """Close the connections."""
        await self._payer.aclose()
        await self._client.aclose()

    # ---------------------------------------------------------------- submit

    async def submit(self, model: str, body: Mapping[str, Any]) -> Receipt:
        """Buy one picture: exactly one POST to /v1/{model}, whatever happens.

        Raises ServiceUnreachable when nothing was sent; RequestRejected, Moderated, NotAuthorised, NoCredits,
        RateLimited when the service said no; AmbiguousSubmit when it may have said yes.
        """
        path = f"/v1/{quote(model, safe='/')}"
        headers = self._authorisation()
        try:
            payload = orjson.dumps(dict(body))
        except orjson.JSONEncodeError as error:
            raise RequestRejected(f"The request cannot be written as JSON: {error}") from error
        try:
            reply = await http.send(
                self._payer,
                "POST",
                f"{self.base_url}{path}",
                service=self.service,
                host=self.host,
                body=payload,
                headers=headers,
            )
        except http.NOTHING_SENT as error:
            away = http.translation(error, service=self.service, host=self.host)
            raise ServiceUnreachable(f"{away.message}; nothing was sent", remedy=AWAY) from error
        except (*http.HTTPX_ERRORS, ServiceBroken) as error:
            raise AmbiguousSubmit(
                f"{self.service} at {self.host} was sent the request, and its answer was lost"
                f" ({type(error).__name__})"
            ) from error
        if reply.is_ok:
            return self._receipt(reply)
        raise self._no(reply, path)

    def _receipt(self, reply: http.Reply) -> Receipt:
        try:
            answer = reply.document()
        except ServiceBroken:
            answer = {}
        match answer.get("id"):
            case str(id) if id:
                pass
            case _:
                raise AmbiguousSubmit(
                    f"{self.service} at {self.host} took the request ({reply.status}) and gave no task id"
                )
        url = answer.get("polling_url")
        if not (isinstance(url, str) and url):
            url = f"{self.base_url}/v1/get_result?id={quote(id, safe='')}"  # as the API did first
        return Receipt(id=id, polling_url=url, cost_credits=wire.number(answer.get("cost")))

    def _no(self, reply: http.Reply, path: str) -> ServiceError:
        """The error for a POST that was answered with something else than success."""
        told = f"{self.service} at {self.host} answered {reply.status} to {path}"
        reason = wire.reason(reply)
        match reply.status:
            case 400 | 422 if MODERATION.search(reason):
                return Moderated(f"{self.service} refused the request: {reason}")
            case 401 | 403:
                return NotAuthorised(f"{told}: it does not accept the key")
            case 402:
                return NoCredits(f"{told}: no credits are left")
            case 404:
                return RequestRejected(
                    f"{told}: it has no such model, or does not accept the key: {reason}",
                    remedy="Correct the model's name; make sure that BFL_API_KEY and BFL_BASE_URL are right.",
                )
            case 429:
                return RateLimited(
                    f"{told}: too many tasks at once", retry_after_s=reply.retry_after_s
                )
            case status if 400 <= status < 500 and status != 408:
                return RequestRejected(f"{told}: {reason}")
        # a gateway says 5xx or 408 also when only the answer of the server behind it was lost
        return AmbiguousSubmit(f"{told}: it may have taken the request all the same")

    def check_key(self) -> None:
        """Raises KeyMissing when there is no key, or none that a header can carry."""
        if not KEY.fullmatch(self._key.get_secret_value()):
            raise KeyMissing("There is no BFL_API_KEY, or it has characters that no key has")

    def _authorisation(self) -> dict[str, str]:
        """The header with the key. A key that no header can carry is refused here, since the
        library's own error would quote it."""
        self.check_key()
        return {"x-key": self._key.get_secret_value()}

    # ---------------------------------------------------------------- follow

    def trusted(self, polling_url: str) -> bool:
        """Whether the key may be sent to an address: the service's own domain over TLS, or where we sent the POST."""
        url = _parsed(polling_url)
        if url is None:
            return False
        base = httpx.URL(self.base_url)
        return _is_own(url) or _origin(url) == _origin(base)

    def _holds_samples(self, sample_url: str) -> bool:
        url = _parsed(sample_url)
        base = httpx.URL(self.base_url)
        beside_us = url is not None and (url.scheme, url.raw_host) == (base.scheme, base.raw_host)
        return url is not None and (_is_own(url) or beside_us)

    async def wait(self, polling_url: str, *, on_progress: Callable[[Progress], None]) -> str:
        """Poll a task until its picture is ready. Returns the picture's signed address, good for ten minutes.

        `on_progress` is called in this task. Any error with `retryable` means: wait again with the same address,
        now or after a restart. It never means to submit again: the task is paid for.
        Raises UntrustedAddress before the key is sent anywhere it should not; Moderated, ExecutionFailed (also
        for a task that the service does not know), NotAuthorised; ServiceTimeout after the deadline.
        """
        if not self.trusted(polling_url):
            raise UntrustedAddress(
                f"{self.service} named {http.host_of(polling_url)} to ask for the picture; the key is not sent there"
            )
        deadline = time.monotonic() + self._deadline_s
        unknown_since: float | None = None
        shown: Progress | None = None
        trouble: ServiceError | None = None
        while True:
            pause_s = self._poll_interval_s * random.uniform(0.75, 1.25)
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    task = await self._poll(polling_url)
            except TimeoutError:
                raise self._late(trouble) from trouble
            except (ServiceUnreachable, ServiceTimeout, RateLimited, ServiceBroken) as error:
                if not error.retryable:
                    raise
                trouble = error
                pause_s = max(pause_s, error.retry_after_s or 0.0)
            else:
                trouble = None
                if task.get("status") == "Task not found":
                    unknown_since = time.monotonic() if unknown_since is None else unknown_since
                    if time.monotonic() - unknown_since >= self._not_found_s:
                        raise ExecutionFailed(
                            f"{self.service} does not know the task any more; it may have been paid for",
                            remedy="Look at the account's usage. `orchestrator retry ID` pays for a new one.",
                        )
                else:
                    unknown_since = None
                    if (sample := self._sample(task)) is not None:
                        return sample
                if (progress := wire.progress(task)) != shown:
                    shown = progress
                    on_progress(progress)
            if time.monotonic() + pause_s > deadline:
                raise self._late(trouble) from trouble
            await asyncio.sleep(pause_s)

    def _late(self, trouble: ServiceError | None) -> ServiceTimeout:
        why = f"; last: {trouble.message}" if trouble else ""
        return ServiceTimeout(
            f"{self.service} did not finish the task within {self._deadline_s:.0f} s{why}",
            remedy="Nothing is lost: the lab asks for the same task again.",
        )

    async def _poll(self, polling_url: str) -> dict[str, Any]:
        reply = await self._get(polling_url, headers=self._authorisation())
        if reply.is_ok or reply.status == 404:
            task = wire.document(reply)
            if isinstance(task.get("status"), str):
                return task
            if reply.status == 404:
                return {"status": "Task not found"}
            raise ServiceBroken(f"{self.service} at {reply.host} described no task")
        raise self._away(reply)

    def _sample(self, task: Mapping[str, Any]) -> str | None:
        """The picture's address, None while there is none. Raises the error of a task that came to nothing."""
        status = task["status"]
        match status:
            case "Ready":
                result = task.get("result")
                sample = result.get("sample") if isinstance(result, dict) else None
                if isinstance(sample, str) and sample:
                    return sample
                raise ServiceBroken(f"{self.service} says that the picture is ready, and not where")
            case "Request Moderated":
                raise Moderated(f"{self.service}'s moderation refused the prompt{wire.why(task)}")
            case "Content Moderated":
                raise Moderated(
                    f"{self.service}'s moderation held back the picture{wire.why(task)}"
                )
            case "Error" | "Failed":
                raise ExecutionFailed(f"{self.service} could not make the picture{wire.why(task)}")
        return None

    async def fetch(self, sample_url: str) -> bytes:
        """The picture at a signed address. The key is not sent. Fetch it at once: the address soon expires.

        Raises ServiceBroken when it has expired (`wait` with the polling address gives a fresh one),
        UntrustedAddress when it, or a redirect from it, leads away from the service.
        """
        url = sample_url
        for _ in range(MAX_REDIRECTS + 1):
            if not self._holds_samples(url):
                raise UntrustedAddress(
                    f"{self.service} named {http.host_of(url)} as the place of the picture"
                )
            reply = await self._get(url, limit_bytes=self._max_file_bytes)
            if reply.is_ok and reply.body:
                return reply.body
            if reply.is_ok:
                raise ServiceBroken(f"{self.service} sent an empty picture")
            if reply.status in (400, 401, 403, 404, 410):
                raise ServiceBroken(
                    f"The picture's address has expired ({reply.host} answered {reply.status})",
                    remedy="Nothing to do: the lab asks for a fresh address.",
                )
            if not 300 <= reply.status < 400:
                raise self._away(reply)
            url = _target(url, reply.headers.get("location", ""))
        raise ServiceBroken(f"{self.service} redirects without an end")

    # ---------------------------------------------------------------- the account

    async def credits(self) -> float:
        """The credits left; 1 credit is 0.01 USD. Raises NotAuthorised or another ServiceError."""
        reply = await self._get(f"{self.base_url}/v1/credits", headers=self._authorisation())
        if not reply.is_ok:
            raise self._away(reply)
        left = wire.number(reply.document().get("credits"), least=-math.inf)
        if left is None:
            raise ServiceBroken(
                f"{self.service} at {self.host} did not say how many credits are left"
            )
        return left

    async def _get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit_bytes: int = http.JSON_LIMIT_BYTES,
    ) -> http.Reply:
        try:
            return await http.exchange(
                self._client,
                "GET",
                url,
                service=self.service,
                host=http.host_of(url),
                headers=headers,
                limit_bytes=limit_bytes,
            )
        except ServiceUnreachable as error:
            error.remedy = AWAY
            raise

    def _away(self, reply: http.Reply) -> ServiceError:
        """The error for a GET that was answered with something else than success."""
        told = f"{self.service} at {reply.host} answered {reply.status}"
        match reply.status:
            case 401 | 403:
                return NotAuthorised(f"{told}: it does not accept the key")
            case 429 | 503:
                return RateLimited(told, retry_after_s=reply.retry_after_s)
            case status if 400 <= status < 500 and status not in (408, 425):
                return RequestRejected(f"{told}: {wire.reason(reply)}")
        return ServiceBroken(told, retry_after_s=reply.retry_after_s)


def _parsed(url: str) -> httpx.URL | None:
    """An address as httpx will use it; None when it is none, or tries to look like another."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return None
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        return None
    return parsed


def _is_own(url: httpx.URL) -> bool:
    own = OWN_HOST.fullmatch(url.raw_host) is not None
    return own and url.scheme == "https" and url.port is None  # httpx drops the scheme's own port


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return (url.scheme, url.raw_host, url.port)


def _target(url: str, location: str) -> str:
    try:
        return str(httpx.URL(url).join(location))
    except (httpx.InvalidURL, ValueError):
        return ""
