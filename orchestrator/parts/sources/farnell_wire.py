"""Farnell's answers as offers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.parts import ladder
from orchestrator.parts.errors import SourceSchema
from orchestrator.parts.sources.reading import (
    count,
    items,
    link,
    mapping,
    money,
    offers_of,
    params,
    text,
)
from orchestrator.parts.values import Lifecycle, Offer

# the name depends on what was asked for
ROOTS = (
    "keywordSearchReturn",
    "manufacturerPartNumberSearchReturn",
    "premierFarnellPartNumberReturn",
)
# The prices do not say their currency: it is the store's. By the first label of its name.
STORES = {
    "EUR": "at be bg cpcireland de ee es fi fr ie it lt lv nl pt si sk",
    "GBP": "cpc export onecall uk",
    "CZK": "cz", "DKK": "dk", "CHF": "ch", "USD": "il", "HUF": "hu", "NOK": "no", "PLN": "pl", "RON": "ro",
    "SEK": "se", "TRY": "tr", "CAD": "canada", "AUD": "au", "NZD": "nz", "HKD": "hk", "SGD": "sg", "MYR": "my",
    "CNY": "cn", "TWD": "tw", "KRW": "kr", "INR": "in", "THB": "th", "PHP": "ph", "RUB": "ru",
}  # fmt: skip
CURRENCIES = {label: code for code, labels in STORES.items() for label in labels.split()}
DISPUTED = frozenset({"ro", "tr", "ru"})  # others read these stores' prices as EUR
RELEASES = {
    1: Lifecycle.NEW,
    2: Lifecycle.ACTIVE,
    4: Lifecycle.ACTIVE,
    6: Lifecycle.LAST_BUY,
    7: Lifecycle.OBSOLETE,
}
SUPPLIED = re.compile(r"\((?:supplied (?:on|in) |cut from )?([^()]+)\)", re.IGNORECASE)
SQUARE = re.compile(r"\s*\[.*$")  # `0603 [1608 Metric]`


def parse(answer: Any, *, store: str, at: datetime | None = None) -> list[Offer]:
    """The offers of an answer of `store`; a product that cannot be read is skipped.

    Raises SourceSchema for an answer of another shape.
    """
    root = _root(answer)
    products = root.get("products", [])  # none at all when there are 0
    if not isinstance(products, list):
        raise SourceSchema("Farnell answered without a list of products")
    at = at or datetime.now(UTC)
    return offers_of(products, lambda product: _offers(product, store, at), title="Farnell")


def found(answer: Any) -> int:
    """How many products there are in all."""
    return count(_root(answer).get("numberOfResults")) or 0


def currency_of(store: str) -> str | None:
    """The currency of a store's prices; None when it is not known."""
    if store.endswith("newark.com"):
        return "CAD" if store.startswith("canada") else "USD"
    return CURRENCIES.get(store.split(".")[0])


def region_of(store: str) -> str:
    """Where a store sells."""
    label = store.split(".")[0]
    if store.endswith("newark.com"):
        return "Americas"
    if "element14" in store:
        return "Asia"
    return {"export": "Global", "ru": "Russia"}.get(label, "Europe")


def _root(answer: Any) -> Mapping[str, Any]:
    for name in ROOTS:
        if isinstance(root := mapping(answer).get(name), dict):
            return root
    raise SourceSchema("Farnell answered in a shape that is not known")


