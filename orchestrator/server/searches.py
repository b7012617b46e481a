"""Searches of components under way, and for a minute after: what a client that lost its connection has not seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from orchestrator.errors import ConfigError, RequestInvalid
from orchestrator.parts.errors import RateUnknown
from orchestrator.paths import Paths
from orchestrator.server.refusals import Refusal

if TYPE_CHECKING:
    from orchestrator.parts.engine import Search
    from orchestrator.parts.values import Event

KEPT_S = 60.0  # that the events of a search are kept after its client has gone
KEPT_BYTES = 48_000_000
PING_S = 15.0  # proxies end connections on which nothing goes for half a minute
MOST = 24  # searches at a time: each asks up to nine sources at once


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a client searches for."""

    text: str
    quantity: int | None = None
    currency: str | None = None
    only: tuple[str, ...] | None = None
    public: bool = False


@dataclass
class Told:
    """What one client was told. `is_over`: to the end; a search that was broken off cannot go on."""

    wish: Wish
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0
    is_over: bool = False
    left_at: float | None = None  # None: its client is there

    @property
    def last_id(self) -> int:
        """The number of its last event, 0 before the first."""
        return self.frames[-1][0] if self.frames else 0


class Searches:
    """The searches of one server. Nothing is opened before the first; for one event loop."""

    def __init__(
        self,
        paths: Paths,
        *,
        kept_s: float = KEPT_S,
        ping_s: float = PING_S,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ping_s = ping_s
        self._paths = paths
        self._kept_s = kept_s
        self._most = most
        self._clock = clock
        self._told: list[Told] = []
        self._search: Search | None = None

    def missed(self, wish: Wish, last_id: int) -> list[bytes] | None:
        """The events after `last_id` of the same search, which has ended since; None: it has to begin anew."""
        self._forget()
        for told in reversed(self._told):
            is_whole = told.wish == wish and told.is_over and told.left_at is not None
            if is_whole and told.frames[0][0] <= last_id <= told.last_id:
                return [frame for number, frame in told.frames if number > last_id]
        return None

    def begin(self, wish: Wish, *, after: int = 0) -> AsyncGenerator[bytes, None]:
        """A search as Server-Sent Events, whose numbers go on after `after`. Closing it ends what goes on at the
        sources. Raises RequestInvalid, and Refusal when there are too many, or the sources' settings are wrong."""
        self._forget()
        running = sum(told.left_at is None for told in self._told)
        if running >= self._most:
            raise Refusal(
                429,
                "Too many searches at a time",
                remedy="Wait for one to end; each is over within ten seconds.",
                headers={"Retry-After": "5"},
            )
        with _refusing():
            events = self._opened().search(
                wish.text,
                quantity=wish.quantity,
                currency=wish.currency,
                only=wish.only,
                public=wish.public,
            )
        return self._frames(Told(wish), events, after)

    async def quote(self, data: bytes, *, boards: int, currency: str | None) -> dict[str, Any]:
        """The best offers for a bill of materials, as `orchestrator parts bom --json` says them.

        Raises BomInvalid, and Refusal when the sources cannot be opened.
        """
        from orchestrator.parts import bom_files, quoting

        lines = await asyncio.to_thread(bom_files.read, data)
        with _refusing():
            quoted = await quoting.ask(self._opened(), lines, boards=boards, currency=currency)
        return quoting.document(quoted)

    async def close(self) -> None:
        """Give back what searching holds."""
        if self._search is not None:
            await self._search.close()
            self._search = None

    async def _frames(
        self, told: Told, events: AsyncGenerator[Event, None], after: int
    ) -> AsyncGenerator[bytes, None]:
        self._told.append(told)
        try:
            async with aclosing(events):
                async for event in events:
                    number = after + event.id
                    frame = sse(event, number)
                    told.frames.append((number, frame))
                    told.size += len(frame)
                    told.is_over = event.name == "done"
                    yield frame
        finally:
            told.left_at = self._clock()
            if not told.is_over:  # nobody can be told the rest of it
                self._told.remove(told)

    def _opened(self) -> Search:
        if self._search is None:
            from orchestrator.parts.opening import open_search  # slow, and most labs draw pictures

            self._search = open_search(self._paths)
        return self._search

    def _forget(self) -> None:
        """Drop what is too old, then the oldest of what is too much."""
        oldest = self._clock() - self._kept_s
        kept = [told for told in self._told if told.left_at is None or told.left_at >= oldest]
        size = sum(told.size for told in kept)
        for told in [told for told in kept if told.left_at is not None]:
            if size <= KEPT_BYTES:
                break
            kept.remove(told)
            size -= told.size
        self._told = kept


@contextmanager
def _refusing() -> Iterator[None]:
    """Have what a search cannot do said as an answer says it."""
    try:
        yield
    except RateUnknown as error:
        raise RequestInvalid(error.message, remedy=error.remedy) from error
    except ConfigError as error:
        raise Refusal(503, error.message, remedy=error.remedy) from error


def sse(event: Event, number: int) -> bytes:
    """An event as it goes over the wire; JSON has no line ends, so that `data` is one line."""
    data = orjson.dumps(event.data)
    return b"event: %b\nid: %d\ndata: %b\n\n" % (event.name.encode(), number, data)


async def with_pings(
    frames: AsyncGenerator[bytes, None], *, ping_s: float
) -> AsyncGenerator[bytes, None]:
    """Frames as they come, and a comment whenever none has come for `ping_s`."""
    async with aclosing(frames):
        coming = asyncio.ensure_future(anext(frames, None))
        try:
            while True:
                done, _ = await asyncio.wait([coming], timeout=ping_s)
                if not done:
                    yield b": ping\n\n"
                    continue
                if (frame := coming.result()) is None:
                    return
                yield frame
                coming = asyncio.ensure_future(anext(frames, None))
        finally:
            coming.cancel()
            await asyncio.wait([coming])  # a generator that still runs cannot be closed
            if not coming.cancelled():
                coming.exception()
