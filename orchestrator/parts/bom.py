"""A bill of materials: its lines, the parts they mean, and what it all costs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from pydantic import Field

from orchestrator.parts import ladder
from orchestrator.parts.mpn import manufacturer_key, mpn_key
from orchestrator.parts.rates import Rates
from orchestrator.parts.values import Attr, Best, Part, Query, Value

Normalise = Callable[[str], Query]

CHIP = re.compile(r"(?:^|[_:])(\d{4,5})_\d{4,5}Metric|(?:^|[_:])[RCLDF](\d{4})(?:$|_)")  # KiCad's
KINDS = {  # what a designator's letters say, where it is worth a word in the query
    "R": "resistor",
    "C": "capacitor",
    "L": "inductor",
    "FB": "ferrite bead",
    "Y": "crystal",
    "BQ": "crystal",
    "ZQ": "crystal",
    "RV": "varistor",
    "RK": "thermistor",
    "LED": "LED",
    "VD": "diode",
    "VT": "transistor",
}
VALUES = (
    "resistance",
    "capacitance",
    "inductance",
    "frequency",
    "impedance",
)  # one of them is what a part is
AT_LEAST = ("voltage", "power", "current")
NEAR = 1e-6  # of two values that are the same


class Line(Value):
    """One part of a device: `quantity` pieces on a board."""

    row: int  # in the file, from 1
    quantity: int = Field(ge=0)
    designators: tuple[str, ...] = ()
    mpn: str | None = None
    manufacturer: str | None = None
    value: str | None = None
    footprint: str | None = None
    description: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """What the line asks for, as people read it: the number, else the words."""
        return self.mpn or words(self)


class QuoteRow(Value):
    """A line, the part it is taken to mean, and the best purchase of what all boards need."""

    line: Line
    needed: int
    part: Part | None = None
    best: Best | None = None
    note: str | None = None  # why there is no price, or what to know of it


class Quote(Value):
    """What a device costs, and what was taken for granted in saying so."""

    rows: tuple[QuoteRow, ...]
    boards: int
    total: Decimal
    currency: str
    unmatched: tuple[Line, ...]
    assumptions: tuple[str, ...]


def words(line: Line) -> str:
    """The search for a line without a part number: kind by designator, value, package; else its description."""
    if not line.value:
        return line.description or ""
    letters = re.match(r"[A-Z]+", line.designators[0]) if line.designators else None
    kind = KINDS.get(letters[0], "") if letters else ""
    return " ".join(word for word in (kind, line.value, package(line.footprint)) if word)


def package(footprint: str | None) -> str:
    """A package out of a footprint's name: `Resistor_SMD:R_0603_1608Metric` is 0603, `…:SOT-23-5` is SOT-23-5."""
    if not footprint:
        return ""
    if chip := CHIP.search(footprint):
        return chip[1] or chip[2]
    name = footprint.rpartition(":")[2]
    return name.split("_")[0] if ":" in footprint else name


def query(line: Line, *, normalise: Normalise | None = None) -> Query:
    """What to search for a line: its part number as it is, else its words as `ru.normalise` reads them."""
    if line.mpn:
        return Query(raw=line.mpn, en=line.mpn, mpn=line.mpn)
    return (normalise or _normaliser())(words(line))


def match(line: Line, parts: Sequence[Part], *, normalise: Normalise | None = None) -> Part | None:
    """The first of ranked parts that is what the line means, or None.

    With a part number that must be the same, and the maker too where the line names one. Without, the part's own text
    must say the same value, and nothing against package, tolerance and ratings; a number found among a line's words
    (`LM358`) may also go on with letters (`LM358DR`), which the quote says.
    """
    wanted = query(line, normalise=normalise)
    if line.mpn and wanted.mpn:
        maker = manufacturer_key(line.manufacturer)
        same = [part for part in parts if mpn_key(part.mpn) == mpn_key(wanted.mpn)]
        return next(
            (
                part
                for part in same
                if maker is None or manufacturer_key(part.manufacturer) == maker
            ),
            None,
        )
    read = normalise or _normaliser()
    return next((part for part in parts if _fits(wanted, part, read)), None)


