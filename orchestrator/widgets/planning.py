"""What a page says of a grid before it runs. Pure; all text is data, escaped where shown."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from orchestrator.batch import Plan
from orchestrator.batch.plan import Planned
from orchestrator.jobs import one_line
from orchestrator.spending import NOTHING, Spending, money
from orchestrator.widgets.choices import title
from orchestrator.widgets.money import dollars, today_line

SHOWN = 60  # characters of an axis's name


def planned(plan: Plan, spending: Spending) -> dict[str, Any]:
    """A plan in words and numbers."""
    missing = plan.missing
    paid = any(row.estimate.price is not None for row in missing)
    had = {what: n for what, n in plan.counts.items() if what != "new"}
    return {
        "name": plan.name,
        "jobs": len(plan),
        "missing": len(missing),
        "shape": " × ".join(
            f"{len(values)} {one_line(name)[:SHOWN]}" for name, values in plan.axes.items()
        ),
        "had": had,
        "same": plan.same,
        "seconds": plan.seconds,
        "paid": paid,
        "money": f"{_most(missing)}{dollars(plan.usd)}" if paid else "",
        "today": today_line(spending) if paid else "",
        "warning": _warning(plan.usd, spending) if paid else "",
    }


def question(plan: Plan, spending: Spending) -> dict[str, Any]:
    """What a page asks before a grid spends more than the lab may by itself."""
    missing = plan.missing
    most = _most(missing)
    after = spending.spent_today + spending.reserved_today + plan.usd
    lines = [
        *_by_backend(missing),
        f"{today_line(spending).capitalize()}; {dollars(after)} with this.",
    ]
    if warning := _warning(plan.usd, spending):
        lines.append(warning)
    return {
        "amount": money(plan.usd),
        "title": f"Spend {most}{dollars(plan.usd)}?",
        "lines": lines,
    }


def _by_backend(missing: Sequence[Planned]) -> list[str]:
    found: dict[str, list[Planned]] = {}
    for row in missing:
        if row.estimate.price is not None:
            found.setdefault(row.row.backend, []).append(row)
    return [
        f"{len(rows)} job{'' if len(rows) == 1 else 's'} with {title(name)}: "
        f"{_most(rows)}{dollars(sum((row.estimate.usd for row in rows), NOTHING))}."
        for name, rows in found.items()
    ]


def _most(rows: Sequence[Planned]) -> str:
    return "at most " if any(row.estimate.is_upper_bound for row in rows) else ""


def _warning(usd: Decimal, spending: Spending) -> str:
    if usd <= spending.left_today:
        return ""
    left = dollars(spending.left_today)
    return f"Today's budget has {left} left: the jobs beyond it will be held, and not sent."
