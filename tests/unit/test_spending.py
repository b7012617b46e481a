"""What pictures cost, and what a budget lets through: to the cent, and never too low."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import backends
from orchestrator.errors import BudgetExceeded, ConfirmationNeeded
from orchestrator.spending import (
    PRICES,
    Budget,
    Estimate,
    day_of,
    estimate,
    money,
    plain,
    usd_of,
)
from orchestrator.testing.bfl_models import MODELS

PAID = [backend for backend in backends.BACKENDS.values() if backend.paid]
MP = (1024, 1024)


def usd(
    name: str, params: dict[str, Any] | None = None, images: list[tuple[int, int]] | None = None
) -> str:
    backend = backends.get(name)
    return money(estimate(backend, backends.parse(backend, params or {}), images=images).usd)


def of(amount: str, backend: str = "flux") -> Estimate:
    return Estimate(backend=backend, model="m", usd=Decimal(amount))


# ------------------------------------------------------------------------------ prices


def test_every_paid_backend_has_a_price_with_its_source_and_date() -> None:
    assert {backend.model for backend in PAID} == set(PRICES)
    for price in PRICES.values():
        assert "bfl.ai" in price.source
        assert price.as_of.year >= 2026


@pytest.mark.parametrize(
    ("name", "params", "images", "price"),
    [
        ("sd15", {}, None, "0.00"),
        ("flux", {}, None, "0.06"),
        ("flux", {"image": "a.png"}, [(5000, 4000)], "0.06"),  # whatever goes in
        ("flux-pro-1.1", {"width": 1440, "height": 1440}, None, "0.04"),
        ("flux-kontext-pro", {}, None, "0.04"),
        ("flux-kontext-max", {"image": "a.png"}, None, "0.08"),
        ("flux-2-pro", {}, None, "0.03"),
        ("flux-2-pro", {"width": 2048, "height": 2048}, None, "0.075"),  # 3 + 3 × 1.5 credits
        ("flux-2-pro", {"width": 1024, "height": 1040}, None, "0.045"),  # a second one is begun
        ("flux-2-pro", {"image": "a.png", "width": 64, "height": 64}, [MP], "0.045"),
        ("flux-2-pro", {"image": "a.png"}, [(2048, 1024)], "0.075"),  # 2 MP in, and 2 MP out
        ("flux-2-pro", {"image": "a.png", "image2": "b.png"}, [MP, MP], "0.06"),
        ("flux-2-max", {}, None, "0.07"),
        ("flux-2-max", {"width": 2048, "height": 2048}, None, "0.16"),
        ("flux-2-flex", {"width": 2048, "height": 2048, "steps": 1}, None, "0.20"),
        ("flux-2-klein-4b", {}, None, "0.014"),  # kept exact: a thousand of them are 14 dollars
        ("flux-2-klein-9b", {"width": 2048, "height": 1024}, None, "0.017"),
    ],
)
def test_a_picture_costs_what_the_list_says_for_its_size(
    name: str, params: dict[str, Any], images: list[tuple[int, int]] | None, price: str
) -> None:
    assert usd(name, params, images) == price


@given(
    backend=st.sampled_from(PAID),
    side=st.integers(16, 128).map(lambda n: 16 * n),
    sizes=st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 4000)), max_size=1),
    has_size=st.booleans(),
)
def test_no_estimate_is_lower_than_what_the_service_takes(
    backend: backends.Backend, side: int, sizes: list[tuple[int, int]], has_size: bool
) -> None:
    params: dict[str, Any] = {"image": "a.png"} if sizes else {}
    if has_size and backend.name.startswith("flux-2"):
        params |= {"width": side, "height": side}
    said = estimate(backend, backends.parse(backend, params), images=sizes)
    made = said.megapixels
    taken = sum(-(-wide * high // 1024**2) for wide, high in sizes)
    assert said.credits == Decimal(str(MODELS[backend.model].price(made, taken)))


@pytest.mark.parametrize("backend", PAID, ids=lambda backend: backend.name)
def test_images_of_unknown_size_are_reckoned_as_the_largest_there_may_be(
    backend: backends.Backend,
) -> None:
    params = backends.parse(backend, {"image": "a.png"})
    unknown = estimate(backend, params)
    assert unknown.usd >= estimate(backend, params, images=[(4000, 5000)]).usd
    assert unknown.is_upper_bound == (PRICES[backend.model].next is not None)


def test_an_estimate_is_told_in_text_and_as_json() -> None:
    backend = backends.get("flux-2-klein-4b")
    said = estimate(backend, backends.parse(backend, {}))
    assert str(said).startswith("flux-2-klein-4b: $0.014 (1.4 credits; docs.bfl.ai")
    document = said.document()
    assert (document["amount"], document["credits"], document["paid"]) == ("0.014", "1.4", True)
    free = backends.get("sd15")
    nothing = estimate(free, backends.parse(free, {}))
    assert (nothing.usd, nothing.document()["paid"]) == (Decimal(0), False)
    assert str(nothing) == "sd15 costs nothing"


@pytest.mark.parametrize(
    ("amount", "text"),
    [("6", "6.00"), ("0.06", "0.06"), ("0.014", "0.014"), ("0", "0.00"), ("1E+1", "10.00")],
)
def test_money_is_exact_and_has_two_decimals_at_least(amount: str, text: str) -> None:
    assert money(Decimal(amount)) == text


@given(st.decimals(min_value=0, max_value=10**6, places=5))
def test_no_amount_is_changed_by_being_written_down(amount: Decimal) -> None:
    assert Decimal(plain(amount)) == Decimal(money(amount)) == amount


def test_credits_are_hundredths_of_a_dollar_without_the_errors_of_floats() -> None:
    assert sum(usd_of(1.4) for _ in range(1000)) == 14
    assert usd_of(0.1) + usd_of(0.2) == usd_of(0.3)


# ------------------------------------------------------------------------------ days


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=UTC), "2026-11-22"),
        (datetime(2026, 11, 23, 0, 0, tzinfo=UTC), "2026-11-23"),
        # half past one in the night in Moscow is still yesterday's money
        (datetime(2026, 11, 23, 1, 30, tzinfo=timezone(timedelta(hours=3))), "2026-11-22"),
        (datetime(2026, 11, 22, 20, 0, tzinfo=timezone(timedelta(hours=-8))), "2026-11-23"),
    ],
)
def test_a_day_is_a_day_of_utc_wherever_the_lab_stands(at: datetime, day: str) -> None:
    assert day_of(at) == day


# ------------------------------------------------------------------------------ the budget


@pytest.mark.parametrize(
    ("spent", "reserved", "usd", "fits"),
    [
        ("0", "0", "1.00", True),  # to the last cent
        ("0", "0", "1.01", False),
        ("0.90", "0.04", "0.06", True),
        ("0.90", "0.05", "0.06", False),  # what is under way counts as spent
        ("0.96", "0", "0.0400001", False),
        ("5", "0", "0", False),  # over it already
    ],
)
def test_a_budget_lets_through_what_it_has_left(
    spent: str, reserved: str, usd: str, fits: bool
) -> None:
    told: list[BudgetExceeded] = []
    try:
        Budget(per_day=Decimal("1.00")).check(
            Decimal(usd), spent=Decimal(spent), reserved=Decimal(reserved), what="It"
        )
    except BudgetExceeded as error:
        told.append(error)
    assert bool(told) is not fits
    for each in told:
        assert f"It would cost ${money(Decimal(usd))}" in each.message
        assert "nothing was sent" in each.message
        assert "ORCHESTRATOR_BUDGET_PER_DAY" in each.remedy
        assert each.holds
        assert not each.retryable


def test_what_is_left_is_never_less_than_nothing() -> None:
    budget = Budget(per_day=Decimal(1))
    assert budget.left(spent=Decimal("0.4"), reserved=Decimal("0.1")) == Decimal("0.5")
    assert budget.left(spent=Decimal(3), reserved=Decimal(0)) == 0


def test_what_costs_more_than_the_limit_has_to_be_confirmed() -> None:
    budget = Budget(confirm_above=Decimal("1.00"))
    assert budget.confirm([of("1.00")], confirmed=False) == 1
    with pytest.raises(ConfirmationNeeded) as caught:
        budget.confirm([of("1.01")], confirmed=False)
    assert "$1.01" in caught.value.message
    for way in ("--yes", "confirm=True", '"confirm": true'):
        assert way in caught.value.remedy
    assert budget.confirm([of("1.01")], confirmed=True) == Decimal("1.01")


def test_a_batch_is_confirmed_by_its_sum() -> None:
    budget = Budget(confirm_above=Decimal("1.00"))
    jobs = [of("0.06")] * 16
    assert budget.batch(jobs, confirmed=False) == Decimal("0.96")
    with pytest.raises(ConfirmationNeeded) as caught:
        budget.batch([*jobs, of("0.06")], confirmed=False)
    assert "17 requests (flux) would cost $1.02" in caught.value.message


@pytest.mark.parametrize(
    ("limits", "whose"),
    [({"budget": Decimal("0.9")}, "of the batch"), ({"left_today": Decimal("0.9")}, "today's")],
)
def test_a_batch_beyond_a_budget_is_refused_whether_or_not_it_is_confirmed(
    limits: dict[str, Decimal], whose: str
) -> None:
    with pytest.raises(BudgetExceeded) as caught:
        Budget().batch([of("0.06")] * 16, confirmed=True, **limits)
    assert whose in caught.value.message
    assert Budget().batch([of("0.06")] * 15, confirmed=True, **limits) == Decimal("0.90")
