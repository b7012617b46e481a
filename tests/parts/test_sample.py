"""The offline sample: always the same, marked as what it is, and found by number, by values and by words."""

from __future__ import annotations

import asyncio
import statistics
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from fakes.meters import CountingMeter

from orchestrator.parts.keys import Keys
from orchestrator.parts.ru import normalise
from orchestrator.parts.sources.all import sources
from orchestrator.parts.sources.base import Limit, Request
from orchestrator.parts.sources.sample import WARNING, Sample
from orchestrator.parts.sources.sample_catalogue import catalogue
from orchestrator.parts.sources.sample_match import matches
from orchestrator.parts.values import Offer

NOW = datetime(2026, 9, 20, 12, tzinfo=UTC)


def search(request: Request) -> list[Offer]:
    async def go() -> list[Offer]:
        source = Sample(clock=lambda: NOW)
        return [offer async for portion in source.search(request) for offer in portion]

    return asyncio.run(go())


def found(keyword: str = "", **asked: Any) -> list[str]:
    return [entry.mpn for entry in matches(Request(keyword=keyword, **asked))]


def test_it_has_a_few_hundred_parts_and_no_number_twice() -> None:
    numbers = [entry.mpn for entry in catalogue()]
    assert 300 <= len(numbers) <= 500
    assert len(set(numbers)) == len(numbers)


def test_every_part_is_offered_and_every_offer_says_what_it_is() -> None:
    offers = search(Request(mpns=tuple(entry.mpn for entry in catalogue()), limit=1000))
    assert {offer.mpn for offer in offers} == {entry.mpn for entry in catalogue()}
    assert all(
        offer.warnings == (WARNING,) and offer.seller.startswith("Sample") for offer in offers
    )
    assert {offer.region for offer in offers} == {"Europe", "Asia", "Russia"}
    assert all(offer.breaks and offer.fetched_at == NOW for offer in offers)
    for offer in offers:
        assert Offer.model_validate(offer.model_dump(), strict=True) == offer
        prices = [step.unit_price for step in offer.breaks]
        assert prices == sorted(prices, reverse=True)
        assert offer.breaks[0].quantity == offer.moq


def test_the_same_question_has_the_same_answer() -> None:
    assert search(Request(mpns=("LM358",))) == search(Request(mpns=("LM358",)))


def test_a_resistor_by_its_values() -> None:
    asked = {"resistance": 4700, "package": "0603", "tolerance": 1}
    rows = found("resistor 4.7k 0603 1%", type="resistor", attrs=asked)
    assert rows == ["RC0603FR-074K7L", "CRCW06034K70FKEA", "ERJ-3EKF4701V"]


@pytest.mark.parametrize(
    ("number", "first"),
    [
        ("2N3904", "2N3904"),
        ("bc547", "BC547B"),
        ("STM32F103C8T6", "STM32F103C8T6"),
        ("ВС547", "BC547B"),  # look-alike letters
        ("КТ315Б", "KT315B"),
        ("KT315B", "KT315B"),
        ("K155LA3", "K155LA3"),
        ("AMS1117", "AMS1117-3.3"),
    ],
)
def test_a_part_by_its_number_or_the_beginning_of_it(number: str, first: str) -> None:
    assert found(mpns=(number,))[0] == first


def test_an_unknown_number_finds_nothing_rather_than_something_else() -> None:
    assert found("transistor ZZ9999", mpns=("ZZ9999",), type="transistor") == []


@pytest.mark.parametrize(
    ("kind", "asked", "wanted", "unwanted"),
    [
        (
            "capacitor",
            {"capacitance": 1e-7, "voltage": 25},
            "CC0603KRX7R9BB104",
            "CC0402KRX7R7BB104",
        ),  # 16 V
        (
            "zener diode",
            {"voltage": 5.1},
            "BZT52C5V1",
            "1N4742A",
        ),  # 12 V is not at least 5.1 V here
        ("zener", {"voltage": 12.0}, "1N4742A", "BZT52C5V1"),
        ("schottky_diode", {"current": 3, "voltage": 40}, "SS34", "SS14"),
        ("resistor", {"resistance": 10.0, "tolerance": 1}, "RC0603FR-0710RL", "RC0805JR-0710RL"),
        ("led", {"color": "red", "size_mm": 3}, "LED-3MM-RED", "LED-0805-RED"),
        ("op amp", {"package": "SO-8"}, "LM358DR", "LM358N"),
        ("transistor", {"package": "TO220"}, "IRLZ44N", "2N3904"),
    ],
)
def test_values_choose_what_fits(
    kind: str, asked: dict[str, Any], wanted: str, unwanted: str
) -> None:
    rows = found(type=kind, attrs=asked)
    assert wanted in rows
    assert unwanted not in rows


def test_words_single_out_one_of_a_kind() -> None:
    assert found("connector USB Type-C", type="connector", attrs={}) == ["USB4105-GF-A"]
    assert found("humidity sensor", type="sensor", attrs={})[0] in ("DHT22", "BME280")


def test_the_russian_question_of_the_first_page_has_rows() -> None:
    for text in ("резистор 4к7 0603 1%", "КТ315Б", "конденсатор 100нФ 50В X7R 0603", "кварц 16МГц"):
        assert search(Request.of(normalise(text))), text


def test_a_search_is_done_before_anybody_notices() -> None:
    search(Request(mpns=("LM358",)))  # the catalogue is read once
    asked = Request(keyword="capacitor", type="capacitor", attrs={"capacitance": 1e-7})
    times = []
    for _ in range(20):
        began = time.perf_counter()
        search(asked)
        times.append(time.perf_counter() - began)
    assert statistics.median(times) < 0.02  # 5 ms when the machine is not busy with others


def keyed(**values: Any) -> list[Any]:
    def meter(name: str, limits: Any) -> CountingMeter:
        assert all(isinstance(limit, Limit) for limit in limits)
        return CountingMeter()

    return list(sources(Keys(_env_file=None, **values), meter))


def test_without_any_key_the_sample_alone_is_asked_and_the_others_say_what_they_need() -> None:
    first, *others = keyed()
    assert (first.name, first.missing) == ("sample", None)
    names = [source.name for source in others]
    assert " ".join(names) == "digikey mouser farnell tme trustedparts oemsecrets oemstrade efind"
    assert all(source.missing and source.missing.endswith(".") for source in others)


def test_beside_real_offers_the_sample_rests() -> None:
    first, *others = keyed(mouser_api_key="planted")
    assert "mislead" in first.missing
    assert [source.name for source in others if source.missing is None] == ["mouser"]


def test_a_number_that_stands_inside_longer_ones_finds_them() -> None:
    rows = found("integrated circuit 555", mpns=("555",), type="ic")
    assert sorted(rows) == ["NE555DR", "NE555P", "TLC555CP"]
