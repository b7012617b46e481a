"""The offline sample: parts made by us, so that a machine without any key has something to search."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

from orchestrator.parts.sources.base import Limit, Request
from orchestrator.parts.sources.sample_catalogue import Entry
from orchestrator.parts.sources.sample_match import matches
from orchestrator.parts.values import Lifecycle, Offer, PriceBreak

WARNING = "sample data, not an offer"
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class _Seller:
    """An invented shop: `per_usd` is a made-up rate, `markup` its way with prices, `ladder` where they fall."""

    name: str
    region: str
    currency: str
    per_usd: float
    markup: float
    moq: int  # of parts below ten cents; dearer ones are sold singly
    ladder: tuple[int, ...]


_SELLERS = (
    _Seller(name="Sample Seller A", region="Europe", currency="EUR", per_usd=0.9, markup=1.15, moq=1,
            ladder=(1, 10, 100, 1000, 5000)),
    _Seller(name="Sample Seller B", region="Asia", currency="USD", per_usd=1.0, markup=0.8, moq=20,
            ladder=(1, 20, 200, 2000, 10000)),
    _Seller(name="Sample Seller C", region="Russia", currency="RUB", per_usd=90.0, markup=1.4, moq=1,
            ladder=(1, 10, 100)),
)  # fmt: skip


class Sample:
    """A source that needs neither key nor network; every offer says that it is a sample."""

    name = "sample"
    title = "Offline sample"
    version = "1"
    limits: Sequence[Limit] = ()
    batch = 50
    scope = ""

    def __init__(
        self,
        *,
        missing: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._missing = missing
        self._clock = clock

    @property
    def missing(self) -> str | None:
        """None, or why it is not asked: beside real offers, made-up prices would mislead."""
        return self._missing

    def cost(self, request: Request) -> int:
        """Nothing: no call is made."""
        return 0

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        """All the offers of the parts that match, at once."""
        now = self._clock()
        found = [offer for entry in matches(request) for offer in _offers(entry)]
        if found:
            yield [offer.model_copy(update={"fetched_at": now}) for offer in found]

    async def close(self) -> None:
        """Nothing to give back."""


@cache
def _offers(entry: Entry) -> tuple[Offer, ...]:
    """What the invented sellers ask for a part, the same on every machine."""
    dice = hashlib.sha256(entry.mpn.encode()).digest()
    params = entry.params
    description = entry.description
    return tuple(
        _offer(entry, seller, dice[place * 4 : place * 4 + 4], description, params)
        for place, seller in enumerate(_SELLERS)
        if _sells(seller, entry, dice[20 + place])
    )


def _sells(seller: _Seller, entry: Entry, roll: int) -> bool:
    if entry.russian:
        return seller.region == "Russia"
    if seller.region == "Europe":
        return True  # so that every part has an offer
    return roll % 100 < (70 if seller.region == "Asia" else 45)


def _offer(
    entry: Entry, seller: _Seller, dice: bytes, description: str, params: Mapping[str, str]
) -> Offer:
    cheap = entry.usd < 0.1
    moq = seller.moq if cheap else 1
    base = entry.usd * seller.per_usd * seller.markup * (0.9 + dice[0] / 1280)
    empty = dice[1] % 10 == 0 or entry.lifecycle is Lifecycle.OBSOLETE
    stock = 0 if empty else round((dice[2] + 5) * (2500 if cheap else 60) / (1 + entry.usd))
    steps = sorted({max(quantity, moq) for quantity in seller.ladder})
    # Our own values: unchecked here, where a search waits for dozens of them; a test checks them all.
    return Offer.model_construct(
        source=Sample.name,
        seller=seller.name,
        region=seller.region,
        sku=f"{seller.name[-1]}-{entry.mpn}",
        mpn=entry.mpn,
        manufacturer=entry.maker,
        authorized=False,
        description=description,
        category=entry.type,
        packaging="Cut Tape" if entry.package[:2].isdigit() else None,
        package=entry.package,
        lifecycle=entry.lifecycle,
        rohs=entry.russian is None,
        stock=stock,
        lead_days=7 * (4 + dice[3] % 14) if empty else None,
        moq=moq,
        multiple=moq,
        breaks=tuple(
            PriceBreak.model_construct(
                quantity=quantity,
                unit_price=_rounded(base * 0.76**step),
                currency=seller.currency,
            )
            for step, quantity in enumerate(steps)
        ),
        params=params,
        fetched_at=_EPOCH,
        warnings=(WARNING,),
    )


def _rounded(price: float) -> Decimal:
    """Three digits that count, as price lists have."""
    return Decimal(format(Decimal(f"{price:.3g}"), "f"))
