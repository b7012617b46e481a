"""A query in Russian or English, as it was understood: the one road from text to `Query`.

The order matters: words and designations first, so that the type is known; then values with units, before any stop
word is dropped (`в` is both "in" and volts); bare codes only when the type says what they would be; a part number
is never put through the glossary.
"""

from __future__ import annotations

import re
from itertools import pairwise

from orchestrator.parts.ru import (
    apart,
    counts,
    marks,
    numbers,
    packages,
    partnumbers,
    soviet,
    types,
    words,
)
from orchestrator.parts.ru.letters import has_cyrillic, other_layout
from orchestrator.parts.ru.reading import Reading
from orchestrator.parts.ru.render import english
from orchestrator.parts.ru.soviet import designations_on_other_layout
from orchestrator.parts.ru.tokens import Token, clean, split
from orchestrator.parts.ru.units import unit
from orchestrator.parts.ru.values import volt_code
from orchestrator.parts.values import Alternative, Query

# `транзистор 13003`, `диод 4148`: the letters are left out in speech
_NUMBERED = frozenset(
    {"transistor", "bjt", "mosfet", "diode", "schottky diode", "optocoupler", "thyristor", "triac"}
)
_LONG_NUMBER = re.compile(r"(?=(?:\d-?){7,15}$)\d+(?:-\d+)*|\d{3}-\d{3}")
_MEASURED = re.compile(r"\d+(?:[.,]\d+)?(?:мм|шт|пин|конт)\.?", re.IGNORECASE)
_CELL = re.compile(
    r"(?:[1-6][xх])?(?:1[48][56]\d0|21700|26650|[AА]{2,3}|CR\d{3,4}|[СC]R\d{3,4})", re.IGNORECASE
)


def normalise(text: str) -> Query:
    """What a query says: type, part number, attributes in base SI units, the same in English. Never raises.

    Doubt shows as `alternatives` and a lower `confidence`; words nothing was made of stand in `unknown` and `en`.
    Only the first `tokens.MAX_LENGTH` characters are looked at.
    """
    raw = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no JSON
    cleaned, typed = designations_on_other_layout(clean(raw))
    reading = Reading([Token(piece, place) for place, piece in enumerate(split(cleaned))])
    for piece in typed:
        reading.also(piece.upper().strip(",.;"), "as typed, if the keyboard was right")
        reading.doubt(0.7)
    _words(reading)
    _torn_words(reading)
    _other_layout(reading)
    _choose_type(reading)
    apart.join(reading)
    marks.designations(reading)
    marks.named_packages(reading)
    counts.quantities(reading)
    numbers.with_units(reading)
    marks.lengths(reading)
    _infer_type(reading)
    marks.chip_codes(reading)
    numbers.codes(reading)
    marks.colors(reading)
    _part_number(reading)
    return _query(raw, reading)


def _words(reading: Reading) -> None:
    before = ""
    for token in reading.tokens:
        without, before = before == "без", token.low
        if token.has_digit or without:  # `без фиксации` is the contrary of it
            continue
        token.concept = words.concept(token.low)
        if token.concept is None and not token.text.isalpha():
            continue
        if token.concept is None and len(token.text) > 2:
            token.concept = words.concept(words.in_one_script(token.low))


def _torn_words(reading: Reading) -> None:
    """`опто пара`, `свето диод`: two words that are one of ours together, the first nothing alone."""
    for left, right in pairwise(reading.tokens):
        if left.concept or left.has_digit or right.has_digit or len(left.text) < 3:
            continue
        if left.low in words.STOP or not (left.text + right.text).isalpha() or len(right.text) < 3:
            continue
        if words.color(left.low) or unit(left.text):
            continue
        concept = words.concept(left.low + right.low)
        if concept and not words.concept(left.low):
            left.text, left.concept = left.text + right.text, concept
            right.concept, right.used = None, True
            reading.doubt(0.95)


def _other_layout(reading: Reading) -> None:
    """Whole words first; once one was typed so, values and designations beside it were too."""
    swapped = False
    for token in reading.tokens:
        if token.has_digit or token.concept or token.low in words.STOP or words.color(token.low):
            continue
        meant = words.on_other_layout(token.text)
        if meant:
            token.text, token.concept, token.swapped = meant, words.concept(meant), True
            swapped = True
        elif len(token.text) > 4 and token.text.isalpha():
            token.concept = words.mistyped(token.low)
            if token.concept:
                reading.doubt(0.95)
    if swapped:
        reading.doubt(0.9)
        for token in reading.tokens:
            if not token.swapped and not token.concept:
                _swap_value(token)


def _swap_value(token: Token) -> None:
    other = other_layout(token.text)
    if other == token.text or partnumbers.western(token.text.upper()):
        return
    western = not has_cyrillic(other) and partnumbers.western(other.upper())
    if (
        western
        or numbers.is_value(other)
        or _MEASURED.fullmatch(other)
        or volt_code(other)
        or (has_cyrillic(other) and soviet.designation(other))
        or (not token.has_digit and not has_cyrillic(token.text) and numbers.is_unit(other))
    ):
        token.text, token.swapped = other, True


