"""Commands for components: one live search over the distributors, and how each of them stands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import (
    FAILED,
    INTERRUPTED,
    AsJson,
    err,
    out,
    print_json,
    say,
    told,
    until_signal,
)
from orchestrator.cli.parts import parts

if TYPE_CHECKING:
    from orchestrator.parts.engine import SourceState
    from orchestrator.parts.values import Event

MAX_SHOWN = 40  # rows of the table; --json has all
MAX_TEXT = 60  # characters of a description
Data = Mapping[str, Any]


@parts.command()
@told
def search(
    text: Annotated[str, typer.Argument(metavar="QUERY", help="A part number, or what it is.")],
    qty: Annotated[
        int | None, typer.Option(min=1, help="Pieces that prices are compared at.")
    ] = None,
    currency: Annotated[
        str | None, typer.Option(help="Of the prices shown: USD, EUR, RUB.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="Ask this one; may be repeated.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Show what the public sees: region and price only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Search all distributors at once. Ends with 1 when nothing was found."""
    from orchestrator import parts as components
    from orchestrator.errors import RequestInvalid
    from orchestrator.parts.errors import RateUnknown

    async def work() -> list[Event]:
        whole = components.open()
        try:
            stream = whole.search(text, quantity=qty, currency=currency, only=only, public=public)
            return await _follow(stream, is_quiet=as_json)
        except RateUnknown as error:
            raise RequestInvalid(error.message, remedy=error.remedy) from error
        finally:
            await whole.close()

    events = asyncio.run(until_signal(work, code=INTERRUPTED))
    result = next(event.data for event in events if event.name == "result")
    if as_json:
        print_json(_document(events, result))
    else:
        _print_parts(result["parts"], result["meta"], public=public)
        _print_missing(events[0].data["sources"])
    if not result["parts"]:
        raise typer.Exit(FAILED)


