"""Offers become parts as they come in; what comes out does not depend on the order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from orchestrator.parts import ladder
from orchestrator.parts.mpn import (
    manufacturer_domain,
    manufacturer_key,
    manufacturer_name,
    mpn_key,
)
from orchestrator.parts.rates import Rates
from orchestrator.parts.values import Conflict, Lifecycle, Offer, Part

# Who is believed first on what a part is; Mouser tells no parametrics, aggregators repeat others.
TRUST = (
    "digikey",
    "tme",
    "farnell",
    "mouser",
    "trustedparts",
    "oemsecrets",
    "efind",
    "oemstrade",
    "sample",
)
# These repeat what others sell: their copy goes when one before them tells of the same seller.
HANDS = {"trustedparts": 1, "oemsecrets": 2, "oemstrade": 3}
SELLERS = {  # the many ways in which one seller is written, by the beginning of its letters and digits
    "digikey": "digikey",
    "mouser": "mouser",
    "farnell": "farnell",
    "element14": "element14",
    "newark": "newark",
    "tme": "tme",
    "transfermultisort": "tme",
    "arrow": "arrow",
    "avnetsilica": "avnet silica",
    "rselectronics": "rs",
    "rscomponents": "rs",
}

Attributes = Callable[[Mapping[str, str]], dict[str, str]]
Told = tuple[Offer, Mapping[str, str]]  # an offer and its parameters in common terms


class Merger:
    """Merges offers by maker and part number.

    `mpn` is the part number asked for, `attributes` brings parameters to common terms (`ru.attributes`), `quantity`
    and `currency` are what `best` answers for. Every part, its key and its rank depend on the offers alone.
    """

    def __init__(
        self,
        *,
        quantity: int = 1,
        currency: str = "USD",
        rates: Rates | None = None,
        mpn: str | None = None,
        attributes: Attributes = dict,
    ) -> None:
        self._quantity = quantity
        self._currency = currency
        self._rates = rates or Rates.offline()
        self._mpn = mpn_key(mpn) if mpn else None
        self._attributes = attributes
        self._offers: dict[str, dict[tuple[str, ...], Told]] = {}  # by part, by identity
        self._parts: dict[str, Part] = {}

    def add(self, offers: Iterable[Offer]) -> list[Part]:
        """Take in offers, again or anew, and return the parts that changed by them, ranked.

        An offer that comes again (same source, seller, SKU) replaces the one before it if it was fetched later.
        """
        touched = set()
        for offer in offers:
            key = part_key(offer)
            group = self._offers.setdefault(key, {})
            known = group.get(_identity(offer))
            if known is None or _freshness(offer) > _freshness(known[0]):
                group[_identity(offer)] = offer, self._attributes(offer.params)
                touched.add(key)
        changed = []
        for key in touched:
            # by identity, which no two share: the order in which they came is gone
            ordered = sorted(
                self._offers[key].items(), key=lambda item: (_rank(item[1][0]), item[0])
            )
            part = self._part(key, [told for _, told in ordered])
            if part != self._parts.get(key):
                self._parts[key] = part
                changed.append(part)
        return sorted(changed, key=self.order)

    def parts(self) -> list[Part]:
        """All parts, ranked: what was asked for by number, then in stock, then cheap, then by number."""
        return sorted(self._parts.values(), key=self.order)

    def order(self, part: Part) -> tuple[bool, bool, bool, Decimal, str, str]:
        """By what a part is ranked; the smallest comes first."""
        best = part.best
        return (
            self._mpn is not None and mpn_key(part.mpn) != self._mpn,
            best is None or not best.in_stock,
            best is None,
            best.total if best else Decimal(0),
            mpn_key(part.mpn),
            part.key,
        )

    def _part(self, key: str, told: Sequence[Told]) -> Part:
        told = _first_hand(told)
        kept = [offer for offer, _ in told]
        best = ladder.best_of(kept, self._quantity, self._rates, self._currency)
        if best is None:  # shown with what is not in stock, and said so
            best = ladder.best_of(kept, self._quantity, self._rates, self._currency, any_stock=True)
        named = next(
            (offer.manufacturer for offer in kept if manufacturer_key(offer.manufacturer)), None
        )
        lifecycles = {offer.lifecycle for offer in kept}
        params: dict[str, str] = {}
        for _, terms in told:
            for name, value in terms.items():
                if value.strip() not in {"", "-"}:
                    params.setdefault(name, value)
        return Part(
            key=key,
            mpn=kept[0].mpn,
            manufacturer=manufacturer_name(named),
            confirmed=named is not None,
            description=_first(offer.description for offer in kept) or "",
            category=_first(offer.category for offer in kept),
            package=_first(offer.package for offer in kept),
            lifecycle=max(lifecycles, key=list(Lifecycle).index),
            rohs=min((offer.rohs for offer in kept if offer.rohs is not None), default=None),
            datasheet_url=_datasheet(kept, manufacturer_domain(named)),
            image_url=_first(_web(offer.image_url) for offer in kept),
            params=params,
            conflicts=tuple(_conflicts(told)),
            offers=tuple(kept),
            best=best,
        )


def part_key(offer: Offer) -> str:
    """The part that an offer is of. A maker that nobody names is never the same as a named one."""
    return f"{manufacturer_key(offer.manufacturer) or '?'}:{mpn_key(offer.mpn)}"


def seller_key(seller: str) -> str:
    """A seller's name folded: `Digi-Key Electronics` and `DigiKey` are one."""
    letters = "".join(char for char in seller.casefold() if char.isalnum())
    return next((key for start, key in SELLERS.items() if letters.startswith(start)), letters)


