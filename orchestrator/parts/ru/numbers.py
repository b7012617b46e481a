"""Numbers of a query: values with units in one or two tokens, quantities, pins, and codes on a part that is known."""

from __future__ import annotations

import re
from decimal import Decimal

from orchestrator.parts.ru import counts, glued, packages, partnumbers, values
from orchestrator.parts.ru.letters import fold
from orchestrator.parts.ru.reading import Reading
from orchestrator.parts.ru.render import amount_en
from orchestrator.parts.ru.tokens import Token
from orchestrator.parts.ru.types import TWO_SIDED
from orchestrator.parts.ru.units import unit

_PREPOSITION_BEFORE = re.compile(
    r"корпус|налич|упаков|лент|коробк|россып|москв|росси|магаз|состав|схем|комплект|розниц|стекл"
)
_PAIR = re.compile(r"(\d+(?:[.,]\d+)?)(?:[vвVВ])?(?:/|-|->|:)(\d+(?:[.,]\d+)?)(?:[vвVВ])")
_TIMES_VALUE = re.compile(r"(\d{1,2})x(\d.*)")
_LINEAR = re.compile(r"[ABCАВС](\d{1,3})[KКkк]")
_TRIMMERS = re.compile(r"3[0-9]\d{2}[A-Z]{1,2}", re.IGNORECASE)
# `1000x25`, `470/16` of a capacitor: microfarads and volts, when the second number is a voltage that is made
_MICROFARADS_VOLTS = re.compile(
    r"(\d{1,6}(?:[.,]\d{1,2})?)(?:мк|u)?[x/*-](\d{1,3}(?:[.,]\d)?)[vв]?", re.I
)
_RATED_VOLTS = "4 6.3 10 16 25 35 50 63 80 100 160 200 250 350 400 450 500 630"
_RATED = frozenset(_RATED_VOLTS.split())


def is_value(text: str) -> bool:
    """Whether a token alone is a value with its unit, or a prefix that could have one (`10к`)."""
    return bool(
        values.with_unit(text)
        or values.percent(text)
        or values.letter_code(text, None)
        or values.letter_code(text, "R")
    )


def is_unit(text: str) -> bool:
    return len(text) > 1 and unit(text) is not None


def with_units(reading: Reading) -> None:
    """Every value whose unit is said; `мкф 10` with its unit first is taken last."""
    tokens = reading.tokens
    for here, token in enumerate(tokens):
        if token.used:
            continue
        after = tokens[here + 1] if here + 1 < len(tokens) else None
        if _microfarads_volts(reading, token) or _voltage_pair(reading, token):
            continue
        if after and not after.used and _joined(reading, token, after, tokens[here + 2 : here + 3]):
            continue
        if counts.pins(reading, token, after) or _trimmer_series(reading, token):
            continue
        if _one(reading, token, token.text):
            continue
        _several(reading, token)
    _unit_first(reading)
    _lone_watts(reading)


def _joined(reading: Reading, token: Token, after: Token, beyond: list[Token]) -> bool:
    if after.text[:1].isdigit() or not token.text[-1:].isalnum() or not token.has_digit:
        return False
    if after.has_digit or len(after.text) > 14:
        return False
    if after.text == "%" or after.low.startswith("процент"):
        amount = values.percent(token.text + "%")
        if amount is None:
            return False
        reading.put("tolerance", amount)
        token.used = after.used = True
        return True
    if _is_preposition(token, after, beyond):
        return False
    micro = after.low == "мк" and reading.code in ("C", "L")  # and no microcontroller
    if after.concept and after.low not in ("а", "amp") and not micro and not unit(after.text):
        return False
    text = token.text
    if reading.type is not None and (times := _TIMES_VALUE.fullmatch(text)):
        text = times[2]  # `8x330 Ом`
    fraction = "/" in text
    if not fraction and values.number(text) is None:
        # `4,7к Ом` and `10м Гн` are one value too
        if len(after.text) < 2 or not values.letter_code(text, "R"):
            return False
        if any(c.isdigit() for c in text.rstrip("кКkKмМmMнНnпПpPuμ")[-1:]) is False:
            return False
        if values.with_unit(text + after.text) is None:
            return False
    found = values.with_unit(text + after.text, code=reading.code)
    if found is None and len(after.text) <= 2 and not fraction:
        # `10 М` of a resistor, `22 п` of a capacitor
        found = values.letter_code(text + after.text, reading.code)
        if reading.type is not None and reading.code is None:
            return False
    if found is None:
        return False
    if (
        packages.chip(token.text)
        and after.low in ("в", "а", "к", "v", "a")
        and "." not in token.text
    ) and token.text.startswith("0"):
        return False
    _take(reading, token, found)
    after.used = True
    return True


