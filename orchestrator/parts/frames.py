"""Parts as a table for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.parts import ladder
from orchestrator.parts.rates import Rates
from orchestrator.parts.values import Offer, Part

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "mpn", "manufacturer", "description", "category", "package", "lifecycle",
    "seller", "region", "source", "sku", "packaging", "stock", "moq", "multiple", "lead_days",
    "buy", "unit_price", "total", "currency", "is_best", "stale", "url", "datasheet_url",
)  # fmt: skip


def frame(parts: Iterable[Part], *, quantity: int, currency: str, rates: Rates) -> pd.DataFrame:
    """One row per offer, parts in the order of their rank; a part without offers has a row of its own.

    `buy` is how many pieces have to be bought for `quantity`, `unit_price` and `total` what they cost in `currency`
    (Decimal; None without a price), `is_best` marks the offer that is cheapest for the part. All further columns
    are named as in `values.Offer` and `values.Part`.
    """
    import pandas as pd  # slow: half a second

    rows = []
    for part in parts:
        rows += [_row(part, offer, quantity, currency, rates) for offer in part.offers] or [
            _of(part)
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of(part: Part) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    for name in ("mpn", "manufacturer", "description", "category", "package", "datasheet_url"):
        row[name] = getattr(part, name)
    row["lifecycle"] = part.lifecycle.value
    return row


def _row(part: Part, offer: Offer, quantity: int, currency: str, rates: Rates) -> Mapping[str, Any]:
    row = _of(part)
    for name in ("seller", "region", "source", "sku", "packaging", "stock", "moq", "multiple",
                 "lead_days", "stale", "url"):  # fmt: skip
        row[name] = getattr(offer, name)
    best = ladder.best(offer, quantity, rates, currency, any_stock=True)
    if best is not None:
        row.update(
            buy=best.buy, unit_price=best.unit_price, total=best.total, currency=best.currency
        )
    row["is_best"] = part.best is not None and part.best.offer == offer
    return row
