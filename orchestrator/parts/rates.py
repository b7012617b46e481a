"""Exchange rates with a date: from the Bank of Russia, the European Central Bank, or the copy that is shipped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation, localcontext
from pathlib import Path
from typing import Self

from orchestrator.errors import OrchestratorError
from orchestrator.files import write_whole
from orchestrator.parts import currencies, safexml
from orchestrator.parts.errors import RateUnknown

CBR_URL = "https://www.cbr.ru/scripts/XML_daily.asp"
ECB_URL = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"
OFFLINE = Path(__file__).with_name("rates.csv")
PLACES = Decimal("1e-12")  # finer than any price; keeps unit price × pieces exact


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rates of one day: `pieces[c]` units of currency c cost `price[c]` of the base."""

    teller: str  # `CBR`, `ECB`, `offline copy`
    day: date
    pieces: Mapping[str, Decimal]
    price: Mapping[str, Decimal]

    def __contains__(self, currency: object) -> bool:
        return currency in self.pieces


@dataclass(frozen=True)
class Rates:
    """Tables of rates, the one to prefer first. Every conversion uses one table, so that one date says it all."""

    tables: tuple[Table, ...]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The rates downloaded into a folder, newest first, last the shipped copy. A bad file is as none."""
        tables = []
        for name, (_, parse) in SOURCES.items():
            try:
                tables.append(parse((folder / name).read_bytes()))
            except (OSError, ValueError):
                continue  # the next download replaces it
        tables.sort(key=lambda table: table.day, reverse=True)  # the sort keeps CBR first on a tie
        return cls((*tables, offline_copy()))

    @classmethod
    def offline(cls) -> Self:
        """Only the copy that is shipped."""
        return cls((offline_copy(),))

    def convert(self, amount: Decimal, of: str, to: str) -> Decimal:
        """An amount in another currency, to twelve places. Raises RateUnknown."""
        source, target = currencies.code(of), currencies.code(to)
        if source == target:
            return amount
        table = self.table(source, target)
        with localcontext(prec=50):
            up = amount * table.price[source] * table.pieces[target]
            return (up / (table.pieces[source] * table.price[target])).quantize(PLACES).normalize()

    def table(self, of: str, to: str) -> Table:
        """The table that a conversion uses. Raises RateUnknown."""
        wanted = (currencies.code(of), currencies.code(to))
        for table in self.tables:
            if all(currency in table for currency in wanted):
                return table
        raise RateUnknown(f"No exchange rate from {wanted[0][:10]} to {wanted[1][:10]}")

    def told(self, of: str, to: str, *, today: date) -> str:
        """Where a conversion has its rate from, and how old it is: `CBR, 2026-09-21, 2 days old`."""
        table = self.table(of, to)
        days = (today - table.day).days
        age = "of today" if days <= 0 else f"{days} day{'s' if days > 1 else ''} old"
        return f"{table.teller}, {table.day.isoformat()}, {age}"

    def age_days(self, *, today: date) -> int:
        """Days since the newest table was made."""
        return max(0, (today - self.tables[0].day).days)


def cbr(data: bytes) -> Table:
    """Read the Bank of Russia's daily XML (windows-1251, decimal comma, a price for `Nominal` units).

    Raises ValueError.
    """
    root = safexml.read(data)
    day, month, year = root.attrib.get("Date", "").replace("/", ".").split(".")
    pieces, price = {"RUB": Decimal(1)}, {"RUB": Decimal(1)}
    for valute in root.iter("Valute"):
        code = currencies.code(valute.findtext("CharCode", ""))
        pieces[code] = _positive(valute.findtext("Nominal", ""))
        price[code] = _positive(valute.findtext("Value", ""))
    return _table("CBR", date(int(year), int(month), int(day)), pieces, price)


def ecb(data: bytes) -> Table:
    """Read the European Central Bank's daily XML: so many units of a currency cost one euro. Raises ValueError."""
    day: date | None = None
    pieces, price = {"EUR": Decimal(1)}, {"EUR": Decimal(1)}
    for element in safexml.read(data).iter():
        if "time" in element.attrib:
            day = date.fromisoformat(element.attrib["time"])
        if "currency" in element.attrib:
            code = currencies.code(element.attrib["currency"])
            pieces[code], price[code] = _positive(element.attrib.get("rate", "")), Decimal(1)
    if day is None:
        raise ValueError("rates without a date")
    return _table("ECB", day, pieces, price)


def offline_copy() -> Table:
    """The shipped table: round figures written by hand, good for comparing, not for paying."""
    head, _, *lines = OFFLINE.read_text(encoding="utf-8").splitlines()
    day = date.fromisoformat(head.rpartition(" ")[2])
    pieces, price = {"USD": Decimal(1)}, {"USD": Decimal(1)}
    for line in lines:
        code, _, rate = line.partition(",")
        pieces[code], price[code] = Decimal(rate), Decimal(1)
    return Table(teller="offline copy", day=day, pieces=pieces, price=price)


SOURCES: Mapping[str, tuple[str, Callable[[bytes], Table]]] = {
    "cbr.xml": (CBR_URL, cbr),
    "ecb.xml": (ECB_URL, ecb),
}


async def download(
    folder: Path, fetch: Callable[[str], Awaitable[bytes]]
) -> tuple[Rates, list[str]]:
    """Fetch both banks' files into a folder; returns the rates that there are then, and what went wrong.

    A file that cannot be had or read leaves the old one.
    """
    wrong = []
    for name, (url, parse) in SOURCES.items():
        try:
            data = await fetch(url)
            parse(data)
        except (OrchestratorError, OSError, ValueError) as error:
            wrong.append(f"{url}: {error}")
            continue  # the other bank may answer, and `told` shows the age of what is left
        await asyncio.to_thread(_keep, folder / name, data)
    return await asyncio.to_thread(Rates.load, folder), wrong


def _keep(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, data)


def _table(
    teller: str, day: date, pieces: Mapping[str, Decimal], price: Mapping[str, Decimal]
) -> Table:
    if len(pieces) < 2:
        raise ValueError("no rates in it")
    return Table(teller=teller, day=day, pieces=pieces, price=price)


def _positive(text: str) -> Decimal:
    try:
        number = Decimal(text.strip().replace(",", "."))
    except InvalidOperation as error:
        raise ValueError("a rate that is no number") from error
    if not number.is_finite() or number <= 0:
        raise ValueError("a rate that is not positive")
    return number
