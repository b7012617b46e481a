"""What several sources tell in their own words: ladders, currencies, lead times, lifecycles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from orchestrator.parts import ladder
from orchestrator.parts.sources.reading import count, items, mapping, money, text
from orchestrator.parts.values import Lifecycle, PriceBreak

LONGEST_LEAD_DAYS = 3650  # what is longer is a mistake

_LEAD = re.compile(r"(\d{1,5}(?:\.\d+)?)\s*(day|week|month|wk|d\b|w\b)?", re.IGNORECASE)
_CURRENCY = re.compile(r"[A-Z]{3}")
_OTHER_CODES = {"RUR": "RUB", "RMB": "CNY"}  # as price lists still say

Breaks = tuple[tuple[PriceBreak, ...], tuple[str, ...]]


def elements(value: Any) -> list[Mapping[str, Any]]:
    """The objects of `{"elements": […]}`."""
    return items(mapping(value).get("elements"))


def currency(value: Any) -> str | None:
    """A currency's code of three letters."""
    code = text(value).upper()
    code = _OTHER_CODES.get(code, code)
    return code if _CURRENCY.fullmatch(code) else None


def breaks(
    steps: Iterable[tuple[Any, Any]],
    code: str | None,
    *,
    moq: int = 1,
    tax_percent: Decimal | None = None,
) -> Breaks:
    """A ladder and warnings about it, from (quantity, price) as told; none without a currency."""
    if code is None:
        return (), ()
    return ladder.build(
        ((count(quantity) or 0, money(price)) for quantity, price in steps),
        currency=code,
        moq=moq,
        tax_percent=tax_percent,
    )


def days(value: Any) -> int | None:
    """Days out of `91 Days`, `12 weeks`, or a bare number of days; none of those says nothing."""
    match = _LEAD.search(text(value))
    if not match:
        return None
    unit = (match[2] or "d").lower()[0]
    length = round(float(match[1]) * {"d": 1, "w": 7, "m": 30}[unit])
    return length if 0 < length <= LONGEST_LEAD_DAYS else None


def compliant(value: Any) -> bool | None:
    """Whether RoHS is said to be kept; None: it is not said."""
    said = text(value).lower()
    if re.search(r"\b(?:non|not|no)\b", said):
        return False
    return True if "compliant" in said or said in ("yes", "true", "y") else None


def lifecycle(value: Any) -> Lifecycle:
    """Whether a part is still made, from a shop's words."""
    said = text(value).lower()
    for words, meaning in (
        (("obsolete", "discontinued", "no longer"), Lifecycle.OBSOLETE),
        (("last", "end of life", "eol", "ltb"), Lifecycle.LAST_BUY),
        (("not recommended", "nrnd", "not for new"), Lifecycle.NRND),
        (("new", "preview"), Lifecycle.NEW),
        (("active", "production"), Lifecycle.ACTIVE),
    ):
        if any(word in said for word in words):
            return meaning
    return Lifecycle.UNKNOWN
