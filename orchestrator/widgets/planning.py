"""What a page says of a grid before it runs, or before its failed jobs run again. Pure; all text is data, escaped where
shown."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from orchestrator.batch import Plan
from orchestrator.jobs import one_line
from orchestrator.spending import NOTHING, Estimate, Spending, money
from orchestrator.widgets.choices import title
from orchestrator.widgets.money import dollars, today_line

SHOWN = 60  # characters of an axis's name


def planned(plan: Plan, spending: Spending) -> dict[str, Any]:
    """A plan in words and numbers."""
    missing = [row.estimate for row in plan.missing]
    paid = any(each.price is not None for each in missing)
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


def question(estimates: Sequence[Estimate], spending: Spending) -> dict[str, Any]:
    """What a page asks before jobs spend more than the lab may by itself."""
    usd = sum((each.usd for each in estimates), NOTHING)
    after = spending.spent_today + spending.reserved_today + usd
    lines = [
        *_by_backend(estimates),
        f"{today_line(spending).capitalize()}; {dollars(after)} with this.",
    ]
    if warning := _warning(usd, spending):
        lines.append(warning)
    return {
        "amount": money(usd),
        "title": f"Spend {_most(estimates)}{dollars(usd)}?",
        "lines": lines,
    }


def _by_backend(estimates: Sequence[Estimate]) -> list[str]:
    found: dict[str, list[Estimate]] = {}
    for each in estimates:
        if each.price is not None:
            found.setdefault(each.backend, []).append(each)
    return [
        f"{len(those)} job{'' if len(those) == 1 else 's'} with {title(name)}: "
        f"{_most(those)}{dollars(sum((each.usd for each in those), NOTHING))}."
        for name, those in found.items()
    ]


def _most(estimates: Sequence[Estimate]) -> str:
    return "at most " if any(each.is_upper_bound for each in estimates) else ""


def _warning(usd: Decimal, spending: Spending) -> str:
    if usd <= spending.left_today:
        return ""
    left = dollars(spending.left_today)
    return f"Today's budget has {left} left: the jobs beyond it will be held, and not sent."
