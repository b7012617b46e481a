"""TrustedParts, OEMsecrets and OEMsTrade: over HTTP against fakes, and item by item."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fakes import aggregators as fake
from fakes.meters import CountingMeter
from fakes.server import FakeServer, Reply

from orchestrator.parts.errors import SourceAuth, SourceQuota, SourceRate, SourceSchema
from orchestrator.parts.keys import Keys
from orchestrator.parts.sources import oemsecrets, oemstrade, trustedparts
from orchestrator.parts.sources.base import Request, Source
from orchestrator.parts.sources.oemsecrets import OemSecrets
from orchestrator.parts.sources.oemstrade import OemsTrade
from orchestrator.parts.sources.regions import region_of
from orchestrator.parts.sources.trustedparts import TrustedParts
from orchestrator.parts.values import Lifecycle, Offer

NOW = datetime(2026, 9, 20, 12, tzinfo=UTC)
ASKED = Request(keyword="resistor AC-4K7-0603", mpns=("AC-4K7-0603",))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def keys(**values: Any) -> Keys:
    usual = {
        "trustedparts_company_id": fake.COMPANY,
        "trustedparts_api_key": fake.KEY,
        "oemsecrets_api_key": fake.SECRETS_KEY,
    }
    return Keys(_env_file=None, **{**usual, **values})


def search(source: Source, request: Request = ASKED) -> list[Offer]:
    async def go() -> list[Offer]:
        try:
            return [offer async for portion in source.search(request) for offer in portion]
        finally:
            await source.close()

    return asyncio.run(go())


def ladder(offer: Offer) -> list[tuple[int, str]]:
    return [(step.quantity, str(step.unit_price)) for step in offer.breaks]


def test_trustedparts_tells_who_sells_where_and_for_what(server: FakeServer) -> None:
    base_url = fake.trustedparts(server)
    [offer] = search(TrustedParts(keys(trustedparts_base_url=base_url), CountingMeter()))
    assert (offer.seller, offer.region, offer.authorized) == ("TTI Europe", "Europe", True)
    assert (offer.sku, offer.mpn, offer.stock, offer.moq) == (
        "A-AC-4K7-0603",
        "AC-4K7-0603",
        5000,
        5,
    )
    assert ladder(offer) == [(5, "0.1"), (100, "0.05")]  # what is below the MOQ is the price at it
    assert offer.breaks[0].currency == "EUR"
    assert offer.params == {"Resistance": "4.7 kOhms"}
    assert offer.datasheet_url == "https://sheets.example/ac.pdf"


def test_trustedparts_asks_fifty_parts_in_a_call_and_counts_each(server: FakeServer) -> None:
    base_url = fake.trustedparts(server)
    meter = CountingMeter()
    source = TrustedParts(keys(trustedparts_base_url=base_url), meter)
    request = Request(mpns=tuple(f"AC-{n}" for n in range(60)))
    assert len(search(source, request)) == 60
    assert server.calls("/trusted") == 2
    assert meter.taken == 60 == source.cost(request)


def test_trustedparts_is_not_asked_for_a_description(server: FakeServer) -> None:
    source = TrustedParts(keys(trustedparts_base_url=server.url), CountingMeter())
    assert search(source, Request(keyword="resistor 4.7k 0603")) == []
    assert server.calls() == 0


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Invalid API key planted-tp-key", SourceAuth),
        ("Daily quota reached", SourceQuota),
        ("Rate limit hit", SourceRate),
        ("Something else", SourceSchema),
    ],
)
def test_trustedparts_errors_come_with_status_200(
    server: FakeServer, message: str, error: type[Exception]
) -> None:
    server.route("POST", "/v2/search", Reply({"PartResults": None, "ErrorMessage": message}))
    with pytest.raises(error) as caught:
        search(TrustedParts(keys(trustedparts_base_url=server.url), CountingMeter()))
    assert "planted" not in str(caught.value)


def test_oemsecrets_drops_prices_of_nothing_and_keeps_the_region(server: FakeServer) -> None:
    base_url = fake.oemsecrets(server)
    [offer] = search(OemSecrets(keys(oemsecrets_base_url=base_url), CountingMeter()))
    assert (offer.seller, offer.region) == ("Example", "Europe")
    assert ladder(offer) == [(10, "0.1234")]
    assert (offer.stock, offer.moq, offer.lead_days) == (1200, 10, 42)
    assert offer.lifecycle is Lifecycle.ACTIVE
    assert offer.datasheet_url is None  # it was a script
    assert offer.url == "https://shop.example/buy"


def test_oemsecrets_without_the_wanted_currency_is_priced_in_the_sellers() -> None:
    item = fake.oemsecrets_item(prices={"GBP": [{"unit_break": "1", "unit_price": "0.08"}],
                                        "USD": [{"unit_break": "1", "unit_price": "0.0000"}]})  # fmt: skip
    [offer] = oemsecrets.parse({"stock": [item]}, currency_code="USD", fetched_at=NOW)
    assert [step.currency for step in offer.breaks] == ["GBP"]


def test_a_401_of_oemsecrets_may_be_a_used_up_quota(server: FakeServer) -> None:
    server.route("GET", "/partsearch", Reply({"message": "Monthly limit exceeded"}, 401))
    with pytest.raises(SourceQuota):
        search(OemSecrets(keys(oemsecrets_base_url=server.url), CountingMeter()))
    server.route("GET", "/partsearch", Reply({"message": "planted-oemsecrets-key is unknown"}, 401))
    with pytest.raises(SourceAuth) as caught:
        search(OemSecrets(keys(oemsecrets_base_url=server.url), CountingMeter()))
    assert "used up" in caught.value.remedy
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    "junk", [None, 7, "text", [], {}, {"distributor": None}, {"part_number": {}}]
)
def test_an_item_that_cannot_be_read_takes_no_other_with_it(junk: Any) -> None:
    told = oemsecrets.parse({"stock": [junk, fake.oemsecrets_item()]}, currency_code="USD", fetched_at=NOW)  # fmt: skip
    assert len(told) == 1
    offers = trustedparts.parse({"PartResults": [junk, fake.trustedparts_part()]}, fetched_at=NOW)
    assert len(offers) == 1


def test_oemstrade_is_off_until_the_operator_says_otherwise(server: FakeServer) -> None:
    source = OemsTrade(keys(oemstrade_base_url=server.url), CountingMeter())
    assert "OEMSTRADE_LIVE" in str(source.missing)
    with pytest.raises(SourceAuth):
        search(source)
    assert server.calls() == 0
    assert source.limits[0].calls == 1
    assert source.limits[0].window_s == 10


def test_oemstrade_fetches_a_page_when_it_may(server: FakeServer) -> None:
    server.route("GET", "/search/", Reply(fake.oemstrade_page(fake.oemstrade_row())))
    live = keys(oemstrade_base_url=server.url, oemstrade_live=True)
    [offer] = search(OemsTrade(live, CountingMeter()))
    assert server.asked[0].path == "/search/AC-4K7-0603"
    assert offer.seller == "Example Electronics"


def test_a_page_is_read_with_exact_prices_hidden_steps_and_no_link() -> None:
    [offer] = oemstrade.parse(fake.oemstrade_page(fake.oemstrade_row()), fetched_at=NOW)
    assert ladder(offer) == [(100, "0.00513"), (5000, "0.00222")]
    assert (offer.sku, offer.mpn, offer.manufacturer) == ("303-AC-4K7-0603", "AC-4K7-0603", "Acme")
    assert (offer.moq, offer.multiple, offer.rohs, offer.packaging) == (100, 50, True, "Reel")
    assert (offer.stock, offer.lead_days, offer.authorized) == (28500, 84, True)
    assert offer.description == "RES 4.7K <1%"
    assert "track" not in offer.model_dump_json()
    assert offer.url is None


def test_stock_by_region_makes_an_offer_for_each() -> None:
    row = fake.oemstrade_row(stock="<b>Americas</b> - 28,500<br><b>Asia</b> - 40")
    offers = oemstrade.parse(fake.oemstrade_page(row), fetched_at=NOW)
    assert {offer.region: offer.stock for offer in offers} == {"Americas": 28500, "Asia": 40}


def test_a_broker_is_not_called_authorized() -> None:
    page = fake.oemstrade_page(fake.oemstrade_row(), standing="Broker")
    assert [offer.authorized for offer in oemstrade.parse(page, fetched_at=NOW)] == [False]
    page = fake.oemstrade_page(fake.oemstrade_row(), standing="ECIA (NEDA) Member &#149;")
    assert [offer.authorized for offer in oemstrade.parse(page, fetched_at=NOW)] == [True]


def test_an_older_page_names_the_seller_only_in_its_title() -> None:
    page = fake.oemstrade_page(fake.oemstrade_row(), seller="Avnet Europe")
    older = page.replace("<section", "<div").replace("</section>", "</div>")
    older = older.replace(' data-distributorname="Avnet Europe"', "")
    offers = oemstrade.parse(older + older.replace("Avnet Europe", "Mouser"), fetched_at=NOW)
    told = [(offer.seller, offer.region) for offer in offers]
    assert told == [("Avnet Europe", "Europe"), ("Mouser", "Americas")]


def test_without_a_list_the_rows_own_rounded_prices_are_read() -> None:
    page = fake.oemstrade_page(fake.oemstrade_row()).replace("multi-price", "other")
    [offer] = oemstrade.parse(page, fetched_at=NOW)
    assert ladder(offer) == [(100, "0.0051"), (5000, "0.0022")]


def test_a_page_without_results_is_no_offers_and_another_page_is_an_error() -> None:
    assert oemstrade.parse('<div class="no-results">Nothing</div>', fetched_at=NOW) == []
    with pytest.raises(SourceSchema):
        oemstrade.parse("<html><h1>Are you human?</h1></html>", fetched_at=NOW)


@pytest.mark.parametrize("cut", range(0, 1500, 37))
def test_a_page_that_breaks_off_anywhere_does_no_harm(cut: int) -> None:
    page = fake.oemstrade_page(fake.oemstrade_row())[:cut]
    try:
        offers = oemstrade.parse(page, fetched_at=NOW)
    except SourceSchema:
        return
    assert all(offer.seller == "Example Electronics" for offer in offers)


@pytest.mark.parametrize(
    ("seller", "told", "country", "region"),
    [
        ("DigiKey", "", "", "Americas"),
        ("Digi-Key Electronics", "", "", "Americas"),
        ("Avnet Americas", "", "", "Americas"),
        ("Avnet Silica", "", "", "Europe"),
        ("TTI Europe", "", "", "Europe"),
        ("TTI", "", "", "Americas"),
        ("TME", "", "", "Europe"),
        ("RS (Formerly Allied Electronics)", "", "", "Americas"),
        ("RS", "", "", "Europe"),
        ("element14 Asia-Pacific", "", "", "Asia"),
        ("Nobody Knows", "", "", "Global"),
        ("Nobody Knows", "EMEA", "", "Europe"),
        ("Nobody Knows", "", "RU", "Russia"),
        ("Armada Parts", "", "", "Global"),  # not Arrow, not AR
    ],
)
def test_the_region_of_a_seller(seller: str, told: str, country: str, region: str) -> None:
    assert region_of(seller, told=told, country=country) == region
