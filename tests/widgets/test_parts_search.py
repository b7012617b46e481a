"""The view of a search for components: what a page is told, when, and what nobody outside may ever be told."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from page import answers, connect, press, until

sys.path.append(str(Path(__file__).resolve().parent.parent / "parts"))
from search_far_ends import FakeSource, build, offer

from orchestrator.parts import opening, xlsx
from orchestrator.parts.engine import Search
from orchestrator.parts.errors import SourceQuota
from orchestrator.parts.values import PriceBreak
from orchestrator.paths import Paths
from orchestrator.widgets import PartsSearch

BOM = "Designator;Qty;Manufacturer;MPN\nR1,R2;2;Yageo;RC0603FR-0710KL\nU9;1;;ZZ-NOT-A-PART\n"


@pytest.fixture(autouse=True)
def _connected(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch)


@contextmanager
def sample(folder: Path) -> Iterator[Search]:
    """The search of a machine without any key."""
    (folder / "paths.json").write_text("{}")
    search = opening.open_search(Paths.load(folder / "paths.json"))
    try:
        yield search
    finally:
        asyncio.run(search.close())


def told(view: PartsSearch, kind: str) -> list[dict[str, Any]]:
    return [message for message, _ in answers(view) if message["kind"] == kind]


def news(view: PartsSearch, number: int | None = None) -> list[dict[str, Any]]:
    return [
        item
        for message in told(view, "news")
        if number in {None, message["number"]}
        for item in message["items"]
    ]


def rows(view: PartsSearch, number: int | None = None) -> dict[str, dict[str, Any]]:
    return {item["row"]["mpn"]: item["row"] for item in news(view, number) if item["t"] == "row"}


async def searched(view: PartsSearch, text: str, **wishes: Any) -> None:
    press(view, "search", text=text, **wishes)
    await until(lambda: any(item["t"] == "end" for item in news(view)))


def test_a_russian_query_is_shown_as_understood_with_rows_and_prices(tmp_path: Path) -> None:
    async def story(search: Search) -> None:
        view = PartsSearch(search)
        assert view.setup["sample"] is True
        assert {one["title"] for one in view.setup["lacking"]} >= {"DigiKey", "Mouser", "TME"}
        await searched(view, "резистор 4к7 0603 1%", quantity=100, currency="EUR")
        (start,) = [item for item in news(view) if item["t"] == "start"]
        chips = {chip["name"]: chip["value"] for chip in start["understood"]["chips"]}
        assert chips["resistance"] == "4.7 kΩ"
        assert chips["package"] == "0603"
        row = rows(view)["RC0603FR-074K7L"]
        assert row["manufacturer"] == "Yageo"
        assert row["price"]["currency"] == "EUR"
        assert row["price"]["buy"] == 100
        assert row["price"]["next"]["quantity"] > 100
        assert row["pieces"] == sum(row["stock"].values())
        view.close()

    with sample(tmp_path) as search:
        asyncio.run(story(search))


def test_rows_come_while_a_slow_source_is_out_and_stop_ends_it(tmp_path: Path) -> None:
    async def story() -> None:
        slow = FakeSource("slow", [(30, [offer("slow")])])
        quick = FakeSource("quick", [(0, [offer("quick", price="0.4")])])
        search = build([slow, quick], tmp_path)
        view = PartsSearch(search)
        press(view, "search", text="NE555P")
        await until(lambda: "NE555P" in rows(view))
        states = {item["source"]["name"]: item["source"] for item in news(view) if "source" in item}
        assert states["slow"]["state"] == "asked"
        assert slow.running == 1
        press(view, "stop")
        await until(lambda: slow.running == 0)
        await until(lambda: any(item.get("stopped") for item in news(view)))
        view.close()
        await search.close()

    asyncio.run(story())


def test_a_new_search_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    async def story() -> None:
        slow = FakeSource("slow", [(30, [offer("slow", "LM358")])])
        search = build([slow], tmp_path)
        view = PartsSearch(search)
        press(view, "search", text="LM358")
        await until(lambda: slow.running == 1)
        slow.portions = [(0, [offer("slow")])]
        press(view, "search", text="NE555P")
        await until(lambda: "NE555P" in rows(view, 2))
        assert slow.running == 0
        assert "LM358" not in rows(view)
        await until(lambda: news(view)[-1]["t"] == "end")
        view.comm.sent.clear()
        press(view, "again")  # a page that shows the view anew
        await until(lambda: news(view))
        assert news(view)[0]["t"] == "start"
        assert told(view, "news")[-1]["items"][-1]["t"] == "end"
        view.close()
        await search.close()

    asyncio.run(story())


def test_a_source_that_fails_says_why_and_what_is_left_of_its_day(tmp_path: Path) -> None:
    async def story() -> None:
        full = FakeSource("full", error=SourceQuota("All calls of today are used up"))
        search = build([full, FakeSource("lone", [(0, [offer("lone")])])], tmp_path)
        view = PartsSearch(search)
        await searched(view, "NE555P")
        last = {item["source"]["name"]: item["source"] for item in news(view) if "source" in item}
        assert last["full"]["state"] == "failed"
        assert last["full"]["error"]["kind"] == "quota"
        assert "used up" in last["full"]["error"]["text"]
        assert last["lone"]["state"] == "done"
        view.close()
        await search.close()

    asyncio.run(story())


def test_details_have_every_offer_curves_history_and_only_addresses_of_the_web(
    tmp_path: Path,
) -> None:
    steps = (
        PriceBreak(quantity=1, unit_price="0.50", currency="USD"),
        PriceBreak(quantity=100, unit_price="0.30", currency="USD"),
    )
    odd = offer("odd", url="javascript:alert(1)", datasheet_url="data:text/html,x", price="9")

    async def story() -> None:
        good = offer("good", breaks=steps, datasheet_url="https://sheets.example/ne555.pdf", moq=10)
        search = build(
            [FakeSource("good", [(0, [good])]), FakeSource("odd", [(0, [odd])])], tmp_path
        )
        view = PartsSearch(search)
        await searched(view, "NE555P", quantity=100)
        press(view, "details", key=rows(view)["NE555P"]["key"])
        await until(lambda: told(view, "details"))
        (said,) = told(view, "details")
        first, second = said["offers"]
        assert first["best"]
        assert (first["buy"], first["unit"], first["moq"]) == (100, "0.30", 10)
        assert [step["used"] for step in first["ladder"]] == [False, True]
        assert second["url"] is None
        assert said["datasheet"] == "https://sheets.example/ne555.pdf"
        assert said["curves"][0]["points"] == [[1, 0.5], [100, 0.3]]
        assert said["history"][0]["points"][0][1] == 0.3
        press(view, "details", key="no such part")
        await asyncio.sleep(0.05)
        assert len(told(view, "details")) == 1
        view.close()
        await search.close()

    asyncio.run(story())


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_is_shown_can_be_saved_in_its_order_and_no_cell_is_a_formula(
    tmp_path: Path, form: str
) -> None:
    async def story() -> None:
        hostile = offer("one", description='=HYPERLINK("http://x")')
        search = build([FakeSource("one", [(0, [hostile, offer("one", "NE555PX")])])], tmp_path)
        view = PartsSearch(search)
        await searched(view, "NE555P")
        keys = [rows(view)[mpn]["key"] for mpn in ("NE555PX", "NE555P")]
        press(view, "export", keys=[*keys, "unknown"], form=form)
        await until(lambda: told(view, "file"))
        ((data,),) = [buffers for message, buffers in answers(view) if message["kind"] == "file"]
        if form == "csv":
            table = list(csv.reader(io.StringIO(bytes(data).decode("utf-8-sig"))))
        else:
            table = [list(row) for row in xlsx.read(bytes(data))]
        assert [row[0] for row in table] == ["mpn", "NE555PX", "NE555P"]
        assert table[2][2].startswith("'=")
        view.close()
        await search.close()

    asyncio.run(story())


def test_a_dropped_bill_is_quoted_with_what_was_not_found_and_why(tmp_path: Path) -> None:
    async def story(search: Search) -> None:
        view = PartsSearch(search)
        message = {"action": "bom", "name": "bom.csv", "boards": 10, "currency": "EUR"}
        view._handle_custom_msg(message, [BOM.encode()])
        await until(lambda: told(view, "quoted"))
        quote = told(view, "quoted")[0]["quote"]
        found, missing = quote["rows"]
        assert (found["mpn"], found["needed"], found["buy"]) == ("RC0603FR-0710KL", 20, 20)
        assert missing["mpn"] is None
        assert missing["why"]
        assert quote["unmatched"] == [missing["row"]]
        assert quote["total"] == found["total"]
        press(view, "bom_export", form="xlsx")
        press(view, "bom_export", form="kicad")
        await until(lambda: len(told(view, "file")) == 2)
        assert {message["name"] for message in told(view, "file")} == {
            "quote.xlsx",
            "kicad-fields.csv",
        }
        view._handle_custom_msg({"action": "bom", "name": "x"}, [b"\x00\x01 nothing"])
        await until(lambda: "cannot be read" in view.notice.get("text", ""))
        view.close()

    with sample(tmp_path) as search:
        asyncio.run(story(search))


def everything(view: PartsSearch) -> str:
    """All that went to the page: traits, scripts and messages, with what is in their files."""
    files = [bytes(data) for _, buffers in answers(view) for data in buffers]
    said = [view.get_state(), view.comm.sent, [data.decode("utf-8", "replace") for data in files]]
    books = [xlsx.read(data) for data in files if data.startswith(b"PK")]
    return json.dumps([said, books], default=str, ensure_ascii=False)


def test_in_public_no_seller_sku_address_or_source_of_the_sample_reaches_the_page(
    tmp_path: Path,
) -> None:
    queries = ("резистор 4к7 0603 1%", "NE555P", "конденсатор 100нФ", "КТ315")

    async def story(search: Search) -> None:
        secrets = {"Offline sample", *(source.title for source in search.sources)}
        secrets |= {source.name for source in search.sources} - {"sample"}
        own = PartsSearch(search)
        for text in queries:
            await searched(own, text)
            for data in own._shown.parts.values():
                for one in data["offers"]:
                    secrets |= {one["seller"], one["sku"], one["url"] or ""}
            own.comm.sent.clear()
        own.close()
        secrets.discard("")
        assert len(secrets) > 40

        view = PartsSearch(search, public=True)
        for text in queries:
            await searched(view, text, quantity=10, currency="RUB")
            keys = [row["key"] for row in rows(view).values()]
            assert keys
            view.set_state({"setup": {"public": False}})  # a page may say anything
            press(view, "details", key=keys[0])
            press(view, "export", keys=keys, form="csv")
            press(view, "export", keys=keys, form="xlsx")
            view._handle_custom_msg({"action": "bom", "name": "b"}, [BOM.encode()])
            await until(lambda: len(told(view, "file")) == 2)
            assert told(view, "details") == told(view, "quoting") == []
            prices = [price for row in rows(view).values() for price in row["prices"]]
            assert {price["currency"] for price in prices} == {"RUB"}
            assert {name for price in prices for name in price} == {
                "region",
                "unit_price",
                "currency",
                "quantity",
                "in_stock",
            }
            said = everything(view)
            assert [secret for secret in secrets if secret.casefold() in said.casefold()] == []
            view.comm.sent.clear()
        view.close()

    with sample(tmp_path) as search:
        asyncio.run(story(search))


def test_a_query_that_cannot_be_searched_is_told_with_its_remedy(tmp_path: Path) -> None:
    async def story(search: Search) -> None:
        view = PartsSearch(search)
        for text, currency in ((" ", "USD"), ("NE555", "XYZ"), ("x" * 201, "USD")):
            number = view.notice.get("number", 0)
            press(view, "search", text=text, currency=currency)
            await until(lambda number=number: view.notice.get("number", 0) > number)
            assert view.notice["remedy"]
        view.close()

    with sample(tmp_path) as search:
        asyncio.run(story(search))
