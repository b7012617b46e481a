"""The components aggregator: one live search over electronic-component distributors, in Russian or English.

from orchestrator import parts

async for event in parts.search("резистор 4к7 0603 1%"):
    print(event.name, event.data)
table = await parts.find("NE555P", quantity=100, currency="EUR")
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.parts.engine import Search
    from orchestrator.parts.values import Event
    from orchestrator.paths import Paths

__all__ = ["find", "open", "search"]


def open(paths: Paths | None = None) -> Search:
    """The search with all sources of the checkout found from here. For one event loop; `await .close()` at the end.

    Raises PathsInvalid and SourceSettingInvalid.
    """
    # here: importing `parts` itself should cost nothing
    from orchestrator.parts.opening import open_search

    return open_search(paths)


async def search(
    text: str,
    *,
    quantity: int | None = None,
    currency: str | None = None,
    only: Collection[str] | None = None,
    public: bool = False,
    paths: Paths | None = None,
) -> AsyncGenerator[Event, None]:
    """One search on its own: all its events as they happen, as `Search.search` tells them."""
    whole = open(paths)
    try:
        events = whole.search(text, quantity=quantity, currency=currency, only=only, public=public)
        async with aclosing(events):
            async for event in events:
                yield event
    finally:
        await whole.close()


async def find(
    text: str,
    *,
    quantity: int | None = None,
    currency: str | None = None,
    only: Collection[str] | None = None,
    paths: Paths | None = None,
) -> pd.DataFrame:
    """What a search finds in the end, one row per offer; the columns are those of `frames.frame`."""
    from orchestrator.parts.fold import fold
    from orchestrator.parts.frames import frame

    whole = open(paths)
    try:
        async with aclosing(
            whole.search(text, quantity=quantity, currency=currency, only=only)
        ) as stream:
            events = [event async for event in stream]
        asked = events[0].data
        return frame(
            fold(events),
            quantity=asked["quantity"],
            currency=asked["currency"],
            rates=whole.rates,
        )
    finally:
        await whole.close()
