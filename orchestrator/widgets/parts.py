"""The search for electronic components: results as the distributors answer, and quotes of bills of materials."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import traitlets

from orchestrator.errors import RequestInvalid
from orchestrator.parts import bom_files, export, quoting
from orchestrator.parts.engine import Search
from orchestrator.parts.errors import BomInvalid
from orchestrator.parts.values import Event, Part, PublicPart
from orchestrator.widgets import parts_rows
from orchestrator.widgets.view import Message, View, static

SCRIPTS = ("parts_words.js", "parts_table.js", "parts_details.js", "parts_bom.js", "parts.js")
FLUSH_S = 0.05  # a page that is drawn for every offer draws nothing else
MAX_TEXT = 200  # characters of a query
MAX_QUANTITY = 10**9
MAX_BOARDS = 10**7
MAX_EXPORTED = 20_000  # parts
HISTORIES = 6  # offers of one part whose prices over time are shown
CURRENCIES = (
    "USD",
    "EUR",
    "RUB",
    "GBP",
    "CNY",
    "PLN",
    "KZT",
    "JPY",
    "CHF",
    "INR",
)  # the usual first
MIME = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass
class _Shown:
    """What the newest search has found so far."""

    number: int
    start: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)  # by key: JSON as the event had it
    end: dict[str, Any] | None = None

    @property
    def quantity(self) -> int:
        """Pieces that prices are compared at."""
        return int(self.start.get("quantity", 1))

    @property
    def currency(self) -> str:
        """What prices are shown in."""
        return str(self.start.get("currency", "USD"))


class PartsSearch(View):
    """A search box, results while they come, details, comparison, export, and quotes of bills of materials.

    With `public` it is the face for everybody: what comes into the page names regions and prices, never a seller, an
    SKU, an address or a source; bills of materials are not quoted there.
    """

    script = "parts"

    # public, sample, currency, currencies, quantity, sources that lack a key
    setup = traitlets.Dict().tag(sync=True)

    def __init__(self, search: Search, *, public: bool = False, **traits: Any) -> None:
        self._search = search
        self._public = public  # no trait: a page can set those
        self._shown = _Shown(0)
        self._searching: asyncio.Task[None] | None = None
        self._quoting: asyncio.Task[None] | None = None
        self._quoted: quoting.Quoted | None = None
        self._waiting: list[dict[str, Any]] = []
        self._flushing: asyncio.TimerHandle | None = None
        super().__init__(setup=_setup(search, public=public), **traits)
        self._actions |= {
            "search": self._begin,
            "stop": self._stop,
            "again": self._tell_again,
            "details": self._tell_details,
            "export": self._export,
        }
        if not public:
            self._actions |= {
                "bom": self._begin_quote,
                "bom_stop": self._stop_quote,
                "bom_export": self._export_quote,
            }

    @traitlets.default("_esm")
    def _read_parts(self) -> str:
        return "".join(static(part) for part in ("shared.js", *SCRIPTS))

    # ---------------------------------------------------------------- searching

    async def _begin(self, message: Message) -> None:
        """A new search, in the place of the one before."""
        await self._end(self._searching)
        shown = self._shown = _Shown(self._shown.number + 1)
        self._waiting.clear()
        text = str(message.get("text", "")).strip()
        if len(text) > MAX_TEXT:
            raise RequestInvalid(
                f"The query has more than {MAX_TEXT} characters",
                remedy="Say it shorter, or quote a bill of materials instead.",
            )
        events = self._search.search(
            text,
            quantity=_whole(message.get("quantity"), MAX_QUANTITY),
            currency=str(message.get("currency") or "")[:10] or None,
            public=self._public,
        )
        self._searching = self.start(self._follow(events, shown), name="PartsSearch searches")

    async def _stop(self, _: Message) -> None:
        await self._end(self._searching)
        if self._shown.end is None:
            self._shown.end = {"stopped": True}
            self._put({"t": "end", **self._shown.end})

    async def _end(self, task: asyncio.Task[None] | None) -> None:
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def _follow(self, events: AsyncGenerator[Event, None], shown: _Shown) -> None:
        async with aclosing(events):
            async for event in events:
                for item in self._items(event, shown):
                    self._put(item)

    def _items(self, event: Event, shown: _Shown) -> Iterable[dict[str, Any]]:
        """What the page is told of an event."""
        data = event.data
        if event.name == "search:start":
            shown.start = {
                "t": "start",
                "understood": parts_rows.understood(data["normalised"]),
                "quantity": data["quantity"],
                "currency": data["currency"],
            }
            shown.sources = {one["name"]: _source(one) for one in data["sources"]}
            yield {**shown.start, "sources": list(shown.sources.values())}
        elif event.name == "part:upsert":
            made = self._row(data["part"], shown)
            made["rank"] = data["rank"]
            shown.parts[data["key"]] = data["part"]
            shown.rows[data["key"]] = made
            yield {"t": "row", "row": made}
        elif event.name.startswith("provider:"):
            source = shown.sources[data["provider"]]
            _advance(source, event)
            yield {"t": "source", "source": dict(source)}
        elif event.name == "done":
            shown.end = {"ms": data["elapsed_ms"], "reading": shown.start.get("reading")}
            yield {"t": "end", **shown.end}
        elif event.name == "result":
            shown.start["reading"] = data["meta"]["reading"]

    def _row(self, data: Any, shown: _Shown) -> dict[str, Any]:
        if self._public:
            return parts_rows.public_row(data)
        return parts_rows.row(data, rates=self._search.rates, currency=shown.currency)

    def _put(self, item: dict[str, Any]) -> None:
        """Tell the page, together with what else happens just now."""
        self._waiting.append(item)
        if self._flushing is None:
            loop = asyncio.get_running_loop()
            self._flushing = loop.call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        if self._waiting:
            self.send({"kind": "news", "number": self._shown.number, "items": self._waiting[:]})
            self._waiting.clear()

    async def _tell_again(self, _: Message) -> None:
        """All that is known, for a page that shows the view anew."""
        shown = self._shown
        if not shown.start:
            return
        items = [{**shown.start, "sources": list(shown.sources.values())}]
        items += [{"t": "row", "row": row} for row in shown.rows.values()]
        items += [{"t": "end", **shown.end}] if shown.end is not None else []
        self.send({"kind": "news", "number": shown.number, "items": items})

    # ---------------------------------------------------------------- one part, and files of many

    async def _tell_details(self, message: Message) -> None:
        shown = self._shown
        key = str(message.get("key", ""))
        data = shown.parts.get(key)
        if data is None or self._public:  # the rows of the public view have all of it
            return
        part = Part.model_validate(data)
        where: dict[str, Any] = {
            "quantity": shown.quantity,
            "currency": shown.currency,
            "rates": self._search.rates,
        }

        def make() -> dict[str, Any]:
            offers = parts_rows.ranked(part, **where)
            history = {
                place: self._search.cache.history(offer)
                for place, offer in enumerate(offers[:HISTORIES])
            }
            return parts_rows.details(part, history=history, **where)

        told = await asyncio.to_thread(make)
        self.send({"kind": "details", "number": shown.number, **told})

    async def _export(self, message: Message) -> None:
        keys = message.get("keys")
        wanted = keys[:MAX_EXPORTED] if isinstance(keys, list) else []
        found = [self._shown.parts[key] for key in wanted if key in self._shown.parts]

        def make() -> export.Table:
            if self._public:
                return export.public_table(PublicPart.model_validate(data) for data in found)
            return export.parts_table(Part.model_validate(data) for data in found)

        self._send_file(await asyncio.to_thread(make), message, name="parts")

    def _send_file(self, table: export.Table, message: Message, *, name: str) -> None:
        form = "xlsx" if message.get("form") == "xlsx" else "csv"
        data = export.to_xlsx(table, title=name) if form == "xlsx" else export.to_csv(table)
        self.send({"kind": "file", "name": f"{name}.{form}", "mime": MIME[form]}, buffers=[data])

    # ---------------------------------------------------------------- bills of materials

    async def _begin_quote(self, message: Message) -> None:
        await self._end(self._quoting)
        self._quoted = None
        buffers = message.get("buffers") or []
        if not buffers:
            raise BomInvalid("No file came with it")
        lines = await asyncio.to_thread(bom_files.read, bytes(buffers[0]))
        boards = _whole(message.get("boards"), MAX_BOARDS) or 1
        currency = str(message.get("currency") or "")[:10] or None
        self.send({"kind": "quoting", "done": 0, "of": len(lines)})
        self._quoting = self.start(
            self._carry_out(lambda _: self._quote(lines, boards, currency), {}),
            name="PartsSearch quotes",
        )

    async def _quote(self, lines: Any, boards: int, currency: str | None) -> None:
        def progress(done: int, of: int) -> None:
            self.send({"kind": "quoting", "done": done, "of": of})

        try:
            self._quoted = await quoting.ask(
                self._search, lines, boards=boards, currency=currency, progress=progress
            )
        except BaseException:
            self.send({"kind": "quoted", "quote": None})
            raise
        self.send({"kind": "quoted", "quote": _checked(quoting.document(self._quoted))})

    async def _stop_quote(self, _: Message) -> None:
        await self._end(self._quoting)

    async def _export_quote(self, message: Message) -> None:
        if self._quoted is None:
            return
        is_kicad = message.get("form") == "kicad"
        table = (export.kicad_table if is_kicad else export.quote_table)(self._quoted.quote)
        self._send_file(table, message, name="kicad-fields" if is_kicad else "quote")


def _setup(search: Search, *, public: bool) -> dict[str, Any]:
    """What a page needs to know before anything is searched. In public nothing tells one source from another."""
    states = search.states()
    asked = [state.name for state in states if state.missing is None]
    known = {code for table in search.rates.tables for code in table.pieces}
    usual = [code for code in CURRENCIES if code in known]
    lacking = [state for state in states if state.missing is not None and state.name != "sample"]
    return {
        "public": public,
        "sample": asked == ["sample"],
        "currency": search.currency,
        "currencies": [*usual, *sorted(known - set(usual))],
        "lacking": [] if public else [{"title": s.title, "missing": s.missing} for s in lacking],
    }


def _source(one: Any) -> dict[str, Any]:
    """How a source stands at the start of a search."""
    return {
        "name": one["name"],
        "title": one.get("title") or one["name"].capitalize(),
        "missing": one.get("missing"),
        "quota": one.get("quota"),
        "state": "rests" if one.get("missing") else "waits",
        "count": 0,
        "ms": None,
        "origin": None,
        "error": None,
    }


def _advance(source: dict[str, Any], event: Event) -> None:
    data = event.data
    if event.name == "provider:start":
        source |= {"state": "asked", "error": None}
    elif event.name == "provider:partial":
        source |= {"count": source["count"] + data["count"], "ms": data["elapsed_ms"]}
        source |= {"origin": data["origin"], "age_s": data["age_s"]}
    elif event.name == "provider:error":
        source["error"] = {
            "kind": data["class"],
            "text": data["message"],
            "retry_s": data["retry_after_s"],
        }
    elif event.name == "provider:done":
        source |= {"count": data["count"], "ms": data["elapsed_ms"], "quota": data["quota"]}
        source |= {"state": "failed" if source["error"] else "done", "left": data["quota_left"]}


def _checked(quote: dict[str, Any]) -> dict[str, Any]:
    rows = [{**row, "url": parts_rows.web(row["url"])} for row in quote["rows"]]
    return {**quote, "rows": rows}


def _whole(value: Any, most: int) -> int | None:
    """A whole number of a page's field, if it is one."""
    return value if type(value) is int and 1 <= value <= most else None
