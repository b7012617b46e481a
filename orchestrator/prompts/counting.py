"""How many texts a dynamic prompt stands for, and all of them, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import permutations

from orchestrator.prompts.lookup import Lookup, NoFiles, check
from orchestrator.prompts.resolving import MAX_CHOICES, bounds, checked, pool_of, too_many
from orchestrator.prompts.syntax import (
    MAX_NESTING,
    Option,
    Part,
    Variant,
    Wildcard,
    is_plain,
    mentions,
    parse,
    too_deep,
)

# "this many or more": files that name each other have more than a number can hold
MOST_COUNTED = 10**18
MAX_SUMS = 1_000_000  # steps spent on one list; beyond, the answer is MOST_COUNTED

Maker = Callable[[], Iterator[str]]


def count(template: str, lookup: Lookup | None = None) -> int:
    """In how many ways a prompt may turn out, MOST_COUNTED standing for that many or more.

    Two ways may say the same: a line that stands in a file twice counts twice. Raises ParamsInvalid like `resolve`.
    """
    if is_plain(template):
        return 1
    files = lookup or NoFiles()
    read = parse(template)
    check(mentions(template), files)
    return _Counting(files).of(read.parts, 0)


class _Counting:
    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[str, int] = {}

    def of(self, parts: Sequence[Part], depth: int) -> int:
        if depth > MAX_NESTING:
            raise too_deep()
        total = 1
        for part in parts:
            if not isinstance(part, str):
                total = min(total * self._ways(part, depth + 1), MOST_COUNTED)
        return total

    def _ways(self, part: Wildcard | Variant, depth: int) -> int:
        if isinstance(part, Wildcard):
            listing = self._lookup.listing(part.name)
            if listing.name not in self._known:
                self._known[listing.name] = self._sum(listing.options, depth)
            return self._known[listing.name]
        pool = pool_of(part, self._lookup)
        ways = [self.of(option.parts, depth) for option in pool]
        if part.separator is None:
            return min(sum(ways), MOST_COUNTED)
        return _arrangements(ways, *bounds(part, len(pool)))

    def _sum(self, lines: Sequence[str], depth: int) -> int:
        total = 0
        for line in lines:
            total += 1 if is_plain(line) else self.of(parse(line).parts, depth)
        return min(total, MOST_COUNTED)


def _arrangements(ways: Sequence[int], least: int, most: int) -> int:
    """In how many ways from `least` to `most` of some options can follow each other, each turning out as it may."""
    if all(way == 1 for way in ways):
        sums = _choices(len(ways), most)
    elif len(ways) * most > MAX_SUMS:
        return MOST_COUNTED
    else:
        # sums[k]: over all choices of k options, how these turn out (the elementary symmetric polynomials)
        sums = [1] + [0] * most
        for way in ways:
            for chosen in range(most, 0, -1):
                sums[chosen] = min(sums[chosen] + sums[chosen - 1] * way, MOST_COUNTED)
    total, orders = 0, 1
    for chosen in range(most + 1):
        orders = min(orders * max(chosen, 1), MOST_COUNTED)
        total += sums[chosen] * orders if chosen >= least else 0
    return min(total, MOST_COUNTED)


def _choices(available: int, most: int) -> list[int]:
    """For each number up to `most`, the ways to choose so many of those available."""
    numbers = [1]
    for chosen in range(1, most + 1):
        numbers.append(numbers[-1] * (available - chosen + 1) // chosen)
    return [min(number, MOST_COUNTED) for number in numbers]


def combinations(template: str, limit: int, lookup: Lookup | None = None) -> Iterator[str]:
    """The first `limit` texts that a prompt stands for, the last choice changing fastest, made as they are asked for.

    Every text of `resolve` is among them, if the limit lets them all through. Raises ParamsInvalid like `resolve`.
    """
    files = lookup or NoFiles()
    read = parse(template)
    check(mentions(template), files)
    listing = _Listing(files)
    texts = listing.each(read.parts, 0)
    for _ in range(limit):
        listing.steps = 0
        text = next(texts, None)
        if text is None:
            return
        yield text


class _Listing:
    """All that a prompt stands for."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self.steps = 0  # spent on the text that is being made

    def each(self, parts: Sequence[Part], depth: int) -> Iterator[str]:
        if depth > MAX_NESTING:
            raise too_deep()
        makers = [partial(self._ways, part, depth + 1) for part in parts]
        for texts in self._together(makers):
            yield checked("".join(texts))

    def _together(self, makers: Sequence[Maker]) -> Iterator[list[str]]:
        """Every text of the first with every text of the second, and so on: the lists are the same one."""
        said = [""] * len(makers)
        running: list[Iterator[str]] = []
        while True:
            while len(running) < len(makers):
                self.steps += 1
                if self.steps > MAX_CHOICES:
                    raise too_many()
                running.append(makers[len(running)]())
                said[len(running) - 1] = next(running[-1])  # each has one at least
            yield said
            while running and (text := next(running[-1], None)) is None:
                running.pop()
            if not running:
                return
            said[len(running) - 1] = text or ""

    def _ways(self, part: Part, depth: int) -> Iterator[str]:
        if isinstance(part, str):
            yield part
        elif isinstance(part, Wildcard):
            for line in self._lookup.listing(part.name).options:
                yield from self.each(parse(line).parts, depth)
        elif part.separator is None:
            for option in pool_of(part, self._lookup):
                yield from self.each(option.parts, depth)
        else:
            yield from self._several(part, part.separator, depth)

    def _several(self, variant: Variant, separator: str, depth: int) -> Iterator[str]:
        pool = pool_of(variant, self._lookup)
        least, most = bounds(variant, len(pool))
        for wanted in range(least, most + 1):
            for picked in permutations(pool, wanted):
                makers = [self._maker(option, depth) for option in picked]
                for texts in self._together(makers):
                    stripped = (text.strip() for text in texts)
                    yield checked(separator.join(text for text in stripped if text))

    def _maker(self, option: Option, depth: int) -> Maker:
        return partial(self.each, option.parts, depth)
