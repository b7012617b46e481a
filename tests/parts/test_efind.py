"""Suppliers' XML: over HTTP, in two charsets, and refused when it is a bomb."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from fakes.aggregators import efind_line, efind_page
from fakes.meters import CountingMeter
from fakes.server import FakeServer, Reply

from orchestrator.parts.errors import SourceError, SourceSchema
from orchestrator.parts.keys import Keys
from orchestrator.parts.sources.base import Request
from orchestrator.parts.sources.efind import Efind, cyrillic, parse
from orchestrator.parts.values import Offer

NOW = datetime(2026, 9, 20, 12, tzinfo=UTC)
ASKED = Request(keyword="transistor KT315B", mpns=("KT315B",))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def search(urls: str, request: Request = ASKED) -> list[Offer]:
    async def go() -> list[Offer]:
        source = Efind(Keys(_env_file=None, EFIND_URLS=urls), CountingMeter())
        try:
            return [offer async for portion in source.search(request) for offer in portion]
        finally:
            await source.close()

    return asyncio.run(go())


@pytest.mark.parametrize("charset", ["windows-1251", "utf-8"])
def test_a_line_becomes_an_offer_in_roubles(charset: str) -> None:
    [offer] = parse(
        efind_page(efind_line(), charset=charset), seller="shop.example", fetched_at=NOW
    )
    assert (offer.mpn, offer.manufacturer, offer.description) == ("КТ315Б", "Кремний", "транзистор")
    [step] = offer.breaks
    assert (str(step.unit_price), step.currency, step.quantity) == ("12.50", "RUB", 1)
    assert (offer.seller, offer.region, offer.stock) == ("shop.example", "Russia", 1500)
    assert "9.10 RUB" in offer.warnings[0]


def test_windows_letters_under_the_name_of_utf_8_are_still_read() -> None:
    page = efind_page(efind_line()).replace(b"windows-1251", b"utf-8")
    [offer] = parse(page, seller="shop.example", fetched_at=NOW)
    assert offer.mpn == "КТ315Б"


def test_no_more_than_twenty_lines_are_read() -> None:
    lines = [efind_line(f"X{n}") for n in range(30)]
    assert len(parse(efind_page(*lines), seller="s", fetched_at=NOW)) == 20


def test_lines_that_say_nothing_are_left_out() -> None:
    page = efind_page(
        "<line/>", "<line><part> </part></line>", efind_line(p1="0", stock="есть & ещё")
    )
    [offer] = parse(page, seller="s", fetched_at=NOW)
    assert offer.breaks == ()
    assert offer.stock is None


@pytest.mark.parametrize(
    "page",
    [
        b'<!DOCTYPE data [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><data><line><part>&b;</part></line></data>',
        b'<?xml version="1.0"?><!DOCTYPE data SYSTEM "file:///etc/passwd"><data/>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE d []><data/>'.encode("utf-16"),
        b"<html><body>login</body></html>",
        b"",
        b"<data><line>",
        b"\x00\xff",
    ],
)
def test_bombs_and_other_documents_are_refused(page: bytes) -> None:
    with pytest.raises(SourceSchema):
        parse(page, seller="s", fetched_at=NOW)


def test_a_supplier_is_asked_in_cyrillic_for_a_soviet_part(server: FakeServer) -> None:
    server.route("GET", "/find", Reply(efind_page(efind_line())))
    [offer] = search(f"{server.url}/find?key=planted&q={{part}}")
    assert server.asked[0].query == {"key": ["planted"], "q": ["КТ315Б"]}
    assert offer.seller == "127.0.0.1"


def test_one_supplier_that_fails_takes_nothing_from_the_others(server: FakeServer) -> None:
    server.route("GET", "/good", Reply(efind_page(efind_line())))
    server.route("GET", "/bad", Reply("<h1>planted</h1>", 500))
    assert len(search(f"{server.url}/bad?key=planted, {server.url}/good")) == 1


def test_when_all_suppliers_fail_it_says_so_without_their_keys(server: FakeServer) -> None:
    server.route("GET", "/bad", Reply("<h1>planted</h1>", 500))
    with pytest.raises(SourceError) as caught:
        search(f"{server.url}/bad?key=planted")
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("mpn", "written"),
    [
        ("KT315B", "КТ315Б"),
        ("K155LA3", "К155ЛА3"),
        ("KR142EN5A", "КР142ЕН5А"),
        ("K140UD7", "К140УД7"),
        ("D814A", "Д814А"),
        ("2N3904", None),
        ("BC547B", None),
        ("LM358N", None),
        ("KT3107J", None),  # which letter J stands for is not known
    ],
)
def test_soviet_designations_are_written_as_shops_there_write_them(mpn: str, written: str | None) -> None:  # fmt: skip
    assert cyrillic(mpn) == written
