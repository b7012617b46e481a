"""Where the options of wildcards come from, and whether the files go round in circles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from orchestrator.errors import ParamsInvalid
from orchestrator.prompts.syntax import mentions

MAX_LISTINGS = 1_000  # wildcards that one prompt may lead to
COMMENT = "#"


class Listing(NamedTuple):
    """What a wildcard stands for. `name` is the same however the wildcard was spelt."""

    name: str
    options: tuple[str, ...]
    mentions: tuple[str, ...] = ()  # the wildcards in the options


class Lookup(Protocol):
    """What knows the wildcards."""

    def listing(self, name: str) -> Listing:
        """The options of a wildcard, or of a pattern of wildcards. Raises ParamsInvalid when there are none."""
        ...


class NoFiles:
    """A lookup that has no wildcards."""

    def listing(self, name: str) -> Listing:
        """Raises ParamsInvalid."""
        raise ParamsInvalid(f"There is no wildcard __{name}__: there are no wildcard files here")


def listing_of(name: str, text: str) -> Listing:
    """The listing that a wildcard file's text makes: an option a line, without comments and empty lines."""
    lines = (line.strip() for line in text.splitlines())
    options = tuple(line for line in lines if line and not line.startswith(COMMENT))
    return Listing(name, options, mentions("\n".join(options)) if "__" in text else ())


def check(names: Sequence[str], lookup: Lookup) -> None:
    """Whether every wildcard that these lead to is there and none leads back to itself.

    Asked before anything is drawn: otherwise some seeds would fail and others not. Raises ParamsInvalid.
    """
    known: set[str] = set()
    path: list[str] = []
    ahead: list[Iterator[str]] = [iter(names)]
    while ahead:
        name = next(ahead[-1], None)
        if name is None:
            ahead.pop()
            if path:
                path.pop()
            continue
        listing = _found(name, lookup, path)
        if listing.name in path:
            raise _circle([*path[path.index(listing.name) :], listing.name])
        if listing.name not in known:
            known.add(listing.name)
            if len(known) > MAX_LISTINGS:
                raise ParamsInvalid(
                    f"The prompt leads to more than {MAX_LISTINGS:,} wildcards",
                    remedy="Name the wildcards more narrowly.",
                )
            path.append(listing.name)
            ahead.append(iter(listing.mentions))


def _found(name: str, lookup: Lookup, path: list[str]) -> Listing:
    try:
        return lookup.listing(name)
    except ParamsInvalid as error:
        if not path:
            raise
        where = f"{error.message} (it stands in __{path[-1]}__)"
        raise ParamsInvalid(where, remedy=error.remedy) from error


def _circle(path: Iterable[str]) -> ParamsInvalid:
    return ParamsInvalid(
        f"The wildcards go round in a circle: {' → '.join(f'__{name}__' for name in path)}",
        remedy="Take one of them out of the file of the one before it.",
    )
