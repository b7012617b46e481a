"""Mouser: Search API v1. Its key travels in the query string, and its failures often with status 200.

https://api.mouser.com/api/docs/ui/index
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.parts import ladder
from orchestrator.parts.errors import (
    SourceAuth,
    SourceError,
    SourceQuota,
    SourceRate,
    SourceSchema,
)
from orchestrator.parts.keys import Keys
from orchestrator.parts.money import parse_price
from orchestrator.parts.sources.base import Limit, Meter, Request
from orchestrator.parts.sources.http import DAY_S, MINUTE_S, Answer, Client
from orchestrator.parts.sources.reading import (
    count,
    items,
    link,
    mapping,
    offers_of,
    once,
    params,
    text,
    wanted,
)
from orchestrator.parts.values import Lifecycle, Offer, PriceBreak

BASE_URL = "https://api.mouser.com"
PAGE = 50  # parts in one answer, at most
BATCH = 10  # part numbers in one call
SHORTEST, LONGEST = 3, 40  # characters of a part number
REGION = "Americas"
CURRENCY = re.compile(r"[A-Z]{3}")
CURRENCIES = {"RMB": "CNY"}
LIFECYCLES = {
    "new product": Lifecycle.NEW,
    "new at mouser": Lifecycle.NEW,
    "not recommended for new designs": Lifecycle.NRND,
    "end of life": Lifecycle.LAST_BUY,
    "obsolete": Lifecycle.OBSOLETE,
}
OF_A_DAY = ("percallday", "perday", "maxcallperday", "daily")
OF_A_MINUTE = ("toomanyrequests", "maxcallperminute", "maxcall", "too many requests")


class Mouser:
    """Ten part numbers cost one call. Currency and language are those of the country the key was had in."""

    name = "mouser"
    title = "Mouser"
    version = "v1.1"
    limits: Sequence[Limit] = (
        Limit(calls=30, window_s=MINUTE_S),
        Limit(calls=1000, window_s=DAY_S),
    )
    batch = BATCH
    scope = "key"

    def __init__(self, keys: Keys, meter: Meter) -> None:
        self._key = keys.mouser_api_key
        self._client = Client(
            self.name,
            base_url=BASE_URL,
            settings=keys.source(self.name),
            meter=meter,
            secrets=[self._key] if self._key else [],
            title=self.title,
            judge=self._judge,
        )

    @property
    def missing(self) -> str | None:
        """None when it can be called; else what it needs and where that is had."""
        if self._key:
            return None
        return (
            "Needs MOUSER_API_KEY: sign up for the Search API at mouser.com/api-search, "
            "and copy the key into .env.local."
        )

    def cost(self, request: Request) -> int:
        """One call for ten part numbers, or for 50 parts."""
        if request.mpns:
            return -(-len(_askable(request.mpns)) // BATCH)
        return -(-max(request.limit, 1) // PAGE)

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        """Offers, a portion for each answer. Raises SourceError."""
        if self.missing:
            raise SourceAuth(self.missing)
        mpns = _askable(request.mpns)
        for start in range(0, len(mpns), BATCH):
            asked = mpns[start : start + BATCH]
            told = await self._ask(
                "/api/v1/search/partnumber",
                {
                    "SearchByPartRequest": {
                        "mouserPartNumber": "|".join(asked),
                        "partSearchOptions": "None",
                    }
                },
            )
            offers = parse(told)
            yield once(offer for mpn in asked for offer in wanted(offers, mpn))
        if request.mpns:
            return
        for start in range(0, max(request.limit, 1), PAGE):
            told = await self._ask(
                "/api/v1/search/keyword",
                {
                    "SearchByKeywordRequest": {
                        "keyword": request.keyword,
                        "records": max(min(request.limit - start, PAGE), 1),
                        "startingRecord": start,
                        "searchOptions": "None",
                        "searchWithYourSignUpLanguage": "false",
                    }
                },
            )
            yield parse(told)
            found = count(mapping(mapping(told).get("SearchResults")).get("NumberOfResult"))
            if start + PAGE >= (found or 0):
                return

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def _ask(self, path: str, question: Mapping[str, Any]) -> Any:
        answer = await self._client.call("POST", path, params={"apiKey": self._key}, json=question)
        return answer.json()

    def _judge(self, answer: Answer) -> SourceError | None:
        told = mapping(answer.json_or_none())
        said = _errors(told) or (answer.text[:2000] if answer.status in (403, 429) else "")
        if not said or items(mapping(told.get("SearchResults")).get("Parts")):
            return None
        words = said.lower()
        if any(word in words for word in OF_A_DAY):
            return SourceQuota(
                f"{self.title}: the calls of this day are used up",
                retry_after_s=answer.retry_after_s,
            )
        if any(word in words for word in OF_A_MINUTE):
            pause_s = answer.retry_after_s
            return SourceRate(
                f"{self.title} asks for fewer calls",
                retry_after_s=float(MINUTE_S) if pause_s is None else pause_s,
            )
        if "api key" in words or "apikey" in words or "invalididentifier" in words:
            return SourceAuth(f"{self.title} does not accept the key: {self._client.clean(said)}")
        if answer.status >= 300:
            return None  # the status says more
        return SourceSchema(f"{self.title} refuses the question: {self._client.clean(said)}")


def parse(answer: Any, *, at: datetime | None = None) -> list[Offer]:
    """The offers of an answer to either search; a part that cannot be read is skipped.

    Raises SourceSchema for an answer of another shape, and for one whose only content is errors.
    """
    told = mapping(answer)
    results = told.get("SearchResults")
    parts = mapping(results).get("Parts")
    if not isinstance(parts, list):
        if isinstance(results, dict) and parts is None and not count(results.get("NumberOfResult")):
            return []
        raise SourceSchema("Mouser answered without a list of parts")
    at = at or datetime.now(UTC)
    return offers_of(parts, lambda part: _offers(part, at), title="Mouser")


def _offers(part: Mapping[str, Any], at: datetime) -> Iterator[Offer]:
    sku, mpn = text(part["MouserPartNumber"]), text(part["ManufacturerPartNumber"])
    if not sku or not mpn:  # `N/A`: known by name, not sold
        return
    moq = max(count(part.get("Min")) or 1, 1)
    attributes = [
        (text(each.get("AttributeName")), text(each.get("AttributeValue")))
        for each in items(part.get("ProductAttributes"))
    ]
    packagings = [value for name, value in attributes if name.lower() == "packaging" and value]
    steps = items(part.get("PriceBreaks"))
    currencies = {code for step in steps if (code := _currency(step))}
    warnings: list[str] = []
    breaks: tuple[PriceBreak, ...] = ()
    if len(currencies) == 1:
        currency = currencies.pop()
        prices = [
            (count(step.get("Quantity")) or 0, parse_price(str(step.get("Price") or ""), currency))
            for step in steps
        ]
        if any(price is None for _, price in prices):
            warnings.append("a price could not be read for sure and is left out")
        breaks, odd = ladder.build(prices, currency=currency, moq=moq)
        warnings += odd
    elif steps:
        warnings.append("the currency of the prices is not clear: no prices")
    warnings += _messages(part)
    yield Offer(
        source="mouser",
        seller="Mouser",
        region=REGION,
        sku=sku,
        mpn=mpn,
        manufacturer=text(part.get("Manufacturer")) or None,
        authorized=True,
        description=text(part.get("Description")),
        category=text(part.get("Category")) or None,
        packaging=" / ".join(packagings) or None,
        lifecycle=LIFECYCLES.get(text(part.get("LifecycleStatus")).lower(), Lifecycle.UNKNOWN),
        rohs=_rohs(text(part.get("ROHSStatus"))),
        stock=_stock(part),
        lead_days=_days(text(part.get("LeadTime"))),
        moq=moq,
        multiple=max(count(part.get("Mult")) or 1, 1),
        breaks=breaks,
        url=link(part.get("ProductDetailUrl")),
        datasheet_url=link(part.get("DataSheetUrl")),
        image_url=link(part.get("ImagePath")),
        params=params(attributes),
        fetched_at=at,
        warnings=tuple(warnings),
    )


def _askable(mpns: Sequence[str]) -> list[str]:
    """Those that the partnumber search takes: a bar would be read as two, a short one fails the whole call."""
    return [mpn for mpn in mpns if SHORTEST <= len(mpn) <= LONGEST and "|" not in mpn]


def _stock(part: Mapping[str, Any]) -> int | None:
    pieces = count(part.get("AvailabilityInStock"))
    if pieces is not None:
        return pieces
    told = text(part.get("Availability"))
    if not told:
        return 0  # null when there are none
    # `500 On Order` begins with a number as well
    return count(told) if "stock" in told.lower() else None


def _days(told: str) -> int | None:
    """Days of `91 Days`; `0 Days` is what it says when it does not know."""
    length = count(told)
    if not length:
        return None
    return length * 7 if "week" in told.lower() else length


def _currency(step: Mapping[str, Any]) -> str | None:
    code = text(step.get("Currency")).upper()
    return CURRENCIES.get(code, code) if CURRENCY.fullmatch(code) else None


def _rohs(status: str) -> bool | None:
    status = status.lower()
    if "compliant" not in status:
        return None
    return not ("non" in status or "not" in status)


def _messages(part: Mapping[str, Any]) -> list[str]:
    """What Mouser says of the part that bears on buying it, each once."""
    info = part.get("InfoMessages")
    said = [text(each) for each in (info if isinstance(info, list) else [])]
    said += [text(each.get("message")) for each in items(part.get("SurchargeMessages"))]
    said.append(text(part.get("RestrictionMessage")))
    return [each[:200] for each in dict.fromkeys(said) if each][:5]


def _errors(told: Mapping[str, Any]) -> str:
    """The words of an answer's errors; empty when it has none."""
    return "; ".join(
        " ".join(filter(None, (text(each.get(k)) for k in ("PropertyName", "Message", "ResourceKey", "Code"))))
        for each in items(told.get("Errors"))
    )  # fmt: skip
