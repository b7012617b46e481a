"""Values with their units, in one token or two: `4,7кОм`, `50 В`, `4к7`, `0R1`, `1/4Вт`, `±5%`. Magnitudes are exact.

A value is made from decimal digits (`Decimal`), so 0.1 µF is 1e-07 and not 1.0000000000000001e-07.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from orchestrator.parts.ru.units import unit

NUMBER = re.compile(r"[+\-~=≈]?(?:\d{1,12}(?:[.,]\d{1,9})?|[.,]\d{1,9})")
_WITH_UNIT = re.compile(
    r"([+\-~=≈]?)(\d{1,12}(?:[.,]\d{1,9})?|[.,]\d{1,9})-?([^\W\d_][^\d]{0,15}|Ω|ω)"
)
_FRACTION = re.compile(r"(\d)/(\d{1,2})-?(вт|w|ватта?|watts?)\.?", re.IGNORECASE)
_PERCENT = re.compile(r"(?:±|\+-|\+/-|\+\\-)?(\d{1,3}(?:[.,]\d{1,3})?)(?:%|проц\w*)")
_VOLT_CODE = re.compile(r"(\d{1,3})[VВvв](\d{1,2})")
_OHM_CODE = re.compile(r"(\d{0,3})([RrКкKkМмMmЕеEeГгG])(\d{1,3})")
_REGULATOR = re.compile(r"7[89][MLmlМм]\d\d")  # 78M05 is no 78.05 megohm
_OHM_LETTER = {"r": 0, "е": 0, "e": 0, "к": 3, "k": 3, "м": 6, "m": 6, "г": 9, "g": 9}
_FARAD_CODE = re.compile(r"(\d{0,3})([pnuпнрPNUПНРμ]|мк|m|м|М)(\d{1,2})(?:[FФфf]|H|Гн)?")
_COIL_CODE = re.compile(r"(\d{0,3})[Rr](\d{1,2})")  # in microhenries
_CODE_UNIT = re.compile(
    r"(\d{1,3})(мк|[пнмкгpnumkgμ])(\d{1,3})(ом|ohms?|Ω|ω|ф|f|гн|h|hn|гц|hz)\.?", re.IGNORECASE
)
_FARAD_LETTER = {
    "p": -12, "п": -12, "р": -12, "n": -9, "н": -9, "u": -6, "μ": -6, "мк": -6, "m": -3, "м": -3,
}  # fmt: skip
_BARE = re.compile(
    r"([+]?)(\d{1,9}(?:[.,]\d{1,9})?|[.,]\d{1,9})(мк|[RrКкKkМмMmЕеEeGГpnuпнрPNUПНРHμ])"
)
_DIGITS_CODE = re.compile(r"(\d{2})(\d)([FGJKMZ]?)")
_DIGITS_CODE4 = re.compile(r"(\d{3})(\d)([BCDFG]?)")
_EIA96 = re.compile(r"(0[1-9]|[1-8]\d|9[0-6])([A-FHRSXYZ])")
_EIA96_POWER = {
    "Z": -3, "Y": -2, "R": -2, "X": -1, "S": -1, "A": 0, "B": 1, "H": 1, "C": 2, "D": 3, "E": 4, "F": 5,
}  # fmt: skip
_E96_DIGITS = (
    "100 102 105 107 110 113 115 118 121 124 127 130 133 137 140 143 147 150 154 158 162 165 169 174 178 182 187 191 "
    "196 200 205 210 215 221 226 232 237 243 249 255 261 267 274 280 287 294 301 309 316 324 332 340 348 357 365 374 "
    "383 392 402 412 422 432 442 453 464 475 487 499 511 523 536 549 562 576 590 604 619 634 649 665 681 698 715 732 "
    "750 768 787 806 825 845 866 887 909 931 953 976"
)
_E96 = _E96_DIGITS.split()
_TOLERANCE = {
    "B": "0.1", "C": "0.25", "D": "0.5", "F": "1", "G": "2", "J": "5", "K": "10", "M": "20",
}  # fmt: skip
MEASURE = {"R": "resistance", "C": "capacitance", "L": "inductance", "F": "frequency"}


@dataclass(frozen=True, slots=True)
class Found:
    """A value found: the attribute, its amount in base units, and what else it may have been."""

    attr: str
    amount: Decimal
    other: tuple[str, Decimal, str] | None = None  # attribute, amount, why
    sure: float = 1.0
    tolerance: Decimal | None = None  # told by a letter of the same code


def number(text: str) -> Decimal | None:
    if not NUMBER.fullmatch(text):
        return None
    return Decimal(text.lstrip("+-~=≈").replace(",", "."))


def scaled(digits: str, exponent: int) -> Decimal:
    return Decimal(digits.replace(",", ".")).scaleb(exponent)


def percent(text: str) -> Decimal | None:
    found = _PERCENT.fullmatch(text)
    return Decimal(found[1].replace(",", ".")) if found else None


def with_unit(text: str, *, code: str | None = None) -> Found | None:
    """A number and a unit that names what it measures; `code` (R, C, L) settles what a part of it would mean."""
    if found := _FRACTION.fullmatch(text):
        return Found("power", Decimal(found[1]) / Decimal(found[2])) if int(found[2]) else None
    found = _WITH_UNIT.fullmatch(text)
    if not found:
        return _letter_code_with_unit(text)
    digits, spelling = found[2], found[3]
    if len(spelling) == 1 and spelling in "EeЕеRr" and code not in (None, "R"):
        return None
    if spelling in ("B", "b"):  # Latin for Cyrillic В
        return Found("voltage", scaled(digits, 0), sure=0.9)
    meant = unit(spelling)
    if meant is None and code == "L" and spelling.lower() in ("мкг", "мг", "нг"):
        meant = unit(spelling + "н")  # `100мкГ`
    if meant is None:
        return None
    amount = scaled(digits, meant.exponent)
    if meant.doubt is None:
        return Found(meant.attr, amount)
    why = "the prefix in one case is mega, milli or, of old, micro"
    return Found(meant.attr, amount, (meant.attr, scaled(digits, meant.doubt), why), 0.8)


def _letter_code_with_unit(text: str) -> Found | None:
    """`3м3Гн`, `4к7Ом`: the prefix in place of the decimal point, and the unit all the same."""
    found = _CODE_UNIT.fullmatch(text)
    if not found:
        return None
    meant = unit(found[2] + found[4])
    if meant is None:
        return None
    amount = Decimal(f"{found[1]}.{found[3]}").scaleb(meant.exponent)
    return Found(meant.attr, amount)


def volt_code(text: str) -> Found | None:
    """`5V1`, `3V3`: the unit in place of the decimal point."""
    found = _VOLT_CODE.fullmatch(text)
    return Found("voltage", Decimal(f"{found[1]}.{found[2]}")) if found else None


def letter_code(text: str, code: str | None) -> Found | None:
    """A code of IEC 60062 (`4к7`, `0R1`, `2u2`, `p10`), or a bare prefix (`10к`, `10мк`) where the part is known.

    Without a known part only what is hardly anything else: `4к7` and `0R1` are ohms, `4n7` and `2u2` farads.
    """
    if code in (None, "R") and (ohms := _ohms(text, code)):
        return ohms
    if code == "L" and (coil := _COIL_CODE.fullmatch(text)):
        return Found("inductance", Decimal(f"{coil[1] or 0}.{coil[2]}").scaleb(-6))
    if code in (None, "C", "L") and (found := _FARAD_CODE.fullmatch(text)):
        return _farads(found, code)
    if found := _BARE.fullmatch(text):
        return _bare(found[2], found[3], code)
    return None


def _ohms(text: str, code: str | None) -> Found | None:
    found = _OHM_CODE.fullmatch(text)
    if not found:
        return None
    letter = found[2].lower()
    if code is None and _REGULATOR.fullmatch(text):
        return None
    if (
        not found[1]
        and not (code == "R" and letter in "кkм" and len(found[3]) > 1)
        and ((letter not in "re" and letter != "е") or (code is None and text[1] != "0"))
    ):
        return None
    if code is None and letter in "eеgг":
        return None  # 1E5 is no ohm code when nothing says so
    amount = Decimal(f"{found[1] or '0'}.{found[3]}").scaleb(_OHM_LETTER[letter])
    return Found("resistance", amount, sure=1.0 if code else 0.9)


def _farads(found: re.Match[str], code: str | None) -> Found | None:
    letter = found[2].lower()
    if letter in "mм" and code is None:
        return None
    if len(found[3]) > 1 and (code is None or (letter in "nн" and not found[1])):
        return None  # 4N35 is an optocoupler
    if not found[1] and code is None:
        return None
    amount = Decimal(f"{found[1] or '0'}.{found[3]}").scaleb(_FARAD_LETTER[letter])
    if code == "L":
        return Found("inductance", amount)
    if code is None:
        return Found("capacitance", amount, ("inductance", amount, "nothing says of what"), 0.7)
    return Found("capacitance", amount)


def _bare(digits: str, letter: str, code: str | None) -> Found | None:
    low = letter.lower()
    if code == "R" and low in _OHM_LETTER:
        amount = scaled(digits, _OHM_LETTER[low])
        if low in "mм" and letter not in "MМ":
            return Found("resistance", amount, ("resistance", scaled(digits, -3), "a small m"), 0.8)
        return Found("resistance", amount)
    if code == "F" and low in "mмkк":
        return Found("frequency", scaled(digits, 6 if low in "mм" else 3), sure=0.9)
    if code in ("C", "L") and low in _FARAD_LETTER:
        if low in "mм" and code == "C":
            return None
        return Found(MEASURE[code], scaled(digits, _FARAD_LETTER[low]))
    if code == "L" and letter == "H":
        return Found("inductance", scaled(digits, 0))
    if code is None:
        if low in "kк" or low == "r":
            return Found("resistance", scaled(digits, _OHM_LETTER[low]), sure=0.8)
        if letter in ("мк", "u", "μ", "n", "p", "н", "п"):
            amount = scaled(digits, _FARAD_LETTER[low])
            doubt = ("inductance", amount, "nothing says of what")
            return Found("capacitance", amount, doubt, 0.6)
    return None


def digit_code(text: str, code: str) -> Found | None:
    """`104`, `1002`, `01C` on a part that is known; a code that may be a plain number tells the other reading."""
    attr = MEASURE[code]
    if code == "F":
        return _bare_frequency(text)
    if code == "R" and (found := _EIA96.fullmatch(text)):
        return Found(attr, scaled(_E96[int(found[1]) - 1], _EIA96_POWER[found[2]]), sure=0.9)
    base = {"R": 0, "C": -12, "L": -6}[code]
    digits = _DIGITS_CODE.fullmatch(text)
    if digits is None and code == "R":
        digits = _DIGITS_CODE4.fullmatch(text)
    if digits:
        coded = scaled(digits[1], int(digits[2]) + base)
        tolerance = Decimal(_TOLERANCE[digits[3]]) if digits[3] in _TOLERANCE else None
        if digits[1].startswith("0"):
            return None
        if digits[3] or digits[2] != "0":
            return Found(attr, coded, None, 0.9, tolerance)
        plain = scaled(text, base)
        if code == "R":
            return Found(attr, plain, (attr, coded, "the code of three digits on the part"), 0.6)
        return Found(attr, coded, (attr, plain, "a plain number"), 0.6)
    amount = number(text)
    if amount is None or code == "L" or len(text) > 5:
        return None
    if code == "C" and "." in text.replace(",", "."):
        # the Russian habit: a fraction is in microfarads, a whole number in picofarads
        return Found(attr, scaled(text, -6), None, 0.6)
    return Found(attr, scaled(text, base), None, 0.6)


def _bare_frequency(text: str) -> Found | None:
    """`кварц 32.768` is kilohertz and `кварц 16` megahertz to everybody, though neither says so."""
    amount = number(text)
    if amount is None or amount < 1:
        return None
    if amount >= 10_000:
        return Found("frequency", amount, sure=0.8)
    steps = (3, 6) if amount in (Decimal("32.768"), Decimal("32.76")) or amount > 200 else (6, 3)
    meant, other = (amount.scaleb(step) for step in steps)
    return Found("frequency", meant, ("frequency", other, "the query does not say of what"), 0.6)


def plain(amount: Decimal) -> int | float:
    """A JSON number: whole where that is natural."""
    value = amount.normalize()
    return int(value) if value == value.to_integral_value() else float(value)
