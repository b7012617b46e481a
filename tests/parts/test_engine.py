"""One search over many sources: what is told, when, and what a failing source does to the others."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import random
import time
from pathlib import Path
from typing import Any

import pytest
from lengths import LONG
from search_far_ends import FakeSource, build, collect, named, offer, run_moved

from orchestrator.parts.database import Database
from orchestrator.parts.errors import SOURCE_ERRORS, QueryInvalid, SourceError, SourceQuota
from orchestrator.parts.fold import fold, fold_data
from orchestrator.parts.quota import Quota
from orchestrator.parts.ranks import Ranks
from orchestrator.parts.readings import readings
from orchestrator.parts.sources.base import Limit
from orchestrator.parts.values import Alternative, Part, Query

KEY = "planted-0123456789-key"


def loop_time() -> float:
    return asyncio.get_running_loop().time()


def test_a_search_tells_its_steps_under_the_names_of_the_stream(tmp_path: Path) -> None:
    async def work() -> None:
        search = build([FakeSource("one", [(0.1, [offer("one")])])], tmp_path)
        events = await collect(search)
        assert [event.name for event in events] == [
            "search:start", "provider:start", "part:upsert", "provider:partial", "provider:done",
            "result", "done",
        ]  # fmt: skip
        assert [event.id for event in events] == list(range(1, 8))
        partial = named(events, "provider:partial")[0]
        assert partial["origin"] == "live"
        assert partial["offers"][0]["sku"] == "one-NE555P"
        assert json.loads(json.dumps([dict(event.data) for event in events]))
        await search.close()

    run_moved(work)


def test_rows_of_a_fast_source_do_not_wait_for_a_slow_one(tmp_path: Path) -> None:
    """Real time: this is the promise itself."""
    delays = {"a": 0.15, "b": 0.3, "c": 0.6, "d": 1.0}

    async def work() -> None:
        sources = [FakeSource(name, [(delay, [offer(name)])]) for name, delay in delays.items()]
        hanging = FakeSource("hanging", [(3600, [])])
        search = build([hanging, *sources], tmp_path, source_deadline_s=1.3, deadline_s=1.5)
        started = time.monotonic()
        seen: dict[str, float] = {}
        async for event in search.search("NE555P"):
            if event.name == "provider:partial":
                seen[event.data["provider"]] = time.monotonic() - started
        whole = time.monotonic() - started
        await search.close()
        for name, delay in delays.items():
            assert delay <= seen[name] <= delay + 0.1
        assert seen["a"] <= delays["a"] + 0.05
        assert 1.3 <= whole <= 1.3 + 0.1

    asyncio.run(work())


def test_all_is_told_when_the_slowest_has_answered(tmp_path: Path) -> None:
    async def work() -> None:
        sources = [
            FakeSource(name, [(delay, [offer(name)])])
            for name, delay in (("a", 0.15), ("b", 0.6), ("c", 1.5), ("d", 4.0))
        ]
        search = build(sources, tmp_path)
        started = loop_time()
        events = await collect(search)
        assert loop_time() - started <= 4.1
        assert len(named(events, "result")[0]["parts"][0]["offers"]) == 4
        await search.close()

    run_moved(work)


def test_a_source_that_hangs_ends_at_its_deadline(tmp_path: Path) -> None:
    async def work() -> None:
        search = build(
            [FakeSource("slow", [(3600, [])]), FakeSource("quick", [(0, [offer("quick")])])],
            tmp_path,
        )
        started = loop_time()
        events = await collect(search)
        assert 8.0 <= loop_time() - started <= 8.1
        assert named(events, "provider:error", "slow")[0]["class"] == "timeout"
        assert named(events, "provider:done", "quick")[0]["count"] == 1
        await search.close()

    run_moved(work)


def test_a_source_that_does_not_let_itself_be_ended_holds_up_nobody(tmp_path: Path) -> None:
    class Stubborn(FakeSource):
        async def search(self, request: Any) -> Any:
            end = loop_time() + 30
            while (left := end - loop_time()) > 0:
                try:
                    await asyncio.sleep(left)
                except asyncio.CancelledError:
                    continue
            yield [offer("stubborn")]

    async def work() -> None:
        search = build([Stubborn("stubborn")], tmp_path)
        started = loop_time()
        events = await collect(search)
        assert loop_time() - started <= 10.3
        assert named(events, "provider:error")[0]["class"] == "timeout"
        assert len(named(events, "provider:done")) == 1
        await asyncio.sleep(40)
        await search.close()

    run_moved(work)


@pytest.mark.parametrize("kind", [*SOURCE_ERRORS, "unexpected"])
def test_failing_sources_leave_the_rows_of_the_others_as_they_are(
    tmp_path: Path, kind: str
) -> None:
    names = ("a", "b", "c", "d")

    def rows(events: Any, name: str) -> str:
        told = [data["offers"] for data in named(events, "provider:partial", name)]
        return json.dumps(told, sort_keys=True)

    async def one(folder: Path, failing: tuple[str, ...]) -> Any:
        def error() -> Exception:
            return SOURCE_ERRORS[kind]("it is so") if kind in SOURCE_ERRORS else KeyError("x")

        sources = [
            FakeSource(
                name,
                [(0.1 * place, [offer(name), offer(name, "LM358")])],
                error=error() if name in failing else None,
            )
            for place, name in enumerate(names)
        ]
        for source in sources:
            if source.name in failing:
                source.portions = [(0.05, [])]
        search = build(sources, folder)
        events = await collect(search)
        await search.close()
        return events

    async def work() -> None:
        whole = await one(tmp_path / "whole", ())
        for count in (1, 2, 3):
            for failing in itertools.combinations(names, count):
                events = await one(tmp_path / "".join(failing), failing)
                for name in names:
                    if name in failing:
                        (told,) = named(events, "provider:error", name)
                        assert told["class"] == (kind if kind in SOURCE_ERRORS else "schema")
                    else:
                        assert rows(events, name) == rows(whole, name)
                        assert named(events, "provider:error", name) == []

    run_moved(work)


def test_the_events_come_to_the_result_however_the_sources_interleave(tmp_path: Path) -> None:
    dice = random.Random(7)

    async def one(folder: Path, number: int) -> None:
        sources = []
        for name in ("a", "b", "c"):
            portions = []
            for _ in range(dice.randint(0, 3)):
                offers = [
                    offer(
                        name,
                        dice.choice(["NE555P", "LM358", "LM7805", "TL072", "BC547"]),
                        sku=str(dice.randint(1, 6)),
                        price=dice.choice(["0.1", "0.2", "0.3", "0.4"]),
                        stock=dice.choice([0, 5, 1000]),
                    )
                    for _ in range(dice.randint(1, 5))
                ]
                portions.append((dice.choice([0, 0.001, 0.1, 0.2]), offers))
            sources.append(FakeSource(name, portions, version=str(number)))  # nothing is kept
        search = build(sources, folder)
        events = []
        async for event in search.search("NE555P"):
            events.append(event)
            if dice.random() < 0.3:
                await asyncio.sleep(dice.choice([0, 0.15, 1]))  # a slow reader
        (result,) = named(events, "result")
        told = [*events, *events[: dice.randint(0, len(events))]]  # some come again
        dice.shuffle(told)
        assert fold_data(told) == result["parts"]
        assert fold(events) == [Part.model_validate(part) for part in result["parts"]]
        await search.close()

    async def work() -> None:
        for number in range(1000 if LONG else 100):
            await one(tmp_path, number)

    run_moved(work)


def test_ranks_stay_in_order_and_only_moved_keys_get_new_ones() -> None:
    dice = random.Random(3)
    ranks, order = Ranks(), [str(n) for n in range(20)]
    ranks.arrange(order, changed=set(order))
    for number in range(3000):
        key = dice.choice(order) if dice.random() < 0.8 else f"new {number}"
        if key in order:
            order.remove(key)
        order.insert(1 if number % 2 else dice.randint(0, len(order)), key)
        order = order[:40]
        moved = ranks.arrange(order, changed={key})
        placed = [ranks[each] for each in order]
        assert placed == sorted(set(placed))
        assert moved <= {key} or len(moved) > 20  # no room was left: all anew


def test_a_reader_who_leaves_ends_the_work_at_every_source(tmp_path: Path) -> None:
    async def work() -> None:
        sources = [FakeSource(name, [(0.01, [offer(name)]), (3600, [])]) for name in "abcd"]
        search = build(sources, tmp_path)
        events = search.search("NE555P")
        async for event in events:
            if event.name == "provider:partial":
                break
        assert any(source.running for source in sources)
        started = time.monotonic()
        await events.aclose()
        assert time.monotonic() - started < 0.2
        assert not any(source.running for source in sources)
        left = [task for task in asyncio.all_tasks() if task.get_name().startswith("search")]
        assert left == []
        await search.close()

    asyncio.run(work())


def test_a_slow_reader_finds_each_part_once_in_its_newest_version(tmp_path: Path) -> None:
    async def work() -> None:
        portions = [
            (0.001, [offer("a", price=f"0.{n:03}", fetched_at=offer("a").fetched_at, sku=str(n))])
            for n in range(1, 200)
        ]
        search = build([FakeSource("a", portions)], tmp_path)
        events = []
        async for event in search.search("NE555P"):
            events.append(event)
            if event.name == "provider:start":
                await asyncio.sleep(5)
        upserts = named(events, "part:upsert")
        assert len(upserts) == 1
        assert upserts[0]["version"] == 199
        assert sum(data["count"] for data in named(events, "provider:partial")) == 199
        assert len(named(events, "provider:partial")) <= 64
        await search.close()

    run_moved(work)


def test_a_source_without_a_key_is_listed_and_never_called(tmp_path: Path) -> None:
    async def work() -> None:
        source = FakeSource("one", [(0, [offer("one")])], missing="Needs a key from one.example.")
        search = build([source], tmp_path)
        events = await collect(search)
        (listed,) = named(events, "search:start")[0]["sources"]
        assert listed["missing"] == "Needs a key from one.example."
        assert source.asked == []
        assert named(events, "provider:start") == []
        await search.close()

    run_moved(work)


def test_words_are_asked_only_when_the_number_finds_nothing_anywhere(tmp_path: Path) -> None:
    class OnlyWords(FakeSource):
        async def search(self, request: Any) -> Any:
            self.asked.append(request)
            if not request.mpns:
                yield [offer("words")]

    async def work() -> None:
        (tmp_path / "x").mkdir()
        found = [FakeSource("a", [(0, [offer("a")])]), OnlyWords("words")]
        search = build(found, tmp_path / "x")
        await collect(search)
        assert [len(source.asked) for source in found] == [1, 1]
        await search.close()
        (tmp_path / "y").mkdir()
        words = OnlyWords("words")
        search = build([FakeSource("a"), words], tmp_path / "y")
        events = await collect(search)
        assert [bool(request.mpns) for request in words.asked][:2] == [True, False]
        assert len(named(events, "result")[0]["parts"]) == 1
        await search.close()

    run_moved(work)


def test_the_public_learns_no_name_no_number_and_no_address(tmp_path: Path) -> None:
    async def work() -> None:
        sources = [
            FakeSource("digikey", [(0, [offer("digikey", seller="DigiKey", sku="296-1411-5-ND")])]),
            FakeSource("mouser", error=SourceQuota("Mouser says: 1000 calls")),
            FakeSource("farnell", missing="Get a key at partner.element14.com"),
        ]
        search = build(sources, tmp_path)
        events = await collect(search, public=True)
        said = json.dumps([dict(event.data) for event in events]).casefold()
        for word in (
            "digikey",
            "mouser",
            "farnell",
            "element14",
            "296-1411",
            "http",
            "seller",
            "sku",
        ):
            assert word not in said
        (part,) = named(events, "result")[0]["parts"]
        assert part["prices"][0]["region"] == "Europe"
        assert fold_data(events) == [part]
        assert named(events, "provider:error")[0]["provider"] == "source 2"
        await search.close()

    run_moved(work)


def test_what_is_no_question_is_refused_at_once(tmp_path: Path) -> None:
    search = build([FakeSource("one")], tmp_path)
    with pytest.raises(QueryInvalid):
        search.search("  ")
    with pytest.raises(QueryInvalid, match="two"):
        search.search("NE555P", only=["two"])
    asyncio.run(search.close())


@pytest.mark.parametrize(
    "error",
    [SourceError(f"GET /x?apiKey={KEY}"), ValueError(f"apiKey={KEY}"), asyncio.CancelledError(KEY)],
)
def test_a_planted_key_comes_out_nowhere(
    tmp_path: Path, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def work() -> None:
        said_back = offer("a", url=f"https://a.example/?key={KEY}", description=f"for {KEY}")
        sources = [
            FakeSource("a", [(0, [said_back])]),
            FakeSource("b", [(0, [])], error=error),
        ]
        search = build(sources, tmp_path, redact=lambda text: text.replace(KEY, "****"))
        events = await collect(search)
        assert len(named(events, "provider:error", "b")) == 1
        assert KEY not in json.dumps([dict(event.data) for event in events])
        await search.close()

    run_moved(work)
    assert KEY not in caplog.text
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    assert files
    for file in files:
        assert KEY.encode() not in file.read_bytes()


def test_other_readings_are_asked_in_the_words_of_distributors() -> None:
    query = Query(
        raw="104 0603",
        en="104 0603",
        attrs={"package": "0603"},
        alternatives=tuple(
            Alternative(reads=reads, why="a code")
            for reads in ("capacitance=1e-07", "resistance=100000", "NE104", "inductance=0.1")
        ),
    )
    asked = [request for _, request in readings(query)]
    assert [(one.keyword, one.type, one.mpns) for one in asked] == [
        ("104 0603", None, ()),
        ("capacitor 100nF 0603", "capacitor", ()),
        ("resistor 100kohm 0603", "resistor", ()),
        ("NE104", None, ("NE104",)),
    ]
    assert asked[1].attrs == {"package": "0603", "capacitance": 1e-07}


def test_a_batch_leaves_the_reserve_of_the_day_alone(tmp_path: Path) -> None:
    async def work() -> None:
        quota = Quota(Database(tmp_path / "parts.sqlite"))
        meter = quota.meter("a", [Limit(calls=5, window_s=86400)])
        source = FakeSource("a", [(0, [offer("a")])], meter=meter)
        search = build([source], tmp_path, quota=quota)
        kinds = []
        for number in range(5):
            text = f"NE{number}555P"
            events = await collect(search, text, interactive=False)
            kinds += [told["class"] for told in named(events, "provider:error")]
        assert kinds == ["quota"]
        events = await collect(search, "LM358N")
        assert named(events, "provider:error") == []
        assert named(events, "provider:done")[0]["calls"] == 1
        quota._database.close()
        await search.close()

    run_moved(work)
