"""What the events of a search say: everything, or only what the public may know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.parts.errors import SourceError
from orchestrator.parts.public import public
from orchestrator.parts.quota import Left
from orchestrator.parts.rates import Rates
from orchestrator.parts.sources.base import Source
from orchestrator.parts.values import Offer, Part

NEUTRAL = "This source did not answer; the others are not touched."


class Voice:
    """Words for those who may know everything. `redact` masks keys in texts of others, `rates` bring the prices that
    everybody sees to the currency of the search."""

    def __init__(
        self, sources: Sequence[Source], *, redact: Callable[[str], str], rates: Rates
    ) -> None:
        self._sources = sources
        self._redact = redact
        self._rates = rates

    def name(self, source: Source) -> str:
        """What a source is called."""
        return source.name

    def listed(self, left: Callable[[str], Left]) -> list[dict[str, Any]]:
        """The sources of a search, those too that need a key."""
        return [
            {
                "name": source.name,
                "title": source.title,
                "missing": source.missing,
                "quota": str(left(source.name)),
            }
            for source in self._sources
        ]

    def rows(self, offers: Sequence[Offer]) -> list[Any]:
        """The offers of a portion."""
        return [offer.model_dump(mode="json") for offer in offers]

    def part(self, part: Part) -> dict[str, Any]:
        """A part with all its offers."""
        return part.model_dump(mode="json")

    def error(self, error: SourceError) -> str:
        """What went wrong, and what to do about it."""
        return self._redact(f"{error.message}. {error.remedy}".replace("..", "."))

    def left(self, left: Left) -> Mapping[str, Any]:
        """How many calls are left today."""
        return {"quota_left": left.left, "quota": str(left)}


class PublicVoice(Voice):
    """Words for everybody: no seller, no name of a source, no address, nothing that tells one from another."""

    def __init__(
        self, sources: Sequence[Source], *, redact: Callable[[str], str], rates: Rates
    ) -> None:
        there = [one for one in sources if one.missing is None]
        super().__init__(there, redact=redact, rates=rates)
        self._names = {
            source.name: f"source {place}" for place, source in enumerate(self._sources, 1)
        }

    def name(self, source: Source) -> str:
        return self._names[source.name]

    def listed(self, left: Callable[[str], Left]) -> list[dict[str, Any]]:
        return [{"name": name} for name in self._names.values()]

    def rows(self, offers: Sequence[Offer]) -> list[Any]:
        return []

    def part(self, part: Part) -> dict[str, Any]:
        return public(part, rates=self._rates).model_dump(mode="json")

    def error(self, error: SourceError) -> str:
        return NEUTRAL

    def left(self, left: Left) -> Mapping[str, Any]:
        return {"quota_left": None, "quota": None}
