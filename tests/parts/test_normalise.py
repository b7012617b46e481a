"""What a query says: labelled queries, magnitudes of every unit and notation, part numbers that stay whole."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.parts.ru import attributes, normalise
from orchestrator.parts.ru.letters import fold, transliterate
from orchestrator.parts.ru.typos import distance

# as a Russian engineer writes them, labelled before the rules were tuned
QUERIES = [
    (row["q"], row["type"], row["mpn"], row["attrs"])
    for row in json.loads(Path(__file__).with_name("queries.json").read_text("utf-8"))
]
RECORDED = Path(__file__).parents[3] / "shared" / "recordings" / "parts" / "ru-queries-dev.json"


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) or isinstance(found, str):
        return bool(found == wanted)
    return bool(found == pytest.approx(wanted, rel=1e-9, abs=0))


def differs(query: str, kind: str | None, mpn: str | None, attrs: dict[str, Any]) -> str | None:
    said = normalise(query)
    right = (
        said.type == kind
        and said.mpn == mpn
        and said.attrs.keys() == attrs.keys()
        and all(same(said.attrs[name], value) for name, value in attrs.items())
    )
    return None if right else f"{query}: {said.type} {said.mpn} {dict(said.attrs)}"


def test_every_query_of_our_own_is_understood_in_all_fields() -> None:
    assert [said for query in QUERIES if (said := differs(*query))] == []


def test_every_recorded_query_is_understood_and_put_into_english() -> None:
    if not RECORDED.exists():
        pytest.skip("no recordings beside the checkout")
    rows = json.loads(RECORDED.read_text("utf-8"))
    wrong = [
        said for row in rows if (said := differs(row["q"], row["type"], row["mpn"], row["attrs"]))
    ]
    assert wrong == []
    assert [row["en"] for row in rows] == [normalise(row["q"]).en for row in rows]


_WESTERN = """1N4007 1N4148 BAT54S AMS1117-3.3 NE555 MAX232CPE ESP32-WROOM-32 TL431 74HC595 CD4017 2SC1815 IR2110 78L05
LM7805CT PIC16F877A-I/P W25Q64FVSSIG GRM188R71H104KA93D RC0603FR-074K7L CRCW08054K70FKEA LTC3780EG#PBF MAX3232CDR+
BAS70-04,215 LM358/NOPB P6KE6.8A 1.5KE200CA 4N35 6N137 2N7000 BC547B IRLML2502TRPBF STM32F103C8T6 ATMEGA328P-PU
SS34 SMBJ24CA KBL406 14D471K DS18B20 06035C104KAT2A C3216X5R1E106K EEE-FK1E101P 3296W-1-103 10A10 TIP41C BTA16-600B
MMBT3904LT1G TPS5430DDAR INA219AIDCNR ADS1115IDGSR NRF24L01+ CP2102-GMR FT232RL XC6206P332MR 2SK3878 UC3842AN"""
WESTERN = _WESTERN.split()


@pytest.mark.parametrize("mpn", WESTERN)
def test_a_western_part_number_comes_out_as_it_went_in(mpn: str) -> None:
    assert normalise(mpn).mpn == mpn
    assert normalise(mpn.lower()).mpn == mpn
    assert normalise(f"купить {mpn} 10 шт").mpn == mpn
    assert normalise(mpn).en == mpn


@given(st.from_regex(r"\A[A-Z]{2,4}[0-9]{4,5}[A-Z]{1,3}(?:-[A-Z0-9]{1,3})?(?:/[A-Z]{2})?[+]?\Z"))
def test_a_latin_part_number_alone_is_never_changed(mpn: str) -> None:
    said = normalise(mpn)
    if said.mpn is None:  # DIP1234A is a case
        assert "package" in said.attrs
    else:
        assert said.mpn == mpn


PREFIXES_RU = {"п": -12, "н": -9, "мк": -6, "м": -3, "": 0, "к": 3, "М": 6}
PREFIXES_EN = {"p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0, "k": 3, "M": 6}
UNITS = [  # attribute, Russian, English, the prefixes that are used
    ("resistance", "Ом", "Ohm", {-3, 0, 3, 6}),
    ("capacitance", "Ф", "F", {-12, -9, -6, -3, 0}),
    ("inductance", "Гн", "H", {-9, -6, -3}),
    ("voltage", "В", "V", {-3, 0, 3}),
    ("current", "А", "A", {-9, -6, -3, 0}),
    ("power", "Вт", "W", {-3, 0, 3}),
    ("frequency", "Гц", "Hz", {0, 3, 6}),
]
SPELLINGS = [
    (attr, exponent, prefix + base)
    for attr, russian, english, used in UNITS
    for base, prefixes in ((russian, PREFIXES_RU), (english, PREFIXES_EN))
    for prefix, exponent in prefixes.items()
    if exponent in used
]
TYPE_OF = {"resistance": "резистор", "capacitance": "конденсатор", "inductance": "дроссель",
           "voltage": "реле", "current": "реле", "power": "резистор", "frequency": "кварц"}  # fmt: skip


@pytest.mark.parametrize(("attr", "exponent", "unit"), SPELLINGS)
def test_a_magnitude_is_exact_in_every_notation(attr: str, exponent: int, unit: str) -> None:
    for digits in ("1", "4,7", "4.7", "0,33", "150", "2200"):
        amount = Decimal(digits.replace(",", ".")).scaleb(exponent)
        for gap in ("", " "):
            said = normalise(f"{TYPE_OF[attr]} {digits}{gap}{unit}")
            assert said.attrs.get(attr) == float(amount), (digits + gap + unit, said)


@pytest.mark.parametrize(
    ("query", "attr", "amount"),
    [
        ("резистор 4к7", "resistance", 4700),
        ("резистор 4К7", "resistance", 4700),
        ("резистор 0R1", "resistance", 0.1),
        ("резистор R047", "resistance", 0.047),
        ("резистор 1М0", "resistance", 1_000_000),
        ("резистор 100Е", "resistance", 100),
        ("резистор 5 мОм", "resistance", 0.005),
        ("резистор 5 МОм", "resistance", 5_000_000),
        ("резистор 5 мом", "resistance", 5_000_000),
        ("резистор 5 килоом", "resistance", 5000),
        ("конденсатор p10", "capacitance", 1e-13),
        ("конденсатор 4n7", "capacitance", 4.7e-9),
        ("конденсатор 10мк", "capacitance", 1e-5),
        ("конденсатор мкф 10", "capacitance", 1e-5),
        ("конденсатор 104", "capacitance", 1e-7),
        ("конденсатор 10 мф", "capacitance", 1e-5),
        ("конденсатор .1uF", "capacitance", 1e-7),
        ("дроссель 101", "inductance", 1e-4),
        ("дроссель 4R7", "inductance", 4.7e-6),
        ("резистор 103", "resistance", 10_000),
        ("резистор 01C", "resistance", 10_000),
        ("резистор 1/4Вт", "power", 0.25),
        ("реле 24 в", "voltage", 24),
        ("кварц 16 мгц", "frequency", 16e6),
    ],
)
def test_a_code_is_read_in_the_light_of_the_type(query: str, attr: str, amount: float) -> None:
    assert normalise(query).attrs[attr] == pytest.approx(amount, rel=1e-12)


def test_honest_doubt_is_told_with_the_other_reading() -> None:
    plain = normalise("резистор 100 0805")
    assert plain.attrs["resistance"] == 100
    assert [each.reads for each in plain.alternatives] == ["resistance=10"]
    assert plain.confidence < 0.7
    alone = normalise("104")
    assert alone.mpn is None
    assert {each.reads for each in alone.alternatives} >= {"capacitance=1e-07"}
    assert [each.reads for each in normalise("ВС847С").alternatives] == ["VS847S"]


def test_two_voltages_of_a_transformer_are_not_its_rated_voltage() -> None:
    for query in ("трансформатор 220В 12В", "трансформатор 220/12В", "dc-dc 24В 5В"):
        said = normalise(query)
        assert "voltage" not in said.attrs
        assert "12V" in said.en or "24V" in said.en


@given(st.text(max_size=80))
def test_any_text_has_an_answer(text: str) -> None:
    said = normalise(text)
    assert 0 <= said.confidence <= 1
    json.dumps(said.model_dump(mode="json"))


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "\ud800", "9" * 5000, "±", "%", "1/0Вт", "((((", "x", "١٢ В", "²Ом"]
)
def test_rubbish_has_an_answer_too(text: str) -> None:
    normalise(text)


@given(st.text(alphabet="АВЕКМНОРСТУХавекмнорстухABCабвгд0123456789-", max_size=20))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert transliterate(transliterate(text)) == transliterate(text)


@given(st.from_regex(r"\A[qzjw]{2,3}[0-9]{2,3}[qzjw]{2}\Z"))
def test_a_token_with_digits_that_means_nothing_stays_in_the_english_text(token: str) -> None:
    assert token.upper() in normalise(f"резистор BC547 {token} 10к").en.upper()


def test_a_slip_of_two_neighbours_is_one() -> None:
    assert distance("резистро", "резистор", 2) == 1
    assert distance("abc", "abcdefgh", 2) == 3


def test_a_query_takes_less_than_a_millisecond() -> None:
    queries = [query for query, *_ in QUERIES]
    for query in queries:
        normalise(query)
    best = []
    for query in queries:
        took = []
        for _ in range(3):
            start = time.thread_time()
            normalise(query)
            took.append(time.thread_time() - start)
        best.append(min(took))
    assert sorted(best)[len(best) // 2] < 1e-3


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"Resistance": "4.7 kOhms"}, {"resistance": "4.7 kΩ"}),
        ({"Номинальное сопротивление": "4,7 кОм"}, {"resistance": "4.7 kΩ"}),
        ({"Resistance": "4k7"}, {"resistance": "4.7 kΩ"}),
        ({"Capacitance": "0.1 µF"}, {"capacitance": "100 nF"}),
        ({"Ёмкость": "100нФ"}, {"capacitance": "100 nF"}),
        ({"Tolerance": "± 1%"}, {"tolerance": "±1%"}),
        ({"Допуск": "1 %"}, {"tolerance": "±1%"}),
        ({"Power (Watts)": "0.1W, 1/10W"}, {"power": "100 mW"}),
        ({"Package / Case": "0603 (1608 Metric)"}, {"package": "0603"}),
        ({"Dielectric Characteristic": "NP0"}, {"dielectric": "C0G"}),
        ({"Voltage - Collector Emitter Breakdown (Max)": "40 V"}, {"voltage": "40 V"}),
        ({"Operating Temperature": "-55°C ~ 150°C (TJ)"}, {"temperature": "-55…150 °C"}),
        ({"Mounting Type": "Through Hole"}, {"mounting": "THT"}),
        ({"Something": "  its   own "}, {"Something": "its own"}),
        ({"Resistance": "-"}, {}),
    ],
)
def test_parameters_come_under_our_terms_in_one_spelling(
    params: dict[str, str], wanted: dict[str, str]
) -> None:
    assert attributes(params) == wanted
    assert attributes(attributes(params)) == wanted


def test_a_bare_number_of_a_crystal_is_what_everyone_means_with_the_other_reading_beside_it() -> (
    None
):
    watch, fast = normalise("кварц 32.768"), normalise("кварц 11.0592")
    assert (watch.attrs, fast.attrs) == ({"frequency": 32768}, {"frequency": 11059200})
    assert [said.alternatives[0].reads for said in (watch, fast)] == [
        "frequency=32768000",
        "frequency=11059.2",
    ]
    assert max(watch.confidence, fast.confidence) < 0.7


def test_a_designation_typed_under_the_other_layout_keeps_what_was_typed_as_the_other_reading() -> (
    None
):
    said = normalise("rn315,")
    assert (said.mpn, said.alternatives[0].reads) == ("KT315B", "RN315")
    assert [normalise(mpn).mpn for mpn in ("rl207", "rc4558", "RN1402", "r1lv0408")] == [
        "RL207",
        "RC4558",
        "RN1402",
        "R1LV0408",
    ]


@pytest.mark.parametrize(
    "mpn",
    [
        *("2W10", "6A10", "10A10", "1N4733A", "2N2222A", "4N35", "10D391K", "14D471K", "5D-9"),
        *("74HC4051PW,118", "1.5KE440CA", "24LC256", "2SC5200"),
    ],
)
def test_a_part_number_that_begins_with_digits_is_not_taken_for_values(mpn: str) -> None:
    for said in (normalise(mpn), normalise(f"купить {mpn} 5 шт")):
        assert (said.mpn, set(said.attrs) - {"quantity"}) == (mpn, set())
