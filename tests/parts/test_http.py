"""The way to one source: every failure has its class, and nothing is called that was not counted."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from fakes import faults
from fakes.meters import CountingMeter
from fakes.server import FakeServer, Reply

from orchestrator.parts.errors import (
    SourceAuth,
    SourceBlocked,
    SourceError,
    SourceQuota,
    SourceRate,
    SourceSchema,
    SourceTimeout,
    SourceUnreachable,
)
from orchestrator.parts.keys import SourceSettings
from orchestrator.parts.sources.http import Answer, Client


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        server.route("GET", "/", Reply({"fine": True}))
        yield server


def ask(
    url: str, meter: CountingMeter | None = None, *, timeout_s: float = 5.0, method: str = "GET"
) -> Answer:
    async def go() -> Answer:
        client = Client(
            "shop",
            base_url=url,
            settings=SourceSettings("shop"),
            meter=meter or CountingMeter(),
            timeout_s=timeout_s,
        )
        try:
            return await client.call(method, "/search", params={"q": "x"})
        finally:
            await client.close()

    return asyncio.run(go())


def test_an_answer_is_read_and_counted_once(server: FakeServer) -> None:
    meter = CountingMeter()
    assert ask(server.url, meter).json() == {"fine": True}
    assert (meter.taken, server.calls()) == (1, 1)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (faults.unauthorised(), SourceAuth),
        (faults.not_allowed(), SourceAuth),
        (faults.not_served(), SourceBlocked),
        (Reply("gone away", 451), SourceBlocked),
        (Reply("nothing", 404), SourceSchema),
        (Reply("bad question", 400), SourceSchema),
        (faults.too_many(), SourceRate),
        (faults.trouble(), SourceUnreachable),
        (faults.trouble(503), SourceUnreachable),
        (faults.drop(), SourceUnreachable),
        (Reply("x" * 1000, sent=10), SourceUnreachable),
        (faults.huge(), SourceSchema),
        (faults.not_gzip(), SourceSchema),
        (faults.hang(), SourceTimeout),
    ],
    ids=lambda value: getattr(value, "kind", None) or str(getattr(value, "status", "")),
)
def test_each_failure_has_its_class(
    server: FakeServer, reply: Reply, error: type[SourceError]
) -> None:
    server.always("/search", reply)
    with pytest.raises(SourceError) as caught:
        ask(server.url, timeout_s=1.0)
    assert type(caught.value) is error
    assert caught.value.message.startswith("shop")
    assert server.calls() == 1


def test_a_body_that_is_no_json_is_told_when_it_is_read(server: FakeServer) -> None:
    server.always("/search", faults.malformed())
    answer = ask(server.url)
    with pytest.raises(SourceSchema):
        answer.json()


def test_nobody_listening_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(SourceUnreachable):
            ask(url)


def test_a_certificate_that_proves_nothing_is_told_as_such(server: FakeServer) -> None:
    with pytest.raises(SourceUnreachable, match="TLS"):
        ask(server.url.replace("http:", "https:"))


def test_a_query_of_the_base_stays_beside_that_of_the_call(server: FakeServer) -> None:
    async def go() -> None:
        client = Client(
            "shop",
            base_url=f"{server.url}/price?key=1",
            settings=SourceSettings("shop"),
            meter=CountingMeter(),
        )
        await client.call("GET", "", params=[("mpn", "Ω"), ("s[]", "a"), ("s[]", "b")])
        await client.close()

    server.route("GET", "/price", Reply({}))
    asyncio.run(go())
    assert server.asked[0].query == {"key": ["1"], "mpn": ["Ω"], "s[]": ["a", "b"]}


def test_a_redirect_is_not_followed(server: FakeServer) -> None:
    with FakeServer() as other:
        other.route("GET", "/", Reply({"stolen": True}))
        server.always("/search", faults.elsewhere(f"{other.url}/search"))
        with pytest.raises(SourceSchema, match="not followed"):
            ask(server.url)
        assert other.calls() == 0


@pytest.mark.parametrize("fault", [faults.too_many, faults.trouble])
def test_a_short_pause_is_kept_and_the_second_try_counted(
    server: FakeServer, fault: Callable[..., Reply]
) -> None:
    server.fail("/search", fault(retry_after="0"))
    meter = CountingMeter()
    assert ask(server.url, meter).status == 200
    assert (meter.taken, server.calls()) == (2, 2)


def test_there_is_no_third_try(server: FakeServer) -> None:
    server.always("/search", faults.too_many(retry_after="0"))
    with pytest.raises(SourceRate):
        ask(server.url)
    assert server.calls() == 2


@pytest.mark.parametrize(("after", "told"), [("30", 30.0), (None, None), ("soon", None)])
def test_a_long_or_unknown_pause_is_told_and_not_waited_for(
    server: FakeServer, after: str | None, told: float | None
) -> None:
    server.always("/search", faults.too_many(retry_after=after))
    with pytest.raises(SourceRate) as caught:
        ask(server.url)
    assert caught.value.retry_after_s == told
    assert server.calls() == 1


def test_without_a_call_left_nothing_goes_out(server: FakeServer) -> None:
    meter = CountingMeter(left=0, refusal=SourceQuota())
    with pytest.raises(SourceQuota):
        ask(server.url, meter)
    assert server.calls() == 0


def test_headers_teach_the_meter(server: FakeServer) -> None:
    headers = {
        "X-RateLimit-Limit": "1000",
        "X-RateLimit-Remaining": "812",
        "X-BurstLimit-Remaining": "rubbish",
    }
    server.always("/search", Reply({}, headers=headers))
    meter = CountingMeter()
    ask(server.url, meter)
    assert meter.heard == [(86_400, 1000, 812)]


def test_an_answer_that_trickles_is_cut_off_in_time(server: FakeServer) -> None:
    server.always("/search", Reply("late", delay_s=3))
    began = time.monotonic()
    with pytest.raises(SourceTimeout):
        ask(server.url, timeout_s=0.3)
    assert time.monotonic() - began < 1.0


def test_cancelling_closes_the_connection_at_once(server: FakeServer) -> None:
    server.always("/search", faults.hang())

    async def go() -> float:
        client = Client(
            "shop", base_url=server.url, settings=SourceSettings("shop"), meter=CountingMeter()
        )
        task = asyncio.create_task(client.call("GET", "/search"))
        await asyncio.to_thread(server.waiting.wait, 5)
        at = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.gone.wait, 5)
        await client.close()
        return at

    cancelled_at = asyncio.run(go())
    assert server.gone_at is not None
    assert server.gone_at - cancelled_at < 0.2