def _is_preposition(token: Token, after: Token, beyond: list[Token]) -> bool:
    """`13003 в корпусе`, `18650 на 2 шт`: no volts and no nanoamperes; `6,3 В корпус B` are volts."""
    if after.text == "на":
        return True
    if after.text == "В" or after.low != "в" or not beyond:
        return False
    fraction = "." in token.text or "," in token.text
    word = beyond[0].low
    return not fraction and word != "корпус" and _PREPOSITION_BEFORE.match(word) is not None


def _one(reading: Reading, token: Token, text: str) -> bool:
    amount = values.percent(text)
    if amount is not None:
        reading.put("tolerance", amount)
        token.used = True
        return True
    if text.startswith("±"):
        if (
            token.text.startswith("±")
            and values.number(text[1:]) is None
            and values.with_unit(text[1:])
        ):
            return False
        return False
    found = values.with_unit(text, code=reading.code) or values.volt_code(text)
    if found is None and (times := _TIMES_VALUE.fullmatch(text)):
        found = values.with_unit(times[2], code=reading.code)
        if found is None and reading.code:
            found = values.letter_code(times[2], reading.code)
    if found is None:
        return False
    _take(reading, token, found)
    return True


def _several(reading: Reading, token: Token) -> bool:
    """`10мкФx16В/20%`: taken apart only when every part is a value, a case or a dielectric."""
    found = glued.pieces(token.text, reading.code)
    outs: list[str] = []
    for piece in found:
        if isinstance(piece.said, values.Found):
            _take(reading, token, piece.said)
            if token.out:
                outs.append(token.out)
        elif piece.attr == "tolerance":
            reading.put("tolerance", Decimal(piece.said))
        else:
            reading.put(piece.attr, piece.said)
            if piece.attr == "dielectric":
                outs.append(piece.said)
    if found:
        token.used = True
        token.out = " ".join(outs) or None
    return bool(found)


def _take(reading: Reading, token: Token, found: values.Found) -> None:
    attr = found.attr
    token.used = True
    token.out = amount_en(attr, found.amount)
    reading.doubt(found.sure)
    if found.tolerance is not None:
        reading.put("tolerance", found.tolerance)
    if found.other:
        name, amount, why = found.other
        reading.also(f"{name}={values.plain(amount)}", why)
    if reading.put(attr, found.amount) and attr in _PRIMARY and reading.primary is None:
        reading.primary = token.out
        token.out = None


_PRIMARY = ("resistance", "capacitance", "inductance", "frequency")


def _voltage_pair(reading: Reading, token: Token) -> bool:
    """`220/12В`, `4,5-5,5В`: two voltages, neither the rated one."""
    found = _PAIR.fullmatch(token.text)
    if not found or (found[1] == "1" and "/" in token.text):
        return False
    if values.number(found[1]) == values.number(found[2]):
        return False
    token.used = True
    token.out = f"{found[1].replace(',', '.')}V {found[2].replace(',', '.')}V"
    if "/" not in token.text and ":" not in token.text:
        token.out = token.text.replace(",", ".").replace("В", "V").replace("в", "V")
    reading.voltages += [Decimal(found[n].replace(",", ".")) for n in (1, 2)]
    return True


def _microfarads_volts(reading: Reading, token: Token) -> bool:
    """`1000x25` of a capacitor, which is not its size: a can is higher than wide."""
    if reading.code != "C" or "capacitance" in reading.attrs:
        return False
    found = _MICROFARADS_VOLTS.fullmatch(token.text)
    if not found or any(
        other.has_digit and values.with_unit(other.text, code="C") for other in reading.free()
    ):
        return False
    micro, volts = Decimal(found[1].replace(",", ".")), found[2].replace(",", ".")
    if volts not in _RATED or (micro <= Decimal(volts) and token.text[-1:].isdigit()):
        return False
    amount = micro.scaleb(-6)
    _take(reading, token, values.Found("capacitance", amount, sure=0.8))
    reading.put("voltage", Decimal(volts))
    reading.primary, token.out = amount_en("capacitance", amount), f"{volts}V"
    return True


