"""What a page says of money. Pure; amounts come as Decimal and leave as text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from orchestrator.jobs import Job, one_line
from orchestrator.spending import NOTHING, USD_PER_CREDIT, Estimate, Spending, money, plain

DAYS = 14
SHOWN_UNDECIDED = 50


def dollars(usd: Decimal) -> str:
    """An amount as people write it."""
    return f"${money(usd)}"


def cost_line(each: Estimate, count: int, spending: Spending) -> dict[str, Any]:
    """What `count` pictures like this cost, and what of today's budget is gone."""
    total = each.usd * count
    most = "at most " if each.is_upper_bound else ""
    text = f"{most}{dollars(each.usd)}"
    if count > 1:
        text += f" each, {most}{dollars(total)} for {count}"
    return {
        "text": text,
        "today": today_line(spending),
        "warning": _warning(each, count, spending),
        "total": f"{'≤ ' if each.is_upper_bound else ''}{dollars(total)}",
    }


def today_line(spending: Spending) -> str:
    """How much of today's budget is gone, in words."""
    under_way = f", {dollars(spending.reserved_today)} under way" if spending.reserved_today else ""
    return f"today {dollars(spending.spent_today)} of {dollars(spending.per_day)} spent{under_way}"


def _warning(each: Estimate, count: int, spending: Spending) -> str:
    if each.usd * count <= spending.left_today:
        return ""
    fits = int(spending.left_today // each.usd)
    left = f"Today's budget has {dollars(spending.left_today)} left"
    if fits == 0:
        return f"{left}: {'it' if count == 1 else 'they'} will be held, and nothing is sent."
    return f"{left}, enough for {fits}: the others will be held."


def question(each: Estimate, count: int, title: str, spending: Spending) -> dict[str, Any]:
    """What a page asks before it spends more than the lab may by itself."""
    total = each.usd * count
    most = "at most " if each.is_upper_bound else ""
    what = f"{count} jobs" if count > 1 else "One job"
    after = spending.spent_today + spending.reserved_today + total
    lines = [
        f"{what} with {title}, {most}{dollars(each.usd)} each.",
        f"{today_line(spending).capitalize()}; {dollars(after)} with this.",
    ]
    if warning := _warning(each, count, spending):
        lines.append(warning)
    return {"amount": money(total), "title": f"Spend {most}{dollars(total)}?", "lines": lines}


# ------------------------------------------------------------------------------ the panel


def panel(
    spending: Spending, *, titles: Mapping[str, str], jobs: Mapping[str, Job | None]
) -> dict[str, Any]:
    """Where the money went, for the diagnostics. `titles`: backend -> its name for people; `jobs`: those of the
    purchases that are not decided, None for one that is not in the list any more."""
    return {
        "today": spending.day,
        "budget": money(spending.per_day),
        "spent": money(spending.spent_today),
        "reserved": money(spending.reserved_today),
        "left": money(spending.left_today),
        "inAll": money(spending.spent_in_all),
        "credits": None if spending.credits is None else plain(spending.credits),
        "creditsUsd": None
        if spending.credits is None
        else money((spending.credits * USD_PER_CREDIT).quantize(Decimal("0.01"))),
        "shares": _shares(spending),
        "days": _days(spending, titles),
        "undecided": [
            {
                "key": each.key,
                "job": one_line(each.job)[:80],
                "backend": one_line(titles.get(each.backend, each.backend))[:80],
                "day": each.day,
                "amount": money(each.usd),
                "underWay": _is_under_way(jobs.get(each.job)),
            }
            for each in spending.undecided[:SHOWN_UNDECIDED]
        ],
        "damaged": spending.damaged,
    }


def _is_under_way(job: Job | None) -> bool:
    return job is not None and not job.is_terminal


def _shares(spending: Spending) -> list[float]:
    """Of today's budget: the parts that are spent, and under way, from 0 to 1."""
    if not spending.per_day:
        return [float(bool(spending.spent_today)), 0.0]
    spent = min(Decimal(1), spending.spent_today / spending.per_day)
    reserved = min(1 - spent, spending.reserved_today / spending.per_day)
    return [float(spent), float(reserved)]


def _days(spending: Spending, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """The last days, the oldest first, each with what its backends have cost, the dearest first."""
    last = date.fromisoformat(spending.day)
    days = []
    for back in range(DAYS - 1, -1, -1):
        day = (last - timedelta(days=back)).isoformat()
        its = sorted(
            (each for each in spending.days if each.day == day), key=lambda each: -each.usd
        )
        parts = [
            {
                "backend": one_line(titles.get(each.backend, each.backend))[:80],
                "usd": float(each.usd),
                "amount": money(each.usd),
                "pictures": each.pictures,
            }
            for each in its
            if each.usd
        ]
        total = sum((each.usd for each in its), NOTHING)
        days.append({"day": day, "usd": float(total), "amount": money(total), "parts": parts})
    return days
