"""What a page shows of components, as JSON. Pure functions of their arguments; text is data, escaped where shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from orchestrator.parts import ladder
from orchestrator.parts.cache import Snapshot
from orchestrator.parts.errors import RateUnknown
from orchestrator.parts.rates import Rates
from orchestrator.parts.readings import readings
from orchestrator.parts.ru.attributes import show
from orchestrator.parts.values import Offer, Part, PriceBreak, Query

Data = Mapping[str, Any]

LONG = 400  # characters of a text of others
MOST_PARAMS = 60
MOST_OFFERS = 60  # of one part; the best come first
CURVES = 6
STEPS = (1, 2, 5)
LARGEST = 1_000_000  # pieces that a curve goes to
UNITS = {"pitch_mm": "mm pitch", "size_mm": "mm", "pins": "pins", "tolerance": "%"}
MEASURED = ("resistance", "capacitance", "inductance", "voltage", "current", "power", "frequency")
SHOWN = ("mpn", "manufacturer", "description", "category", "package", "lifecycle")


# ------------------------------------------------------------------------------ the query


def understood(data: Data) -> dict[str, Any]:
    """Chips of what a query was taken to say, the other readings, and the words that nothing was made of."""
    query = Query.model_validate(data)
    chips = [("type", query.type), ("kind", query.subtype), ("part number", query.mpn)]
    chips += [(name.replace("_mm", ""), _value(name, value)) for name, value in query.attrs.items()]
    if query.quantity:
        chips.append(("quantity", f"{query.quantity:,}"))
    texts = {reading: request.keyword for reading, request in readings(query)}
    return {
        "raw": query.raw,
        "en": query.en,
        "chips": [{"name": name, "value": text(str(value))} for name, value in chips if value],
        "unknown": [text(word) for word in query.unknown],
        "others": [
            {"reads": text(each.reads.replace("=", " ")), "why": text(each.why),
             "text": texts.get(each.reads) or (each.reads if "=" not in each.reads else "")}
            for each in query.alternatives
        ],
        "sure": query.confidence,
    }  # fmt: skip


def _value(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name in MEASURED:
        return show(name, Decimal(repr(value)))
    if name == "tolerance":
        return f"±{value:g} %"
    return " ".join(filter(None, (f"{value:g}", UNITS.get(name, ""))))


# ------------------------------------------------------------------------------ one row


def row(data: Data, *, rates: Rates, currency: str) -> dict[str, Any]:
    """A part as the table shows it, from the JSON of `Part`."""
    best = data["best"]
    offers = data["offers"]
    return {
        **_common(data),
        "confirmed": data["confirmed"],
        "rohs": data["rohs"],
        "stock": dict(data["stock"]),
        "pieces": sum(data["stock"].values()) if data["stock"] else None,
        "price": _price(best, rates, currency) if best else None,
        "sources": len({offer["source"] for offer in offers}),
        "offers": len(offers),
        "sellers": sorted({text(offer["seller"]) for offer in offers})[:8],
        "conflicts": len(data["conflicts"]),
        "datasheet": web(data["datasheet_url"]),
        "lead": min((o["lead_days"] for o in offers if o["lead_days"] is not None), default=None),
    }


def public_row(data: Data) -> dict[str, Any]:
    """A part as everybody may see it, from the JSON of `PublicPart`."""
    prices = data["prices"]
    best = min(prices, key=lambda p: (not p["in_stock"], Decimal(p["unit_price"])), default=None)
    return {
        **_common(data),
        "confirmed": data["manufacturer"] is not None,
        "prices": [dict(price) for price in prices],
        "stock": {price["region"]: None for price in prices if price["in_stock"]},
        "pieces": None,
        "price": None if best is None else {
            "unit": best["unit_price"],
            "buy": best["quantity"],
            "in_stock": best["in_stock"],
            "currency": best["currency"],
            "region": best["region"],
        },
    }  # fmt: skip


def _common(data: Data) -> dict[str, Any]:
    params = list(data["params"].items())[:MOST_PARAMS]
    return {
        "key": data["key"],
        **{name: text(data[name]) for name in SHOWN},
        "params": {text(name): text(value) for name, value in params},
    }


def _price(best: Data, rates: Rates, currency: str) -> dict[str, Any]:
    offer = best["offer"]
    later = [step for step in offer["breaks"] if step["quantity"] > best["buy"]]
    following = min(later, key=lambda step: step["quantity"], default=None)
    unit = following and _in(
        Decimal(following["unit_price"]), following["currency"], currency, rates
    )
    return {
        "unit": best["unit_price"],
        "buy": best["buy"],
        "total": best["total"],
        "in_stock": best["in_stock"],
        "currency": best["currency"],
        "region": text(offer["region"]),
        "seller": text(offer["seller"]),
        "stale": offer["stale"],
        "next": {"quantity": following["quantity"], "unit": f"{unit:f}"}
        if following and unit
        else None,
    }


def _in(amount: Decimal, of: str, to: str, rates: Rates) -> Decimal | None:
    try:
        return rates.convert(amount, of, to)
    except RateUnknown:
        return None


# ------------------------------------------------------------------------------ one part with everything


def details(
    part: Part,
    *,
    quantity: int,
    currency: str,
    rates: Rates,
    history: Mapping[int, Sequence[Snapshot]],
) -> dict[str, Any]:
    """A part with its offers, best first, curves of price over quantity, and `history` by the offers' places."""
    offers = ranked(part, quantity=quantity, currency=currency, rates=rates)
    return {
        "key": part.key,
        "offers": [_offer(one, part, quantity, currency, rates) for one in offers[:MOST_OFFERS]],
        "more": max(0, len(offers) - MOST_OFFERS),
        "curves": curves(offers, currency=currency, rates=rates),
        "history": [
            {"name": _name(offers[place]), "points": points}
            for place, snapshots in history.items()
            if (points := _days(snapshots, quantity, currency, rates))
        ],
        "conflicts": [
            {"name": text(each.name), "told": {text(k): text(v) for k, v in each.told.items()}}
            for each in part.conflicts
        ],
        "params": {text(name): text(value) for name, value in part.params.items()},
        "datasheet": web(part.datasheet_url),
        "image": web(part.image_url),
        "rohs": part.rohs,
    }


