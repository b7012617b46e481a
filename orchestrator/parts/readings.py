"""The questions that a query may mean, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.parts.sources.base import Request
from orchestrator.parts.values import Alternative, Query

MAX_READINGS = 4  # each costs calls


def readings(query: Query) -> Iterator[tuple[str, Request]]:
    """Each reading in words, and what it asks. The later ones are for when those before find nothing at all."""
    questions = [(query.mpn or query.en, Request.of(query))]
    if query.mpn and query.en:  # nobody knows the number: perhaps the words find what it is
        questions.append((query.en, Request(keyword=query.en, type=query.type, attrs=query.attrs)))
    questions += [(other.reads, _other(query, other)) for other in query.alternatives]
    yield from questions[:MAX_READINGS]


def _other(query: Query, alternative: Alternative) -> Request:
    name, equals, value = alternative.reads.partition("=")
    if not equals:
        return Request(keyword=alternative.reads, mpns=(alternative.reads,), type=query.type)
    try:
        told: float | str = float(value)
    except ValueError:
        told = value
    if name == "type":
        return Request(keyword=query.en, type=value, attrs=query.attrs)
    words = f"{query.type or ''} {value}".replace("_", " ").strip()
    return Request(keyword=words, type=query.type, attrs={**query.attrs, name: told})