def _trimmer_series(reading: Reading, token: Token) -> bool:
    """`подстроечник 3296W`: the name of Bourns' series, and no watts."""
    kind = reading.type.name if reading.type else None
    if kind not in ("trimmer", "potentiometer") or not _TRIMMERS.fullmatch(token.text):
        return False
    name = token.text.upper()
    if not reading.put("series", name):
        return False
    reading.also(name, "the series as a part number")
    token.used, token.out = True, name
    return True


def _lone_watts(reading: Reading) -> None:
    """`МЛТ 0,25`: the number behind a resistor's series is its watts."""
    for series, token in zip(reading.tokens, reading.tokens[1:], strict=False):
        if (
            not series.used
            or token.used
            or "series" not in reading.attrs
            or "power" in reading.attrs
        ):
            continue
        written = token.text.replace(",", ".")
        if reading.code == "R" and series.series and written in ("0.125", "0.25", "0.5", "1", "2"):
            _take(reading, token, values.Found("power", Decimal(written)))


def _unit_first(reading: Reading) -> None:
    """`мкф 10`: a unit with no number before it, then a number that is nobody's."""
    for unit_token, token in zip(reading.tokens, reading.tokens[1:], strict=False):
        if unit_token.used or token.used or unit_token.has_digit or len(unit_token.text) < 2:
            continue
        if unit_token.low == "ph" or (reading.type is not None and reading.type.connector):
            continue  # JST PH 2.0
        if values.number(token.text) is None or packages.chip(token.text):
            continue
        found = values.with_unit(token.text + unit_token.text)
        if found:
            _take(reading, token, found)
            unit_token.used = True
            reading.doubt(0.95)


def codes(reading: Reading) -> None:
    """Codes and bare prefixes, in the light of the type; one value of each kind."""
    for token in reading.tokens:
        if token.used or not token.has_digit:
            continue
        code = reading.code
        if (reading.type is not None or reading.mpn) and code is None:
            continue
        if code is not None and values.MEASURE[code] in reading.attrs:
            continue
        found = values.letter_code(token.text, code)
        if found is None and code == "R" and (taper := _LINEAR.fullmatch(token.text)):
            found = values.Found("resistance", values.scaled(taper[1], 3))
        if found is None and (times := _TIMES_VALUE.fullmatch(token.text)) and code:
            found = values.letter_code(times[2], code)
        if found is None:
            continue
        if code is None and found.attr in reading.attrs:
            continue
        _take(reading, token, found)
        _type_of(reading, found.attr)
    code = reading.code
    if code is None or values.MEASURE[code] in reading.attrs or reading.mpn:
        return
    candidates = [t for t in reading.tokens if not t.used and t.has_digit]
    for token in candidates:
        found = values.digit_code(fold(token.text.upper()), code)
        if found is not None:
            _take(reading, token, found)
            return


def _type_of(reading: Reading, attr: str) -> None:
    if (
        reading.type is None
        and not reading.mpn
        and not any(
            partnumbers.may_be(other.text) and partnumbers.western(other.text.upper())
            for other in reading.free()
        )
    ):
        from orchestrator.parts.ru.types import named

        kind = {"capacitance": "capacitor", "inductance": "inductor", "resistance": "resistor"}
        if attr in kind:
            reading.type = named(kind[attr])


def readings(digits: str) -> list[tuple[str, int | float]]:
    """What digits alone would be on each kind of part."""
    found = []
    for code in ("C", "R", "L"):
        value = values.digit_code(digits, code)
        if value:
            found.append((value.attr, values.plain(value.amount)))
    return found


def settle(reading: Reading) -> None:
    """Which of several voltages is the rated one, if any."""
    several = len(set(reading.voltages)) > 1
    if not several:
        return
    if reading.type is not None and reading.type.name in TWO_SIDED:
        reading.attrs.pop("voltage", None)
        return
    first = reading.attrs.get("voltage")
    for volts in dict.fromkeys(reading.voltages):
        if first is not None and values.plain(volts) != first:
            reading.also(f"voltage={values.plain(volts)}", "the query says several voltages")
    reading.doubt(0.8)
