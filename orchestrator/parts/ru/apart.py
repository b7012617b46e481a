"""Part numbers written apart: `TDA 2030 A`, `NE 555 P`, `КР 142 ЕН 5А`, `1N 4148`; joined before numbers are read."""

from __future__ import annotations

import re

from orchestrator.parts.ru import packages, partnumbers, soviet, words
from orchestrator.parts.ru.letters import fold, has_cyrillic
from orchestrator.parts.ru.reading import Reading
from orchestrator.parts.ru.tokens import Token

_HEAD = re.compile(r"[12]N|2S[ABCDJK]|74(?:HCT?|LS|AC|LVC)")
_NUMBER = re.compile(r"\d{2,5}[A-Z]{0,3}")
_SUFFIX = re.compile(r"[A-Z]{1,2}|[A-Z]{1,2}-[A-Z]{1,3}")
# makers and words
_NO_SUFFIX = frozenset(
    ("X", "SO", "TI", "ST", "ON", "NS", "IR", "AD", "HQ", "IC", "LM", "NE", "TO", "OR", "IN")
)
_MOST = 4  # tokens of one part number


def join(reading: Reading) -> None:
    """Join the tokens of each part number written apart, into the first of them."""
    tokens = reading.tokens
    for here, token in enumerate(tokens):
        if token.used or len(token.text) > 7:
            continue
        count = _soviet(tokens[here : here + _MOST]) or _western(tokens[here : here + 3])
        for other in tokens[here + 1 : here + count]:
            token.text += other.text
            token.concept, other.used, other.concept = None, True, None


def _soviet(tokens: list[Token]) -> int:
    """How many tokens from the first make one designation, 0 for none."""
    first = tokens[0].text
    if not (first.isalpha() and len(first) <= 4 and has_cyrillic(first)) or len(tokens) < 3:
        return 0
    for count in range(len(tokens), 2, -1):
        joined = "".join(token.text for token in tokens[:count])
        found = soviet.designation(joined)
        if found and not found.series and re.match(r"[^\W\d]{1,4}\d{3,4}[^\W\d]{2}\d", joined):
            return count
    return 0


def _western(tokens: list[Token]) -> int:
    if len(tokens) < 2 or tokens[1].used:
        return 0
    head, number = fold(tokens[0].text.upper()), fold(tokens[1].text.upper())
    family = head.isalpha() and partnumbers.is_family(head)
    if len(head) == 1 and number[:2] not in ("78", "79"):
        return 0  # L 10 мкГн
    if not (family or _HEAD.fullmatch(head)) or not _NUMBER.fullmatch(number):
        return 0
    if len(tokens) > 2 and tokens[2].text == "в" and not has_cyrillic(tokens[0].text):
        return 2 if len(number) > 2 else 0  # `MAX 485 в SO-8`
    if len(tokens) > 2 and number.isdigit():
        suffix = fold(tokens[2].text.upper())
        short = _SUFFIX.fullmatch(suffix) and suffix not in _NO_SUFFIX
        if (
            short
            and not packages.package(suffix)
            and (len(suffix) == 1 or tokens[2].low not in words.STOP)
        ):
            return 3
    # a family and its number alone are joined later, when they are not a value
    return 2 if not family else 0
