"""Exchange rates: two banks' files, the shipped copy, and files that mean harm."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.parts import rates, safexml
from orchestrator.parts.errors import RateUnknown, SourceUnreachable
from orchestrator.parts.rates import CBR_URL, ECB_URL, Rates

D = Decimal
CBR = """<?xml version="1.0" encoding="windows-1251"?>
<ValCurs Date="18.09.2026" name="Foreign Currency Market">
<Valute ID="R1"><NumCode>840</NumCode><CharCode>USD</CharCode><Nominal>1</Nominal>
<Name>Доллар США</Name><Value>80,5000</Value></Valute>
<Valute ID="R2"><NumCode>392</NumCode><CharCode>JPY</CharCode><Nominal>100</Nominal>
<Name>Иен</Name><Value>54,2500</Value></Valute></ValCurs>""".encode("windows-1251")
ECB = b"""<?xml version="1.0" encoding="UTF-8"?>
<e:Envelope xmlns:e="urn:envelope" xmlns="urn:rates"><Cube><Cube time="2026-09-17">
<Cube currency="USD" rate="1.1700"/><Cube currency="JPY" rate="173.50"/></Cube></Cube></e:Envelope>"""


def both(folder: Path) -> Rates:
    (folder / "cbr.xml").write_bytes(CBR)
    (folder / "ecb.xml").write_bytes(ECB)
    return Rates.load(folder)


def test_a_price_for_a_hundred_units_is_read_as_such(tmp_path: Path) -> None:
    told = both(tmp_path)
    assert told.convert(D(1000), "JPY", "RUB") == D("542.5")
    assert told.convert(D(161), "RUR", "USD") == D(2)


def test_currencies_that_only_one_bank_has_use_its_table(tmp_path: Path) -> None:
    told = both(tmp_path)
    assert told.convert(D(1), "EUR", "USD") == D("1.17")
    assert told.told("EUR", "USD", today=date(2026, 9, 20)) == "ECB, 2026-09-17, 3 days old"
    assert told.told("JPY", "USD", today=date(2026, 9, 18)) == "CBR, 2026-09-18, of today"


def test_without_files_the_shipped_copy_is_used_and_says_so(tmp_path: Path) -> None:
    told = Rates.load(tmp_path)
    assert told.told("USD", "RUB", today=date(2026, 9, 3)) == "offline copy, 2026-09-01, 2 days old"
    assert told.convert(D("0.1"), "USD", "RUB") == D("8.2")
    assert told.age_days(today=date(2026, 9, 11)) == 10


def test_the_same_currency_is_left_exactly_as_it_is() -> None:
    assert Rates.offline().convert(D("0.123456789012345"), "XXX", "xxx") == D("0.123456789012345")


def test_an_unknown_currency_is_an_error() -> None:
    with pytest.raises(RateUnknown):
        Rates.offline().convert(D(1), "XXX", "USD")


HARM = [
    b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><ValCurs Date="18.09.2026">&b;</ValCurs>',
    b"<?xml version='1.0' encoding='utf-16'?><ValCurs/>",
    b"<?xml version='1.0' encoding='cp037'?>" + "<!DOCTYPE x><x/>".encode("cp037"),
    CBR.replace(b"80,5000", b"-1"),
    CBR.replace(b"80,5000", b"NaN"),
    CBR.replace(b"80,5000", b""),
    CBR.replace(b"18.09.2026", b"yesterday"),
    b"<ValCurs Date='18.09.2026'/>",
    b"<html>busy</html>",
    b"",
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("data", HARM)
def test_a_harmful_or_broken_file_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which of its kinds does not matter
        rates.cbr(data)
    (tmp_path / "cbr.xml").write_bytes(data)
    assert [table.teller for table in Rates.load(tmp_path).tables] == ["offline copy"]


def test_an_entity_is_never_expanded() -> None:
    with pytest.raises(ValueError, match="document type"):
        safexml.read(HARM[0])


def test_a_download_keeps_the_old_file_when_the_new_one_is_no_good(tmp_path: Path) -> None:
    (tmp_path / "cbr.xml").write_bytes(CBR)

    async def fetch(url: str) -> bytes:
        if url == CBR_URL:
            return b"<html>busy</html>"
        assert url == ECB_URL
        return ECB

    told, wrong = asyncio.run(rates.download(tmp_path, fetch))
    assert [table.teller for table in told.tables] == ["CBR", "ECB", "offline copy"]
    assert len(wrong) == 1
    assert wrong[0].startswith(CBR_URL)


def test_a_bank_that_does_not_answer_is_no_error(tmp_path: Path) -> None:
    async def fetch(_: str) -> bytes:
        raise SourceUnreachable

    told, wrong = asyncio.run(rates.download(tmp_path, fetch))
    assert [table.teller for table in told.tables] == ["offline copy"]
    assert len(wrong) == 2
