"""What pictures cost, and what a budget allows. Pure: no clock, no files.

Money is Decimal, in US dollars, and kept exact: some pictures cost a fraction of a cent. A day is a day of UTC, from
00:00 to 24:00, wherever the lab stands; a purchase belongs to the day on which it was about to be sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from orchestrator.backends import Backend, Params
from orchestrator.backends.flux import MAX_IMAGE_PIXELS, MEGAPIXEL, BFLParams, Flux2KleinParams
from orchestrator.errors import BudgetExceeded, ConfirmationNeeded

USD_PER_CREDIT = Decimal("0.01")  # docs.bfl.ai
CENT = Decimal("0.01")
NOTHING = Decimal(0)
DEFAULT_PER_DAY = Decimal("5.00")  # USD
DEFAULT_CONFIRM_ABOVE = Decimal("1.00")


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a model costs, in credits.

    `first`: a picture, or its first megapixel. `next`: each further megapixel of the picture and each of the images
    that go in; None where the size does not matter. Megapixels count as begun, and are of 1024×1024.
    """

    model: str
    first: Decimal
    next: Decimal | None = None
    # BFL's "skills" repository has the further megapixels
    source: str = "docs.bfl.ai/quick_start/pricing"
    as_of: date = date(2026, 11, 23)  # when a stored copy of it was read

    def credits(self, megapixels: int, input_megapixels: int) -> Decimal:
        """What a picture of that size costs."""
        if self.next is None:
            return self.first
        return self.first + self.next * (max(0, megapixels - 1) + input_megapixels)


def _table(*prices: Price) -> Mapping[str, Price]:
    return MappingProxyType({price.model: price for price in prices})


# An estimate only: what is written down in the end is the `cost` that the service says.
PRICES = _table(
    Price(model="flux-pro-1.1-ultra", first=Decimal(6)),
    Price(model="flux-pro-1.1", first=Decimal(4)),
    Price(model="flux-kontext-pro", first=Decimal(4)),
    Price(model="flux-kontext-max", first=Decimal(8)),
    Price(model="flux-2-pro", first=Decimal(3), next=Decimal("1.5")),
    Price(model="flux-2-max", first=Decimal(7), next=Decimal(3)),
    Price(model="flux-2-flex", first=Decimal(5), next=Decimal(5)),
    Price(model="flux-2-klein-4b", first=Decimal("1.4"), next=Decimal("0.1")),
    Price(model="flux-2-klein-9b", first=Decimal("1.5"), next=Decimal("0.2")),
)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a request is going to cost, as far as can be told before it is sent.

    `price` is None where nothing costs anything. `is_upper_bound`: the sizes of its images are not known yet.
    """

    backend: str
    model: str
    credits: Decimal = NOTHING
    usd: Decimal = NOTHING
    megapixels: int = 0
    input_megapixels: int = 0
    is_upper_bound: bool = False
    price: Price | None = None

    def document(self) -> dict[str, Any]:
        """The estimate as JSON; money is text."""
        return {
            "backend": self.backend,
            "model": self.model,
            "paid": self.price is not None,
            "credits": plain(self.credits),
            "amount": money(self.usd),
            "currency": "USD",
            "megapixels": self.megapixels,
            "inputMegapixels": self.input_megapixels,
            "isUpperBound": self.is_upper_bound,
            "source": self.price.source if self.price else None,
            "asOf": self.price.as_of.isoformat() if self.price else None,
        }

    def __str__(self) -> str:
        if self.price is None:
            return f"{self.backend} costs nothing"
        most = "at most " if self.is_upper_bound else ""
        return (
            f"{self.backend}: {most}${money(self.usd)} ({plain(self.credits)} credits; "
            f"{self.price.source}, {self.price.as_of})"
        )


def estimate(
    backend: Backend, params: Params, *, images: Sequence[tuple[int, int]] | None = None
) -> Estimate:
    """What one picture with these parameters is going to cost.

    `images`: width and height, in pixels, of the images that go in; without them the largest there may be are
    reckoned with, so that the estimate is never too low.
    """
    if not backend.paid or not isinstance(params, BFLParams):
        return Estimate(backend=backend.name, model=backend.model)
    price = PRICES[backend.model]
    named = len(params.images())
    known = len(images or ()) == named
    sizes = list(images or ()) if known else [(MAX_IMAGE_PIXELS, 1)] * named
    made, taken = _output(params, sizes), sum(_begun(size) for size in sizes)
    credits = price.credits(made, taken)
    return Estimate(
        backend=backend.name,
        model=backend.model,
        credits=credits,
        usd=credits * USD_PER_CREDIT,
        megapixels=made,
        input_megapixels=taken,
        is_upper_bound=price.next is not None and not known,
        price=price,
    )


def _output(params: BFLParams, images: Sequence[tuple[int, int]]) -> int:
    """The megapixels of the picture, as they are paid for."""
    if not isinstance(params, Flux2KleinParams):
        return 1  # their price does not ask for the size
    if params.width and params.height:
        return _begun((params.width, params.height))
    return min(4, max(map(_begun, images), default=1))  # as large as the image, but not too large


def _begun(size: tuple[int, int]) -> int:
    return max(1, -(-size[0] * size[1] // MEGAPIXEL))


def money(amount: Decimal) -> str:
    """An amount of dollars as text: exact, with two decimals at least."""
    cents = amount.quantize(CENT)
    return str(cents) if cents == amount else plain(amount)


def plain(number: Decimal) -> str:
    """A number as text, without an exponent and zeros that say nothing."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def usd_of(credits: float | Decimal) -> Decimal:
    """Dollars, of a service's credits."""
    return Decimal(str(credits)) * USD_PER_CREDIT


