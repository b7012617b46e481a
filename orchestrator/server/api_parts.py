"""Electronic components: a search, told as the distributors answer (Server-Sent Events), and quotes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from pydantic import BaseModel, Field
from tornado.iostream import StreamClosedError

from orchestrator.parts.rates import Rates
from orchestrator.parts.sources.all import LIVE
from orchestrator.parts.sources.sample import Sample
from orchestrator.server.api_models import Answer, Blank
from orchestrator.server.handlers import MISSING, LabHandler
from orchestrator.server.operations import Route, operation
from orchestrator.server.searches import Wish, with_pings

MAX_QUERY = 200  # characters
MAX_QUANTITY = 10**9
MAX_ID = 10**12
MAX_BOARDS = 10_000_000
MAX_BILL = 8_000_000  # bytes; a bill of materials of twenty thousand lines takes less
CURRENCIES = sorted({code for table in Rates.offline().tables for code in table.pieces})
Currency = Annotated[
    str,
    Field(
        pattern=rf"^(?:{'|'.join(CURRENCIES)})?$",
        description="What prices are shown in, such as EUR; left out: as the lab is set.",
    ),
]
NAME = "|".join(source.name for source in (Sample, *LIVE))


class LiveSearchQuery(BaseModel):
    """What to search for."""

    q: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_QUERY,
            pattern=r"\S",
            description="A part number, or what the part is, in Russian or English: `резистор 4к7 0603 1%`.",
        ),
    ]
    qty: Annotated[
        Annotated[int, Field(ge=1, le=MAX_QUANTITY)] | Blank,
        Field(
            description="Pieces that prices are compared at; left out: as the text says, else 1."
        ),
    ] = ""
    currency: Currency = ""
    only: Annotated[
        str,
        Field(
            pattern=rf"^(?:(?:{NAME})(?:,(?:{NAME}))*)?$",
            max_length=MAX_QUERY,
            description="Names of sources, separated by commas: only these are asked.",
        ),
    ] = ""
    public: Annotated[
        bool, Field(description="Only what everybody may see: regions and prices, no sellers.")
    ] = False

    @property
    def wish(self) -> Wish:
        """The search that it asks for."""
        return Wish(
            text=self.q,
            quantity=self.qty or None,
            currency=self.currency or None,
            only=tuple(sorted(set(self.only.split(",")))) if self.only else None,
            public=self.public,
        )


class LiveSearchHandler(LabHandler):
    """`/api/live/search`"""

    costly = True
    _following: asyncio.Task[None] | None = None

    @operation(
        "One search over all distributors, as Server-Sent Events: each answer when it comes, `done` last",
        tag="parts",
        query=LiveSearchQuery,
        media="text/event-stream",
        refusals=(400,),
    )
    async def get(self) -> None:
        """Events until `done`. With `Last-Event-ID` what was missed; 204 when that was nothing."""
        assert self.panel is not None
        searches = self.panel.searches
        wish = self.query(LiveSearchQuery).wish
        last_id = self._last_id()
        missed = searches.missed(wish, last_id) if last_id else None
        if missed == []:  # a browser asks again after the end, unless it is told not to
            self.set_status(204)
            self.finish()
            return
        frames = None if missed else searches.begin(wish, after=last_id)
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache, no-transform")
        self.set_header("X-Accel-Buffering", "no")  # nginx would hold events back
        if frames is None:
            self.write(b"".join(missed or []))
        else:
            follow = self._follow(with_pings(frames, ping_s=searches.ping_s))
            self._following = asyncio.create_task(follow, name="follow a search")
            await asyncio.wait([self._following])
            if self._following.cancelled():
                return
            self._following.result()
        self.finish(set_content_type="text/event-stream; charset=utf-8")

    head = MISSING

    async def _follow(self, frames: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(frames):
            try:
                await self.flush()  # the headers: a client knows at once that it is being served
                async for frame in frames:
                    self.write(frame)
                    await self.flush()
            except StreamClosedError:
                raise asyncio.CancelledError from None

    def _last_id(self) -> int:
        """The last event that the client has seen, 0 for none. What is no number of ours counts as none."""
        said = self.request.headers.get("Last-Event-ID", "")
        return min(int(said), MAX_ID) if said.isascii() and said.isdecimal() else 0

    def on_connection_close(self) -> None:
        """Called by Tornado when the client is gone: what goes on at the sources ends at once."""
        if self._following is not None:
            self._following.cancel()


class BomQuery(BaseModel):
    """How many devices are made, and what prices are shown in."""

    boards: Annotated[
        Annotated[int, Field(ge=1, le=MAX_BOARDS)] | Blank, Field(description="Devices; 1.")
    ] = ""
    currency: Currency = ""


class QuoteSaid(Answer):
    """A quote. `rows`: one for each line with its best offer; `unmatched`: the rows that found none, `why` says why."""

    boards: int
    currency: str
    total: str
    rows: list[dict[str, Any]]
    unmatched: list[int]
    assumptions: list[str]
    troubles: list[str]


class BomHandler(LabHandler):
    """`/api/parts/bom`"""

    @property
    def max_body(self) -> int:
        """As large as a bill of materials may be."""
        return MAX_BILL

    @operation(
        "Quote a bill of materials: CSV, XLSX, KiCad's XML; the best offer for each line",
        tag="parts",
        query=BomQuery,
        accepts=("text/csv", "application/octet-stream"),
        reply=QuoteSaid,
        refusals=(400,),
    )
    async def post(self) -> None:
        """The quote, when every source has answered."""
        assert self.panel is not None
        asked = self.query(BomQuery)
        self.reply(
            await self.panel.searches.quote(
                self.request.body, boards=asked.boards or 1, currency=asked.currency or None
            )
        )


ROUTES: list[Route] = [(r"/api/live/search", LiveSearchHandler), (r"/api/parts/bom", BomHandler)]
