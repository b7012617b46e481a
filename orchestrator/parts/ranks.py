"""Ranks that stay: a part that comes between two others gets a number between theirs, and they keep their own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence, Set
from itertools import pairwise


class Ranks:
    """A number for each key, in the order of the keys. Smaller is further up; only the order means something."""

    def __init__(self) -> None:
        self._ranks: dict[str, float] = {}

    def __getitem__(self, key: str) -> float:
        return self._ranks[key]

    def arrange(self, order: Sequence[str], *, changed: Set[str]) -> set[str]:
        """Take over an order of all keys; returns those whose rank is new. `changed` ones make room for the others."""
        before = dict(self._ranks)
        if not self._fill(order, self._kept(order, changed)):
            self._ranks = {key: float(place) for place, key in enumerate(order, 1)}
        return {key for key in order if before.get(key) != self._ranks[key]}

    def _kept(self, order: Sequence[str], changed: Set[str]) -> set[str]:
        """As many keys as possible whose ranks are in order already: the longest rising run among them."""
        known = [key for key in order if key in self._ranks and key not in changed]
        tails: list[float] = []  # the smallest last rank of a rising run, by its length
        ends: list[int] = []
        before: list[int] = []
        for place, key in enumerate(known):
            rank = self._ranks[key]
            length = bisect_left(tails, rank)
            before.append(ends[length - 1] if length else -1)
            tails[length:] = [rank, *tails[length + 1 :]]
            ends[length:] = [place, *ends[length + 1 :]]
        kept = set()
        place = ends[-1] if ends else -1
        while place >= 0:
            kept.add(known[place])
            place = before[place]
        return kept

    def _fill(self, order: Sequence[str], kept: Set[str]) -> bool:
        """Give the others ranks between those that are kept; False when there is no room between two of them."""
        ranks: dict[str, float] = {}
        low: float | None = None
        gap: list[str] = []
        for key in order:
            if key not in kept:
                gap.append(key)
                continue
            high = self._ranks[key]
            _spread(ranks, gap, low, high)
            ranks[key] = low = high
            gap = []
        _spread(ranks, gap, low, None)
        self._ranks = ranks
        placed = [ranks[key] for key in order]
        return all(above < below for above, below in pairwise(placed))


def _spread(ranks: dict[str, float], gap: list[str], low: float | None, high: float | None) -> None:
    if low is None:
        low = 0.0 if high is None else high - len(gap) - 1
    step = 1.0 if high is None else (high - low) / (len(gap) + 1)
    for place, key in enumerate(gap, 1):
        ranks[key] = low + place * step
