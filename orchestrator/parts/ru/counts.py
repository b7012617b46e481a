"""Things that are counted: pieces asked for, and the pins of a part."""

from __future__ import annotations

import re
from decimal import Decimal

from orchestrator.parts.ru import words
from orchestrator.parts.ru.reading import Reading
from orchestrator.parts.ru.tokens import Token

_TIMES_COUNT = re.compile(r"[xх](\d{1,6})", re.IGNORECASE)
_COUNT_TIMES = re.compile(r"(\d{1,6})[xх]", re.IGNORECASE)
_COUNTED = re.compile(r"(\d{1,7})-?([a-zа-я]+)\.?", re.IGNORECASE)
_PINS_PRODUCT = re.compile(r"([1-4])x(\d{1,3})(?:p|pin|пин|конт\w*)?", re.IGNORECASE)
_PIN_SHORT = re.compile(r"(\d{1,3})-?[pPпПрР]")
_COUNT_NAMES = frozenset(
    ("количество", "кол-во", "колво", "qty", "quantity", "партия", "партию", "количестве")
)


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
    if pieces < 1:
        return
    reading.put("quantity", Decimal(pieces))
    for token in used:
        token.used = True


def pins(reading: Reading, token: Token, after: Token | None) -> bool:
    """`40 контактов`, `4pin`, `2-контактный`, and `2x20` of a connector; whether the token said so."""
    connector = reading.type is not None and reading.type.connector
    legs: int | None = None
    used = [token]
    if token.text.isdigit() and len(token.text) <= 3 and after and not after.used:
        low = after.low.lstrip("-")
        if reading.type is not None and reading.type.name == "switch" and low.startswith("пози"):
            return False  # a DIP switch of 4 positions has 8 pins
        if low.startswith(words.PIN_WORDS) and not after.has_digit:
            legs = int(token.text)
            used.append(after)
    elif (found := _COUNTED.fullmatch(token.text)) and len(found[1]) <= 3:
        if found[2].lower().startswith(words.PIN_WORDS) or (
            connector and _PIN_SHORT.fullmatch(token.text)
        ):
            legs = int(found[1])
    elif "-" in token.text:
        digits, _, word = token.low.partition("-")
        if (
            digits.isdigit()
            and len(digits) <= 3
            and word.startswith((*words.PIN_WORDS, "контактн"))
        ):
            legs = int(digits)
    if legs is None and connector and (found := _PINS_PRODUCT.fullmatch(token.text)):
        legs = int(found[1]) * int(found[2])
        token.out = token.text
        if after and not after.used and after.low.startswith(words.PIN_WORDS):
            used.append(after)
    if legs is None or not legs:
        return False
    if reading.put("pins", Decimal(legs)) and token.out is None:
        token.out = f"{legs} pins"
    for each in used:
        each.used = True
    return True
