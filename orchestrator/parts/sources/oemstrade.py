"""OEMsTrade: a reader of its result page, which a person may hand in; fetching is off unless the operator decides.

There is no interface. The terms of its owner, Supplyframe, were not read by us: who sets OEMSTRADE_LIVE answers for it.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson

from orchestrator.parts.errors import SourceAuth, SourceSchema
from orchestrator.parts.keys import Keys
from orchestrator.parts.sources.base import Limit, Meter, Request
from orchestrator.parts.sources.http import Client
from orchestrator.parts.sources.oemstrade_page import Row, read
from orchestrator.parts.sources.reading import count, text
from orchestrator.parts.sources.regions import region_of
from orchestrator.parts.sources.told import Breaks, breaks, compliant, currency, days
from orchestrator.parts.sources.trustedparts import part_numbers
from orchestrator.parts.values import Offer

BASE_URL = "https://www.oemstrade.com"
SHORTEST = 3  # characters of a part number
MISSING = (
    "Off: oemstrade.com has no interface for programs. Read its terms; if they allow it to you, set "
    "OEMSTRADE_LIVE=1 (one page in 10 s)."
)

_REGION_STOCK = re.compile(r"<b>\s*([^<]+?)\s*</b>\s*-?\s*([\d,. ]+)", re.IGNORECASE)
_MIN_QTY = re.compile(
    r"min(?:imum)?\.?\s*(?:order\s*)?(?:qty|quantity)\s*:?\s*([\d,]+)", re.IGNORECASE
)
_MULTIPLE = re.compile(r"(?:package|order)?\s*multiple\s*:?\s*([\d,]+)", re.IGNORECASE)
_ROHS = re.compile(r"rohs\s*:\s*([a-z -]+)", re.IGNORECASE)
_CONTAINER = re.compile(r"container\s*:\s*([\w &]+)", re.IGNORECASE)


class OemsTrade:
    """Fetches a page per part number when it is allowed to."""

    name = "oemstrade"
    title = "OEMsTrade"
    version = "1"
    limits: Sequence[Limit] = (Limit(calls=1, window_s=10),)
    batch = 1
    scope = ""

    def __init__(
        self,
        keys: Keys,
        meter: Meter,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._live = keys.oemstrade_live
        self._clock = clock
        self._client = Client(
            self.name,
            title=self.title,
            base_url=BASE_URL,
            settings=keys.source(self.name),
            meter=meter,
        )

    @property
    def missing(self) -> str | None:
        """None when the operator has switched it on."""
        return None if self._live else MISSING

    def cost(self, request: Request) -> int:
        """One page a part number."""
        return len(_numbers(request))

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        """Offers in one portion a page."""
        if not self._live:
            raise SourceAuth("OEMsTrade is switched off", remedy=MISSING)
        for number in _numbers(request):
            answer = await self._client.call("GET", f"/search/{quote(number, safe='')}")
            yield parse(answer.text, fetched_at=self._clock())

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()


def parse(page: str, *, fetched_at: datetime) -> list[Offer]:
    """Offers out of a result page, fetched, saved or pasted. Raises SourceSchema when it is another page.

    Its links are redirects that count clicks: none is kept.
    """
    rows, known = read(page)
    if not rows and not known:
        raise SourceSchema("This is no result page of OEMsTrade")
    return [offer for row in rows for offer in _offers(row, fetched_at)]


def _numbers(request: Request) -> list[str]:
    return [each for each in part_numbers(request) if len(each) >= SHORTEST]


def _offers(row: Row, fetched_at: datetime) -> list[Offer]:
    """One offer, or one for each region that has stock of its own."""
    seller = text(row.seller)
    mpn = text(row.attrs.get("data-mfrpartnumber")) or text(row.attrs.get("data-part"))
    if not seller or not mpn:
        return []
    more = text(row.more)
    rohs = _ROHS.search(more)
    container = _CONTAINER.search(more)
    moq = _number(_MIN_QTY, more) or 1
    steps, odd = _breaks(row, moq)
    offer = Offer(
        source=OemsTrade.name,
        seller=seller,
        region=region_of(seller),
        sku=_sku(row) or mpn,
        mpn=mpn,
        manufacturer=text(row.attrs.get("data-mfr")) or text(row.manufacturer) or None,
        authorized=row.authorized,
        description=text(row.description),
        packaging=text(container[1]) if container else None,
        rohs=compliant(rohs[1]) if rohs else None,
        stock=count(row.attrs.get("data-instock")),
        lead_days=days(row.attrs.get("data-leadtime")),
        moq=moq,
        multiple=_number(_MULTIPLE, more) or 1,
        breaks=steps,
        fetched_at=fetched_at,
        warnings=odd,
    )
    regions = _stock_by_region(row.attrs.get("data-stock", ""))
    if not regions:
        return [offer]
    return [
        offer.model_copy(update={"region": region, "stock": pieces})
        for region, pieces in regions.items()
    ]


def _stock_by_region(told: str) -> dict[str, int]:
    regions: dict[str, int] = {}
    for name, pieces in _REGION_STOCK.findall(html.unescape(told)):
        region, stock = region_of("", told=text(name)), count(pieces.strip(" ,."))
        if stock is not None:
            regions[region] = regions.get(region, 0) + stock
    return regions


def _breaks(row: Row, moq: int) -> Breaks:
    """The ladder of the list, which has all digits; the row's own attribute rounds to four after the point."""
    found = _ladder([(each.quantity, each.currency, each.price) for each in row.steps], moq)
    return found if found[0] else _ladder(_attribute(row), moq)


def _ladder(steps: Sequence[tuple[Any, Any, Any]], moq: int) -> Breaks:
    """Of (quantity, currency, price) those in the first currency that is one."""
    code = next((found for _, told, _ in steps if (found := currency(told))), None)
    return breaks(
        ((quantity, price) for quantity, told, price in steps if currency(told) == code),
        code,
        moq=moq,
    )


def _attribute(row: Row) -> list[tuple[Any, Any, Any]]:
    try:
        told: Any = orjson.loads(row.attrs.get("data-price", ""))
    except orjson.JSONDecodeError:
        return []
    steps = told if isinstance(told, list) else []
    return [
        (each[0], each[1], each[2]) for each in steps if isinstance(each, list) and len(each) == 3
    ]


def _sku(row: Row) -> str:
    said = text(row.sku)
    return said.partition(":")[2].strip() if said[:3].upper().startswith("D#") else said


def _number(pattern: re.Pattern[str], more: str) -> int | None:
    match = pattern.search(more)
    return count(match[1]) if match else None
