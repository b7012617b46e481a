"""Far ends of a search for tests: sources that answer, fail or hang as told, and a loop whose time is moved."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.parts.database import Database
from orchestrator.parts.engine import Search
from orchestrator.parts.quota import Quota
from orchestrator.parts.rates import Rates
from orchestrator.parts.sources.base import Limit, Meter, Request
from orchestrator.parts.values import Event, Offer, PriceBreak

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
RATES = Rates.offline()
T = TypeVar("T")


def offer(source: str, mpn: str = "NE555P", **changes: Any) -> Offer:
    """An offer of 1,000 pieces at one price."""
    price = Decimal(str(changes.pop("price", "0.50")))
    values: dict[str, Any] = {
        "source": source,
        "seller": source.title(),
        "region": "Europe",
        "sku": f"{source}-{mpn}",
        "mpn": mpn,
        "manufacturer": "Texas Instruments",
        "stock": 1000,
        "breaks": (PriceBreak(quantity=1, unit_price=price, currency="USD"),),
        "url": f"https://{source}.example/{mpn}",
        "fetched_at": START,
    }
    return Offer(**{**values, **changes})


class FakeSource:
    """Answers with portions, each after its delay; ends with an error if told to."""

    batch = 10
    scope = "US/USD"

    def __init__(
        self,
        name: str,
        portions: Sequence[tuple[float, Sequence[Offer]]] = (),
        *,
        error: BaseException | None = None,
        missing: str | None = None,
        limits: Sequence[Limit] = (),
        meter: Meter | None = None,
        version: str = "1",
    ) -> None:
        self.version = version
        self.name, self.title = name, name.title()
        self.portions, self.error, self.missing = portions, error, missing
        self.limits, self.meter = limits, meter
        self.asked: list[Request] = []
        self.running = 0
        self.ended_at: float | None = None

    def cost(self, request: Request) -> int:
        return 1

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        self.asked.append(request)
        self.running += 1
        try:
            if self.meter is not None:
                await self.meter.take()
            for delay_s, offers in self.portions:
                await asyncio.sleep(delay_s)
                yield offers
            if self.error is not None:
                raise self.error
        finally:
            self.running -= 1
            self.ended_at = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Nothing to give back."""


class Clock:
    """A wall clock that is moved."""

    def __init__(self, start: datetime = START) -> None:
        self.time = start

    def __call__(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def build(
    sources: Sequence[Any], folder: Path, *, clock: Clock | None = None, **changes: Any
) -> Search:
    """A search over sources, with its database in a folder."""
    database = Database(folder / "parts.sqlite")
    now: Callable[[], datetime] = clock or Clock()
    quota = changes.pop("quota", None) or Quota(database, now=now)
    with contextlib.suppress(RuntimeError):
        changes.setdefault("clock", asyncio.get_running_loop().time)
    return Search(sources, database=database, quota=quota, rates=RATES, now=now, **changes)


async def collect(search: Search, text: str = "NE555P", **wishes: Any) -> list[Event]:
    """All events of one search."""
    return [event async for event in search.search(text, **wishes)]


def named(events: Sequence[Event], name: str, provider: str | None = None) -> list[Any]:
    """What the events of a name say."""
    return [
        event.data
        for event in events
        if event.name == name and provider in {None, event.data.get("provider")}
    ]


class _AtOnce(ThreadPoolExecutor):
    """Work for threads, done where it is given: moved time would not wait for a thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  it is handed on
            future.set_exception(error)
        return future


class _MovedSelector(selectors.DefaultSelector):
    """Does not wait: where the loop would sleep, its time is moved on instead."""

    moved_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen")
        self.moved_s += max(0.0, timeout)
        return super().select(0)


class MovedLoop(asyncio.SelectorEventLoop):
    """A loop in which hours pass in no time."""

    def __init__(self) -> None:
        self.moved = _MovedSelector()
        super().__init__(self.moved)
        self.set_default_executor(_AtOnce())

    def time(self) -> float:
        return self.moved.moved_s


def run_moved(work: Callable[[], Any]) -> Any:
    """Run something in moved time."""
    with asyncio.Runner(loop_factory=MovedLoop) as runner:
        return runner.run(work())
