"""Price ladders: what a quantity costs, and how many to buy so that it costs least."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from itertools import pairwise

from orchestrator.parts.errors import RateUnknown
from orchestrator.parts.rates import Rates
from orchestrator.parts.values import Best, Offer, PriceBreak

NET_PLACES = Decimal("1e-8")  # of a price that tax was taken from
NO_LEAD = 10**9  # days: worse than any that is told
RISES = "the unit price rises with the quantity"


def build(
    raw: Iterable[tuple[int, Decimal | None]],
    *,
    currency: str,
    moq: int = 1,
    tax_percent: Decimal | None = None,
) -> tuple[tuple[PriceBreak, ...], tuple[str, ...]]:
    """A ladder from (quantity, price) pairs in any order, and warnings about it.

    Pairs without a positive quantity and price are dropped, of two for one quantity the lower price stays, what is
    below `moq` becomes the price at `moq`. With `tax_percent` the prices are gross and are made net.
    """
    lowest: dict[int, Decimal] = {}
    for quantity, price in raw:
        if quantity < 1 or price is None or not price.is_finite():
            continue
        net = price if tax_percent is None else _net(price, tax_percent)
        if net > 0:
            lowest[quantity] = min(net, lowest.get(quantity, net))
    below = [quantity for quantity in lowest if quantity < moq]
    if below:
        lowest.setdefault(moq, lowest[max(below)])
    steps = sorted((quantity, price) for quantity, price in lowest.items() if quantity >= moq)
    rises = any(later > earlier for (_, earlier), (_, later) in pairwise(steps))
    breaks = (PriceBreak(quantity=q, unit_price=p, currency=currency) for q, p in steps)
    return tuple(breaks), (RISES,) if rises else ()


def _net(gross: Decimal, tax_percent: Decimal) -> Decimal:
    with localcontext(prec=50):
        return (gross / (1 + tax_percent / 100)).quantize(NET_PLACES).normalize()


def best(
    offer: Offer,
    quantity: int,
    rates: Rates | None,
    currency: str,
    any_stock: bool = False,
) -> Best | None:
    """The cheapest purchase of at least `quantity` pieces, fewest pieces first when two cost the same.

    The count bought reaches the MOQ and is a whole multiple; every later price break is tried too, since 100 may cost
    less than 90. None when there is no price, no rate to `currency`, or less stock than must be bought (an unknown
    stock is none) unless `any_stock`. Without `rates` only offers in `currency` itself count.
    """
    steps = sorted(offer.breaks, key=lambda step: step.quantity)
    if not steps:
        return None
    least = max(quantity, offer.moq, steps[0].quantity)
    counts = {_up(max(least, step.quantity), offer.multiple) for step in steps}
    found: list[tuple[Decimal, int, Decimal]] = []
    for buy in counts:
        if not any_stock and (offer.stock or 0) < buy:
            continue
        step = next(step for step in reversed(steps) if step.quantity <= buy)
        unit = _in(step, rates, currency)
        if unit is not None:
            with localcontext(prec=50):
                found.append((unit * buy, buy, unit))
    if not found:
        return None
    total, buy, unit = min(found)
    return Best(
        offer=offer,
        quantity=quantity,
        buy=buy,
        unit_price=unit,
        total=total,
        currency=currency,
        in_stock=(offer.stock or 0) >= buy,
    )


def best_of(
    offers: Iterable[Offer],
    quantity: int,
    rates: Rates | None,
    currency: str,
    any_stock: bool = False,
) -> Best | None:
    """The cheapest purchase over several offers; equal totals go to the larger stock, then the shorter lead time."""
    ways = (best(offer, quantity, rates, currency, any_stock) for offer in offers)
    return min((way for way in ways if way), key=_order, default=None)


def _order(way: Best) -> tuple[Decimal, int, int, int, str, str, str]:
    offer = way.offer
    lead = NO_LEAD if offer.lead_days is None else offer.lead_days
    return way.total, -(offer.stock or 0), lead, way.buy, offer.source, offer.seller, offer.sku


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _in(step: PriceBreak, rates: Rates | None, currency: str) -> Decimal | None:
    if rates is None:
        return step.unit_price if step.currency == currency else None
    try:
        return rates.convert(step.unit_price, step.currency, currency)
    except RateUnknown:
        return None
