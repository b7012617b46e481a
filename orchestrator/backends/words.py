"""Names that were not understood, and how values are shown in a message."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from orchestrator.jobs import one_line

MAX_SHOWN = 60  # characters of a refused value that a message repeats
OTHER_NAMES = {"samplername": "sampler", "ckptname": "checkpoint"}  # as on ComfyUI's nodes


def squashed(name: object) -> str:
    """A parameter's name without underscores, hyphens and case."""
    return str(name).replace("_", "").replace("-", "").casefold()


def near(name: str, offered: Mapping[str, object], names: Mapping[str, str] | None = None) -> str:
    """The offered names that look like one that was not understood, as text; empty if none does."""
    word = name.casefold()[:MAX_SHOWN]
    alike = get_close_matches(word, offered, n=2, cutoff=0.8)
    alike = alike or [each for each in offered if len(each) > 2 and word.startswith(each)][:2]
    alike = alike or get_close_matches(word, offered, n=2)
    fields = dict.fromkeys((names or {}).get(each, OTHER_NAMES.get(each, each)) for each in alike)
    return " or ".join(fields)


def shown_name(name: object) -> str:
    """A name from outside, for a message."""
    return one_line(str(name))[:MAX_SHOWN]


def shown(value: object) -> str:
    """A value from outside, for a message."""
    text = one_line(repr(value) if isinstance(value, str) else str(value))
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
