"""Numbers of a query: values with units in one or two tokens, quantities, pins, and codes on a part that is known."""

from __future__ import annotations

import re
from decimal import Decimal

from orchestrator.parts.ru import packages, values, words
from orchestrator.parts.ru.reading import Reading
from orchestrator.parts.ru.render import amount_en
from orchestrator.parts.ru.tokens import Token, parts_of
from orchestrator.parts.ru.types import TWO_SIDED
from orchestrator.parts.ru.units import unit

_PREPOSITION_BEFORE = re.compile(
    r"корпус|налич|упаков|лент|коробк|россып|москв|росси|магаз|состав|схем|комплект|розниц|стекл"
)
_TIMES_COUNT = re.compile(r"[xх](\d{1,6})", re.IGNORECASE)
_COUNT_TIMES = re.compile(r"(\d{1,6})[xх]", re.IGNORECASE)
_COUNTED = re.compile(r"(\d{1,7})-?([a-zа-я]+)\.?", re.IGNORECASE)
_PAIR = re.compile(r"(\d+(?:[.,]\d+)?)(?:[vвVВ])?(?:/|-|->|:)(\d+(?:[.,]\d+)?)(?:[vвVВ])")
_PINS_PRODUCT = re.compile(r"([1-4])x(\d{1,3})(?:p|pin|пин|конт\w*)?", re.IGNORECASE)
_PIN_SHORT = re.compile(r"(\d{1,3})-?[pPпПрР]")
_TIMES_VALUE = re.compile(r"(\d{1,2})x(\d.*)")
_LINEAR = re.compile(r"[ABCАВС](\d{1,3})[KКkк]")
_COUNT_NAMES = frozenset(
    ("количество", "кол-во", "колво", "qty", "quantity", "партия", "партию", "количестве")
)


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


def quantities(reading: Reading) -> None:
    """`10 шт`, `100шт.`, `x10`, `10x BC547`, `кол-во 5`."""
    tokens = reading.tokens
    for here, token in enumerate(tokens):
        if token.used:
            continue
        after = tokens[here + 1] if here + 1 < len(tokens) else None
        if token.text.isdigit() and len(token.text) <= 7 and after and not after.used:
            low = after.low.rstrip(".")
            if low in words.QUANTITY_WORDS:
                _quantity(reading, int(token.text), token, after)
                continue
            if low in ("тыс", "тысяч", "тысячи") and here + 2 < len(tokens):
                if tokens[here + 2].low.rstrip(".") in words.QUANTITY_WORDS:
                    _quantity(reading, int(token.text) * 1000, token, after, tokens[here + 2])
                continue
        if (
            ((found := _COUNTED.fullmatch(token.text)) and found[2].lower() in words.QUANTITY_WORDS)
            or (
                (found := _TIMES_COUNT.fullmatch(token.text))
                and len(tokens) > 1
                and not (reading.code == "C" and token.text in ("X1", "X2", "Х1", "Х2"))
            )
            or ((found := _COUNT_TIMES.fullmatch(token.text)) and after)
        ):
            _quantity(reading, int(found[1]), token)
        elif (
            token.text.isdigit()
            and here == 0
            and after
            and after.low in ("x", "х")
            and len(tokens) > 2
        ):
            _quantity(reading, int(token.text), token, after)
        elif (
            (token.low in ("x", "х") and after and after.text.isdigit() and here + 2 == len(tokens))
            or (token.low.rstrip(":") in _COUNT_NAMES and after and after.text.isdigit())
            or (
                token.low in words.QUANTITY_WORDS
                and after
                and after.text.isdigit()
                and here
                and not tokens[here - 1].used
                and here + 2 == len(tokens)
            )
        ):
            _quantity(reading, int(after.text), token, after)


def _quantity(reading: Reading, pieces: int, *used: Token) -> None:
    if pieces < 1 or not reading.put("quantity", Decimal(pieces)):
        return
    for token in used:
        token.used = True


def with_units(reading: Reading) -> None:
    """Every value whose unit is said; `мкф 10` with its unit first is taken last."""
    tokens = reading.tokens
    for here, token in enumerate(tokens):
        if token.used:
            continue
        after = tokens[here + 1] if here + 1 < len(tokens) else None
        if _voltage_pair(reading, token):
            continue
        if after and not after.used and _joined(reading, token, after, tokens[here + 2 : here + 3]):
            continue
        if _pins(reading, token, after):
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
    if after.low == "в" and beyond and _PREPOSITION_BEFORE.match(beyond[0].low):
        return False
    if after.concept and after.low not in ("а", "amp") and not unit(after.text):
        return False
    fraction = "/" in token.text
    if not fraction and values.number(token.text) is None:
        # `4,7к Ом` and `10м Гн` are one value too
        if len(after.text) < 2 or not values.letter_code(token.text, "R"):
            return False
        if any(c.isdigit() for c in token.text.rstrip("кКkKмМmMнНnпПpPuμ")[-1:]) is False:
            return False
        if values.with_unit(token.text + after.text) is None:
            return False
    found = values.with_unit(token.text + after.text, code=reading.code)
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
    parts = parts_of(token.text)
    if len(parts) < 2:
        parts = token.text.split(",")
        if len(parts) < 2 or not any(packages.chip(part) for part in parts):
            return False
    found = [
        values.with_unit(part, code=reading.code) or values.letter_code(part, reading.code)
        for part in parts
    ]
    percents = [values.percent(part) for part in parts]
    cases = [packages.chip(part) for part in parts]
    if not all(f or p is not None or c for f, p, c in zip(found, percents, cases, strict=True)):
        return False
    if not any(found) and not any(p is not None for p in percents):
        return False
    outs: list[str] = []
    for one, tolerance, case in zip(found, percents, cases, strict=True):
        if one is not None:
            _take(reading, token, one)
            if token.out:
                outs.append(token.out)
        elif tolerance is not None:
            reading.put("tolerance", tolerance)
        elif case is not None:
            reading.put("package", case)
    token.used = True
    token.out = " ".join(outs) or None
    return True


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


def _pins(reading: Reading, token: Token, after: Token | None) -> bool:
    connector = reading.type is not None and reading.type.connector
    pins: int | None = None
    used = [token]
    if token.text.isdigit() and len(token.text) <= 3 and after and not after.used:
        low = after.low.lstrip("-")
        if low.startswith(words.PIN_WORDS) and not after.has_digit:
            pins = int(token.text)
            used.append(after)
    elif (found := _COUNTED.fullmatch(token.text)) and len(found[1]) <= 3:
        if found[2].lower().startswith(words.PIN_WORDS) or (
            connector and _PIN_SHORT.fullmatch(token.text)
        ):
            pins = int(found[1])
    elif "-" in token.text:
        digits, _, word = token.low.partition("-")
        if (
            digits.isdigit()
            and len(digits) <= 3
            and word.startswith((*words.PIN_WORDS, "контактн"))
        ):
            pins = int(digits)
    if pins is None and connector and (found := _PINS_PRODUCT.fullmatch(token.text)):
        pins = int(found[1]) * int(found[2])
        token.out = token.text
        if after and not after.used and after.low.startswith(words.PIN_WORDS):
            used.append(after)
    if pins is None or not pins:
        return False
    if reading.put("pins", Decimal(pins)) and token.out is None:
        token.out = f"{pins} pins"
    for each in used:
        each.used = True
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
        found = values.digit_code(token.text.upper(), code)
        if found is not None:
            _take(reading, token, found)
            return


def _type_of(reading: Reading, attr: str) -> None:
    if reading.type is None and not reading.mpn:
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
