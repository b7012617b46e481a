"""TrustedParts (ECIA): offers of authorised distributors, by part number, up to 50 in one call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.parts.errors import SourceAuth, SourceError, SourceQuota, SourceRate, SourceSchema
from orchestrator.parts.keys import Keys
from orchestrator.parts.sources.base import Limit, Meter, Request
from orchestrator.parts.sources.http import Answer, Client
from orchestrator.parts.sources.reading import count, items, link, mapping, offers_of, text
from orchestrator.parts.sources.regions import region_of
from orchestrator.parts.sources.told import breaks, compliant, currency, days, lifecycle
from orchestrator.parts.values import Offer

BASE_URL = "https://api.trustedparts.com"
BATCH = 50
PART_LENGTH = range(2, 60)
# What a refusal says when it means the key.
KEY_WORDS = ("credential", "api key", "apikey", "companyid", "company id", "authorized", "denied")
MISSING = (
    "Needs TRUSTEDPARTS_COMPANY_ID and TRUSTEDPARTS_API_KEY: ask for them, free of charge, at "
    "trustedparts.com under API."
)


class TrustedParts:
    """Searches part numbers only: a description finds nothing there, so it is not sent."""

    name = "trustedparts"
    title = "TrustedParts"
    version = "v2.1"
    # Its limits count parts, not calls; one part a call is the usual search.
    limits: Sequence[Limit] = (
        Limit(calls=50, window_s=10),
        Limit(calls=150, window_s=60),
        Limit(calls=2000, window_s=3600),
        Limit(calls=15_000, window_s=86_400),
    )
    batch = BATCH

    def __init__(
        self,
        keys: Keys,
        meter: Meter,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._company, self._key = keys.trustedparts_company_id, keys.trustedparts_api_key
        self._currency, self._country = keys.parts_currency, keys.digikey_locale_site
        self._clock = clock
        self._meter = meter
        self.scope = f"{self._country} {self._currency}"
        self._client = Client(
            self.name,
            title=self.title,
            base_url=BASE_URL,
            settings=keys.source(self.name),
            meter=meter,
            secrets=[secret for secret in (self._company, self._key) if secret],
            judge=_judge,
        )

    @property
    def missing(self) -> str | None:
        """None with both halves of the key."""
        return None if self._company and self._key else MISSING

    def cost(self, request: Request) -> int:
        """The parts asked for, as its limits count them."""
        return len(part_numbers(request))

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        """Offers in portions of up to 50 part numbers."""
        if self._key is None or self._company is None:
            raise SourceAuth("TrustedParts has no key", remedy=MISSING)
        numbers = part_numbers(request)
        for start in range(0, len(numbers), BATCH):
            some = numbers[start : start + BATCH]
            await self._meter.take(len(some))
            answer = await self._client.call(
                "POST",
                "/v2/search",
                headers={"x-api-key": self._key},
                json={
                    "CompanyId": self._company,
                    "ApiKey": self._key,
                    "Queries": [{"SearchToken": each} for each in some],
                    "CurrencyCode": self._currency,
                    "CountryCode": self._country,
                    "ExactMatch": len(numbers) > 1,
                    "InStockOnly": False,
                },
                counted=False,
            )
            yield parse(answer.json(), fetched_at=self._clock())

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()


def part_numbers(request: Request) -> list[str]:
    """The part numbers of a question; one word with a digit in it may be one too."""
    word = request.keyword.strip()
    alone = [word] if " " not in word and any(c.isdigit() for c in word) else []
    return [each for each in request.mpns or alone if len(each) in PART_LENGTH]


def parse(payload: Any, *, fetched_at: datetime) -> list[Offer]:
    """Offers out of an answer. Raises SourceSchema when it is none; an item that cannot be read is left out."""
    if not isinstance(payload, Mapping) or "PartResults" not in payload:
        raise SourceSchema("TrustedParts answered without results")
    return offers_of(
        items(payload["PartResults"]), lambda part: _offers(part, fetched_at), title="TrustedParts"
    )


def _offers(part: Mapping[str, Any], fetched_at: datetime) -> Iterator[Offer]:
    mpn = text(part.get("PartNumber"))
    results = [
        (seller, result)
        for distributor in items(part.get("Distributors"))
        for result in items(distributor.get("DistributorResults"))
        if (seller := text(distributor.get("Name")))
    ]
    links = (_link(result, "datasheet") for _, result in results)
    datasheet = next(filter(None, links), None)  # one seller has it, it is the part's
    params = {
        name: value
        for each in items(part.get("Specifications"))
        if (name := text(each.get("Key"))) and (value := text(each.get("Value")))
    }
    for seller, result in results if mpn else ():
        yield _offer(part, mpn, seller, result, params, datasheet, fetched_at)


def _offer(
    part: Mapping[str, Any],
    mpn: str,
    seller: str,
    result: Mapping[str, Any],
    params: Mapping[str, str],
    datasheet: str | None,
    fetched_at: datetime,
) -> Offer:
    pricing = mapping(result.get("Pricing"))
    packagings = items(result.get("Packaging"))
    packaging = packagings[0] if packagings else {}
    told = count(packaging.get("MinimumOrderQuantity")) or count(pricing.get("MinimumQuantity"))
    moq = told or 1
    steps, odd = breaks(
        ((step.get("Quantity"), step.get("Amount")) for step in items(pricing.get("Prices"))),
        currency(pricing.get("CurrencyCode")),
        moq=moq,
    )
    return Offer(
        source=TrustedParts.name,
        seller=seller,
        region=region_of(seller),
        sku=text(result.get("DistributorPartNumber")) or mpn,
        mpn=mpn,
        manufacturer=text(part.get("Manufacturer")) or None,
        authorized=True,  # it lists nobody else
        description=text(result.get("Description")),
        packaging=text(packaging.get("PackageType")) or None,
        package=params.get("Package / Case") or params.get("Case/Package"),
        lifecycle=lifecycle(params.get("Lifecycle Status") or params.get("Part Status")),
        rohs=compliant(params.get("RoHS") or params.get("RoHS Status")),
        stock=count(mapping(result.get("Stock")).get("QuantityOnHand")),
        lead_days=days(result.get("LeadTime")),
        moq=moq,
        multiple=count(packaging.get("OrderMultiple")) or 1,
        breaks=steps,
        url=link(part.get("ProductUrl")),
        datasheet_url=datasheet,
        image_url=_link(result, "image"),
        params=params,
        fetched_at=fetched_at,
        warnings=odd,
    )


def _link(result: Mapping[str, Any], kind: str) -> str | None:
    for each in items(result.get("Links")):
        if text(each.get("Type")).lower() == kind and (url := link(each.get("Url"))):
            return url
    return None


def _judge(answer: Answer) -> SourceError | None:
    """The error that comes in the body, often with status 200."""
    said = text(mapping(answer.json_or_none()).get("ErrorMessage"))
    if not said or answer.status in (401, 429) or answer.status >= 500:
        return None  # the status says it
    words = said.lower()
    if any(word in words for word in KEY_WORDS):
        return SourceAuth("TrustedParts does not accept the key")
    if any(word in words for word in ("daily", "quota", "per day")):
        return SourceQuota("The calls of TrustedParts are used up")
    if any(word in words for word in ("rate", "limit", "too many", "throttl")):
        return SourceRate("TrustedParts asks for fewer calls", retry_after_s=answer.retry_after_s)
    return SourceSchema("TrustedParts refuses the question")
