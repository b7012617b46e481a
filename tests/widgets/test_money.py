"""What pages say of money."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator import backends
from orchestrator.ledger import Ledger, Purchase
from orchestrator.spending import Budget, Estimate, Spending, estimate
from orchestrator.testing import make_job
from orchestrator.widgets.money import DAYS, cost_line, panel, question

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BUDGET = Budget(per_day=Decimal("1.00"))
FLUX = estimate(backends.get("flux"), backends.parse(backends.get("flux"), {}))


def purchase(key: str, usd: str, backend: str = "flux") -> Purchase:
    return Purchase(
        key=key, job=f"job-{key}", fence=1, backend=backend, model="m", usd=Decimal(usd)
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl", now=lambda: NOW)


def spent(ledger: Ledger, *amounts: str, open_: str = "0") -> Spending:
    for number, amount in enumerate(amounts):
        made = ledger.reserve(purchase(str(number), amount), budget=BUDGET)
        ledger.charge(made, None)
    if open_ != "0":
        ledger.reserve(purchase("open", open_), budget=BUDGET)
    said = ledger.spending(BUDGET, credits=Decimal("98.5"))
    ledger.close()
    return said


def test_the_line_says_each_the_sum_and_what_today_has_cost(ledger: Ledger) -> None:
    line = cost_line(FLUX, 9, spent(ledger, "0.30"))
    assert line["text"] == "$0.06 each, $0.54 for 9"
    assert line["today"] == "today $0.30 of $1.00 spent"
    assert line["total"] == "$0.54"
    assert line["warning"] == ""


def test_one_picture_has_one_price(ledger: Ledger) -> None:
    assert cost_line(FLUX, 1, spent(ledger))["text"] == "$0.06"


def test_a_price_that_is_only_a_limit_says_so(ledger: Ledger) -> None:
    most = Estimate(
        backend="x", model="x", usd=Decimal("0.05"), is_upper_bound=True, price=FLUX.price
    )
    assert cost_line(most, 2, spent(ledger))["text"] == "at most $0.05 each, at most $0.10 for 2"


def test_what_the_day_cannot_pay_is_counted_with_what_is_under_way(ledger: Ledger) -> None:
    said = spent(ledger, "0.70", open_="0.17")
    line = cost_line(FLUX, 3, said)
    assert "0.17 under way" in line["today"]
    assert (
        line["warning"] == "Today's budget has $0.13 left, enough for 2: the others will be held."
    )
    assert (
        "they will be held"
        in cost_line(Estimate(backend="x", model="x", usd=Decimal("0.20")), 2, said)["warning"]
    )


def test_the_question_names_amount_and_backend(ledger: Ledger) -> None:
    asked = question(FLUX, 10, "FLUX <b>", spent(ledger, "0.30"))
    assert asked["title"] == "Spend $0.60?"
    assert asked["amount"] == "0.60"
    assert any("FLUX <b>" in line for line in asked["lines"])
    assert any("$0.90" in line for line in asked["lines"])


def test_the_panel_has_every_day_of_two_weeks_and_no_older_one(tmp_path: Path) -> None:
    for back, usd in ((20, "0.50"), (13, "0.06"), (1, "0.014")):
        old = Ledger(tmp_path / "ledger.jsonl", now=lambda back=back: NOW - timedelta(days=back))  # type: ignore[misc]
        old.charge(old.reserve(purchase(str(back), usd), budget=BUDGET), None)
        old.close()
    ledger = Ledger(tmp_path / "ledger.jsonl", now=lambda: NOW)
    said = panel(ledger.spending(BUDGET), titles={"flux": "FLUX"}, jobs={})
    ledger.close()
    assert len(said["days"]) == DAYS
    assert [day["day"] for day in said["days"] if day["usd"]] == ["2026-11-10", "2026-11-22"]
    assert said["days"][-2]["parts"][0]["backend"] == "FLUX"
    assert said["inAll"] == "0.574"
    assert said["credits"] is None
    assert json.loads(json.dumps(said)) == said


def test_a_purchase_whose_job_runs_is_under_way_and_any_other_is_the_user_s_to_decide(
    ledger: Ledger,
) -> None:
    said = spent(ledger, open_="0.06")
    (waiting,) = panel(said, titles={}, jobs={"job-open": make_job()})["undecided"]
    (gone,) = panel(said, titles={}, jobs={"job-open": None})["undecided"]
    assert (waiting["underWay"], gone["underWay"]) == (True, False)
    assert gone["amount"] == "0.06"


@pytest.mark.parametrize(
    ("per_day", "shares"), [("1.00", [0.25, 0.5]), ("0.30", [0.8333, 0.1667]), ("0", [1.0, 0.0])]
)
def test_the_parts_of_a_budget_are_never_more_than_all_of_it(
    ledger: Ledger, per_day: str, shares: list[float]
) -> None:
    spent(ledger, "0.25", open_="0.50")
    said = ledger.spending(Budget(per_day=Decimal(per_day)))
    shown = panel(said, titles={}, jobs={})["shares"]
    assert shown == pytest.approx(shares, abs=0.001)
