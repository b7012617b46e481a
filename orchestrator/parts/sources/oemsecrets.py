"""OEMsecrets: offers of many distributors by part number, each with the region it is sold from."""

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
from orchestrator.parts.sources.told import Breaks, breaks, currency, lifecycle
from orchestrator.parts.sources.trustedparts import part_numbers
from orchestrator.parts.values import Offer

BASE_URL = "https://oemsecretsapi.com"
MISSING = "Needs OEMSECRETS_API_KEY: ask for it, free of charge, at oemsecrets.com/api."


class OemSecrets:
    """Searches part numbers only; how many calls a free key has is not published, so no limit is assumed."""

    name = "oemsecrets"
    title = "OEMsecrets"
    version = "1"
    limits: Sequence[Limit] = ()
    batch = 1

    def __init__(
        self,
        keys: Keys,
        meter: Meter,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._key = keys.oemsecrets_api_key
        self._currency, self._country = keys.parts_currency, keys.digikey_locale_site
        self._clock = clock
        self.scope = f"{self._country} {self._currency}"
        self._client = Client(
            self.name,
            title=self.title,
            base_url=BASE_URL,
            settings=keys.source(self.name),
            meter=meter,
            secrets=[self._key] if self._key else [],
            judge=_judge,
        )

    @property
    def missing(self) -> str | None:
        """None with a key."""
        return None if self._key else MISSING

    def cost(self, request: Request) -> int:
        """One call a part number."""
        return len(part_numbers(request))

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        """Offers in one portion a part number."""
        if self._key is None:
            raise SourceAuth("OEMsecrets has no key", remedy=MISSING)
        for number in part_numbers(request):
            answer = await self._client.call(
                "GET",
                "/partsearch",
                params={
                    "searchTerm": number,
                    "apiKey": self._key,
                    "currency": self._currency,
                    "countryCode": self._country,
                },
            )
            yield parse(answer.json(), currency_code=self._currency, fetched_at=self._clock())

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()


def parse(payload: Any, *, currency_code: str, fetched_at: datetime) -> list[Offer]:
    """Offers out of an answer, priced in `currency_code` if told, else in the seller's. Raises SourceSchema."""
    if isinstance(payload, Mapping) and count(payload.get("status")) == 404:
        return []
    if not isinstance(payload, Mapping) or not isinstance(payload.get("stock"), list):
        raise SourceSchema("OEMsecrets answered without a list of stock")
    return offers_of(
        items(payload["stock"]),
        lambda item: _offers(item, currency_code, fetched_at),
        title="OEMsecrets",
    )


def _offers(item: Mapping[str, Any], currency_code: str, fetched_at: datetime) -> Iterator[Offer]:
    distributor = mapping(item.get("distributor"))
    seller = text(distributor.get("distributor_common_name")) or text(distributor.get("distributor_name"))  # fmt: skip
    mpn = text(item.get("part_number")) or text(item.get("source_part_number"))
    if not seller or not mpn:
        return
    weeks = count(item.get("lead_time_weeks"))
    moq = count(item.get("moq")) or 1
    steps, odd = _breaks(item, currency_code, moq)
    yield Offer(
        source=OemSecrets.name,
        seller=seller,
        region=region_of(
            seller,
            told=text(distributor.get("distributor_region")),
            country=text(distributor.get("distributor_country")),
        ),
        sku=text(item.get("sku")) or mpn,
        mpn=mpn,
        manufacturer=text(item.get("manufacturer")) or text(item.get("source_manufacturer")) or None,
        description=text(item.get("description")),
        category=text(item.get("category")) or None,
        packaging=text(item.get("packaging")) or None,
        lifecycle=lifecycle(item.get("life_cycle")),
        stock=count(item.get("quantity_in_stock")),
        lead_days=None if weeks is None or weeks > 520 else weeks * 7,
        moq=moq,
        breaks=steps,
        url=link(item.get("buy_now_url")),
        datasheet_url=link(item.get("datasheet_url")),
        image_url=link(item.get("image_url")),
        fetched_at=fetched_at,
        warnings=odd,
    )  # fmt: skip


def _breaks(item: Mapping[str, Any], currency_code: str, moq: int) -> Breaks:
    """The ladder in the wanted currency, else in the seller's own, else in any; "0.0000" is no price."""
    prices = mapping(item.get("prices"))
    for code in dict.fromkeys((currency_code, text(item.get("source_currency")), *prices)):
        steps = [
            (each.get("unit_break"), each.get("unit_price")) for each in items(prices.get(code))
        ]
        found = breaks(steps, currency(code), moq=moq)
        if found[0]:
            return found
    return (), ()


def _judge(answer: Answer) -> SourceError | None:
    """The error of a status, or of the status that a body with 200 names; a 401 may be a used-up quota."""
    told = mapping(answer.json_or_none())
    status = answer.status
    if status == 200:
        status = count(told.get("status")) or 200
    if status == 401:
        said = answer.text[:4000].lower()
        if any(word in said for word in ("quota", "limit", "exceed", "used up", "exhaust")):
            return SourceQuota("The calls of OEMsecrets are used up (401)")
        return SourceAuth(
            "OEMsecrets does not accept the key (401)",
            remedy="Check OEMSECRETS_API_KEY; this source also says 401 when the calls are used up.",
        )
    if answer.status == 200 and status == 429:
        return SourceRate("OEMsecrets asks for fewer calls", retry_after_s=answer.retry_after_s)
    if answer.status == 200 and 400 <= status < 600 and not told.get("stock"):
        if status == 404:
            return None  # nothing found
        return SourceSchema(f"OEMsecrets refuses the question ({status})")
    return None
