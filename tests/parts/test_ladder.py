"""Ladders against a brute-force oracle, and how they are made."""

from __future__ import annotations

import random
from decimal import Decimal

from lengths import LONG
from offers import ladder, offer

from orchestrator.parts.ladder import RISES, best, best_of, build
from orchestrator.parts.rates import Rates
from orchestrator.parts.values import Offer

D = Decimal


def test_random_ladders_equal_the_oracle() -> None:
    ladders = 10_000 if LONG else 2_000
    dice = random.Random(20260920)
    bought_more = 0
    for _ in range(ladders):
        one, quantity, any_stock = _random_offer(dice), dice.randint(1, 60), dice.random() < 0.3
        told = best(one, quantity, None, "USD", any_stock)
        truth = _oracle(one, quantity, any_stock)
        if truth is None:
            assert told is None, one
            continue
        assert told is not None, one
        assert (told.total, told.buy, told.unit_price) == truth, one
        assert told.in_stock == ((one.stock or 0) >= told.buy)
        bought_more += told.buy > quantity
    assert bought_more > ladders / 10  # the cases do reach MOQ, multiples and later breaks


def _random_offer(dice: random.Random) -> Offer:
    moq = dice.choice([1, 1, 1, 5, 10, 25])
    raw = [
        (dice.randint(0, 80), D(dice.randint(-5, 400)).scaleb(-3))
        for _ in range(dice.randint(0, 6))
    ]
    tax = dice.choice([None, None, D(23), D("20")])
    breaks, _ = build(raw, currency="USD", moq=moq, tax_percent=tax)
    return offer(
        moq=moq,
        multiple=dice.choice([1, 1, 2, 5, 7]),
        stock=dice.choice([None, 0, 30, 90, 10_000]),
        breaks=breaks,
    )


def _oracle(one: Offer, quantity: int, any_stock: bool) -> tuple[Decimal, int, Decimal] | None:
    """Every count that can be bought, one by one."""
    ways = []
    for count in range(quantity, 100):  # the last break is at 80 at most, a multiple 7
        if count < one.moq or count % one.multiple:
            continue
        if not any_stock and (one.stock is None or one.stock < count):
            continue
        prices = [step.unit_price for step in one.breaks if step.quantity <= count]
        if prices:
            ways.append((prices[-1] * count, count, prices[-1]))
    return min(ways, default=None)


def test_a_hundred_is_bought_when_it_costs_less_than_ninety() -> None:
    way = best(offer(breaks=ladder((1, "0.10"), (100, "0.05"))), 90, None, "USD")
    assert way is not None
    assert (way.buy, way.total, way.quantity) == (100, D("5.00"), 90)


def test_the_next_break_is_not_bought_when_the_stock_does_not_reach_it() -> None:
    way = best(offer(stock=95, breaks=ladder((1, "0.10"), (100, "0.05"))), 90, None, "USD")
    assert way is not None
    assert way.buy == 90


def test_an_offer_without_enough_stock_counts_only_when_asked() -> None:
    short = offer(stock=5)
    assert best(short, 10, None, "USD") is None
    assert best(offer(stock=None), 1, None, "USD") is None
    way = best(short, 10, None, "USD", any_stock=True)
    assert way is not None
    assert not way.in_stock


def test_a_ladder_is_sorted_cleaned_and_starts_at_the_moq() -> None:
    raw = [
        (1000, D("0.03")),
        (1, D("0.10")),
        (100, D("0.06")),
        (100, D("0.05")),
        (10, D(0)),
        (-1, D(1)),
    ]
    breaks, warnings = build([*raw, (500, None)], currency="USD", moq=25)
    assert breaks == ladder((25, "0.10"), (100, "0.05"), (1000, "0.03"))
    assert warnings == ()


def test_a_break_at_the_moq_itself_is_kept_over_a_lower_one() -> None:
    breaks, _ = build([(1, D(9)), (10, D(5))], currency="USD", moq=10)
    assert breaks == ladder((10, "5"))


def test_gross_prices_become_net() -> None:
    breaks, _ = build([(1, D("1.23"))], currency="PLN", tax_percent=D("23.0"))
    assert breaks == ladder((1, "1"), currency="PLN")


def test_a_rising_ladder_is_kept_with_a_warning() -> None:
    breaks, warnings = build([(1, D(1)), (10, D(2))], currency="USD")
    assert len(breaks) == 2
    assert warnings == (RISES,)


def test_equal_totals_go_to_the_larger_stock_then_the_shorter_lead() -> None:
    small, large = offer(sku="a", stock=50), offer(sku="z", stock=5000)
    way = best_of([small, large], 1, None, "USD")
    assert way is not None
    assert way.offer is large
    slow, quick = offer(sku="a", lead_days=90), offer(sku="z", lead_days=2)
    way = best_of([slow, quick], 1, None, "USD")
    assert way is not None
    assert way.offer is quick


def test_offers_in_different_currencies_are_compared_in_one() -> None:
    dollars, roubles = offer(sku="d"), offer(sku="r", breaks=ladder((1, "5"), currency="RUB"))
    way = best_of([dollars, roubles], 10, Rates.offline(), "USD")
    assert way is not None
    assert way.offer is roubles
    assert way.total == way.unit_price * 10
    unknown = offer(breaks=ladder((1, "5"), currency="XXX"))
    assert best(unknown, 1, Rates.offline(), "USD") is None