def _choose_type(reading: Reading) -> None:
    found: dict[str, int] = {}
    for token in reading.tokens:
        if token.concept:
            found.setdefault(token.concept, token.place)
    if "holder" in found and any(_CELL.fullmatch(token.text) for token in reading.tokens):
        found.setdefault("battery", found["holder"])  # `держатель 18650`
    rule = types.choose(found)
    if rule is None:
        return
    reading.type = rule.type
    for token in reading.tokens:
        if token.concept in rule.words:
            token.used = True


def _infer_type(reading: Reading) -> None:
    """A value with its unit tells a passive part; not beside a part number, which says more than we could."""
    if reading.type is not None or reading.mpn is not None:
        return
    if any(partnumbers.may_be(t.text) and not numbers.is_value(t.text) and packages.package(t.text) is None
           and not partnumbers.is_fact(t.text) and not marks.dielectric(t.text)
           for t in reading.tokens if not t.used):  # fmt: skip
        return
    for attr, kind in (
        ("capacitance", "capacitor"),
        ("inductance", "inductor"),
        ("resistance", "resistor"),
    ):
        if attr in reading.attrs:
            reading.type = types.named(kind)
            reading.doubt(0.85)
            return


def _part_number(reading: Reading) -> None:
    """The first token left that may be one; two tokens are joined where they are one written apart."""
    free = [token for token in reading.tokens if not token.used]
    for left, right in pairwise(reading.tokens):
        if reading.mpn or left.used or right.used or left.has_digit or left.concept:
            continue
        if left.text.isalpha() and partnumbers.joins(left.text, right.text):
            left.text, right.used = left.text + right.text, True
            after = reading.tokens[right.place + 1 : right.place + 2]
            if (
                after
                and not after[0].used
                and len(after[0].text) == 1
                and has_cyrillic(left.text)
                and soviet.designation(left.text + after[0].text)
            ):  # КТ 315 Б
                left.text, after[0].used = left.text + after[0].text, True
            if found := soviet.designation(left.text):
                marks.take_designation(reading, left, found)
                continue
    for token in free:
        if token.used or token.concept or not partnumbers.may_be(token.text):
            continue
        if partnumbers.is_fact(token.text) or marks.is_beta(reading, token.text):
            continue
        if (
            reading.type is not None
            and reading.type.connector
            and marks.is_connector_name(token.text)
        ):
            continue
        if reading.mpn is not None:
            reading.also(partnumbers.read(token.text).mpn, "another part number of the query")
            token.out = partnumbers.read(token.text).mpn
            continue
        found_number = partnumbers.read(token.text)
        reading.take_mpn(token, found_number.mpn, found_number.other, found_number.sure)
    if reading.mpn is None:
        _number_alone(reading, free)


def _number_alone(reading: Reading, free: list[Token]) -> None:
    """`7805`, `таймер 555`: digits only are a part number where nothing else makes sense."""
    for token in free:
        if not token.used and _LONG_NUMBER.fullmatch(token.text):
            reading.take_mpn(token, token.text, (), 0.8)  # a connector of TE or Molex
            return
    left = [t for t in free if not t.used and t.text.isdigit() and 3 <= len(t.text) <= 6]
    if len(left) != 1:
        return
    token, kind = left[0], reading.type
    regulator = len(token.text) == 4 and token.text[:2] in ("78", "79")
    circuit = kind is not None and (
        kind.name in marks.CIRCUITS
        or (kind.name in _NUMBERED and (len(token.text) > 3 or kind.name == "optocoupler"))
    )
    if regulator or circuit:
        reading.take_mpn(token, token.text, (), 0.8)
    elif kind is None and len(reading.tokens) == 1:
        for attr, reads in numbers.readings(token.text):
            reading.also(f"{attr}={reads}", "a code of three digits, if the part were known")
        reading.doubt(0.3)


def _query(raw: str, reading: Reading) -> Query:
    numbers.settle(reading)
    text, unknown = english(reading)
    understood = reading.type is not None or reading.mpn is not None or bool(reading.attrs)
    sure = reading.sure if understood else min(reading.sure, 0.1 if text else 0.0)
    if unknown and understood:
        sure *= max(0.5, 1 - 0.1 * len(unknown))
    kind = reading.type
    quantity = reading.attrs.get("quantity")
    return Query(
        raw=raw,
        en=text,
        type=kind.name if kind else None,
        subtype=kind.subtype if kind else None,
        mpn=reading.mpn,
        attrs=dict(reading.attrs),
        alternatives=tuple(Alternative(reads=reads, why=why) for reads, why in reading.others),
        confidence=round(sure, 2),
        quantity=quantity if isinstance(quantity, int) and quantity > 0 else None,
        unknown=tuple(unknown),
    )
