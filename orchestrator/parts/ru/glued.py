"""Values written without a blank: `100нф50в`, `10ком1%0805`, `0.1мкф/50в/0805/X7R`, `резистор10к`.

A token comes apart only when every piece of it is a value with its unit, a tolerance, a case or a dielectric, each
said once; so no part number does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from orchestrator.parts.ru import packages, values, words
from orchestrator.parts.ru.letters import has_cyrillic
from orchestrator.parts.ru.soviet import designation

LONGEST = 60  # characters of a token that is looked at
_SEPARATORS = "/,;+-xхXХ×*&_"
_NUMBER = re.compile(r"\d{1,9}(?:[.,]\d{1,9})?")
_FRACTION = re.compile(r"1/\d{1,2}(?:вт|w)", re.IGNORECASE)
_PERCENT = re.compile(r"[±]?\d{1,3}(?:[.,]\d{1,3})?%")
_CHIP = re.compile(r"\d{4,5}(?![\d.%])")
_NAME = re.compile(r"[^\W\d_][^\W_]*(?:-\d+)?")
_CODE = re.compile(r"\d{0,3}[^\W\d_]{1,2}\d{1,3}")
_GROUP = re.compile(r"[МMНHП](?:П0|\d{2,4})", re.IGNORECASE)
# 1N4733A is no nanofarad of 4733 amperes
_JEDEC = re.compile(r"[1-6][NН]\d{2,4}[A-Z]?", re.IGNORECASE)
_WORD_BEHIND = re.compile(r"(\d[^\W_]*?|.*\d)([а-яё]{4,})", re.IGNORECASE)
_WORD_BEFORE = re.compile(r"([а-яё]{4,})(\d.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a token: what it says, and the attribute that it is."""

    attr: str
    said: values.Found | str


def words_off(piece: str) -> list[str]:
    """`резистор10к` → `резистор`, `10к`; `1n4007диод` → `1n4007`, `диод`: the word off, when it is one of ours."""
    if designation(piece) or values.percent(piece):
        return [piece]  # КРЕН5А, 5проц
    if has_cyrillic(piece) and piece.count("-") > 1:
        return _series_off(piece)
    if found := _WORD_BEFORE.fullmatch(piece):
        if words.concept(found[1].lower().replace("ё", "е")):
            return [found[1], found[2]]
    elif found := _WORD_BEHIND.fullmatch(piece):
        word = found[2].lower().replace("ё", "е")
        if words.concept(word) and not values.with_unit(piece):
            return [found[1], found[2]]
    return [piece]


def _series_off(piece: str) -> list[str]:
    """`МЛТ-0,25-10кОм` → `МЛТ-0,25`, `10кОм`: a series off the values behind it."""
    at = len(piece)
    while (at := piece.rfind("-", 0, at)) > 0:
        found = designation(piece[:at])
        rest = piece[at + 1 :].split("-")
        if not found or not found.series:
            continue
        if found.power and values.number(rest[-1]):
            return [piece[:at], *rest]  # `С2-33Н-0,25-51 кОм`
        if all(_behind_series(each, found.kind) for each in rest):
            return [piece[:at], *rest]
    return [piece]


def _behind_series(part: str, kind: str) -> bool:
    code = "C" if kind.endswith("capacitor") else "L" if kind == "inductor" else "R"
    return bool(
        values.with_unit(part, code=code)
        or values.percent(part.replace("±", ""))
        or pieces(part, code)
        or (_GROUP.fullmatch(part) and code == "C")
        or (any(c.isalpha() for c in part) and values.letter_code(part, code))
    )


@lru_cache(maxsize=2048)
def pieces(token: str, code: str | None) -> tuple[Piece, ...]:
    """What a token is made of, nothing when it is not made of at least two values; `code` as in `values`."""
    if len(token) > LONGEST or not any(c.isdigit() for c in token):
        return ()
    if _JEDEC.fullmatch(token):
        return ()
    found = _read(token, 0, code, frozenset())
    if found is None or len(found) < 2 or not any(_measured(piece) for piece in found):
        return ()
    return tuple(found)


def _measured(piece: Piece) -> bool:
    return piece.attr == "tolerance" or isinstance(piece.said, values.Found)


def _read(token: str, at: int, code: str | None, had: frozenset[str]) -> list[Piece] | None:
    """The pieces from `at` on, None when they do not come out even."""
    if at == len(token):
        return []
    for end, piece in _next(token, at, code):
        if piece.attr in had:
            continue
        behind = _read(token, end, code, had | {piece.attr})  # X7R begins with what separates too
        if behind is None and end + 1 < len(token) and token[end] in _SEPARATORS:
            behind = _read(token, end + 1, code, had | {piece.attr})
        if behind is not None:
            return [piece, *behind]
    return None


def _next(token: str, at: int, code: str | None) -> Iterator[tuple[int, Piece]]:
    """Each piece that may stand at `at`, the surest first, with the place behind it."""
    if found := _PERCENT.match(token, at):
        amount = values.percent(found[0])
        if amount is not None:
            yield found.end(), Piece("tolerance", format(amount, "f"))
    if found := _FRACTION.match(token, at):
        watts = values.with_unit(found[0])
        if watts is not None:
            yield found.end(), Piece(watts.attr, watts)
    if (found := _CHIP.match(token, at)) and found[0] in packages.CHIP:
        yield found.end(), Piece("package", found[0])
    if (found := _CODE.match(token, at)) and _ends(token, found.end()):
        coded = values.letter_code(found[0], code)
        if coded is not None and (code or has_cyrillic(found[0]) or found.end() < len(token)):
            yield found.end(), Piece(coded.attr, coded)
    if found := _NUMBER.match(token, at):
        yield from _with_units(token, at, found.end(), code)
    elif found := _NAME.match(token, at):
        from orchestrator.parts.ru.marks import dielectric

        name = found[0]
        for end in range(len(name), 2, -1):
            if said := dielectric(name[:end]):
                yield at + end, Piece("dielectric", said)
        if at and token[at - 1] in _SEPARATORS and (case := packages.package(name)):
            yield found.end(), Piece("package", case)


def _with_units(token: str, at: int, letters: int, code: str | None) -> Iterator[tuple[int, Piece]]:
    """A number with as many letters behind it as make a unit; a lone prefix only where nothing else would do."""
    most = letters
    while most < len(token) and (token[most].isalpha() or token[most] == "Ω"):
        most += 1
    for end in range(most, letters, -1):
        said = values.with_unit(token[at:end], code=code)
        if said is None and end - letters <= 2:
            latin = code is None and not has_cyrillic(token[letters:end])
            if (
                latin
                and token[end : end + 1] not in tuple("/,*±")
                and not _PERCENT.match(token, end)
            ):
                continue
            said = values.letter_code(token[at:end], code)
        if said is not None:
            yield end, Piece(said.attr, said)


def _ends(token: str, at: int) -> bool:
    return at == len(token) or token[at] in _SEPARATORS
