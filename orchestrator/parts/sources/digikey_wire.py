"""DigiKey's answers as offers."""

from __future__ import annotations

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
    once,
    params,
    text,
)
from orchestrator.parts.values import Lifecycle, Offer

REGION = "Americas"
PACKAGE_CASE, SUPPLIER_PACKAGE = 16, 1291  # ids of parameters, the same in every language
# by number: the words are in the language of the locale
LIFECYCLES = {
    0: Lifecycle.ACTIVE,
    1: Lifecycle.OBSOLETE,
    2: Lifecycle.LAST_BUY,
    4: Lifecycle.LAST_BUY,
    7: Lifecycle.NRND,
}
DEPTH = 8  # of categories


def parse(answer: Any, *, at: datetime | None = None) -> list[Offer]:
    """The offers of a keyword answer: one for each variation of each product, exact matches first, each SKU once.

    A product that cannot be read is skipped. Raises SourceSchema for an answer of another shape.
    """
    told = mapping(answer)
    if not isinstance(told.get("Products"), list):
        raise SourceSchema("DigiKey answered without a list of products")
    # The prices do not say their currency.
    currency = text(mapping(told.get("SearchLocaleUsed")).get("Currency")).upper()
    at = at or datetime.now(UTC)
    exact = told.get("ExactMatches")
    products = [*(exact if isinstance(exact, list) else ()), *told["Products"]]
    return once(
        offers_of(products, lambda product: _offers(product, currency, at), title="DigiKey")
    )


def _offers(product: Mapping[str, Any], currency: str, at: datetime) -> Iterator[Offer]:
    mpn = text(product["ManufacturerProductNumber"])
    if not mpn:
        raise ValueError("a product without a number")
    described = mapping(product.get("Description"))
    lead_weeks = count(product.get("ManufacturerLeadWeeks"))
    parameters = items(product.get("Parameters"))
    cases = {each.get("ParameterId"): text(each.get("ValueText")) for each in parameters}
    common: dict[str, Any] = {
        "source": "digikey",
        "region": REGION,
        "mpn": mpn,
        "manufacturer": text(mapping(product.get("Manufacturer")).get("Name")) or None,
        "description": text(described.get("ProductDescription"))
        or text(described.get("DetailedDescription")),
        "category": _category(mapping(product.get("Category"))),
        "package": cases.get(SUPPLIER_PACKAGE) or cases.get(PACKAGE_CASE) or None,
        "lifecycle": _lifecycle(product),
        "rohs": _rohs(text(mapping(product.get("Classifications")).get("RohsStatus"))),
        "lead_days": lead_weeks * 7 if lead_weeks else None,
        "url": link(product.get("ProductUrl")),
        "datasheet_url": link(product.get("DatasheetUrl")),
        "image_url": link(product.get("PhotoUrl")),
        "params": params(
            (text(each.get("ParameterText")), text(each.get("ValueText"))) for each in parameters
        ),
        "fetched_at": at,
    }
    for variation in items(product.get("ProductVariations")):
        if sku := text(variation.get("DigiKeyProductNumber")):
            yield _offer(common, variation, sku, currency)


def _offer(
    common: Mapping[str, Any], variation: Mapping[str, Any], sku: str, currency: str
) -> Offer:
    market = variation.get("MarketPlace") is True
    supplier = text(mapping(variation.get("Supplier")).get("Name"))
    # StandardPackage is how many are packed together, not what an order must be a multiple of.
    moq = max(count(variation.get("MinimumOrderQuantity")) or 1, 1)
    breaks, odd = ladder.build(
        (
            (count(step.get("BreakQuantity")) or 0, money(step.get("UnitPrice")))
            for step in items(variation.get("StandardPricing"))
        )
        if currency
        else (),
        currency=currency,
        moq=moq,
    )
    warnings = [*odd]
    if not currency:
        warnings.append("DigiKey did not say the currency: no prices")
    if fee := money(variation.get("DigiReelFee")):
        warnings.append(f"plus {fee} {currency} for each reel made to order".replace("  ", " "))
    if variation.get("TariffActive") is True:
        warnings.append("a tariff may be added")
    return Offer(
        **common,
        seller=f"{supplier or 'Marketplace'} (DigiKey Marketplace)" if market else "DigiKey",
        sku=sku,
        authorized=None if market else True,
        packaging=text(mapping(variation.get("PackageType")).get("Name")) or None,
        stock=count(variation.get("QuantityAvailableforPackageType")),
        moq=moq,
        breaks=breaks,
        warnings=tuple(warnings),
    )


def _category(category: Mapping[str, Any]) -> str | None:
    """The path to the product's category, outermost first."""
    names: list[str] = []
    while category and len(names) < DEPTH:
        names.append(text(category.get("Name")))
        children = items(category.get("ChildCategories"))
        category = children[0] if children else {}
    return " / ".join(filter(None, names)) or None


def _lifecycle(product: Mapping[str, Any]) -> Lifecycle:
    known = LIFECYCLES.get(mapping(product.get("ProductStatus")).get("Id", -1))
    if known is not None:
        return known
    if product.get("Discontinued") is True:
        return Lifecycle.OBSOLETE
    return Lifecycle.LAST_BUY if product.get("EndOfLife") is True else Lifecycle.UNKNOWN


def _rohs(status: str) -> bool | None:
    status = status.lower()
    if "compliant" not in status:
        return None
    return not ("non-compliant" in status or "noncompliant" in status or "not compliant" in status)
