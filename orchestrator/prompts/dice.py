"""Chance that depends on a seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b


class Dice:
    """Numbers from a seed: the same ones on every machine and with every Python, unlike those of `random`.

    The nth number is BLAKE2b of seed, name and n. `name` tells apart what shares a seed: prompt and negative prompt.
    """

    def __init__(self, seed: int, name: str) -> None:
        self._source = f"{seed}/{name}/"
        self.thrown = 0

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1, each as likely (to one part in 2^64) as any other."""
        self.thrown += 1
        text = f"{self._source}{self.thrown}"
        digest = blake2b(text.encode(), digest_size=16).digest()
        return int.from_bytes(digest, "big") % limit

    def pick(self, weights: Sequence[int]) -> int:
        """The place of one of the weights, as likely as it is heavy; any of them when none weighs anything."""
        total = sum(weights)
        if not total:
            return self.below(len(weights))
        at = self.below(total)
        for place, weight in enumerate(weights):
            at -= weight
            if at < 0:
                return place
        raise AssertionError("the weights are not their sum")
