"""TME's older interface: signed forms (HMAC-SHA1), and its answers as offers. Kept for tokens of before 2026-05-14."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from orchestrator.parts.errors import SourceAuth, SourceError, SourceRate, SourceSchema
from orchestrator.parts.sources.http import Answer
from orchestrator.parts.sources.reading import count, items, link, mapping, money, offers_of, text
from orchestrator.parts.sources.tme_v2 import (
    CASE,
    CASE_INCH,
    CASE_MM,
    MANUFACTURER,
    PACKAGING,
    REGION,
    RELATED,
    SELLER,
    lifecycle_of,
    warnings_of,
)
from orchestrator.parts.sources.told import breaks, currency
from orchestrator.parts.values import Offer

SEARCH, PRICES, PARAMETERS = (
    "/Products/Search.json",
    "/Products/GetPricesAndStocks.json",
    "/Products/GetParameters.json",
)
_AUTH = {"E_INVALID_SIGNATURE", "E_AUTHORIZATION_FAILED", "E_ACCESS_DENIED", "E_TOKEN_INVALID"}


def flat(params: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """Parameters as a form has them: lists numbered, their numbers of one length.

    Both sides sort the names as text before they sign, where `[10]` comes before `[2]`.
    """
    form: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, str):
            form[name] = value
            continue
        digits = len(str(max(len(value) - 1, 0)))
        form.update({f"{name}[{place:0{digits}}]": each for place, each in enumerate(value)})
    return form


def signature(url: str, form: Mapping[str, str], secret: SecretStr) -> str:
    """The ApiSignature of a form: HMAC-SHA1 over method, address and sorted parameters (RFC 3986), in base64."""
    encoded = urlencode(sorted(form.items()), quote_via=quote, safe="~")
    base = "&".join(("POST", quote(url, safe="~"), quote(encoded, safe="~")))
    digest = hmac.new(secret.get_secret_value().encode(), base.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def judge(answer: Answer) -> SourceError | None:
    """The error of an envelope, whatever its HTTP status."""
    parsed = mapping(answer.json_or_none())
    status = text(parsed.get("Status"))[:60].upper()
    if not status or status == "OK":
        return None
    if status in _AUTH:
        return SourceAuth(f"TME does not accept the token or its signature ({status})")
    if answer.status == 429 or "LIMIT" in status:
        return SourceRate("TME asks for fewer calls", retry_after_s=answer.retry_after_s)
    if answer.status >= 500:
        return None  # told by the status itself
    invalid = mapping(mapping(parsed.get("Error")).get("Validation"))
    fields = ", ".join(sorted(text(name)[:40] for name in invalid))
    return SourceSchema(f"TME refuses the question ({status}{': ' + fields if fields else ''})")


def data_of(answer: Answer) -> Mapping[str, Any]:
    """What the envelope holds. Raises SourceSchema."""
    parsed = answer.json()
    if not isinstance(parsed, Mapping) or "Data" not in parsed:
        raise SourceSchema("TME answered without its envelope")
    return mapping(parsed["Data"])  # PHP: an empty object comes as []


def parse(products: Any, prices: Any, parameters: Any, *, fetched_at: datetime) -> list[Offer]:
    """Offers out of `ProductList` of a search, `Data` of prices and stocks, `ProductList` of parameters."""
    envelope = mapping(prices)
    by_price = {text(each.get("Symbol")): each for each in items(envelope.get("ProductList"))}
    by_parameters = {text(each.get("Symbol")): each for each in items(parameters)}
    gross = text(envelope.get("PriceType")).upper() == "GROSS"
    code = currency(envelope.get("Currency"))

    def read(product: Mapping[str, Any]) -> Iterator[Offer]:
        if symbol := text(product.get("Symbol")):
            yield _offer(
                symbol,
                product,
                by_price.get(symbol, {}),
                by_parameters.get(symbol, {}),
                code,
                gross=gross,
                fetched_at=fetched_at,
            )

    return offers_of(items(products), read, title=SELLER)


def _offer(
    symbol: str,
    product: Mapping[str, Any],
    price: Mapping[str, Any],
    parameters: Mapping[str, Any],
    code: str | None,
    *,
    gross: bool,
    fetched_at: datetime,
) -> Offer:
    told = product.get("ProductStatusList")
    statuses = {each for each in told if isinstance(each, str)} if isinstance(told, list) else set()
    named, by_id = _parameters(parameters)
    mpn = text(product.get("OriginalSymbol"))
    moq = max(count(product.get("MinAmount")) or 1, 1)
    steps, odd = breaks(
        ((step.get("Amount"), step.get("PriceValue")) for step in items(price.get("PriceList"))),
        code,
        moq=moq,
        tax_percent=money(price.get("VatRate")) if gross else None,
    )
    return Offer(
        source="tme",
        seller=SELLER,
        region=REGION,
        sku=symbol,
        mpn=mpn or symbol,
        manufacturer=text(product.get("Producer")) or None,
        description=text(product.get("Description")),
        category=text(product.get("Category")) or None,
        packaging=by_id.get(PACKAGING),
        package=by_id.get(CASE_INCH) or by_id.get(CASE) or by_id.get(CASE_MM),
        lifecycle=lifecycle_of(statuses),
        stock=count(price.get("Amount")),
        moq=moq,
        multiple=max(count(product.get("Multiples")) or 1, 1),
        breaks=steps,
        url=link(product.get("ProductInformationPage")),
        datasheet_url=_datasheet(product),
        image_url=link(product.get("Photo")),
        params=named,
        fetched_at=fetched_at,
        warnings=(*warnings_of(statuses, named=bool(mpn)), *odd),
    )


def _parameters(product: Mapping[str, Any]) -> tuple[dict[str, str], dict[int, str]]:
    named: dict[str, list[str]] = {}
    by_id: dict[int, str] = {}
    for each in items(product.get("ParameterList")):
        name, value = text(each.get("ParameterName")), text(each.get("ParameterValue"))
        number = count(each.get("ParameterId"))
        if not name or not value or number == RELATED:
            continue
        if number is not None:
            by_id.setdefault(number, value)
        if number != MANUFACTURER:
            named.setdefault(name, []).append(value)  # a parameter with two values comes twice
    return {name: ", ".join(values) for name, values in named.items()}, by_id


def _datasheet(product: Mapping[str, Any]) -> str | None:
    for document in items(mapping(product.get("Files")).get("DocumentList")):
        if text(document.get("DocumentType")) == "DTE":
            return link(document.get("DocumentUrl"))
    return None
