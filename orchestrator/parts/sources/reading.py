"""Reading foreign answers: each field and each product by itself, so that one oddity costs one field or one row."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from orchestrator.parts.errors import SourceSchema
from orchestrator.parts.mpn import mpn_key
from orchestrator.parts.values import Offer

LONGEST = 400  # characters of one field
LONGEST_URL = 2000
MAX_PARAMS = 100
MOST = 10**9  # pieces; Farnell writes "and more" as 999999999
LEADING = re.compile(r"\s*(\d{1,12})(?![\d.,])")
GROUPED = re.compile(r"\s*(\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+)(?!\d)")
FAMILY_FROM = 4  # letters of a part number that make a family; shorter ones must be equal
EMPTY = frozenset({"", "-", "--", "n/a", "none", "null"})
log = logging.getLogger(__name__)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; none when it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """A foreign text as one line of bounded length; empty for what means nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    line = " ".join(
        "".join(c if c.isprintable() else " " for c in str(value)[: 4 * LONGEST]).split()
    )
    return "" if line.lower() in EMPTY else line[:LONGEST]


def count(value: Any) -> int | None:
    """Whole pieces, days or weeks at the start of a value (`12846 In Stock`, `12,846`, 17.0); None when it has none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if isinstance(value, str):
        found = GROUPED.match(value) or LEADING.match(value)
        value = int(re.sub(r"\D", "", found[1])) if found else None
    return value if isinstance(value, int) and 0 <= value <= 10**12 else None


def money(value: Any) -> Decimal | None:
    """A price that is a JSON number, exactly as it was written; None when it is none or not above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        price = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return price if price.is_finite() and 0 < price < MOST else None


def link(value: Any) -> str | None:
    """An http(s) address without user; `//host/…` is taken as https. None for everything else."""
    if not isinstance(value, str):
        return None
    url = value.strip()
    url = f"https:{url}" if url.startswith("//") else url
    if len(url) > LONGEST_URL or any(
        c.isspace() or not c.isprintable() or c in "<>\"'`\\" for c in url
    ):
        return None
    try:
        parsed = urlsplit(url)
        host = parsed.hostname
    except ValueError:
        return None
    return url if parsed.scheme in ("http", "https") and host and "@" not in parsed.netloc else None


def params(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name; values of one name are joined, empty ones left out."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if not name or not value or (name not in found and len(found) >= MAX_PARAMS):
            continue
        if name not in found:
            found[name] = value
        elif value not in found[name].split("; "):
            found[name] = f"{found[name]}; {value}"[:LONGEST]
    return found


def offers_of(
    products: Sequence[Any], read: Callable[[Mapping[str, Any]], Iterable[Offer]], *, title: str
) -> list[Offer]:
    """The offers of each product; one that cannot be read is skipped. Raises SourceSchema when none can."""
    offers: list[Offer] = []
    broken = 0
    for product in products:
        try:
            offers.extend(read(product))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            broken += 1
            log.debug("A product of %s cannot be read (%s)", title, type(error).__name__)
    if broken:
        log.warning("%d of %d products of %s cannot be read", broken, len(products), title)
        if broken == len(products):
            raise SourceSchema(f"{title} answered products in a shape that is not known")
    return offers


def wanted(offers: Iterable[Offer], mpn: str) -> list[Offer]:
    """Those that are of the part number, of its family (2N3904 → 2N3904TA), or have it as their SKU; once each.

    A distributor's search also finds what only mentions the number; such must not be taken for it.
    """
    key = mpn_key(mpn)
    found: dict[str, Offer] = {}
    for offer in offers:
        own = mpn_key(offer.mpn)
        family = len(key) >= FAMILY_FROM and own.startswith(key)
        if own == key or family or mpn_key(offer.sku) == key:
            found.setdefault(offer.sku, offer)
    return list(found.values())


def once(offers: Iterable[Offer]) -> list[Offer]:
    """The offers without a second one of the same SKU: the first stays, where it stands."""
    found: dict[str, Offer] = {}
    for offer in offers:
        found.setdefault(offer.sku, offer)
    return list(found.values())