def _offers(product: Mapping[str, Any], store: str, at: datetime) -> Iterator[Offer]:
    sku = text(product["sku"])
    named = text(product.get("displayName")).split(" - ", 2)
    mpn = text(product.get("translatedManufacturerPartNumber")) or (
        named[1] if len(named) == 3 else ""
    )
    if not sku or not mpn:
        raise ValueError("a product without a number")
    # A pack is what is counted and priced; offers are told by the piece.
    pack = max(count(product.get("packSize")) or 1, 1)
    moq = max(count(product.get("translatedMinimumOrderQuality")) or 1, 1) * pack
    currency = currency_of(store)
    prices = [
        (
            (count(step.get("from")) or 0) * pack,
            None if (cost := money(step.get("cost"))) is None else cost / pack,
        )
        for step in items(product.get("prices"))
    ]
    # A re-reel's ladder starts at 1 whatever its minimum is.
    breaks, odd = ladder.build(prices if currency else (), currency=currency or "", moq=moq)
    stock = mapping(product.get("stock"))
    pieces = count(stock.get("level"))
    pieces = count(product.get("inv")) if pieces is None else pieces
    attributes = [(text(each.get("attributeLabel")), each) for each in items(product.get("attributes"))]  # fmt: skip
    told = params(
        (label, _value(label, each)) for label, each in attributes if not label[:1].islower()
    )
    brand = text(product.get("brandName")) or text(product.get("vendorName"))
    sheets = [link(each.get("url")) for each in items(product.get("datasheets"))]
    yield Offer(
        source="farnell",
        seller="Newark" if store.endswith("newark.com") else "Farnell",
        region=region_of(store),
        sku=sku,
        mpn=mpn,
        manufacturer=brand or None,
        authorized=True,
        description=named[2] if len(named) == 3 else text(product.get("displayName")),
        packaging=_packaging(product, sku),
        package=_package(told),
        lifecycle=_lifecycle(product),
        rohs=_rohs(text(product.get("rohsStatusCode"))),
        stock=None if pieces is None else pieces * pack,
        lead_days=count(stock.get("leastLeadTime")) or None,
        moq=moq,
        multiple=pack,
        breaks=breaks,
        url=_page(product.get("productURL"), store),
        datasheet_url=next(filter(None, sheets), None),
        image_url=_image(mapping(product.get("image")), store),
        params={**told, **_regions(stock, pack)},
        fetched_at=at,
        warnings=(*odd, *_doubts(store, currency, pack)),
    )


def _doubts(store: str, currency: str | None, pack: int) -> Iterator[str]:
    if currency is None:
        yield f"the currency of the store {store} is not known: no prices"
    elif store.split(".")[0] in DISPUTED:
        yield f"the currency of the store {store} is not sure"
    if pack > 1:
        yield f"sold in packs of {pack}; the price of a piece is worked out from that of a pack"


def _value(label: str, attribute: Mapping[str, Any]) -> str:
    value, unit = text(attribute.get("attributeValue")), text(attribute.get("attributeUnit"))
    # `No. of Pins` in `Pins`: the name says it
    return f"{value} {unit}" if value and unit and unit.lower() not in label.lower() else value


def _regions(stock: Mapping[str, Any], pack: int) -> dict[str, str]:
    """Pieces by the region of the warehouse, where there are some; more than the level, as others reserve some."""
    regions: dict[str, int] = {}
    for each in items(stock.get("breakdown")):
        place, pieces = text(each.get("region")), count(each.get("inv"))
        if place and pieces:
            regions[place] = regions.get(place, 0) + pieces * pack
    told = ", ".join(f"{place} {pieces}" for place, pieces in regions.items())
    return {"Stock by warehouse": told} if told else {}


def _packaging(product: Mapping[str, Any], sku: str) -> str | None:
    if product.get("reeling") is True and sku.upper().endswith("RL"):
        return "Re-Reel"
    unit = text(product.get("unitOfMeasure"))
    if supplied := SUPPLIED.search(unit):
        return supplied[1].strip().title()
    return "Pack" if unit.upper().startswith("PACK") else None


def _package(told: Mapping[str, str]) -> str | None:
    """The case: the name of its parameter ends so for every kind of part (`Resistor Case Style`, `IC Case`)."""
    for label, value in told.items():
        if label.endswith((" Case", " Case Style", "Case / Package", "Case/Package")):
            return SQUARE.sub("", value) or None
    return None


def _lifecycle(product: Mapping[str, Any]) -> Lifecycle:
    if text(product.get("productStatus")).upper() == "NO_LONGER_MANUFACTURED":
        return Lifecycle.OBSOLETE
    code = count(product.get("releaseStatusCode"))
    return Lifecycle.UNKNOWN if code is None else RELEASES.get(code, Lifecycle.UNKNOWN)


def _rohs(code: str) -> bool | None:
    head = code.upper().split("_")[0]
    return {"YES": True, "Y-EX": True, "NO": False}.get(head)


def _page(url: Any, store: str) -> str | None:
    if isinstance(url, str) and url.startswith(f"{store}/"):
        url = f"https://{url}"
    return link(url)


def _image(image: Mapping[str, Any], store: str) -> str | None:
    name = text(image.get("baseName"))
    if not name:
        return None
    language = "en_US" if image.get("vrntPath") == "nio/" else "en_GB"
    return link(f"https://{store}/productimages/standard/{language}/{name.lstrip('/')}")