def day_of(at: datetime) -> str:
    """The day that a moment belongs to, in UTC, as 2026-11-22."""
    return at.astimezone(UTC).date().isoformat()


# ------------------------------------------------------------------------------ what may be spent


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be spent: on a day of UTC, and at once without a confirmation. USD."""

    per_day: Decimal = DEFAULT_PER_DAY
    confirm_above: Decimal = DEFAULT_CONFIRM_ABOVE

    def left(self, *, spent: Decimal, reserved: Decimal) -> Decimal:
        """What is left of a day: of its budget, what was spent and what may have been is gone."""
        return max(NOTHING, self.per_day - spent - reserved)

    def check(self, usd: Decimal, *, spent: Decimal, reserved: Decimal, what: str) -> None:
        """Raises BudgetExceeded when `usd` is more than the day has left."""
        if spent + reserved + usd <= self.per_day:
            return
        under_way = f" and ${money(reserved)} are under way" if reserved else ""
        raise BudgetExceeded(
            f"{what} would cost ${money(usd)}; of today's ${money(self.per_day)} (UTC), "
            f"${money(spent)} are spent{under_way}: nothing was sent"
        )

    def confirm(self, estimates: Iterable[Estimate], *, confirmed: bool) -> Decimal:
        """The sum of one request or a batch. Raises ConfirmationNeeded when it is above the limit and nobody has
        said yes to it."""
        all_of_them = list(estimates)
        usd = sum((each.usd for each in all_of_them), NOTHING)
        if usd <= self.confirm_above or confirmed:
            return usd
        names = ", ".join(sorted({each.backend for each in all_of_them if each.usd}))
        what = "The request" if len(all_of_them) == 1 else f"The {len(all_of_them)} requests"
        most = "up to " if any(each.is_upper_bound for each in all_of_them) else ""
        raise ConfirmationNeeded(
            f"{what} ({names}) would cost {most}${money(usd)}, "
            f"which is more than ${money(self.confirm_above)}"
        )

    def batch(
        self,
        estimates: Iterable[Estimate],
        *,
        confirmed: bool,
        budget: Decimal | None = None,
        left_today: Decimal | None = None,
    ) -> Decimal:
        """The sum of a batch that may be submitted. `budget`: what the whole batch may cost; `left_today`: what the
        day has left. Raises BudgetExceeded, ConfirmationNeeded."""
        all_of_them = list(estimates)
        usd = sum((each.usd for each in all_of_them), NOTHING)
        for limit, whose in ((budget, "the budget of the batch"), (left_today, "today's budget")):
            if limit is not None and usd > limit:
                raise BudgetExceeded(
                    f"The {len(all_of_them)} jobs would cost ${money(usd)}; "
                    f"{whose} has ${money(limit)} left: nothing was submitted",
                    remedy="Ask for fewer pictures, choose a cheaper backend, or raise the budget.",
                )
        return self.confirm(all_of_them, confirmed=confirmed)


# ------------------------------------------------------------------------------ what was spent


@dataclass(frozen=True, kw_only=True)
class DaySpending:
    """What one backend has cost on a day of UTC."""

    day: str
    backend: str
    usd: Decimal
    pictures: int


@dataclass(frozen=True, kw_only=True)
class Undecided:
    """A purchase that is under way, or of which nobody knows whether it was made."""

    key: str
    job: str
    backend: str
    day: str
    usd: Decimal


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Where the money went, and what is left. `credits`: what the service's account has left; None when it does not
    say. `damaged`: lines of the ledger that make no sense."""

    day: str  # of which the figures called today are
    per_day: Decimal
    spent_today: Decimal
    reserved_today: Decimal
    left_today: Decimal
    spent_in_all: Decimal
    days: tuple[DaySpending, ...]  # newest first
    undecided: tuple[Undecided, ...]
    credits: Decimal | None = None
    damaged: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """One row a day and backend, newest first, as `pandas.DataFrame` takes them; dollars as float."""
        return [
            {
                "day": each.day,
                "backend": each.backend,
                "usd": float(each.usd),
                "pictures": each.pictures,
            }
            for each in self.days
        ]

    def document(self) -> dict[str, Any]:
        """The figures as JSON; money is text."""
        return {
            "currency": "USD",
            "today": self.day,
            "budgetPerDay": money(self.per_day),
            "spentToday": money(self.spent_today),
            "reservedToday": money(self.reserved_today),
            "leftToday": money(self.left_today),
            "spentInAll": money(self.spent_in_all),
            "credits": None if self.credits is None else plain(self.credits),
            "days": [
                {
                    "day": each.day,
                    "backend": each.backend,
                    "amount": money(each.usd),
                    "pictures": each.pictures,
                }
                for each in self.days
            ],
            "undecided": [
                {
                    "key": each.key,
                    "jobId": each.job,
                    "backend": each.backend,
                    "day": each.day,
                    "amount": money(each.usd),
                }
                for each in self.undecided
            ],
            "damagedLines": self.damaged,
        }
