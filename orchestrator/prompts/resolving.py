"""A dynamic prompt made into the text that a seed stands for."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.errors import ParamsInvalid
from orchestrator.jobs import MAX_PROMPT
from orchestrator.prompts.dice import Dice
from orchestrator.prompts.lookup import Lookup, NoFiles, check
from orchestrator.prompts.syntax import (
    MAX_NESTING,
    WEIGHT_UNIT,
    Option,
    Part,
    Variant,
    Wildcard,
    is_plain,
    mentions,
    parse,
    too_deep,
)

# of one prompt: a few lines of files that name each other could ask for billions
MAX_CHOICES = 10_000


class Resolution(NamedTuple):
    """What a prompt came to, and what its author may not have meant."""

    text: str
    notes: tuple[str, ...] = ()


def resolve(
    template: str, *, seed: int, lookup: Lookup | None = None, name: str = "prompt"
) -> Resolution:
    """The text that a seed stands for: always the same for the same template, seed, name and files.

    Raises ParamsInvalid: a wildcard that is not there, a circle of files, more choices or text than is sensible.
    """
    if is_plain(template):
        return Resolution(checked(template))
    read = parse(template)
    files = lookup or NoFiles()
    check(mentions(template), files)
    text = _Drawing(Dice(seed, name), files).say(read.parts, 0)
    return Resolution(text, read.notes)


class _Drawing:
    """One prompt being drawn."""

    def __init__(self, dice: Dice, lookup: Lookup) -> None:
        self._dice = dice
        self._lookup = lookup
        self._choices = 0

    def say(self, parts: tuple[Part, ...], depth: int) -> str:
        if depth > MAX_NESTING:
            raise too_deep()
        said: list[str] = []
        length = 0
        for part in parts:
            said.append(part if isinstance(part, str) else self._chosen(part, depth + 1))
            length += len(said[-1])
            if length > MAX_PROMPT:
                raise _too_long()
        return "".join(said)

    def _chosen(self, part: Wildcard | Variant, depth: int) -> str:
        self._choices += 1
        if self._choices > MAX_CHOICES:
            raise too_many()
        if isinstance(part, Wildcard):
            options = self._lookup.listing(part.name).options
            return self._line(options[self._dice.below(len(options))], depth)
        if part.separator is None:
            place = self._dice.pick([option.weight for option in part.options])
            return self.say(part.options[place].parts, depth)
        return self._several(part, part.separator, depth)

    def _line(self, line: str, depth: int) -> str:
        return self.say(parse(line).parts, depth)

    def _several(self, variant: Variant, separator: str, depth: int) -> str:
        pool = list(pool_of(variant, self._lookup))
        least, most = bounds(variant, len(pool))
        wanted = least + self._dice.below(most - least + 1)
        even = all(option.weight == WEIGHT_UNIT for option in pool)
        said = []
        for _ in range(wanted):
            self._choices += 1
            if self._choices > MAX_CHOICES:
                raise too_many()
            weights = [] if even else [option.weight for option in pool]
            place = self._dice.below(len(pool)) if even else self._dice.pick(weights)
            said.append(self.say(pool.pop(place).parts, depth).strip())
        return checked(separator.join(text for text in said if text))


def pool_of(variant: Variant, lookup: Lookup) -> tuple[Option, ...]:
    """What several are chosen from: its options, or the lines of the wildcard that is its only one, each once.

    Options without weight are out, unless there are no others.
    """
    options = variant.options
    if len(options) == 1 and len(options[0].parts) == 1:
        only = options[0].parts[0]
        if isinstance(only, Wildcard):
            lines = dict.fromkeys(lookup.listing(only.name).options)
            return tuple(Option(WEIGHT_UNIT, parse(line).parts) for line in lines)
    return tuple(option for option in options if option.weight) or options


def bounds(variant: Variant, available: int) -> tuple[int, int]:
    """The least and the most to choose, of so many as there are."""
    most = available if variant.most is None else min(variant.most, available)
    return min(variant.least, most), most


def checked(text: str) -> str:
    """Itself. Raises ParamsInvalid when it is longer than a prompt may be."""
    if len(text) > MAX_PROMPT:
        raise _too_long()
    return text


def _too_long() -> ParamsInvalid:
    return ParamsInvalid(
        f"The prompt comes to more than {MAX_PROMPT:,} characters",
        remedy="Shorten the prompt, its styles or the lines of its wildcards.",
    )


def too_many() -> ParamsInvalid:
    """What to raise for a prompt that never ends."""
    return ParamsInvalid(
        f"The prompt asks for more than {MAX_CHOICES:,} choices",
        remedy="Look for wildcard files whose lines name many other wildcards.",
    )
