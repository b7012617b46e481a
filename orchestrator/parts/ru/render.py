"""The English text of a query, as a distributor's keyword search likes it: type, part number, value, the rest."""

from __future__ import annotations

from decimal import Decimal

from orchestrator.parts.ru import words
from orchestrator.parts.ru.letters import has_cyrillic
from orchestrator.parts.ru.reading import Reading
from orchestrator.parts.ru.tokens import Token
from orchestrator.parts.ru.units import unit

# the steps in which a unit is written, largest first
_STEPS: dict[str, tuple[tuple[int, str], ...]] = {
    "resistance": ((9, "G"), (6, "M"), (3, "k"), (0, "R")),
    "capacitance": ((0, "F"), (-6, "uF"), (-9, "nF"), (-12, "pF")),
    "inductance": ((0, "H"), (-3, "mH"), (-6, "uH"), (-9, "nH")),
    "frequency": ((9, "GHz"), (6, "MHz"), (3, "kHz"), (0, "Hz")),
    "voltage": ((3, "kV"), (0, "V"), (-3, "mV"), (-6, "uV")),
    "current": ((0, "A"), (-3, "mA"), (-6, "uA"), (-9, "nA")),
    "power": ((3, "kW"), (0, "W"), (-3, "mW")),
}
_HOUSE = {"resistance": Decimal(1), "power": Decimal("0.01"), "current": Decimal("0.1")}


def amount_en(attr: str, amount: Decimal) -> str:
    """`4.7k`, `0.1uF`, `0.25W`, `32.768kHz`: one spelling for one amount."""
    steps = _STEPS[attr]
    if not amount:
        return "0R" if attr == "resistance" else "0" + steps[-2][1]
    size = abs(amount)
    for exponent, name in steps:
        step = Decimal(1).scaleb(exponent)
        least = step
        if attr == "capacitance" and exponent == -6:
            least = Decimal("1e-7")  # 0.1uF is how it is sold
        if exponent == 0 and attr in _HOUSE:
            least = _HOUSE[attr] if attr != "resistance" else Decimal(0)
        if size >= least:
            return _digits(amount / step) + name
    exponent, name = steps[-1]
    return _digits(amount.scaleb(-exponent)) + name


def _digits(value: Decimal) -> str:
    text = format(value.normalize(), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def english(reading: Reading) -> tuple[str, list[str]]:
    """The English text, and the words of the query that nothing was made of (they stay in it)."""
    before: list[str] = []
    rest: list[str] = []
    unknown: list[str] = []
    for token in reading.tokens:
        if token.used:
            if token.out:
                rest.append(token.out)
            continue
        text = token.out or _word(token)
        if text is None:
            continue
        if token.concept in words.ENGLISH:
            (before if reading.type is not None else rest).append(text)
            continue
        if not token.out and not token.has_digit and has_cyrillic(text):
            unknown.append(text)
        rest.append(text)
    color = reading.attrs.get("color")
    kind = reading.type
    said = kind.en if kind and not reading.by_number else ""
    before = [word for word in dict.fromkeys(before) if word.lower() not in said.lower().split()]
    pieces = [
        str(color) if color and color not in ("rgb",) else "RGB" if color else "",
        *before,
        said,
    ]
    pieces += [reading.mpn or "", reading.primary or "", *rest]
    if "package" in reading.attrs:
        pieces.append(str(reading.attrs["package"]))
    if "tolerance" in reading.attrs:
        pieces.append(f"{reading.attrs['tolerance']}%")
    return " ".join(piece for piece in pieces if piece), unknown


def _word(token: Token) -> str | None:
    if token.concept in words.ENGLISH:
        return words.ENGLISH[token.concept]
    if token.low in ("x", "х", "*"):
        return None  # the sign between two values
    if token.low in words.STOP or token.low.rstrip(".") in words.STOP:
        return None
    if not token.has_digit:
        if not any(c.isalpha() for c in token.text):
            return None
        if unit(token.text) is not None and has_cyrillic(token.text):
            return None
    return token.text
