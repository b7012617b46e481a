"""The composed search with real connectors against a loopback server: calls, keys, cancellation on the wire."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import faults, vendors
from fakes.server import FakeServer
from search_far_ends import collect, named

from orchestrator import parts
from orchestrator.paths import Paths

MPN = "AC-4K7-0603"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def site(tmp_path: Path, server: FakeServer) -> Paths:
    (tmp_path / "paths.json").write_text("{}")
    lines = [
        f"MOUSER_API_KEY={vendors.MOUSER_KEY}",
        f"MOUSER_BASE_URL={vendors.mouser(server)}",
        f"FARNELL_API_KEY={vendors.FARNELL_KEY}",
        f"FARNELL_BASE_URL={vendors.farnell(server)}",
    ]
    (tmp_path / ".env.local").write_text("\n".join(lines))
    return Paths.load(tmp_path / "paths.json")


def test_a_search_over_http_counts_its_calls_and_the_next_one_makes_none(
    site: Paths, server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def both() -> None:
        first = parts.open(site)
        events = await collect(first, MPN)
        await first.close()
        calls = sum(told["calls"] for told in named(events, "provider:done"))
        assert calls == len(server.asked) > 0
        assert named(events, "provider:done", "mouser")[0]["quota"] == "999 of 1000 left today"
        assert {told["provider"] for told in named(events, "provider:partial")} == {
            "mouser",
            "farnell",
        }
        second = parts.open(site)
        again = await collect(second, MPN)
        await second.close()
        assert len(server.asked) == calls
        assert {told["origin"] for told in named(again, "provider:partial")} == {"cache"}
        assert named(again, "result")[0]["parts"] == named(events, "result")[0]["parts"]
        said = json.dumps([dict(event.data) for event in [*events, *again]]) + caplog.text
        kept = b"".join(file.read_bytes() for file in site.data.iterdir() if file.is_file())
        for key in (vendors.MOUSER_KEY, vendors.FARNELL_KEY):
            assert key not in said
            assert key.encode() not in kept

    asyncio.run(both())


def test_leaving_a_search_ends_its_requests_on_the_wire(site: Paths, server: FakeServer) -> None:
    for path in ("/mouser", "/farnell"):
        server.always(path, faults.hang())

    async def work() -> float:
        search = parts.open(site)
        events = search.search(MPN)
        async for event in events:
            if event.name == "provider:start":
                break
        following = asyncio.create_task(anext(events.__aiter__()))
        await asyncio.to_thread(server.waiting.wait, 10)
        following.cancel()
        await asyncio.wait([following])
        left_at = time.monotonic()
        await events.aclose()
        await search.close()
        return left_at

    left_at = asyncio.run(work())
    assert server.gone.wait(5)
    assert server.gone_at is not None
    assert server.gone_at - left_at < 0.2
