"""A bill of materials asked of sources: few calls, none the second time, the day's reserve untouched, and why not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from search_far_ends import FakeSource, build, offer
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.parts import bom_files, quoting, xlsx
from orchestrator.parts.bom import Line
from orchestrator.parts.errors import QueryInvalid, RateUnknown, SourceRate
from orchestrator.parts.quota import Quota
from orchestrator.parts.sources.base import Limit, Request
from orchestrator.parts.values import Offer

BOM = "Designator;Qty;Manufacturer;MPN\nR1,R2;2;Yageo;RC0603FR-0710KL\nU9;1;;ZZ-NOT-A-PART\n"


class Shop(FakeSource):
    """Knows every number that begins with AC; counts its calls, `batch` numbers in one."""

    def __init__(self, name: str, *, batch: int, **options: Any) -> None:
        super().__init__(name, **options)
        self.batch = batch
        self.calls = 0

    def cost(self, request: Request) -> int:
        return max(1, -(-len(request.mpns) // self.batch))

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        self.asked.append(request)
        self.calls += self.cost(request)
        if self.meter is not None:
            await self.meter.take(self.cost(request))
        if self.error is not None:
            raise self.error
        yield [offer(self.name, mpn) for mpn in request.mpns if mpn.startswith("AC")]


def lines(count: int) -> list[Line]:
    return [Line(row=n + 2, quantity=1 + n % 3, mpn=f"AC-{n:04}-X") for n in range(count)]


def test_a_hundred_lines_take_few_calls_and_the_second_time_none(tmp_path: Path) -> None:
    async def story() -> None:
        many, single = Shop("many", batch=10), Shop("single", batch=1)
        search = build([many, single], tmp_path)
        first = await quoting.ask(search, lines(100), boards=5)
        assert (many.calls, single.calls) == (10, 100)
        assert first.quote.unmatched == ()
        second = await quoting.ask(search, lines(100), boards=5)
        assert (many.calls, single.calls) == (10, 100)
        assert second.quote.total == first.quote.total
        assert first.quote.total == sum(
            (5 * line.quantity * Decimal("0.50") for line in lines(100)), Decimal(0)
        )
        await search.close()

    asyncio.run(story())


def test_it_leaves_the_reserve_of_the_day_to_people_who_wait(tmp_path: Path) -> None:
    async def story() -> None:
        shop = Shop("shop", batch=1, limits=(Limit(calls=10, window_s=86400),))
        search = build([shop], tmp_path)
        assert isinstance(search.quota, Quota)
        shop.meter = search.quota.meter("shop", shop.limits)
        quoted = await quoting.ask(search, lines(12))
        assert search.quota.left("shop").left == 2
        assert len(quoted.quote.unmatched) == 4
        assert any("kept for searches by hand" in said for said in quoted.troubles)
        await search.close()

    asyncio.run(story())


def test_a_source_that_asks_for_fewer_calls_is_waited_for(tmp_path: Path) -> None:
    slept: list[float] = []

    async def story() -> None:
        shop = Shop("shop", batch=1, error=SourceRate("slower", retry_after_s=0.2))
        search = build([shop], tmp_path)

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            shop.error = None
            search.breaker.reset("shop")

        quoted = await quoting.ask(search, lines(1), sleep=sleep)
        assert quoted.quote.unmatched == ()
        assert quoted.troubles == ()
        await search.close()

    asyncio.run(story())
    assert len(slept) == 1


def test_an_unmatched_line_says_why_and_what_is_near(tmp_path: Path) -> None:
    async def story() -> None:
        shop = FakeSource("shop", [(0, [offer("shop", "NE555P"), offer("shop", "NE555PSR")])])
        search = build([shop], tmp_path)
        asked = [
            Line(row=2, quantity=1, mpn="NE555P", manufacturer="Acme"),
            Line(row=3, quantity=1, mpn="NE555PW"),
            Line(row=4, quantity=1),
        ]
        quoted = await quoting.ask(search, asked)
        assert "Texas Instruments, not by Acme" in quoted.why[2]
        assert "very number" in quoted.why[3]
        assert "neither" in quoted.why[4]
        assert {part.mpn for part in quoted.near[3]} == {"NE555P", "NE555PSR"}
        document = quoting.document(quoted)
        json.dumps(document)
        assert document["unmatched"] == [2, 3, 4]
        await search.close()

    asyncio.run(story())


def test_what_cannot_be_asked_is_refused_before_any_call(tmp_path: Path) -> None:
    async def story() -> None:
        shop = Shop("shop", batch=10)
        search = build([shop], tmp_path)
        with pytest.raises(QueryInvalid):
            await quoting.ask(search, lines(3), only=["nobody"])
        with pytest.raises(RateUnknown):
            await quoting.ask(search, lines(3), currency="XYZ")
        assert shop.calls == 0
        await search.close()

    asyncio.run(story())


def test_leaving_ends_what_goes_on_at_the_sources(tmp_path: Path) -> None:
    async def story() -> None:
        slow = FakeSource("slow", [(60, [offer("slow")])])
        slow.batch = 1
        search = build([slow], tmp_path)
        task = asyncio.create_task(quoting.ask(search, lines(4)))
        while not slow.running:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert slow.running == 0
        await search.close()

    asyncio.run(story())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "paths.json").write_text("{}")
    monkeypatch.setenv("ORCHESTRATOR_PATHS", str(tmp_path / "paths.json"))
    (tmp_path / "bom.csv").write_text(BOM)
    return tmp_path


def test_the_command_prints_a_quote_and_writes_it(folder: Path) -> None:
    options = ["--boards", "10", "--currency", "EUR", "--json", "--out", str(folder / "q.xlsx")]
    done = CliRunner().invoke(app, ["parts", "bom", str(folder / "bom.csv"), *options])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["boards"], said["currency"]) == (10, "EUR")
    assert [row["mpn"] for row in said["rows"]] == ["RC0603FR-0710KL", None]
    assert said["rows"][0]["needed"] == 20
    assert said["rows"][1]["why"]
    rows = xlsx.read((folder / "q.xlsx").read_bytes())
    assert rows[1][4] == "RC0603FR-0710KL"
    assert len(bom_files.read((folder / "bom.csv").read_bytes())) == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["bom.csv", "--out", "quote.pdf"], 2),
        (["bom.csv", "--currency", "XYZ"], 2),
        (["none.csv"], 1),
        (["unknown.csv"], 1),
    ],
)
def test_the_command_says_what_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    (folder / "unknown.csv").write_text("MPN\nZZ-NOT-A-PART\n")
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["parts", "bom", *arguments])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
