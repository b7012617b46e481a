"""The search for components over SSE: its frames, what it refuses, what a lost connection misses, and who ends what."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bare_server import BareServer

sys.path.append(str(Path(__file__).resolve().parent.parent / "parts"))
from fakes import faults, vendors
from fakes.server import FakeServer

PATH = "/api/live/search"
MOST = 30  # requests
Event = tuple[str, int, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    server = BareServer(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def far() -> Iterator[FakeServer]:
    with FakeServer() as server:
        vendors.mouser(server)
        vendors.farnell(server)
        yield server


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, far: FakeServer) -> Iterator[BareServer]:
    """A server whose sources are two fakes."""
    folder = tmp_path_factory.mktemp("live")
    (folder / ".env.local").write_text(
        f"MOUSER_API_KEY={vendors.MOUSER_KEY}\nMOUSER_BASE_URL={far.url}/mouser\n"
        f"FARNELL_API_KEY={vendors.FARNELL_KEY}\nFARNELL_BASE_URL={far.url}/farnell\n"
    )
    server = BareServer(folder, searches={"ping_s": 0.2}, writes=[MOST, 600])
    yield server
    server.stop()


def events(lines: Iterator[str]) -> Iterator[Event]:
    """What a stream says, read as strictly as it is written: event, id, data, an empty line."""
    frame: list[str] = []
    for line in lines:
        if line.startswith(":"):
            yield ("ping", 0, None)
        elif line:
            frame.append(line)
        else:
            if frame:
                (a, name), (b, number), (c, data) = (each.split(": ", 1) for each in frame)
                assert (a, b, c) == ("event", "id", "data")
                yield (name, int(number), json.loads(data))
            frame = []


def ask(server: BareServer, *, last_id: int | None = None, **query: Any) -> list[Event]:
    headers = {"Last-Event-ID": str(last_id)} if last_id is not None else {}
    with server.http.stream("GET", PATH, params=query, headers=headers) as reply:
        assert reply.status_code == 200, reply.read()
        assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert reply.headers["Cache-Control"] == "no-cache, no-transform"
        assert reply.headers["X-Accel-Buffering"] == "no"
        return list(events(reply.iter_lines()))


def told(found: list[Event], name: str) -> list[Any]:
    return [data for each, _, data in found if each == name]


def test_a_russian_query_streams_the_sample_from_start_to_done(server: BareServer) -> None:
    found = ask(server, q="резистор 4к7 0603 1%", qty=100, currency="EUR")
    assert [number for _, number, _ in found] == list(range(1, len(found) + 1))
    assert found[0][0] == "search:start"
    assert found[-1][0] == "done"
    start = found[0][2]
    assert start["normalised"]["attrs"]["resistance"] == 4700
    assert (start["quantity"], start["currency"]) == (100, "EUR")
    (result,) = told(found, "result")
    upserts = {each["key"]: each["part"] for each in told(found, "part:upsert")}
    assert upserts
    assert {part["key"]: part for part in result["parts"]} == upserts
    assert all(part["best"]["currency"] == "EUR" for part in result["parts"])


def test_in_public_no_seller_sku_or_source_is_named(server: BareServer) -> None:
    found = ask(server, q="NE555P", qty=10, public="true", currency="RUB")
    said = json.dumps(found, ensure_ascii=False)
    for word in ("Sample Seller", "A-NE555P", "B-NE555P", "Offline sample", "digikey", "DigiKey"):
        assert word not in said
    (result,) = told(found, "result")
    assert {price["currency"] for price in result["parts"][0]["prices"]} == {"RUB"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "q"),
        ({"q": "   "}, "q"),
        ({"q": "x" * 201}, "q"),
        ({"q": "NE555", "qty": "0"}, "qty"),
        ({"q": "NE555", "qty": str(10**9 + 1)}, "qty"),
        ({"q": "NE555", "qty": "ten"}, "qty"),
        ({"q": "NE555", "currency": "XYZ"}, "currency"),
        ({"q": "NE555", "only": "nobody"}, "only"),
        ({"q": "NE555", "public": "perhaps"}, "public"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_a_remedy(
    server: BareServer, query: dict[str, str], field: str
) -> None:
    reply = server.http.get(PATH, params=query)
    assert reply.status_code == 400
    said = reply.json()
    assert said["success"] is False
    assert field in said["fields"]
    assert said["remedy"]


def test_who_comes_back_after_the_end_is_told_only_what_was_missed(server: BareServer) -> None:
    query = {"q": "LM358", "qty": 7}
    whole = ask(server, **query)
    assert ask(server, last_id=3, **query) == whole[3:]
    reply = server.http.get(PATH, params=query, headers={"Last-Event-ID": str(len(whole))})
    assert reply.status_code == 204  # which ends a browser's asking
    other = ask(server, last_id=3, q="LM358", qty=8)  # another search: nothing of it was kept
    assert other[0][0] == "search:start"
    assert other[0][1] == 4
    odd = ask(server, q="LM358", qty=9, last_id=10**30)
    assert odd[-1][0] == "done"


def test_the_quick_source_is_told_while_the_slow_one_is_out_and_a_leaving_client_ends_it(
    live: BareServer, far: FakeServer
) -> None:
    far.always("/farnell", faults.hang())
    far.gone.clear()
    try:
        with live.http.stream("GET", PATH, params={"q": "AC-4K7-0603"}) as reply:
            seen: list[Event] = []
            for event in events(reply.iter_lines()):
                seen.append(event)
                names = [name for name, _, _ in seen]
                if "part:upsert" in names and "ping" in names:
                    break
            done = {data["provider"] for data in told(seen, "provider:done")}
            assert "farnell" not in done
            assert far.waiting.wait(5)
        left = time.monotonic()
        assert far.gone.wait(5), "the source was still being asked"
        assert far.gone_at is not None
        assert far.gone_at - left < 1
    finally:
        far.always("/farnell", None)


def test_a_search_that_was_broken_off_begins_anew_with_higher_numbers(
    live: BareServer, far: FakeServer
) -> None:
    far.always("/farnell", faults.slow(30))
    try:
        with live.http.stream("GET", PATH, params={"q": "AC-9K9-0603"}) as reply:
            first = next(events(reply.iter_lines()))
    finally:
        far.always("/farnell", None)
    assert first[:2] == ("search:start", 1)
    again = ask(live, last_id=1, q="AC-9K9-0603")
    assert again[0][:2] == ("search:start", 2)
    assert again[-1][0] == "done"


def test_no_key_is_in_what_a_failing_source_says(live: BareServer, far: FakeServer) -> None:
    far.always("/mouser", faults.mouser_bad_key(vendors.MOUSER_KEY))
    try:
        found = ask(live, q="AC-1K0-0603", only="mouser")
    finally:
        far.always("/mouser", None)
    (error,) = told(found, "provider:error")
    assert error["class"] == "auth"
    said = json.dumps(found) + live.said.read_text()
    assert vendors.MOUSER_KEY not in said
    assert "planted+mouser" not in said


def test_searches_are_counted_as_what_costs_something(live: BareServer) -> None:
    replies = (live.http.get(PATH, params={"q": " "}) for _ in range(MOST + 1))
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert refused.headers["Retry-After"]
    assert live.http.get("/api/jobs").status_code == 200
