"""TME, both interfaces: over HTTP against a fake, and what was recorded."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakes import tme as fake
from fakes.meters import CountingMeter
from fakes.server import FakeServer, Reply
from pydantic import SecretStr

from orchestrator.parts.errors import SourceAuth, SourceRate, SourceSchema
from orchestrator.parts.keys import Keys
from orchestrator.parts.sources import tme_v1, tme_v2
from orchestrator.parts.sources.base import Request
from orchestrator.parts.sources.tme import Tme
from orchestrator.parts.values import Lifecycle, Offer

NOW = datetime(2026, 9, 20, 12, tzinfo=UTC)
RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings" / "parts"
recorded = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recordings beside the checkout")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def keys(base_url: str, **more: Any) -> Keys:
    values = {"tme_token": fake.TOKEN, "tme_secret": fake.SECRET, "tme_base_url": base_url, **more}
    return Keys(_env_file=None, **values)


def search(source: Tme, *requests: Request) -> list[list[Offer]]:
    async def one(request: Request) -> list[Offer]:
        return [offer async for portion in source.search(request) for offer in portion]

    async def go() -> list[list[Offer]]:
        try:
            return await asyncio.gather(*(one(request) for request in requests))
        finally:
            await source.close()

    return asyncio.run(go())


def ladder(offer: Offer) -> list[tuple[int, str]]:
    return [(step.quantity, str(step.unit_price)) for step in offer.breaks]


def test_a_keyword_search_joins_products_prices_and_parameters(server: FakeServer) -> None:
    tme = fake.TmeV2(server)
    meter = CountingMeter()
    source = Tme(keys(tme.base_url), meter, clock=lambda: NOW)
    request = Request(keyword="resistor 4.7k 0603")
    [[offer]] = search(source, request)
    assert (offer.sku, offer.mpn, offer.manufacturer) == ("AC-4K7", "AC-4K7-0603", "ACME")
    assert (offer.stock, offer.moq, offer.multiple, offer.package) == (1200, 10, 10, "0603")
    assert ladder(offer) == [(10, "0.246"), (100, "0.123")]
    assert offer.breaks[0].currency == "PLN"
    told = {"Resistance": "4.7kΩ", "Case - inch": "0603", "Electrical mounting": "SMT, THT"}
    assert offer.params == told
    assert offer.image_url == "https://pictures.example/ac.jpg?width=640"
    assert (offer.region, offer.fetched_at) == ("Europe", NOW)
    assert meter.taken == 3 == source.cost(Request(keyword="x", limit=50))


def test_many_who_need_a_token_ask_for_one(server: FakeServer) -> None:
    tme = fake.TmeV2(server)
    search(
        Tme(keys(tme.base_url), CountingMeter()), *[Request(mpns=(f"AC{n}X",)) for n in range(4)]
    )
    assert len(tme.tokens) == 1


def test_a_token_that_ends_early_is_replaced_once(server: FakeServer) -> None:
    tme = fake.TmeV2(server)
    server.fail("/tme/products/data", Reply({"error": "expired"}, 401))
    [[offer]] = search(Tme(keys(tme.base_url), CountingMeter()), Request(mpns=("AC-4K7-0603",)))
    assert offer.stock == 1200
    assert len(tme.tokens) == 2


def test_a_wrong_secret_is_an_error_of_the_key_and_is_not_said_aloud(server: FakeServer) -> None:
    tme = fake.TmeV2(server)
    source = Tme(keys(tme.base_url, tme_secret="planted-wrong"), CountingMeter())
    with pytest.raises(SourceAuth) as caught:
        search(source, Request(mpns=("AC-4K7",)))
    assert "planted" not in str(caught.value)


def test_without_its_parameters_an_offer_is_still_shown(server: FakeServer) -> None:
    tme = fake.TmeV2(server)
    server.always("/tme/products/parameters", Reply("<h1>no</h1>", 500))
    [[offer]] = search(Tme(keys(tme.base_url), CountingMeter()), Request(mpns=("AC-4K7-0603",)))
    assert offer.params == {}
    assert offer.breaks


def test_a_403_of_the_throttle_is_told_apart_from_one_of_the_application(
    server: FakeServer,
) -> None:
    tme = fake.TmeV2(server)
    server.always("/tme/products", Reply({"message": "Request limit reached"}, 403))
    with pytest.raises(SourceRate):
        search(Tme(keys(tme.base_url), CountingMeter()), Request(mpns=("AC-4K7",)))
    server.always("/tme/products", Reply({"message": "Forbidden"}, 403))
    with pytest.raises(SourceAuth):
        search(Tme(keys(tme.base_url), CountingMeter()), Request(mpns=("AC-4K7",)))


def test_part_numbers_go_out_fifty_at_a_time(server: FakeServer) -> None:
    tme = fake.TmeV2(server)
    meter = CountingMeter()
    source = Tme(keys(tme.base_url), meter)
    request = Request(mpns=tuple(f"AC-{n}-X" for n in range(60)))
    [offers] = search(source, request)
    assert len(offers) == 60
    assert meter.taken == 6 == source.cost(request)


def test_a_symbol_that_would_fail_the_whole_call_is_left_out(server: FakeServer) -> None:
    tme = fake.TmeV2(server, "AC-4K7", "X" * 19, "A")
    [offers] = search(Tme(keys(tme.base_url), CountingMeter()), Request(keyword="resistor"))
    assert [offer.sku for offer in offers] == ["AC-4K7"]


@pytest.mark.parametrize("rate", [23, 23.0, "23", "23.00"])
def test_gross_prices_become_net_by_the_rate_of_the_tax(rate: Any) -> None:
    [offer] = tme_v2.parse([fake.product()], [fake.data(kind="GROSS", rate=rate)], [], fetched_at=NOW)  # fmt: skip
    assert ladder(offer) == [(10, "0.2"), (100, "0.1")]  # 0.246 and 0.123 with 23 %


def test_net_prices_stay_whatever_the_rate() -> None:
    [offer] = tme_v2.parse([fake.product()], [fake.data(rate=23)], [], fetched_at=NOW)
    assert ladder(offer) == [(10, "0.246"), (100, "0.123")]


@pytest.mark.parametrize(
    ("status", "lifecycle"),
    [
        ([], Lifecycle.UNKNOWN),
        (["NEW"], Lifecycle.NEW),
        (["PROMOTED", "AVAILABLE_WHILE_STOCKS_LAST"], Lifecycle.LAST_BUY),
        (["AVAILABLE_WHILE_STOCKS_LAST", "PRODUCT_BLOCKED"], Lifecycle.OBSOLETE),
        (["HARDLY_AVAILABLE", None, 7], Lifecycle.UNKNOWN),
        (["PRODUCT_BLOCKED_BY_CONTEXT", "CANNOT_BE_ORDERED"], Lifecycle.UNKNOWN),
    ],
)
def test_statuses_say_whether_a_part_is_still_made(status: list[Any], lifecycle: Lifecycle) -> None:
    [offer] = tme_v2.parse([fake.product(product_status=status)], [], [], fetched_at=NOW)
    assert offer.lifecycle is lifecycle


def test_a_product_without_the_makers_number_says_so() -> None:
    [offer] = tme_v2.parse([fake.product(mpn=None)], [], [], fetched_at=NOW)
    assert offer.mpn == "AC-4K7"
    assert offer.warnings == (tme_v2.OWN_SYMBOL,)


@pytest.mark.parametrize("junk", [None, [], {}, 7, "text", {"symbol": None}, {"symbol": {}}])
def test_an_item_that_cannot_be_read_takes_no_other_with_it(junk: Any) -> None:
    good = fake.product()
    products = [junk, good, {**good, "symbol": "B2", "multiples": junk}]
    offers = tme_v2.parse(products, [junk], [junk], fetched_at=NOW)
    assert [offer.sku for offer in offers] == ["AC-4K7", "B2"]


def test_the_signature_is_what_the_recipe_makes_by_hand() -> None:
    secret = SecretStr("s3cr3t")
    form = tme_v1.flat({"Token": "t", "SearchPlain": "4.7k 1% ~ü", "SymbolList": ["A B", "C/D"]})
    assert form["SymbolList[0]"] == "A B"
    base = (
        "POST&https%3A%2F%2Fapi.tme.eu%2FProducts%2FSearch.json&"
        "SearchPlain%3D4.7k%25201%2525%2520~%25C3%25BC"
        "%26SymbolList%255B0%255D%3DA%2520B%26SymbolList%255B1%255D%3DC%252FD%26Token%3Dt"
    )
    expected = base64.b64encode(hmac.new(b"s3cr3t", base.encode(), hashlib.sha1).digest()).decode()
    signed = tme_v1.signature("https://api.tme.eu/Products/Search.json", form, secret)
    assert signed == expected


def test_numbers_of_a_list_sort_as_they_count() -> None:
    form = tme_v1.flat({"SymbolList": [f"S{n}" for n in range(12)]})
    names = sorted(form)
    assert [form[name] for name in names] == [f"S{n}" for n in range(12)]
    assert names[2] == "SymbolList[02]"


def test_v1_searches_signs_and_takes_the_tax_away(server: FakeServer) -> None:
    tme = fake.TmeV1(server, symbols=12)
    source = Tme(keys(tme.base_url, tme_api="v1"), CountingMeter(), clock=lambda: NOW)
    [offers] = search(source, Request(keyword="resistor 4.7k"))
    assert len(offers) == 12
    offer = offers[0]
    assert (offer.mpn, offer.stock, offer.moq) == ("AC 4K7", 700, 10)
    assert ladder(offer) == [(10, "1")]  # 1.23 with 23 %
    assert offer.lifecycle is Lifecycle.LAST_BUY
    assert offer.url == "https://www.shop.example/ac"
    assert offer.params == {"Resistance": "4.7kΩ"}


def test_v1_finds_nothing_where_php_writes_a_list_for_an_object(server: FakeServer) -> None:
    tme = fake.TmeV1(server)
    source = Tme(keys(tme.base_url, tme_api="v1"), CountingMeter())
    assert search(source, Request(keyword="nothing")) == [[]]


def test_v1_with_a_wrong_secret_is_an_error_of_the_key(server: FakeServer) -> None:
    tme = fake.TmeV1(server)
    source = Tme(keys(tme.base_url, tme_api="v1", tme_secret="planted-wrong"), CountingMeter())
    with pytest.raises(SourceAuth):
        search(source, Request(keyword="resistor"))


def test_v1_names_the_fields_it_was_refused_for_but_not_their_values(server: FakeServer) -> None:
    tme = fake.TmeV1(server)
    told = {"Status": "E_INPUT_PARAMS_VALIDATION_ERROR", "ErrorCode": 6,
            "Error": {"Validation": {"SearchPlain": {"value": "planted", "message": "short"}}}}  # fmt: skip
    server.always("/tme1", Reply(told, 406))
    with pytest.raises(SourceSchema, match="SearchPlain") as caught:
        search(Tme(keys(tme.base_url, tme_api="v1"), CountingMeter()), Request(keyword="resistor"))
    assert "planted" not in str(caught.value)


def test_without_a_key_it_says_what_it_needs_and_is_not_called() -> None:
    source = Tme(Keys(_env_file=None), CountingMeter())
    assert "TME_TOKEN" in str(source.missing)
    with pytest.raises(SourceAuth):
        search(source, Request(keyword="resistor"))


@recorded
def test_the_recorded_search_for_2n3904_gives_nine_products() -> None:
    told = json.loads((RECORDINGS / "tme-2N3904.json").read_text("utf-8"))
    offers = tme_v1.parse(told["Data"]["ProductList"], {}, [], fetched_at=NOW)
    assert len(offers) == 9
    by_sku = {offer.sku: offer for offer in offers}
    assert by_sku["2N3904-DIO"].mpn == by_sku["2N3904-LGE"].mpn == "2N3904"
    assert by_sku["2N3904-LGE"].moq == by_sku["2N3904-LGE"].multiple == 20
    assert by_sku["2N3904-CEN"].mpn == "2N3904 PBFREE"
    assert by_sku["2N3904TAR"].warnings == (tme_v2.NO_ORDER,)
    assert all(offer.breaks == () and offer.stock is None for offer in offers)
    assert by_sku["2N3904BU"].url == "https://www.tme.eu/en/details/2n3904bu/npn-tht-transistors/onsemi/"  # fmt: skip


# read from the recordings by eye: sku, mpn, stock, moq, first and last step, package
RECORDED_V2 = {
    "tme_v2/data_RC0603FR-071K_US_en_USD_v2":
        ("RC0603FR-071K", "RC0603FR-071KL", 0, 1, (1, "0.04208"), (25000, "0.00147"), "0603"),
    "tme_v2/data_10103594-0001LF_C_US_en_USD_v2":
        ("10103594-0001LF/C", "10103594-0001LF", 12454, 1, (1, "0.699"), (1500, "0.426"), None),
    "tme_v2/data_HLMP-K150_US_en_USD_v2":
        ("HLMP-K150", "HLMP-K150", 1604, 1, (1, "0.279"), (10000, "0.149"), None),
    "tme_v2/data_ERJ3EKF2493V_US_en_USD_v2":
        ("ERJ3EKF2493V", "ERJ3EKF2493V", 7826, 1, (1, "0.08685"), (200000, "0.00478"), "0603"),
}  # fmt: skip
RECORDED_V1 = {
    "tme_v2/data_0603B104K500CT_US_en_USD":
        ("0603B104K500CT", "0603B104K500CT", 4677700, 100, (100, "0.01503"), (20000, "0.00256"), "0603"),
    "tme_v2/data_RC0603FR-07100R_US_en_USD":
        ("RC0603FR-07100R", "RC0603FR-07100RL", 595600, 100, (100, "0.0168"), (50000, "0.0013"), "0603"),
    "tme_v2/data_ERJ3EKF1004V_US_en_USD":
        ("ERJ3EKF1004V", "ERJ3EKF1004V", 0, 100, (100, "0.02628"), (5000, "0.00825"), "0603"),
}  # fmt: skip


def kicost() -> Any:
    return json.loads((RECORDINGS / "kicost-recordings.json").read_text("utf-8"))


def shown(offer: Offer) -> tuple[Any, ...]:
    steps = ladder(offer)
    return (offer.sku, offer.mpn, offer.stock, offer.moq, steps[0], steps[-1], offer.package)


@recorded
@pytest.mark.parametrize("name", RECORDED_V2)
def test_recorded_products_of_v2_have_the_numbers_read_by_eye(name: str) -> None:
    told = kicost()[name]
    [offer] = tme_v2.parse([told], [told], [told], fetched_at=NOW)
    assert shown(offer) == RECORDED_V2[name]
    assert offer.breaks[0].currency == "USD"
    assert all(offer.params.values())


@recorded
@pytest.mark.parametrize("name", RECORDED_V1)
def test_recorded_products_of_v1_have_the_numbers_read_by_eye(name: str) -> None:
    told = kicost()[name]
    prices = {"Currency": "USD", "PriceType": "NET", "ProductList": [told]}
    [offer] = tme_v1.parse([told], prices, [told], fetched_at=NOW)
    assert shown(offer) == RECORDED_V1[name]
    assert offer.datasheet_url
    assert offer.datasheet_url.startswith("https://www.tme.eu/Document/")


@recorded
def test_every_recorded_product_of_tme_becomes_an_offer_with_prices() -> None:
    for name, told in kicost().items():
        if not name.startswith("tme_v2/"):
            continue
        prices = {"Currency": "USD", "PriceType": "NET", "ProductList": [told]}
        if "Symbol" in told:
            [offer] = tme_v1.parse([told], prices, [told], fetched_at=NOW)
        else:
            [offer] = tme_v2.parse([told], [told], [told], fetched_at=NOW)
        assert offer.breaks, name
        assert all(isinstance(step.unit_price, Decimal) for step in offer.breaks)
