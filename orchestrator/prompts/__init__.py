"""Prompts that are more than text: variants `{a|b}`, wildcards `__file__`, styles, and what no translator may touch.

Decisions only: the options of a wildcard come from a `Lookup` that is given, chance from a seed that is given.
"""

from __future__ import annotations

from orchestrator.prompts.counting import MOST_COUNTED, combinations, count
from orchestrator.prompts.dice import Dice
from orchestrator.prompts.lookup import Listing, Lookup, NoFiles, check, listing_of
from orchestrator.prompts.masking import MAX_MASKS, Masked, is_foreign, letters, mask, smoothed
from orchestrator.prompts.resolving import Resolution, resolve
from orchestrator.prompts.styles import (
    BUILT_IN,
    Style,
    applied,
    chosen,
    negative_applied,
    styles_from_csv,
    styles_from_json,
)
from orchestrator.prompts.syntax import is_plain, mentions, parse

__all__ = [
    "BUILT_IN",
    "MAX_MASKS",
    "MOST_COUNTED",
    "Dice",
    "Listing",
    "Lookup",
    "Masked",
    "NoFiles",
    "Resolution",
    "Style",
    "applied",
    "check",
    "chosen",
    "combinations",
    "count",
    "is_foreign",
    "is_plain",
    "letters",
    "listing_of",
    "mask",
    "mentions",
    "negative_applied",
    "parse",
    "resolve",
    "smoothed",
    "styles_from_csv",
    "styles_from_json",
]
