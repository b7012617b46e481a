"""Offers for the tests, with everything that does not matter filled in."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from orchestrator.parts.values import Offer, PriceBreak

NOW = datetime(2026, 9, 20, 12, tzinfo=UTC)


def ladder(*steps: tuple[int, str], currency: str = "USD") -> tuple[PriceBreak, ...]:
    """`ladder((1, "0.10"), (100, "0.05"))`."""
    return tuple(
        PriceBreak(quantity=quantity, unit_price=Decimal(price), currency=currency)
        for quantity, price in steps
    )


def offer(**changes: Any) -> Offer:
    """One offer of DigiKey's, but for the changes."""
    usual: dict[str, Any] = {
        "source": "digikey",
        "seller": "DigiKey",
        "region": "Americas",
        "sku": "2N3904FS-ND",
        "mpn": "2N3904BU",
        "manufacturer": "onsemi",
        "stock": 1000,
        "breaks": ladder((1, "0.10")),
        "fetched_at": NOW,
    }
    return Offer(**{**usual, **changes})
