"""How fast a components search is: `python tests/benchmarks/bench_parts.py [rounds]`. Each figure with its target.

The cache holds 10,000 answers of ten offers each. Sources are fakes in this process: what is measured is ours alone.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from orchestrator.parts.breaker import Breaker
from orchestrator.parts.cache import Cache, answer_key
from orchestrator.parts.database import Database
from orchestrator.parts.engine import Search
from orchestrator.parts.quota import Quota
from orchestrator.parts.rates import Rates
from orchestrator.parts.ru import normalise
from orchestrator.parts.sources.base import Limit, Request
from orchestrator.parts.values import Offer, PriceBreak

ANSWERS = 10_000
OFFERS = 10  # of an answer
DELAYS_S = (0.15, 0.6, 1.5, 4.0)
LIMITS = (Limit(calls=10**6, window_s=60), Limit(calls=10**7, window_s=86400))


class Source:
    """Answers after a while."""

    version, limits, batch, scope, missing = "1", LIMITS, 10, "", None

    def __init__(self, name: str, delay_s: float = 0.0) -> None:
        self.name, self.title = name, name
        self.delay_s = delay_s

    def cost(self, request: Request) -> int:
        return 1

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        await asyncio.sleep(self.delay_s)
        yield offers(self.name, request.mpns[0] if request.mpns else "NE555P")

    async def close(self) -> None:
        """Nothing to give back."""


def offers(source: str, mpn: str) -> list[Offer]:
    return [
        Offer(
            source=source,
            seller=source.title(),
            region="Europe",
            sku=f"{source}-{mpn}-{number}",
            mpn=f"{mpn}{'ABCDEFGHIJ'[number]}",
            manufacturer="Texas Instruments",
            description="timer integrated circuit",
            stock=100 * number,
            breaks=tuple(
                PriceBreak(
                    quantity=10**step, unit_price=Decimal("0.5") / (step + 1), currency="USD"
                )
                for step in range(5)
            ),
            params={"Supply voltage": "4.5 V ~ 16 V", "Package": "DIP-8", "Pins": "8"},
            url=f"https://{source}.example/{mpn}",
            fetched_at=datetime.now(UTC),
        )
        for number in range(OFFERS)
    ]


def build(folder: Path, sources: Sequence[Source]) -> tuple[Search, Database, Quota]:
    database = Database(folder / "parts.sqlite")
    quota = Quota(database)
    for source in sources:
        quota.meter(source.name, source.limits)
    search = Search(sources, database=database, quota=quota, rates=Rates.offline())
    return search, database, quota


async def first_row_ms(search: Search, text: str) -> float:
    started = time.perf_counter()
    async with aclosing(search.search(text)) as events:
        async for event in events:
            if event.name == "part:upsert":
                return (time.perf_counter() - started) * 1000
    raise RuntimeError("no row")


def say(what: str, values: Sequence[float], target: str, unit: str = "ms") -> None:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    print(
        f"{what:<52} p50 {statistics.median(values):8.2f}  p95 {p95:8.2f} {unit}   target: {target}"
    )


def fill(database: Database, names: Sequence[str]) -> None:
    cache = Cache(database)
    answers = offers(names[0], "X")
    for number in range(ANSWERS):
        cache.put(f"filler {number}", answers, source=names[0])


async def cached(folder: Path, rounds: int) -> None:
    names = [f"source{number}" for number in range(4)]
    search, database, _ = build(folder, [Source(name) for name in names])
    fill(database, names)
    cache = Cache(database)
    texts = [f"NE{number}P" for number in range(rounds)]
    for text in texts:
        request = Request.of(normalise(text))
        for name in names:
            key = answer_key(source=name, version="1", scope="", request=request)
            cache.put(key, offers(name, text), source=name)
    await first_row_ms(search, texts[0])  # imports and the first page of the file
    say("cached first row, 4 sources, 10,000 answers", [await first_row_ms(search, t) for t in texts],
        "p50 <= 20, p95 < 50")  # fmt: skip
    await search.close()


async def live(folder: Path) -> None:
    search, _, _ = build(folder, [Source(f"s{delay}", delay) for delay in DELAYS_S])
    started = time.perf_counter()
    first_s = None
    async for event in search.search("NE555P"):
        if event.name == "part:upsert" and first_s is None:
            first_s = time.perf_counter() - started
    whole_s = time.perf_counter() - started
    say("first live row after the fastest source", [((first_s or 0) - DELAYS_S[0]) * 1000], "<= 50")
    say("end after the slowest source", [(whole_s - DELAYS_S[-1]) * 1000], "<= 100")
    print(f"{'a server that waits for all: first row':<52} at least {DELAYS_S[-1] * 1000:.0f} ms")
    await search.close()


async def blocking(folder: Path, rounds: int) -> None:
    """What the loop waits for: each call stands still for everybody."""
    database = Database(folder / "parts.sqlite")
    cache, breaker, quota = Cache(database), Breaker(database), Quota(database)
    meter = quota.meter("x", LIMITS)
    cache.put("kept", offers("x", "NE555P"), source="x")
    entry_blob = cache.find("kept")
    assert entry_blob is not None

    def land() -> None:
        flight = cache.board("key", deadline_s=9)
        assert flight is not None
        cache.land(flight)

    calls: list[tuple[str, Callable[[], object], str]] = [
        ("cache.find", lambda: cache.find("kept"), "<= 1"),
        ("reading ten offers", entry_blob.open, "<= 1"),
        ("cache.board and land", land, "<= 1"),
        ("breaker.ask", lambda: breaker.ask("x"), "<= 1"),
        ("quota.left", lambda: quota.left("x"), "<= 1"),
        ("cache.put (in a thread)", lambda: cache.put("put", offers("x", "Y"), source="x"), "-"),
    ]
    for what, call, target in calls:
        say(what, [_ms(call) for _ in range(rounds)], target)
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        await meter.take()
        taken.append((time.perf_counter() - started) * 1000)
    say("meter.take", taken, "<= 1")
    database.close()


def _ms(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


async def main(rounds: int) -> None:
    for work in (lambda f: cached(f, rounds), live, lambda f: blocking(f, rounds)):
        with tempfile.TemporaryDirectory(prefix="bench-parts-") as folder:
            await work(Path(folder))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
