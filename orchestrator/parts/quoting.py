"""A bill of materials asked of the sources: many part numbers a call where they allow it, then line by line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from orchestrator.parts import bom
from orchestrator.parts.bom import Line, Quote, QuoteRow
from orchestrator.parts.engine import Search
from orchestrator.parts.fold import fold
from orchestrator.parts.mpn import manufacturer_key, mpn_key
from orchestrator.parts.values import Event, Part

AT_ONCE = 3  # lines
NEAR = 3  # parts that a line without a match might have meant
# for a source that asks for fewer calls; a minute is the window that most of them count
MAX_WAIT_S = 65.0
MAX_WAITS = 6  # in one bill

Progress = Callable[[int, int], None]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Quoted:
    """A quote, by `Line.row` the parts that unmatched lines might have meant and why they are none, and what sources
    could not say."""

    quote: Quote
    near: Mapping[int, tuple[Part, ...]]
    why: Mapping[int, str]
    troubles: tuple[str, ...]


@dataclass
class _Found:
    parts: dict[int, list[Part]] = field(default_factory=dict)
    troubles: dict[tuple[str, str], int] = field(default_factory=dict)  # source, why → lines
    done: int = 0
    waits: int = 0


async def ask(
    search: Search,
    lines: Sequence[Line],
    *,
    boards: int = 1,
    currency: str | None = None,
    only: Collection[str] | None = None,
    progress: Progress | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Quoted:
    """What `boards` devices cost. The calls leave the day's reserve of each source alone, and a second time the same
    lines are answered from the cache. Cancelling it ends what goes on at the sources.

    Raises QueryInvalid for an unknown source and RateUnknown for a currency without a rate.
    """
    search.rates.table("USD", currency or search.currency)
    wanted = [line for line in lines if line.quantity and line.asked]
    await search.fetch([line.mpn for line in wanted if line.mpn], only=only)
    found = _Found()
    room = asyncio.Semaphore(AT_ONCE)

    async def one(line: Line) -> None:
        async with room:
            found.parts[line.row] = await _line(
                search, line, boards, currency, only, found, sleep=sleep
            )
            found.done += 1
            if progress is not None:
                progress(found.done, len(wanted))

    async with asyncio.TaskGroup() as group:
        for line in wanted:
            group.create_task(one(line), name=f"line {line.row}")
    # matching reads every description: long enough for a page to miss a heartbeat
    return await asyncio.to_thread(_quoted, search, lines, found, boards, currency)


def document(quoted: Quoted) -> dict[str, Any]:
    """A quote as JSON: money as text, so that none of it is rounded."""
    quote = quoted.quote
    return {
        "boards": quote.boards,
        "currency": quote.currency,
        "total": f"{quote.total:f}",
        "rows": [_row(row, quoted) for row in quote.rows],
        "unmatched": [line.row for line in quote.unmatched],
        "assumptions": list(quote.assumptions),
        "troubles": list(quoted.troubles),
    }


def _row(row: QuoteRow, quoted: Quoted) -> dict[str, Any]:
    line, part, best = row.line, row.part, row.best
    return {
        "row": line.row,
        "designators": list(line.designators),
        "asked": line.asked,
        "per_board": line.quantity,
        "needed": row.needed,
        "mpn": part.mpn if part else None,
        "manufacturer": part.manufacturer if part else None,
        "description": part.description if part else None,
        "seller": best.offer.seller if best else None,
        "sku": best.offer.sku if best else None,
        "buy": best.buy if best else None,
        "unit_price": f"{best.unit_price:f}" if best else None,
        "total": f"{best.total:f}" if best else None,
        "in_stock": best.in_stock if best else None,
        "url": best.offer.url if best else None,
        "note": row.note,
        "why": quoted.why.get(line.row),
        "near": [near.mpn for near in quoted.near.get(line.row, ())],
    }


def _quoted(
    search: Search, lines: Sequence[Line], found: _Found, boards: int, currency: str | None
) -> Quoted:
    quote = bom.quote(
        lines, found.parts, boards=boards, currency=currency or search.currency, rates=search.rates
    )
    near, why = {}, {}
    for line in quote.unmatched:
        parts = found.parts.get(line.row, [])
        near[line.row] = tuple(parts[:NEAR])
        why[line.row] = _why(line, parts)
    troubles = tuple(
        f"{source} did not answer for {count} line{'' if count == 1 else 's'}: {said}"
        for (source, said), count in found.troubles.items()
    )
    return Quoted(quote, near, why, troubles)


def _why(line: Line, parts: Sequence[Part]) -> str:
    """Why none of the found parts is what a line means."""
    if not line.asked:
        return "The line names neither a part number nor a value."
    if not parts:
        return "No source knows anything like it."
    same = [part for part in parts if line.mpn and mpn_key(part.mpn) == mpn_key(line.mpn)]
    if same and line.manufacturer:
        makers = sorted({part.manufacturer or "nobody that is named" for part in same})
        if manufacturer_key(line.manufacturer) not in {
            manufacturer_key(part.manufacturer) for part in same
        }:
            return f"It is sold as made by {', '.join(makers)}, not by {line.manufacturer}."
    if line.mpn:
        return "Nobody sells this very number."
    return "What was found does not say that it has the same value and package."


async def _line(
    search: Search,
    line: Line,
    boards: int,
    currency: str | None,
    only: Collection[str] | None,
    found: _Found,
    *,
    sleep: Sleep,
) -> list[Part]:
    """The ranked parts that a search gives for a line."""
    while True:
        stream = search.search(
            bom.query(line),
            quantity=max(1, line.quantity * boards),
            currency=currency,
            only=only,
            interactive=False,
        )
        async with aclosing(stream):
            events: list[Event] = [event async for event in stream]
        errors = [event.data for event in events if event.name == "provider:error"]
        waits = [
            float(data["retry_after_s"])
            for data in errors
            if data["class"] == "rate" and data["retry_after_s"]
        ]
        # those that have answered do so from the cache the next time
        if not waits or max(waits) > MAX_WAIT_S or found.waits >= MAX_WAITS:
            break
        found.waits += 1
        await sleep(max(waits))
    for data in errors:
        key = (str(data["provider"]), str(data["message"]))
        found.troubles[key] = found.troubles.get(key, 0) + 1
    return fold(events)
