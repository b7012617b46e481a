"""Kept answers: how old they may be, who fetches a missing one, and that a damaged file harms nobody."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from search_far_ends import (
    START,
    Clock,
    FakeSource,
    build,
    collect,
    named,
    offer,
    run_moved,
)

from orchestrator.parts.cache import OLD_PRICES, Cache, answer_key
from orchestrator.parts.database import Database
from orchestrator.parts.errors import SourceRate, SourceSchema
from orchestrator.parts.quota import Quota
from orchestrator.parts.sources.base import Limit, Request
from orchestrator.parts.values import Offer

HOUR, DAY = 3600, 86400
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "parts.sqlite")
    yield database
    database.close()


def test_prices_are_fresh_for_an_hour_stale_for_a_day_and_then_only_a_list(
    database: Database, clock: Clock
) -> None:
    cache = Cache(database, now=clock)
    kept = (offer("a"), offer("a", "LM358"))
    cache.put("key", kept, source="a")
    for after_s, is_fresh, has_prices in [
        (HOUR, True, True),
        (HOUR + 1, False, True),
        (DAY, False, True),
        (DAY + 1, False, False),
        (7 * DAY, False, False),
    ]:
        clock.time = START
        clock.move(after_s)
        entry = cache.get("key")
        assert entry is not None
        assert entry.is_fresh is is_fresh
        assert [one.stale for one in entry.offers] == [not is_fresh] * 2
        assert bool(entry.offers[0].breaks) is has_prices
        assert (OLD_PRICES in entry.offers[0].warnings) is not has_prices
        if is_fresh:
            assert entry.offers == kept
    clock.move(1)
    assert cache.get("key") is None


def test_a_list_lasts_longer_than_prices_and_nothing_lasts_a_quarter_of_an_hour(
    database: Database, clock: Clock
) -> None:
    cache = Cache(database, now=clock)
    cache.put("list", [offer("a", breaks=(), stock=None)], source="a")
    cache.put("nothing", [], source="a")
    clock.move(15 * 60)
    nothing = cache.get("nothing")
    assert nothing is not None
    assert nothing.is_fresh
    clock.move(1)
    assert cache.get("nothing") is None
    clock.move(5 * HOUR)
    kept = cache.get("list")
    assert kept is not None
    assert kept.is_fresh


def test_an_answer_has_one_name_for_what_asks_the_same() -> None:
    def key(request: Request, **changes: str) -> str:
        return answer_key(
            **{"source": "a", "version": "1", "scope": "US", "request": request, **changes}  # type: ignore[arg-type]
        )

    words = Request(keyword="Resistor  4.7k 0603")
    assert key(words) == key(Request(keyword="resistor 4.7K 0603"))
    assert key(Request(mpns=("a", "b"))) == key(Request(mpns=("B", "A"), keyword="x"))
    different = [
        key(words),
        key(words, source="b"),
        key(words, version="2"),
        key(words, scope="DE"),
        key(Request(keyword="resistor 4.7k 0603", limit=10)),
        key(Request(keyword="resistor 4.7k 0603", type="resistor")),
        key(Request(mpns=("RESISTOR 4.7K 0603",))),
    ]
    assert len(set(different)) == len(different)


def test_prices_are_noted_once_a_day_and_only_when_they_change(
    database: Database, clock: Clock
) -> None:
    cache = Cache(database, now=clock)
    for days, price in [(0, "0.50"), (0.1, "0.50"), (1, "0.50"), (2, "0.40"), (2.1, "0.45")]:
        clock.time = START
        clock.move(days * DAY)
        cache.put(f"{days}", [offer("a", price=price)], source="a")
    told = [(one.day, str(one.breaks[0].unit_price)) for one in cache.history(offer("a"))]
    assert told == [("2026-11-23", "0.50"), ("2026-11-25", "0.45")]
    assert cache.history(offer("b")) == []


def test_the_cache_stays_below_its_size_and_drops_the_oldest(tmp_path: Path, clock: Clock) -> None:
    database = Database(tmp_path / "parts.sqlite")
    cache = Cache(database, now=clock, max_bytes=20_000)
    for number in range(200):
        clock.move(1)
        cache.put(str(number), [offer("a", sku=os.urandom(50).hex())], source="a")
    cache.prune()
    total = database.read(lambda db: db.execute("select total(size) from answers").fetchone()[0])
    assert 10_000 < total <= 20_000
    assert cache.get("199") is not None
    assert cache.get("0") is None
    clock.move(8 * DAY)
    cache.prune()
    assert database.read(lambda db: db.execute("select count(*) from answers").fetchone()) == (0,)
    database.close()


# -------------------------------------------------------------------- in a search


def test_the_second_search_asks_nobody_and_says_how_old_its_rows_are(
    tmp_path: Path, clock: Clock
) -> None:
    async def work() -> None:
        source = FakeSource("a", [(1, [offer("a")])])
        search = build([source], tmp_path, clock=clock)
        first = await collect(search)
        clock.move(600)
        second = await collect(search)
        assert len(source.asked) == 1
        (told,) = named(second, "provider:partial")
        assert (told["origin"], told["age_s"]) == ("cache", 600)
        assert told["offers"] == named(first, "provider:partial")[0]["offers"]
        assert named(second, "result")[0]["parts"] == named(first, "result")[0]["parts"]
        await search.close()

    run_moved(work)


def test_old_rows_are_shown_at_once_and_replaced_by_new_ones(tmp_path: Path, clock: Clock) -> None:
    async def work() -> None:
        source = FakeSource("a", [(1, [offer("a", price="0.50")])])
        search = build([source], tmp_path, clock=clock)
        await collect(search)
        clock.move(2 * HOUR)
        source.portions = [(1, [offer("a", price="0.30", fetched_at=clock())])]
        events = await collect(search)
        assert [told["origin"] for told in named(events, "provider:partial")] == ["stale", "live"]
        (part,) = named(events, "result")[0]["parts"]
        assert [one["stale"] for one in part["offers"]] == [False]
        assert part["best"]["unit_price"] == "0.30"
        await search.close()

    run_moved(work)


def test_old_rows_are_not_renewed_when_few_calls_are_left(tmp_path: Path, clock: Clock) -> None:
    async def work() -> None:
        quota = Quota(Database(tmp_path / "parts.sqlite"), now=clock)
        quota.meter("a", [Limit(calls=10, window_s=DAY)])
        source = FakeSource("a", [(1, [offer("a")])])
        search = build([source], tmp_path, clock=clock, quota=quota)
        await collect(search)
        clock.move(2 * HOUR)
        await quota.take("a", 8, interactive=True, deadline=None)
        events = await collect(search)
        assert len(source.asked) == 1
        assert [told["origin"] for told in named(events, "provider:partial")] == ["stale"]
        assert named(events, "provider:done")[0]["quota"] == "2 of 10 left today"
        quota._database.close()
        await search.close()

    run_moved(work)


@pytest.mark.parametrize("error", [SourceSchema("200 with an error in it"), ValueError()])
def test_an_answer_that_ends_in_an_error_is_shown_and_not_kept(
    tmp_path: Path, error: Exception
) -> None:
    async def work() -> None:
        source = FakeSource("a", [(0, [offer("a")])], error=error)
        search = build([source], tmp_path)
        assert len(named(await collect(search), "result")[0]["parts"]) == 1
        await collect(search)
        assert len(source.asked) == 2
        await search.close()

    run_moved(work)


def test_a_source_that_keeps_failing_is_asked_no_more_and_its_old_rows_stay(
    tmp_path: Path, clock: Clock
) -> None:
    async def work() -> None:
        source = FakeSource("a", [(0, [offer("a")])])
        search = build([source], tmp_path, clock=clock)
        await collect(search)
        clock.move(2 * HOUR)
        source.portions, source.error = [], SourceSchema("what is this")
        for _ in range(7):
            events = await collect(search)
        assert len(source.asked) == 1 + 5
        assert named(events, "provider:error")[0]["retry_after_s"] == 30
        assert len(named(events, "result")[0]["parts"]) == 1
        assert search.states()[0].refusal is not None
        await search.close()

    run_moved(work)


# -------------------------------------------------------------------- single flight


def test_two_searches_at_once_make_one_call(tmp_path: Path) -> None:
    async def work() -> None:
        source = FakeSource("a", [(1, [offer("a")])])
        search = build([source], tmp_path)
        both = await asyncio.gather(collect(search), collect(search))
        assert len(source.asked) == 1
        origins = {named(events, "provider:partial")[0]["origin"] for events in both}
        assert origins == {"live", "cache"}
        await search.close()

    run_moved(work)


def test_when_the_first_search_fails_the_second_asks_for_itself(tmp_path: Path) -> None:
    async def work() -> None:
        source = FakeSource("a", [(1, [])], error=SourceRate())
        search = build([source], tmp_path)
        first = asyncio.create_task(collect(search))
        await asyncio.sleep(0.5)
        second = asyncio.create_task(collect(search))
        await asyncio.sleep(0.1)
        await first
        source.error, source.portions = None, [(1, [offer("a")])]
        assert len(named(await second, "result")[0]["parts"]) == 1
        assert len(source.asked) == 2
        await search.close()

    run_moved(work)


def _search_once(folder: Path, delay_s: float, told: Any) -> None:
    class Telling(FakeSource):
        async def search(self, request: Request) -> Any:
            told.put("asked")
            await asyncio.sleep(delay_s)
            yield [offer("a")]

    async def work() -> None:
        search = build([Telling("a")], folder)
        events = await collect(search)
        told.put(named(events, "provider:partial")[0]["origin"])
        await search.close()

    asyncio.run(work())


def test_two_processes_at_once_make_one_call(tmp_path: Path) -> None:
    told = FORK.Queue()
    both = [FORK.Process(target=_search_once, args=(tmp_path, 0.5, told)) for _ in range(2)]
    for process in both:
        process.start()
    said = sorted(told.get(timeout=30) for _ in range(3))
    for process in both:
        process.join(30)
        process.close()
    told.close()
    told.join_thread()
    assert said == ["asked", "cache", "live"]


def test_an_owner_that_was_killed_is_not_waited_for(tmp_path: Path) -> None:
    told = FORK.Queue()
    owner = FORK.Process(target=_search_once, args=(tmp_path, 3600, told))
    owner.start()
    assert told.get(timeout=30) == "asked"
    os.kill(owner.pid or 0, signal.SIGKILL)

    async def work() -> None:
        search = build([FakeSource("a", [(0, [offer("a")])])], tmp_path)
        started = time.monotonic()
        events = await collect(search)
        assert time.monotonic() - started < 2
        assert named(events, "provider:partial")[0]["origin"] == "live"
        await search.close()

    asyncio.run(work())
    owner.join()
    owner.close()
    told.close()
    told.join_thread()


def test_the_right_to_ask_runs_out_even_while_its_owner_lives(
    database: Database, clock: Clock
) -> None:
    cache = Cache(database, now=clock)
    first = cache.board("key", deadline_s=8)
    assert first is not None
    assert cache.board("key", deadline_s=8) is None
    clock.move(8)
    second = cache.board("key", deadline_s=8)
    assert second is not None
    cache.land(first)  # late: it is not its own any more
    assert cache.board("key", deadline_s=8) is None
    cache.land(second)
    assert cache.board("key", deadline_s=8) is not None


# -------------------------------------------------------------------- damage


@pytest.mark.parametrize("damage", ["junk", "torn", "page", "empty", "another", "gone"])
def test_a_damaged_file_is_put_aside_and_made_anew(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "parts.sqlite"

    def fill() -> None:
        database = Database(file)
        cache = Cache(database)
        for number in range(300):
            cache.put(str(number), [offer("a", sku=os.urandom(200).hex())], source="a")
        database.close()

    fill()
    whole = file.read_bytes()
    if damage == "junk":
        file.write_bytes(b"no database at all" * 1000)
    elif damage == "torn":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "page":
        file.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "gone":
        file.unlink()
    else:
        with sqlite3.connect(file) as other:
            other.execute("pragma user_version = 99")
        other.close()
    database = Database(file)
    cache = Cache(database)
    for number in range(300):
        cache.get(str(number))
    cache.put("new", [offer("a")], source="a")
    entry = cache.get("new")
    assert entry is not None
    assert isinstance(entry.offers[0], Offer)
    aside = file.with_name("parts.sqlite.damaged")
    assert aside.exists() is (damage in {"junk", "torn", "page", "another"})
    database.close()


def test_a_file_damaged_or_deleted_under_a_running_search_harms_nobody(tmp_path: Path) -> None:
    async def work() -> None:
        source = FakeSource("a", [(0, [offer("a")])])
        search = build([source], tmp_path)
        for damage in (None, b"", b"junk" * 5000, None):
            for end in ("", "-wal", "-shm"):
                file = tmp_path / f"parts.sqlite{end}"
                if damage is None:
                    file.unlink(missing_ok=True)
                # not -shm: that is memory shared by processes, and the system kills who reads one cut short
                elif file.exists() and end != "-shm":
                    file.write_bytes(damage)
            events = await collect(search)
            assert len(named(events, "result")[0]["parts"]) == 1
        await search.close()

    run_moved(work)


def test_a_folder_that_cannot_be_written_costs_the_cache_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")

    async def work() -> None:
        source = FakeSource("a", [(0, [offer("a")])])
        search = build([source], tmp_path / "data")
        assert len(named(await collect(search), "result")[0]["parts"]) == 1
        await search.close()

    run_moved(work)