def ranked(part: Part, *, quantity: int, currency: str, rates: Rates) -> list[Offer]:
    """The offers of a part: what can be bought at the quantity first, by its total; then what has no price."""

    def order(offer: Offer) -> tuple[bool, bool, Decimal]:
        best = ladder.best(offer, quantity, rates, currency, any_stock=True)
        return best is None, best is None or not best.in_stock, best.total if best else Decimal(0)

    return sorted(part.offers, key=order)


def _offer(offer: Offer, part: Part, quantity: int, currency: str, rates: Rates) -> dict[str, Any]:
    best = ladder.best(offer, quantity, rates, currency, any_stock=True)
    return {
        "seller": text(offer.seller),
        "source": text(offer.source),
        "region": text(offer.region),
        "sku": text(offer.sku),
        "packaging": text(offer.packaging),
        "authorized": offer.authorized,
        "stock": offer.stock,
        "lead": offer.lead_days,
        "moq": offer.moq,
        "multiple": offer.multiple,
        "ladder": [
            {
                "quantity": step.quantity,
                "own": f"{step.unit_price:f}",
                "of": text(step.currency),
                "unit": None if (unit := _step(step, currency, rates)) is None else f"{unit:f}",
                "used": best is not None and _used(offer, best.buy) == step,
            }
            for step in offer.breaks[:12]
        ],
        "buy": best.buy if best else None,
        "unit": f"{best.unit_price:f}" if best else None,
        "total": f"{best.total:f}" if best else None,
        "in_stock": best.in_stock if best else None,
        "best": part.best is not None and part.best.offer == offer,
        "url": web(offer.url),
        "stale": offer.stale,
        "fetched": offer.fetched_at.isoformat(),
        "warnings": [text(each) for each in offer.warnings[:6]],
    }


def curves(offers: Sequence[Offer], *, currency: str, rates: Rates) -> list[dict[str, Any]]:
    """For the best offers the unit price from each quantity on, in one currency; stock is left aside."""
    found: list[dict[str, Any]] = []
    for offer in offers:
        points = [
            [step.quantity, float(unit)]
            for step in sorted(offer.breaks, key=lambda step: step.quantity)
            if (unit := _step(step, currency, rates)) is not None
        ]
        if points:
            found.append({"name": _name(offer), "points": points})
        if len(found) == CURVES:
            break
    return found


def _days(
    snapshots: Sequence[Snapshot], quantity: int, currency: str, rates: Rates
) -> list[list[Any]]:
    """What one piece cost at the quantity on each day on which prices changed."""
    points = []
    for snapshot in snapshots:
        steps = sorted(snapshot.breaks, key=lambda step: step.quantity)
        if not steps:
            continue
        reached = [step for step in steps if step.quantity <= quantity] or steps[:1]
        unit = _step(reached[-1], currency, rates)
        if unit is not None:
            points.append([snapshot.day, float(unit)])
    return points


def _used(offer: Offer, buy: int) -> PriceBreak | None:
    reached = [step for step in offer.breaks if step.quantity <= buy]
    return max(reached, key=lambda step: step.quantity, default=None)


def _step(step: PriceBreak, currency: str, rates: Rates) -> Decimal | None:
    return _in(step.unit_price, step.currency, currency, rates)


def _name(offer: Offer) -> str:
    packaging = f", {offer.packaging}" if offer.packaging else ""
    return text(f"{offer.seller} ({offer.region}{packaging})")


# ------------------------------------------------------------------------------ texts of others


def text(value: str | None) -> str:
    """A text of others on one line, not endless."""
    whole = " ".join((value or "").split())
    return whole if len(whole) <= LONG else whole[: LONG - 1] + "…"


def web(url: str | None) -> str | None:
    """An address that a browser may follow: http or https, to a host."""
    try:
        told = urlsplit(url or "")
        return url if told.scheme in {"http", "https"} and told.hostname else None
    except ValueError:
        return None
