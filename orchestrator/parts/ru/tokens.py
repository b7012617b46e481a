"""A query as tokens: cleaned, split where it is safe, never inside of a part number."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from orchestrator.parts.ru import glued, packages, values, words

MAX_LENGTH = 500  # characters of a query that are looked at
MAX_TOKENS = 60

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹣－"), "-")
_QUOTES = dict.fromkeys(map(ord, "«»“”„‟″❝❞"), " ")
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2009\u202f\u2007\u2060\u00ad"), " ")
_CLEAN = str.maketrans({**_DASHES, **_QUOTES, **_SPACES, ord("⁄"): "/", ord("\ufeff"): None})
_TIMES = re.compile(r"(?<=\d)[хХ×*](?=\d)")
_TIMES_SPACED = re.compile(
    r"(?<![^\s(])(\d{1,4}(?:[.,]\d{1,3})?)\s*(?:мм|mm)?\s+[xхХX×*]\s+(?=\d{1,4}(?:[.,]\d{1,3})?(?:мм|mm|\s|$|[xхХX×*]))",
    re.IGNORECASE,
)
_ZERO_FOR_O = re.compile(r"(\d(?: [кКkKМM]?|[кКkKМM]))0[мМmM](?=[\s,;]|$)")  # `47 0м`, `10к0м`
_PLUS_MINUS = re.compile(r"\+\s?/?\s?-\s?(?=\d)|\+\\-(?=\d)")
_BEFORE_TOLERANCE = re.compile(r"\s*±\s*(?=\d)")
# a comma or semicolon that stands between Russian words or behind a per cent sign is no part of a part number
_COMMA = re.compile(r"[,;](?=\s|$)|(?<=[а-яё%)])[,;]|(?<=[А-ЯЁ])[,;](?=\D)|[,;](?=[а-яё])")
# the brackets of S2B-PH-K-S(LF)(SN) and FH12-10S-0.5SH(55) belong to the part number
_BRACKETED = re.compile(r"([A-Za-zА-Я0-9.]{2,}-[A-Za-zА-Я0-9.\-]+)(?:\(([A-Za-z0-9,\-]{1,8})\))+")
_EDGES = "()[]{}<>\"'`:;,.!?|…№„“”"


@dataclass(slots=True)
class Token:
    """A piece of the query between blanks; `out` is what it became in English, None: nothing yet."""

    text: str
    place: int
    out: str | None = None
    used: bool = False
    concept: str | None = None
    swapped: bool = False
    series: bool = False

    @property
    def low(self) -> str:
        return self.text.lower().replace("ё", "е")

    @property
    def has_digit(self) -> bool:
        return any(letter.isdigit() for letter in self.text)


def clean(text: str) -> str:
    """NFKC, plain blanks and dashes, no control characters, at most `MAX_LENGTH` long."""
    text = unicodedata.normalize("NFKC", text[:MAX_LENGTH].translate(_CLEAN))
    text = text.translate(_CLEAN)
    text = "".join(c if c.isprintable() else " " for c in text)
    text = _ZERO_FOR_O.sub(r"\1Ом", text)
    text = _TIMES_SPACED.sub(r"\1x", text)
    text = _TIMES.sub("x", text)
    text = _PLUS_MINUS.sub("±", text)
    text = _BEFORE_TOLERANCE.sub(" ±", text)
    return " ".join(text.split())


def split(text: str) -> list[str]:
    """The tokens of a cleaned query."""
    text = _COMMA.sub(" ", text)
    pieces = []
    for piece in text.split()[:MAX_TOKENS]:
        trimmed = _trim(piece)
        if trimmed:
            pieces.extend(_words(trimmed))
    return pieces


def _trim(piece: str) -> str:
    inner = piece[1:-1] if piece[:1] == "(" and piece[-1:] == ")" else piece
    found = _BRACKETED.fullmatch(inner)
    if (
        found
        and any(c.isdigit() for c in found[1])
        and not packages.package(found[2])
        and not values.with_unit(found[2])
    ):
        return inner
    trimmed = piece.strip(_EDGES) if piece.strip(_EDGES) else ""
    if trimmed and piece.startswith(".") and trimmed[0].isdigit():
        trimmed = "." + trimmed  # .1uF
    if "(" in trimmed and ")" not in trimmed:
        # КР142ЕН5(А) keeps its letter, 10к(0805 comes apart
        head, _, tail = trimmed.partition("(")
        return head + tail if len(tail) == 1 and piece.endswith(")") else f"{head} {tail}"
    return trimmed


_HAS_WORD = re.compile(r"[А-Яа-яЁё]{4,}")


def _words(piece: str) -> list[str]:
    """A token of its own, or the words of `чип-резистор` and `USB-разъём`."""
    if " " in piece:
        return [word for each in piece.split() for word in _words(_trim(each))]
    if any(c.isdigit() for c in piece):
        return glued.words_off(piece)
    if not ("-" in piece or "/" in piece):
        dotted = [word for word in piece.split(".") if word]
        # `эл.конд`, `подстр.рез`
        if len(dotted) > 1 and all(words.concept(word.lower()) for word in dotted):
            return dotted
        return [piece] if piece else []
    low = piece.lower()
    if words.concept(low.rstrip(".")):
        return [piece.rstrip(".")]
    if low.startswith(
        (
            "dc-dc",
            "dc/dc",
            "n-",
            "p-",
            "н-",
            "п-",
            "р-",
            "rail-",
            "dip-п",
            "дип-п",
            "ac-dc",
            "ac/dc",
        )
    ):
        if low.startswith(("dc-dc-", "dc/dc-")):
            return [piece[:5], *_words(piece[6:])]
        return [piece]
    if _HAS_WORD.search(piece):
        return [word for word in re.split(r"[-/]", piece) if word]
    return [piece]