def _identity(offer: Offer) -> tuple[str, ...]:
    return (
        offer.source,
        seller_key(offer.seller),
        offer.region,
        offer.sku,
        offer.packaging or "",
        mpn_key(offer.mpn) if not offer.sku else "",
    )


def _freshness(offer: Offer) -> tuple[Any, ...]:
    """What decides between two tellings of one offer; the text at last, so that the order of arrival never does."""
    return offer.fetched_at, not offer.stale, offer.model_dump_json()


def _rank(offer: Offer) -> int:
    return TRUST.index(offer.source) if offer.source in TRUST else len(TRUST)


def _first_hand(told: Sequence[Told]) -> list[Told]:
    """Without the copies: of each seller what the seller itself tells, else what one aggregator tells."""
    nearest: dict[str, int] = {}
    for offer, _ in told:
        seller, hand = seller_key(offer.seller), HANDS.get(offer.source, 0)
        nearest[seller] = min(hand, nearest.get(seller, hand))
    return [
        one for one in told if HANDS.get(one[0].source, 0) == nearest[seller_key(one[0].seller)]
    ]


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value and value.strip() not in {"", "-"}), None)


def _web(url: str | None) -> str | None:
    """The address if a browser may follow it."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    return url if parts.scheme in {"http", "https"} and parts.hostname else None


def _datasheet(offers: Sequence[Offer], domain: str | None) -> str | None:
    """The maker's own datasheet first, then the most trusted source's."""
    addresses = [url for offer in offers if (url := _web(offer.datasheet_url))]
    for url in addresses:
        host = urlsplit(url).hostname or ""
        if domain and (host == domain or host.endswith("." + domain)):
            return url
    return addresses[0] if addresses else None


def _conflicts(told: Sequence[Told]) -> Iterable[Conflict]:
    """What sources say differently: lifecycle, RoHS, package, and every parameter."""
    said: dict[str, dict[str, str]] = {}
    for offer, terms in told:
        facts = dict(terms)
        if offer.lifecycle is not Lifecycle.UNKNOWN:
            facts["lifecycle"] = offer.lifecycle.value
        if offer.rohs is not None:
            facts["rohs"] = "yes" if offer.rohs else "no"
        if offer.package:
            facts["package"] = offer.package
        for name, value in facts.items():
            if value.strip() not in {"", "-"}:
                said.setdefault(name, {}).setdefault(offer.source, value)
    for name in sorted(said):
        if len({_plain(value) for value in said[name].values()}) > 1:
            yield Conflict(name=name, told=said[name])


def _plain(value: str) -> str:
    """A value for comparing: `TO-92` and `to 92` say the same."""
    kept = (char for char in value.casefold() if not char.isspace() and char not in "-_")
    return "".join(kept)
