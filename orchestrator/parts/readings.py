"""The questions that a query may mean, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.parts.sources.base import Request
from orchestrator.parts.values import Alternative, Query

MAX_READINGS = 4  # each costs calls
# what a value is of when no kind of part was named, and the unit that it is searched under
KINDS = {
    "resistance": ("resistor", "ohm"),
    "capacitance": ("capacitor", "F"),
    "inductance": ("inductor", "H"),
}
PREFIXES = (("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("u", 1e-6), ("n", 1e-9), ("p", 1e-12))


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
    if name == "type":
        return Request(keyword=query.en, type=value, attrs=query.attrs)
    try:
        told: float | str = float(value)
    except ValueError:
        told = value
    kind, unit = KINDS.get(name, (query.type or "", ""))
    written = _written(told, unit) if isinstance(told, float) else told
    words = (query.type or kind, written, str(query.attrs.get("package", "")))
    return Request(
        keyword=" ".join(word.replace("_", " ") for word in words if word),
        type=query.type or kind or None,
        attrs={**query.attrs, name: told},
    )


def _written(value: float, unit: str) -> str:
    """A value as distributors write it: 1e-07 and F is 100nF."""
    for prefix, factor in PREFIXES:
        if abs(value) >= factor * (1 - 1e-9):
            return f"{value / factor:.4g}{prefix}{unit}"
    return f"{value:g}{unit}"