def _fits(wanted: Query, part: Part, normalise: Normalise) -> bool:
    case = part.package if part.package and part.package not in part.description else ""
    told = normalise(f"{part.description} {case}")
    if wanted.mpn:
        rest = mpn_key(part.mpn).removeprefix(mpn_key(wanted.mpn))
        if rest == mpn_key(part.mpn) or rest[:1].isdigit():  # LM3580 is not an LM358
            return False
    attrs: Mapping[str, Attr] = {**normalise(" ".join(_terms(part))).attrs, **told.attrs}
    if not wanted.mpn and not any(name in wanted.attrs for name in VALUES):
        return False
    if not wanted.mpn and not _same_kind(wanted.type, told.type):
        return False
    return all(_agrees(name, value, attrs.get(name)) for name, value in wanted.attrs.items())


def _same_kind(one: str | None, other: str | None) -> bool:
    """Nobody contradicts: a ceramic capacitor is a capacitor."""
    first, second = set((one or "").split()), set((other or "").split())
    return first <= second or second <= first


def _terms(part: Part) -> Iterable[str]:
    return (
        value
        for name, value in part.params.items()
        if name.casefold() in {*VALUES, *AT_LEAST, "tolerance"}
    )


def _agrees(name: str, wanted: Attr, told: Attr | None) -> bool:
    if told is None:
        return name not in VALUES
    if isinstance(wanted, str) or isinstance(told, str):
        return str(wanted).casefold() == str(told).casefold() or name not in {
            "package",
            "dielectric",
        }
    if name in AT_LEAST:
        return told >= wanted * (1 - NEAR)
    if name == "tolerance":
        return told <= wanted * (1 + NEAR)
    return name not in VALUES or abs(told - wanted) <= NEAR * abs(wanted)


def quote(
    lines: Sequence[Line],
    found: Mapping[int, Sequence[Part]],
    *,
    boards: int = 1,
    currency: str = "USD",
    rates: Rates | None = None,
    normalise: Normalise | None = None,
) -> Quote:
    """What `boards` devices cost: `found` has the ranked parts that a search gave for each line, by `Line.row`.

    Every line takes the cheapest purchase of all pieces needed; what is not in stock is priced and said.
    """
    rates = rates or Rates.offline()
    rows = []
    for line in lines:
        needed = line.quantity * boards
        part = match(line, found.get(line.row, ()), normalise=normalise) if needed else None
        best = _best(part, needed, rates, currency) if part else None
        rows.append(
            QuoteRow(
                line=line, needed=needed, part=part, best=best, note=_note(line, needed, part, best)
            )
        )
    return Quote(
        rows=tuple(rows),
        boards=boards,
        total=sum((row.best.total for row in rows if row.best), Decimal(0)),
        currency=currency,
        unmatched=tuple(row.line for row in rows if row.part is None and row.needed),
        assumptions=tuple(_assumptions(rows, boards, currency)),
    )


def _best(part: Part, needed: int, rates: Rates, currency: str) -> Best | None:
    return ladder.best_of(part.offers, needed, rates, currency) or ladder.best_of(
        part.offers, needed, rates, currency, any_stock=True
    )


def _note(line: Line, needed: int, part: Part | None, best: Best | None) -> str | None:
    if not needed:
        return "nothing of it is needed"
    if part is None:
        return "not found" if line.asked else "the line names nothing to search for"
    if best is None:
        return "found, but nobody tells a price"
    return None if best.in_stock else "not in stock in this quantity"


def _assumptions(rows: Sequence[QuoteRow], boards: int, currency: str) -> Iterable[str]:
    yield f"Quantities are for {boards} board{'' if boards == 1 else 's'}, without spares."
    yield f"Prices are without tax and shipping, in {currency}."
    for row in rows:
        yield from (f"Line {row.line.row}: {note}" for note in row.line.notes)
        if row.part and not row.line.mpn:
            yield f"Line {row.line.row}: {row.line.asked} is taken to be {row.part.mpn}."
        if row.part and not row.part.confirmed:
            yield f"Line {row.line.row}: no source names the maker of {row.part.mpn}."
        if row.best and row.best.buy > row.needed:
            yield f"Line {row.line.row}: {row.best.buy} are bought for {row.needed} needed."


def _normaliser() -> Normalise:
    from orchestrator.parts.ru import normalise  # its tables are read at the first query only

    return normalise
