"""What every source can do, and what it is given to do it with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.parts.values import Attr, Offer, Query


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most `calls` in any `window_s` seconds; a day's window begins at 00:00 UTC."""

    calls: int
    window_s: int


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question to a source: by keyword, or by exact part numbers when `mpns` has some."""

    keyword: str = ""  # the English query
    mpns: tuple[str, ...] = ()
    type: str | None = None
    attrs: Mapping[str, Attr] | None = None
    limit: int = 50  # offers' parts wanted

    @classmethod
    def of(cls, query: Query, *, limit: int = 50) -> Request:
        """The question that a query asks: its part number if it has one, else its English words."""
        mpns = (query.mpn,) if query.mpn else ()
        return cls(keyword=query.en, mpns=mpns, type=query.type, attrs=query.attrs, limit=limit)


class Meter(Protocol):
    """Counts the calls of one source; every HTTP call passes it first."""

    async def take(self, calls: int = 1) -> None:
        """Reserve calls before they are made. Raises SourceQuota or SourceRate when there are none."""

    def told(self, *, window_s: int, limit: int | None, remaining: int | None) -> None:
        """What the source's headers say of its own count."""


class Source(Protocol):
    """One distributor or aggregator. Raises only SourceError."""

    name: str  # `digikey`
    title: str  # `DigiKey`
    version: str  # of its interface and of our reading of it: part of the cache's key
    limits: Sequence[Limit]
    batch: int  # part numbers in one exact call
    scope: str  # locale, country, currency: what makes answers differ; no key in it

    @property
    def missing(self) -> str | None:
        """None when it can be called; else what it needs and where that is had, in one sentence."""

    def cost(self, request: Request) -> int:
        """HTTP calls that the request takes, tokens aside."""

    def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        """Offers in portions, as the source's answers come in; the whole of it is done when it ends."""

    async def close(self) -> None:
        """Give back its connections."""
