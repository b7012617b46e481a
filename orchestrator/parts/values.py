"""What a search is made of: the query as understood, offers, parts and what the public may see of them.

Values only: no clock, no network, no files. Money is Decimal, times are UTC, quantities are pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, computed_field

Attr = float | int | str


class Value(BaseModel):
    """A frozen value that travels as JSON under the names it has in Python."""

    model_config = ConfigDict(frozen=True)


class Alternative(Value):
    """Another reading of a query or of one part of it, with the reason for the doubt."""

    reads: str  # what it would be: a part number, or `resistance=100`
    why: str


class Query(Value):
    """A query as it was understood (`orchestrator parts normalise`).

    `attrs` holds base SI units (ohm, farad, henry, volt, ampere, watt, hertz), tolerance in percent, `pitch_mm`
    and `size_mm` in millimetres, and strings (package, dielectric, series, color, dims).
    """

    raw: str
    en: str
    type: str | None = None
    subtype: str | None = None
    mpn: str | None = None
    attrs: Mapping[str, Attr] = Field(default_factory=dict)
    alternatives: tuple[Alternative, ...] = ()
    confidence: float = Field(default=1.0, ge=0, le=1)
    quantity: int | None = Field(default=None, ge=1)  # pieces asked for in the text itself
    unknown: tuple[str, ...] = ()  # words nothing was made of; they stay in `en`


class Lifecycle(StrEnum):
    """Whether a part is still made, worst last."""

    UNKNOWN = "unknown"
    NEW = "new"
    ACTIVE = "active"
    NRND = "nrnd"
    LAST_BUY = "last_buy"
    OBSOLETE = "obsolete"


class PriceBreak(Value):
    """From `quantity` pieces on, one costs `unit_price` in `currency` (ISO 4217), without tax."""

    quantity: int = Field(ge=1)
    unit_price: Decimal = Field(gt=0)
    currency: str


class Offer(Value):
    """One thing that can be bought: a part in one packaging at one seller. One per SKU, never averaged."""

    source: str  # who told: `digikey`, `trustedparts`
    seller: str  # who sells: `DigiKey`
    region: str  # of the seller: `Americas`, `Europe`, `Asia`, `Russia`, `Global`
    sku: str
    mpn: str
    manufacturer: str | None = None
    authorized: bool | None = None
    description: str = ""
    category: str | None = None
    packaging: str | None = None
    package: str | None = None  # the case: `TO-92`
    lifecycle: Lifecycle = Lifecycle.UNKNOWN
    rohs: bool | None = None
    stock: int | None = Field(default=None, ge=0)
    lead_days: int | None = Field(default=None, ge=0)
    moq: int = Field(default=1, ge=1)
    multiple: int = Field(default=1, ge=1)
    breaks: tuple[PriceBreak, ...] = ()
    url: str | None = None
    datasheet_url: str | None = None
    image_url: str | None = None
    params: Mapping[str, str] = Field(default_factory=dict)  # as told, under the source's names
    fetched_at: AwareDatetime
    stale: bool = False
    warnings: tuple[str, ...] = ()


class Best(Value):
    """The cheapest way to have at least `quantity` pieces: buy `buy` of them."""

    offer: Offer
    quantity: int
    buy: int
    unit_price: Decimal  # of one piece bought, in `currency`
    total: Decimal
    currency: str
    in_stock: bool


class Conflict(Value):
    """Sources that say different things of one part; all are shown."""

    name: str
    told: Mapping[str, str]  # source → what it says


class Part(Value):
    """What several sources sell under one manufacturer and part number."""

    key: str  # stable while a search runs
    mpn: str
    manufacturer: str | None
    confirmed: bool  # False: no source names the manufacturer
    description: str = ""
    category: str | None = None
    package: str | None = None
    lifecycle: Lifecycle = Lifecycle.UNKNOWN
    rohs: bool | None = None
    datasheet_url: str | None = None
    image_url: str | None = None
    # under the terms of `ru`, units normalised
    params: Mapping[str, str] = Field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()
    offers: tuple[Offer, ...] = ()
    best: Best | None = None  # at the asked quantity, in the display currency

    @computed_field  # type: ignore[prop-decorator]
    @property
    def stock(self) -> dict[str, int]:
        """Pieces in stock by region, of all offers that tell (one warehouse is counted once)."""
        by_warehouse: dict[tuple[str, str, str], int] = {}
        for offer in self.offers:
            if offer.stock is not None:
                place = (offer.region, offer.seller, offer.mpn)
                by_warehouse[place] = max(offer.stock, by_warehouse.get(place, 0))
        stock: dict[str, int] = {}
        for (region, _, _), pieces in by_warehouse.items():
            stock[region] = stock.get(region, 0) + pieces
        return stock


class RegionPrice(Value):
    """All that the public sees of an offer."""

    region: str
    unit_price: Decimal
    currency: str
    quantity: int
    in_stock: bool


class PublicPart(Value):
    """All that the public sees of a part: no seller, no SKU, no address."""

    key: str
    mpn: str
    manufacturer: str | None
    description: str = ""
    category: str | None = None
    package: str | None = None
    lifecycle: Lifecycle = Lifecycle.UNKNOWN
    params: Mapping[str, str] = Field(default_factory=dict)
    prices: tuple[RegionPrice, ...] = ()


EventName = Literal[
    "search:start",
    "provider:start",
    "provider:partial",
    "part:upsert",
    "provider:error",
    "provider:done",
    "result",
    "done",
]


class Event(Value):
    """One step of a search; `id` counts from 1, `data` is JSON (events of the SSE stream `/api/live/search`)."""

    id: int
    name: EventName
    data: Mapping[str, Any]
