"""Answers of TME's interface v2 as offers (api-doc.tme.eu/v2): products, their prices and stock, their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from orchestrator.parts.sources.reading import count, items, link, mapping, money, offers_of, text
from orchestrator.parts.sources.told import breaks, currency, elements
from orchestrator.parts.values import Lifecycle, Offer

SELLER, REGION = "TME", "Europe"
OWN_SYMBOL = "the maker's part number is not told; this is TME's own symbol"
NO_ORDER = "cannot be ordered at the moment"

# ids of parameters, the same in every language
CASE, CASE_INCH, CASE_MM, PACKAGING, MANUFACTURER, RELATED = 35, 2932, 2931, 909, 2, 1605
_LIFECYCLES = (
    (Lifecycle.OBSOLETE, {"PRODUCT_BLOCKED", "INVALID", "NOT_IN_OFFER"}),
    (Lifecycle.LAST_BUY, {"AVAILABLE_WHILE_STOCKS_LAST"}),
    (Lifecycle.NEW, {"NEW"}),
)


def parse(products: Any, data: Any, parameters: Any, *, fetched_at: datetime) -> list[Offer]:
    """Offers out of three lists of elements, joined by symbol; what cannot be read is left out."""
    by_data = {text(each.get("symbol")): each for each in items(data)}
    by_parameters = {text(each.get("symbol")): each for each in items(parameters)}

    def read(product: Mapping[str, Any]) -> Iterator[Offer]:
        if symbol := text(product.get("symbol")):
            yield _offer(
                symbol, product, by_data.get(symbol, {}), by_parameters.get(symbol, {}), fetched_at
            )

    return offers_of(items(products), read, title=SELLER)


def _offer(
    symbol: str,
    product: Mapping[str, Any],
    data: Mapping[str, Any],
    parameters: Mapping[str, Any],
    fetched_at: datetime,
) -> Offer:
    prices = mapping(data.get("prices"))
    statuses = {each for each in product.get("product_status") or () if isinstance(each, str)}
    told = product.get("manufacturer_symbols")
    mpns = [text(each) for each in told if text(each)] if isinstance(told, list) else []
    gross = text(prices.get("type")).upper() == "GROSS"
    params, by_id = _parameters(parameters)
    moq = max(count(product.get("minimal_amount")) or 1, 1)
    steps, odd = breaks(
        ((step.get("amount"), step.get("price")) for step in elements(prices)),
        currency(prices.get("currency")),
        moq=moq,
        tax_percent=money(mapping(prices.get("tax")).get("rate")) if gross else None,
    )
    return Offer(
        source="tme",
        seller=SELLER,
        region=REGION,
        sku=symbol,
        mpn=mpns[0] if mpns else symbol,
        manufacturer=text(mapping(product.get("manufacturer")).get("name")) or None,
        description=text(product.get("description")),
        category=text(mapping(product.get("category")).get("name")) or None,
        packaging=by_id.get(PACKAGING),
        package=by_id.get(CASE_INCH) or by_id.get(CASE) or by_id.get(CASE_MM),
        lifecycle=lifecycle_of(statuses),
        stock=count(data.get("stock_quantity")),
        moq=moq,
        multiple=max(count(product.get("multiples")) or 1, 1),
        breaks=steps,
        url=details_url(symbol),
        datasheet_url=_datasheet(product),
        image_url=link(mapping(mapping(product.get("assets")).get("primary_photo")).get("prime")),
        params=params,
        fetched_at=fetched_at,
        warnings=(*warnings_of(statuses, named=bool(mpns)), *odd),
    )


def lifecycle_of(statuses: set[str]) -> Lifecycle:
    """What TME's statuses say of a part's life; most say nothing of it."""
    for lifecycle, those in _LIFECYCLES:
        if statuses & those:
            return lifecycle
    return Lifecycle.UNKNOWN


def warnings_of(statuses: set[str], *, named: bool) -> tuple[str, ...]:
    """What a buyer should know of an offer before anything else."""
    warnings = () if named else (OWN_SYMBOL,)
    return (*warnings, NO_ORDER) if "CANNOT_BE_ORDERED" in statuses else warnings


def details_url(symbol: str) -> str | None:
    """The product's page. How a slash is written there is not known, so such a symbol has none."""
    if "/" in symbol:
        return None
    return f"https://www.tme.eu/en/details/{quote(symbol.lower(), safe='')}/"


def _parameters(parameters: Mapping[str, Any]) -> tuple[dict[str, str], dict[int, str]]:
    """Names and values, and values by id; dozens of parameters of other categories come without a value."""
    named: dict[str, str] = {}
    by_id: dict[int, str] = {}
    for each in elements(parameters.get("parameters")):
        told = [text(value.get("value")) for value in items(each.get("values"))]
        joined = ", ".join(value for value in told if value)
        number = count(each.get("id"))
        name = text(each.get("name"))
        if not joined or not name or number == RELATED:
            continue
        if number is not None:
            by_id[number] = joined
        if number != MANUFACTURER:
            named.setdefault(name, joined)
    return named, by_id


def _datasheet(product: Mapping[str, Any]) -> str | None:
    documents: Sequence[Mapping[str, Any]] = elements(product.get("documents"))
    for document in documents:
        if text(document.get("type")) == "DTE":
            return link(document.get("url"))
    return None
