"""Typing errors in words: the nearest word of a table within one or two slips (Damerau-Levenshtein, restricted)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ENDING = re.compile(
    r"(?:ами|ями|ого|ому|ыми|ой|ый|ий|ая|ые|ие|ов|ев|ам|ах|ом|ы|и|а|я|о|у|ю|е|ь|s|es)$"
)


def distance(one: str, two: str, limit: int) -> int:
    """Slips between two words (a letter more, less, another, or two neighbours swapped); above `limit`: limit + 1."""
    if abs(len(one) - len(two)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(two, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == two[j - 2] and one[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]


def _mask(word: str) -> int:
    mask = 0
    for letter in word:
        mask |= 1 << (ord(letter) & 63)
    return mask


def bare(word: str) -> str:
    """A word without its most usual endings: `транзисторов` → `транзистор`."""
    return _ENDING.sub("", word) if len(word) > 5 else word


class Lexicon:
    """Words, each with the set of its letters as bits: two words some slips apart differ in few of them."""

    def __init__(self, words: Iterable[str]) -> None:
        # in the order given: of two words as near the first is meant
        self._words = [(bare(word), _mask(bare(word)), word) for word in dict.fromkeys(words)]

    def nearest(self, word: str) -> str | None:
        """The word within 1 slip (from 7 letters on 2); None when none is, or two different ones are as near."""
        if len(word) < 5 or len(word) > 30:
            return None
        text = bare(word)
        mask = _mask(text)
        limit = 1 if len(text) < 7 else 2
        best, found = (limit + 1, 0), None
        for candidate, bits, full in self._words:
            if abs(len(candidate) - len(text)) > limit or len(candidate) < 4:
                continue
            if (mask ^ bits).bit_count() > 2 * limit:
                continue
            slips = distance(text, candidate, limit)
            if slips > best[0] or slips * 4 > len(text):
                continue
            # `резистро` is one slip from `резистор` as a whole, and from `регистр` only without its ending
            rank = (slips, distance(word, full, 3))
            if rank < best:
                best, found = rank, full
        return found