@parts.command()
@told
def sources(
    reset: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help="Ask this one again although it has failed."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show each source: whether it has a key, what is left of its day, whether it is left alone for a while."""
    from orchestrator import parts as components
    from orchestrator.parts.errors import QueryInvalid

    whole = components.open()
    try:
        known = {source.name for source in whole.sources}
        for name in reset or []:
            if name not in known:
                raise QueryInvalid(
                    f"There is no source {name[:40]!r}",
                    remedy=f"The sources are: {', '.join(sorted(known))}.",
                )
            whole.breaker.reset(name)
        states = whole.states()
    finally:
        asyncio.run(whole.close())
    if as_json:
        print_json([_state(state) for state in states])
        return
    table = Table(box=None)
    for heading in ("source", "calls", "state"):
        table.add_column(heading, overflow="fold")
    for state in states:
        table.add_row(escape(state.title), escape(str(state.left)), escape(_standing(state)))
    out.print(table)


def _state(state: SourceState) -> Data:
    refusal = state.refusal
    return {
        "name": state.name,
        "title": state.title,
        "missing": state.missing,
        "quota": str(state.left),
        "quota_left": state.left.left,
        "quota_limit": state.left.limit,
        "breaker": "closed" if refusal is None else "open",
        "failure": refusal.kind if refusal is not None else None,
        "retry_after_s": refusal.retry_after_s if refusal is not None else None,
    }


def _standing(state: SourceState) -> str:
    if state.missing is not None:
        return state.missing
    if state.refusal is None:
        return "ready"
    if state.refusal.retry_after_s is None:
        return f"left alone until its key changes ({state.refusal.kind})"
    return f"left alone for {state.refusal.retry_after_s:.0f} s ({state.refusal.kind})"


async def _follow(stream: Any, *, is_quiet: bool) -> list[Event]:
    """All events; what was understood and how each source does is said meanwhile, on standard error."""
    events: list[Event] = []
    async with aclosing(stream):
        async for event in stream:
            events.append(event)
            if not is_quiet:
                _say(event, events)
    return events


def _say(event: Event, events: Sequence[Event]) -> None:
    data = event.data
    if event.name == "search:start":
        say(f"Understood: {_understood(data['normalised'])}")
    elif event.name == "provider:error":
        retry = data["retry_after_s"]
        again = f" Again in {retry:.0f} s." if retry else ""
        err.print(
            f"[yellow]{escape(str(data['provider']))}: {escape(data['message'])}{again}[/yellow]",
            highlight=False,
        )
    elif event.name == "provider:done":
        said = [f"{data['count']} offers", f"{data['elapsed_ms']} ms"]
        origins = {
            each.data["origin"]
            for each in events
            if each.name == "provider:partial" and each.data["provider"] == data["provider"]
        }
        said += sorted(origins - {"live"})
        if data["quota"] is not None and data["quota_left"] is not None:
            said.append(data["quota"])
        say(f"{data['provider']}: {', '.join(said)}")


def _understood(query: Data) -> str:
    said = [query["en"]]
    said += [f"part number {query['mpn']}"] if query["mpn"] else []
    said += [f"{name} {value}" for name, value in query["attrs"].items()]
    said += [f"or {each['reads']} ({each['why']})" for each in query["alternatives"]]
    return "; ".join(said)


def _print_parts(found: Sequence[Data], meta: Data, *, public: bool) -> None:
    if not found:
        say("Nothing was found.")
        return
    table = Table(box=None)
    price = f"{meta['currency']} for {meta['quantity']}"
    for heading in ("part", "maker", "what it is", "in stock", price, "from"):
        is_number = heading in {"in stock", price}
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for part in found[:MAX_SHOWN]:
        stock, best, seller = _public_cells(part) if public else _cells(part)
        table.add_row(
            escape(part["mpn"]),
            escape(part["manufacturer"] or "maker unconfirmed"),
            escape(_short(part["description"])),
            stock,
            best,
            escape(seller),
        )
    out.print(table)
    if len(found) > MAX_SHOWN:
        say(f"{len(found) - MAX_SHOWN} more: --json shows them all.")


def _cells(part: Data) -> tuple[str, str, str]:
    best = part["best"]
    stock = f"{sum(part['stock'].values()):,}" if part["stock"] else "-"
    if best is None:
        return stock, "-", ", ".join(sorted({offer["seller"] for offer in part["offers"]})[:3])
    old = ", old price" if best["offer"]["stale"] else ""
    buy = f" (buy {best['buy']})" if best["buy"] != best["quantity"] else ""
    return stock, f"{_money(best['unit_price'])}{buy}", f"{best['offer']['seller']}{old}"


def _public_cells(part: Data) -> tuple[str, str, str]:
    prices = part["prices"]
    if not prices:
        return "-", "-", "-"
    lowest = min(prices, key=lambda price: (not price["in_stock"], Decimal(price["unit_price"])))
    return (
        "yes" if lowest["in_stock"] else "no",
        _money(lowest["unit_price"]),
        ", ".join(dict.fromkeys(price["region"] for price in prices)),
    )


def _money(amount: str) -> str:
    """A unit price: two places, and as many more as a cheap part needs."""
    value = Decimal(amount)
    places = 2 if value >= 1 else 4
    return f"{value:,.{places}f}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def _print_missing(listed: Sequence[Data]) -> None:
    for source in listed:
        if source.get("missing"):
            say(f"Not asked: {source['title']}. {source['missing']}")


def _document(events: Sequence[Event], result: Data) -> Data:
    start = events[0].data
    told_of: dict[str, dict[str, Any]] = {each["name"]: dict(each) for each in start["sources"]}
    for event in events:
        if event.name == "provider:done":
            told_of[event.data["provider"]] |= {**event.data}
        elif event.name == "provider:error":
            error = {key: value for key, value in event.data.items() if key != "provider"}
            told_of[event.data["provider"]]["error"] = error
    for each in told_of.values():
        each.pop("provider", None)
    return {
        "query": start["normalised"],
        "quantity": start["quantity"],
        "currency": start["currency"],
        "parts": result["parts"],
        "sources": list(told_of.values()),
    }
