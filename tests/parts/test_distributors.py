"""DigiKey, Mouser and Farnell, asked over HTTP and read into offers."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fakes import faults, payloads, vendors
from fakes.meters import CountingMeter
from fakes.server import FakeServer, Reply

from orchestrator.parts.errors import (
    SourceAuth,
    SourceBlocked,
    SourceError,
    SourceQuota,
    SourceRate,
    SourceSchema,
)
from orchestrator.parts.keys import Keys
from orchestrator.parts.sources import digikey_wire, farnell_wire, mouser
from orchestrator.parts.sources.base import Request, Source
from orchestrator.parts.sources.digikey import DigiKey
from orchestrator.parts.sources.farnell import Farnell
from orchestrator.parts.sources.mouser import Mouser
from orchestrator.parts.sources.reading import wanted
from orchestrator.parts.values import Lifecycle, Offer

MPN = "AC-4K7-0603"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def keys(**values: Any) -> Keys:
    return Keys(
        _env_file=None,
        **{
            "digikey_client_id": vendors.DIGIKEY_ID,
            "digikey_client_secret": vendors.DIGIKEY_SECRET,
            "mouser_api_key": vendors.MOUSER_KEY,
            "farnell_api_key": vendors.FARNELL_KEY,
            **values,
        },
    )


async def drain(source: Source, request: Request) -> list[Offer]:
    return [offer async for portion in source.search(request) for offer in portion]


def search(source: Source, request: Request) -> list[Offer]:
    async def go() -> list[Offer]:
        try:
            return await drain(source, request)
        finally:
            await source.close()

    return asyncio.run(go())


def ladder(offer: Offer) -> dict[int, str]:
    return {step.quantity: str(step.unit_price) for step in offer.breaks}


# DigiKey


def test_digikey_gives_an_offer_for_each_packaging(server: FakeServer) -> None:
    fake = vendors.DigiKeyFake(server)
    meter = CountingMeter()
    source = DigiKey(keys(digikey_base_url=fake.base_url), meter)
    reel, cut = search(source, Request(keyword="resistor 4.7k"))
    assert (reel.sku, reel.packaging, reel.moq) == (f"{MPN}TR-ND", "Tape & Reel (TR)", 3000)
    assert ladder(reel) == {3000: "0.0123", 6000: "0.0111"}
    assert (cut.moq, cut.multiple, cut.stock) == (1, 1, 4200)
    assert ladder(cut) == {1: "0.1", 10: "0.041", 100: "0.0205"}
    assert {step.currency for step in cut.breaks} == {"EUR"}
    assert (cut.mpn, cut.manufacturer, cut.seller) == (MPN, "Acme Components", "DigiKey")
    assert (cut.package, cut.category) == ("0603", "Resistors / Chip Resistor")
    assert (cut.lifecycle, cut.rohs, cut.lead_days) == (Lifecycle.ACTIVE, True, 119)
    assert cut.datasheet_url == "https://sheets.example/ac.pdf"
    assert cut.params["Tolerance"] == "±1%"
    assert "Features" not in cut.params
    assert meter.taken == 1  # the token is no search
    assert meter.heard == [(86_400, 1000, 999)]


def test_digikey_asks_in_the_case_and_place_it_is_used_to(server: FakeServer) -> None:
    fake = vendors.DigiKeyFake(server)
    source = DigiKey(
        keys(digikey_base_url=fake.base_url, digikey_locale_site="de", digikey_currency="eur"),
        CountingMeter(),
    )
    search(source, Request(keyword="x" * 300, limit=7))
    asked = server.asked[-1]
    assert asked.json() == {
        "Keywords": "x" * 250,
        "Limit": 7,
        "Offset": 0,
        "FilterOptionsRequest": {"MarketPlaceFilter": "ExcludeMarketPlace"},
    }
    assert asked.headers["x-digikey-locale-site"] == "DE"
    assert asked.headers["x-digikey-locale-currency"] == "EUR"
    assert source.scope == "DE/en/EUR"


def test_digikey_takes_the_next_page_only_when_there_is_one(server: FakeServer) -> None:
    products = [payloads.digikey_product(f"AC-{number}") for number in range(60)]
    fake = vendors.DigiKeyFake(server, products)
    source = DigiKey(keys(digikey_base_url=fake.base_url), CountingMeter())
    request = Request(keyword="resistor", limit=150)
    assert source.cost(request) == 3
    assert len(search(source, request)) == 120
    assert server.calls("/digikey/products") == 2


def test_many_who_ask_at_once_share_one_token(server: FakeServer) -> None:
    fake = vendors.DigiKeyFake(server)

    async def go() -> None:
        source = DigiKey(keys(digikey_base_url=fake.base_url), CountingMeter())
        await asyncio.gather(*(drain(source, Request(keyword="x")) for _ in range(8)))
        await source.close()

    asyncio.run(go())
    assert len(fake.tokens) == 1


def test_a_token_is_renewed_before_it_ends(server: FakeServer) -> None:
    fake = vendors.DigiKeyFake(server)
    now = 0.0

    async def go() -> None:
        nonlocal now
        source = DigiKey(keys(digikey_base_url=fake.base_url), CountingMeter(), clock=lambda: now)
        await drain(source, Request(keyword="x"))
        now = 560.0
        await drain(source, Request(keyword="x"))
        assert len(fake.tokens) == 1
        now = 570.0  # it lives 599 s
        await drain(source, Request(keyword="x"))
        await source.close()

    asyncio.run(go())
    assert len(fake.tokens) == 2


def test_a_refused_token_is_replaced_once_and_then_told(server: FakeServer) -> None:
    fake = vendors.DigiKeyFake(server)
    server.fail("/digikey/products", faults.unauthorised())
    source = DigiKey(keys(digikey_base_url=fake.base_url), CountingMeter())
    assert search(source, Request(keyword="x"))
    assert len(fake.tokens) == 2
    server.always("/digikey/products", faults.unauthorised())
    with pytest.raises(SourceAuth):
        search(DigiKey(keys(digikey_base_url=fake.base_url), CountingMeter()), Request(keyword="x"))
    assert len(fake.tokens) == 4


def test_digikey_tells_a_wrong_secret(server: FakeServer) -> None:
    fake = vendors.DigiKeyFake(server)
    source = DigiKey(
        keys(digikey_base_url=fake.base_url, digikey_client_secret="wrong-secret"), CountingMeter()
    )
    with pytest.raises(SourceAuth) as caught:
        search(source, Request(keyword="x"))
    assert "wrong-secret" not in str(caught.value)
    assert server.calls("/digikey/products") == 0


@pytest.mark.parametrize(
    ("reply", "error", "pause_s"),
    [
        (faults.digikey_burst(), SourceRate, 30.0),
        (faults.digikey_daily(), SourceQuota, 20_000.0),
        (faults.not_allowed(), SourceAuth, None),
        (faults.not_served(), SourceBlocked, None),
        (faults.malformed(), SourceSchema, None),
        (faults.another_shape(), SourceSchema, None),
    ],
    ids=["burst", "daily", "not allowed", "not served", "malformed", "another shape"],
)
def test_digikey_tells_its_failures_apart(
    server: FakeServer, reply: Reply, error: type[SourceError], pause_s: float | None
) -> None:
    fake = vendors.DigiKeyFake(server)
    server.always("/digikey/products", reply)
    meter = CountingMeter()
    with pytest.raises(SourceError) as caught:
        search(DigiKey(keys(digikey_base_url=fake.base_url), meter), Request(keyword="x"))
    assert isinstance(caught.value, error)
    assert caught.value.retry_after_s == pause_s
    if error is SourceRate:
        assert meter.heard == [(60, 120, 0)]


def test_an_exact_number_takes_its_family_and_nothing_that_only_mentions_it() -> None:
    answer = payloads.digikey_answer(
        payloads.digikey_product("AC-4K7-0603-T"),
        payloads.digikey_product("KIT-WITH-AC-4K7-0603"),
        exact=(payloads.digikey_product(MPN),),
    )
    offers = digikey_wire.parse(answer)
    assert [each.mpn for each in wanted(offers, "ac4k7 0603")] == [MPN, MPN] + ["AC-4K7-0603-T"] * 2


@pytest.mark.parametrize(
    ("status", "lifecycle"),
    [
        (0, "active"),
        (1, "obsolete"),
        (2, "last_buy"),
        (4, "last_buy"),
        (7, "nrnd"),
        (99, "unknown"),
    ],
)
def test_digikey_lifecycle_is_read_by_number(status: int, lifecycle: str) -> None:
    product = payloads.digikey_product(ProductStatus={"Id": status, "Status": "Активный"})
    assert digikey_wire.parse(payloads.digikey_answer(product))[0].lifecycle == lifecycle


def test_digikey_marketplace_goods_name_their_seller() -> None:
    variation = payloads.digikey_variation(
        "M-ND", "Bulk", 0, {0: 1.0, 5: 0.5}, MarketPlace=True, DigiReelFee=7
    )
    product = payloads.digikey_product(ProductVariations=[variation])
    (offer,) = digikey_wire.parse(payloads.digikey_answer(product))
    assert (offer.seller, offer.authorized) == ("Acme (DigiKey Marketplace)", None)
    assert (offer.moq, ladder(offer)) == (1, {5: "0.5"})
    assert offer.warnings == ("plus 7 EUR for each reel made to order",)


# Mouser


def test_mouser_reads_its_words_into_numbers(server: FakeServer) -> None:
    base = vendors.mouser(server)
    meter = CountingMeter()
    (offer,) = search(Mouser(keys(mouser_base_url=base), meter), Request(keyword="resistor"))
    assert (offer.sku, offer.mpn, offer.manufacturer) == (f"99-{MPN}", MPN, "Acme")
    assert (offer.stock, offer.lead_days, offer.moq, offer.multiple) == (12846, 91, 5, 5)
    assert ladder(offer) == {5: "0.12", 10: "0.083", 1000: "0.029"}
    assert (offer.packaging, offer.rohs) == ("Reel / Cut Tape", True)
    assert offer.datasheet_url is None
    assert offer.region == "Americas"
    assert meter.taken == server.calls() == 1


def test_mouser_asks_ten_numbers_in_a_call_and_leaves_out_what_would_spoil_it(
    server: FakeServer,
) -> None:
    parts = [payloads.mouser_part(f"AC-{number:03d}") for number in range(23)]
    base = vendors.mouser(server, parts)
    source = Mouser(keys(mouser_base_url=base), CountingMeter())
    request = Request(
        mpns=(*(f"AC-{number:03d}" for number in range(23)), "R1", "A|B-long", "x" * 41)
    )
    assert source.cost(request) == 3
    assert len(search(source, request)) == 23
    assert server.calls() == 3


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (faults.mouser_bad_key(), SourceAuth),
        (faults.mouser_minute(), SourceRate),
        (Reply("MaxCallPerDay", 403), SourceQuota),
        (faults.mouser_refusal(), SourceSchema),
        (faults.another_shape(), SourceSchema),
        (faults.not_served(), SourceBlocked),
    ],
    ids=["bad key in a 200", "rate in a 403", "day", "another refusal", "another shape", "country"],
)
def test_mouser_tells_its_failures_apart(
    server: FakeServer, reply: Reply, error: type[SourceError]
) -> None:
    base = vendors.mouser(server)
    server.always("/mouser", reply)
    with pytest.raises(SourceError) as caught:
        search(Mouser(keys(mouser_base_url=base), CountingMeter()), Request(keyword="x"))
    assert type(caught.value) is error
    assert server.calls() == 1


@pytest.mark.parametrize(
    ("more", "stock"),
    [
        ({"Availability": None, "AvailabilityInStock": None}, 0),
        ({"Availability": "4,711 In Stock", "AvailabilityInStock": None}, 4711),
        ({"Availability": "500 On Order", "AvailabilityInStock": None}, None),
    ],
)
def test_mouser_stock_is_what_is_in_stock(more: dict[str, Any], stock: int | None) -> None:
    (offer,) = mouser.parse(payloads.mouser_answer(payloads.mouser_part(**more)))
    assert offer.stock == stock


def test_mouser_prices_in_rmb_are_cny_and_a_doubtful_one_is_left_out() -> None:
    steps = [
        {"Quantity": 1, "Price": "¥1.05", "Currency": "RMB"},
        {"Quantity": 10, "Price": "Call", "Currency": "RMB"},
    ]
    (offer,) = mouser.parse(
        payloads.mouser_answer(payloads.mouser_part(PriceBreaks=steps, Min="1"))
    )
    assert [(step.unit_price, step.currency) for step in offer.breaks] == [(Decimal("1.05"), "CNY")]
    assert "left out" in offer.warnings[0]


@pytest.mark.parametrize(
    ("said", "lifecycle"),
    [
        (None, "unknown"),
        ("", "unknown"),
        ("New Product", "new"),
        ("Not Recommended for New Designs", "nrnd"),
        ("End of Life", "last_buy"),
        ("Obsolete", "obsolete"),
    ],
)
def test_mouser_lifecycle(said: str | None, lifecycle: str) -> None:
    part = payloads.mouser_part(LifecycleStatus=said)
    assert mouser.parse(payloads.mouser_answer(part))[0].lifecycle == lifecycle


def test_mouser_part_without_a_number_of_its_own_is_dropped() -> None:
    parts = [payloads.mouser_part(MouserPartNumber="N/A"), payloads.mouser_part()]
    assert len(mouser.parse(payloads.mouser_answer(*parts))) == 1


# Farnell


def test_farnell_reads_a_product(server: FakeServer) -> None:
    base = vendors.farnell(server)
    meter = CountingMeter()
    (offer,) = search(Farnell(keys(farnell_base_url=base), meter), Request(keyword="resistor"))
    assert (offer.sku, offer.mpn, offer.manufacturer) == ("7654321", MPN, "ACME")
    assert offer.description == "Chip Resistor, 4.7 kohm - thick film"
    assert ladder(offer) == {10: "0.0337", 100: "0.0133", 1000: "0.0064"}
    assert {step.currency for step in offer.breaks} == {"GBP"}
    assert (offer.stock, offer.lead_days, offer.moq) == (5510, 48, 10)
    assert (offer.packaging, offer.package, offer.rohs) == ("Cut Tape", "0603", True)
    assert offer.params == {
        "Resistance": "4.7 kohm",
        "No. of Pins": "2",
        "Resistor Case Style": "0603 [1608 Metric]",
        "Stock by warehouse": "UK 5000, Liege 510",
    }
    assert offer.image_url == "https://uk.farnell.com/productimages/standard/en_GB/7654321-40.jpg"
    assert (offer.region, offer.url) == ("Europe", "https://shop.example/f/7654321")
    assert meter.taken == server.calls() == 1


def test_farnell_takes_a_number_as_an_order_code_when_no_part_has_it(server: FakeServer) -> None:
    base = vendors.farnell(server)
    source = Farnell(keys(farnell_base_url=base), CountingMeter())
    request = Request(mpns=("7654321",))
    assert source.cost(request) == 2
    assert [offer.sku for offer in search(source, request)] == ["7654321"]
    assert [each.one("term") for each in server.asked] == ["manuPartNum:7654321", "id:7654321"]


def test_farnell_with_nothing_found_gives_nothing(server: FakeServer) -> None:
    base = vendors.farnell(server)
    assert (
        search(Farnell(keys(farnell_base_url=base), CountingMeter()), Request(mpns=("NONE-1",)))
        == []
    )


def test_a_re_reels_ladder_begins_at_its_minimum() -> None:
    prices = [
        {"from": 1, "to": 9, "cost": 0.697},
        {"from": 10, "to": 499, "cost": 0.575},
        {"from": 500, "to": 999999999, "cost": 0.302},
    ]
    product = payloads.farnell_product(
        sku="7654321RL", translatedMinimumOrderQuality=100, reeling=True, prices=prices
    )
    (offer,) = farnell_wire.parse(payloads.farnell_answer(product), store="uk.farnell.com")
    assert ladder(offer) == {100: "0.575", 500: "0.302"}
    assert offer.packaging == "Re-Reel"


@pytest.mark.parametrize(
    ("store", "currency", "region"),
    [
        ("de.farnell.com", "EUR", "Europe"),
        ("www.newark.com", "USD", "Americas"),
        ("canada.newark.com", "CAD", "Americas"),
        ("sg.element14.com", "SGD", "Asia"),
        ("cz.farnell.com", "CZK", "Europe"),
    ],
)
def test_farnell_currency_and_region_are_those_of_the_store(
    store: str, currency: str, region: str
) -> None:
    (offer,) = farnell_wire.parse(payloads.farnell_answer(payloads.farnell_product()), store=store)
    assert ({step.currency for step in offer.breaks}, offer.region) == ({currency}, region)


def test_a_store_of_unknown_currency_has_no_prices() -> None:
    answer = payloads.farnell_answer(payloads.farnell_product())
    (offer,) = farnell_wire.parse(answer, store="xx.farnell.com")
    assert offer.breaks == ()
    assert "not known" in offer.warnings[0]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (faults.farnell_over_qps(retry_after="5"), SourceRate),
        (faults.farnell_over_rate(), SourceQuota),
        (faults.farnell_bad_key(), SourceAuth),
        (faults.farnell_fault("Invalid API key given"), SourceAuth),
        (faults.farnell_fault("The term is wrong"), SourceSchema),
        (faults.another_shape(), SourceSchema),
        (faults.not_served(), SourceBlocked),
    ],
    ids=["second", "day", "key", "fault of the key", "fault", "another shape", "country"],
)
def test_farnell_tells_its_failures_apart(
    server: FakeServer, reply: Reply, error: type[SourceError]
) -> None:
    base = vendors.farnell(server)
    server.always("/farnell", reply)
    with pytest.raises(SourceError) as caught:
        search(Farnell(keys(farnell_base_url=base), CountingMeter()), Request(keyword="x"))
    assert type(caught.value) is error


# All


@pytest.mark.parametrize("source", [DigiKey, Mouser, Farnell])
def test_a_source_without_its_key_says_where_it_is_had_and_is_not_called(source: Any) -> None:
    none = Keys(_env_file=None, digikey_client_id=None, mouser_api_key=None, farnell_api_key=None)
    meter = CountingMeter()
    made: Source = source(none, meter)
    assert ".env.local" in (made.missing or "")
    with pytest.raises(SourceAuth):
        search(made, Request(keyword="x"))
    assert meter.taken == 0


@pytest.mark.parametrize("broken", [None, 5, [], {}, {"MouserPartNumber": 5}])
def test_one_product_that_cannot_be_read_costs_only_itself(broken: Any) -> None:
    assert len(mouser.parse(payloads.mouser_answer(broken, payloads.mouser_part()))) == 1
    answer = payloads.farnell_answer(broken, payloads.farnell_product())
    assert len(farnell_wire.parse(answer, store="uk.farnell.com")) == 1
    assert len(digikey_wire.parse(payloads.digikey_answer(broken, payloads.digikey_product()))) == 2


@pytest.mark.parametrize("answer", [None, 5, "x", [], {}, {"Products": None}, {"SearchResults": 5}])
def test_an_answer_of_another_shape_is_told(answer: Any) -> None:
    with pytest.raises(SourceSchema):
        digikey_wire.parse(answer)
    with pytest.raises(SourceSchema):
        mouser.parse(answer)
    with pytest.raises(SourceSchema):
        farnell_wire.parse(answer, store="uk.farnell.com")


def test_links_that_are_no_web_addresses_are_dropped() -> None:
    hostile = {
        "ProductUrl": "javascript:alert(1)",
        "PhotoUrl": "https://a.example/\"onload='x",
        "DatasheetUrl": "https://me@a.example/x",
    }
    offer = digikey_wire.parse(payloads.digikey_answer(payloads.digikey_product(**hostile)))[0]
    assert (offer.url, offer.image_url, offer.datasheet_url) == (None, None, None)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside of a document."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else ())
    )
    for key, each in inside:
        yield (*path, key)
        yield from places(each, (*path, key))


RUBBISH = (None, -1, 1e400, True, "", "\x00\u202e<b>", "9" * 5000, [], {}, [[[]]], {"Id": {}})


@pytest.mark.parametrize(
    ("parse", "answer"),
    [
        (digikey_wire.parse, payloads.digikey_answer(payloads.digikey_product())),
        (mouser.parse, payloads.mouser_answer(payloads.mouser_part())),
        (
            lambda answer: farnell_wire.parse(answer, store="uk.farnell.com"),
            payloads.farnell_answer(payloads.farnell_product()),
        ),
    ],
    ids=["digikey", "mouser", "farnell"],
)
def test_rubbish_in_any_place_raises_nothing_but_schema(parse: Any, answer: Any) -> None:
    ways = list(places(answer))
    for way in ways:
        for rubbish in RUBBISH:
            spoiled = copy.deepcopy(answer)
            at = spoiled
            for key in way[:-1]:
                at = at[key]
            at[way[-1]] = rubbish
            try:
                for offer in parse(spoiled):
                    assert all(step.unit_price > 0 for step in offer.breaks)
                    assert offer.description.isprintable()
            except SourceSchema:
                pass
    assert len(ways) > 30
