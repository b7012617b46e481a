"""One search over all sources at once; what each of them answers is told as it comes in."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orchestrator.parts import currencies
from orchestrator.parts.breaker import Breaker, Refusal
from orchestrator.parts.cache import Cache, answer_key
from orchestrator.parts.database import Database
from orchestrator.parts.enquiry import GRACE_S, Enquiry, Means
from orchestrator.parts.errors import QueryInvalid
from orchestrator.parts.merge import Merger
from orchestrator.parts.outbox import Outbox
from orchestrator.parts.quota import Left, Quota, Use
from orchestrator.parts.ranks import Ranks
from orchestrator.parts.rates import Rates
from orchestrator.parts.readings import readings
from orchestrator.parts.ru import attributes, normalise
from orchestrator.parts.sources.base import Request, Source
from orchestrator.parts.sources.reading import wanted
from orchestrator.parts.values import Event, Offer, Part, Query
from orchestrator.parts.voice import PublicVoice, Voice

SOURCE_DEADLINE_S, DEADLINE_S = 8.0, 10.0
CLOSE_S = 0.15  # for the tasks of a search that nobody reads any more to end


@dataclass(frozen=True)
class SourceState:
    """How one source stands: what it lacks, what is left of its day, whether it is left alone for a while."""

    name: str
    title: str
    missing: str | None
    left: Left
    refusal: Refusal | None


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """What a search is to find, and for whom."""

    query: Query
    quantity: int
    currency: str
    sources: Sequence[Source]
    public: bool
    interactive: bool


class Search:
    """All sources behind one question. Belongs to one event loop; close it at the end.

    `fingerprints`: by source, something that changes with its keys, without telling them. `redact` masks keys in text.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        database: Database,
        quota: Quota,
        rates: Rates,
        currency: str = "USD",
        fingerprints: Mapping[str, str] | None = None,
        redact: Callable[[str], str] = str,
        source_deadline_s: float = SOURCE_DEADLINE_S,
        deadline_s: float = DEADLINE_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sources = tuple(sources)
        self.quota = quota
        self.rates = rates
        self.currency = currency
        self.cache = Cache(database, now=now)
        self.breaker = Breaker(database, now=now)
        self._database = database
        self._fingerprints = dict(fingerprints or {})
        self._redact = redact
        self._deadline_s = deadline_s
        self._clock = clock
        self._means = Means(
            cache=self.cache,
            quota=quota,
            breaker=self.breaker,
            fingerprints=self._fingerprints,
            redact=redact,
            deadline_s=source_deadline_s,
            clock=clock,
        )

    def search(
        self,
        text: str | Query,
        *,
        quantity: int | None = None,
        currency: str | None = None,
        only: Collection[str] | None = None,
        public: bool = False,
        interactive: bool = True,
    ) -> AsyncGenerator[Event, None]:
        """Everything that happens while the sources are asked, as it happens; the last event is `done`.

        `text`: what to look for, or what is understood of it already, such as a part number to be taken as it is.
        `quantity`: pieces that prices are compared at (None: as the text says, else 1). `only`: names of sources.
        `public`: only what everybody may see. `interactive` False: nobody waits for it, so a fifth of each source's
        day is left for those who do. Closing the iterator ends what goes on at the sources at once.
        Raises QueryInvalid, also for an unknown source, and RateUnknown for a currency without a rate.
        """
        if isinstance(text, str) and not text.strip():
            raise QueryInvalid
        query = normalise(text) if isinstance(text, str) else text
        wanted = currencies.code(currency or self.currency)
        self.rates.table("USD", wanted)
        wish = _Wish(
            query=query,
            quantity=quantity or query.quantity or 1,
            currency=wanted,
            sources=self._chosen(only),
            public=public,
            interactive=interactive,
        )
        return self._stream(wish)

    async def fetch(self, mpns: Iterable[str], *, only: Collection[str] | None = None) -> None:
        """Have the cache know many part numbers, with few calls of the sources that take several at once.

        Searches for one of them then cost these sources nothing. What fails is left to those searches to find out;
        the day's reserve stays untouched. Raises QueryInvalid for an unknown source.
        """
        numbers = list(dict.fromkeys(mpns))
        sources = self._chosen(only)
        async with asyncio.TaskGroup() as group:
            for source in sources:
                if source.missing is None and source.batch > 1:
                    group.create_task(self._fetch(source, numbers), name=f"fetch {source.name}")

    async def _fetch(self, source: Source, numbers: Sequence[str]) -> None:
        questions = {mpn: Request.of(Query(raw=mpn, en=mpn, mpn=mpn)) for mpn in numbers}
        if not any(source.cost(question) for question in questions.values()):
            return  # it makes no calls
        keys = {
            mpn: answer_key(
                source=source.name, version=source.version, scope=source.scope, request=question
            )
            for mpn, question in questions.items()
        }
        unknown = [
            mpn
            for mpn, key in keys.items()
            if not ((kept := self.cache.get(key)) and kept.is_fresh)
        ]
        voice = Voice([source], redact=self._redact, rates=self.rates)
        for start in range(0, len(unknown), source.batch):
            some = unknown[start : start + source.batch]
            offers: list[Offer] = []
            enquiry = Enquiry(
                source,
                Request(mpns=tuple(some)),
                "",
                Use(interactive=False),
                self._means,
                voice,
                Outbox(),
                offers.extend,
            )
            await enquiry.run()
            if not enquiry.has_answered:
                return
            for mpn in some:
                self.cache.put(keys[mpn], wanted(offers, mpn), source=source.name)

    def states(self) -> list[SourceState]:
        """How each source stands."""
        return [
            SourceState(
                source.name,
                source.title,
                source.missing,
                self.quota.left(source.name),
                self.breaker.look(source.name, fingerprint=self.fingerprint(source.name)),
            )
            for source in self.sources
        ]

    def fingerprint(self, source: str) -> str:
        """What the breaker tells one configuration of a source from another by."""
        return self._fingerprints.get(source, "")

    async def close(self) -> None:
        """Give back all connections and the database."""
        await asyncio.gather(*(source.close() for source in self.sources), return_exceptions=True)
        self._database.close()

    def _chosen(self, only: Collection[str] | None) -> list[Source]:
        if only is None:
            return list(self.sources)
        names = {source.name for source in self.sources}
        if unknown := sorted(set(only) - names):
            raise QueryInvalid(
                f"There is no source {unknown[0][:40]!r}",
                remedy=f"The sources are: {', '.join(sorted(names))}.",
            )
        return [source for source in self.sources if source.name in only]

    async def _stream(self, wish: _Wish) -> AsyncGenerator[Event, None]:
        voice = (PublicVoice if wish.public else Voice)(
            wish.sources, redact=self._redact, rates=self.rates
        )
        run = _Run(wish, self._means, voice, self.rates, self._clock, self._deadline_s)
        task = asyncio.create_task(run.go(), name="search")
        try:
            async with aclosing(run.outbox.events()) as events:
                async for event in events:
                    yield event
            await task
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_S)
            if task.done() and not task.cancelled():
                task.exception()  # whoever left does not want to hear of it


@dataclass
class _Run:
    """One search from its start to its end."""

    wish: _Wish
    means: Means
    voice: Voice
    rates: Rates
    clock: Callable[[], float]
    deadline_s: float
    outbox: Outbox = field(default_factory=Outbox)

    def __post_init__(self) -> None:
        self._started = self.clock()
        self._ranks = Ranks()
        self._told: dict[str, tuple[Part, int]] = {}  # by key: as it was last told, and the version
        self._merger = Merger(
            quantity=self.wish.quantity,
            currency=self.wish.currency,
            rates=self.rates,
            mpn=self.wish.query.mpn,
            attributes=attributes,
        )

    async def go(self) -> None:
        """Ask all sources; other readings of the query only when this one finds nothing anywhere."""
        try:
            self._start()
            asked = [source for source in self.wish.sources if source.missing is None]
            for reading, request in readings(self.wish.query):
                has_answered = await self._round(asked, request, reading)
                if self._told or not has_answered or self._left_s() <= 0:
                    break
            self._end(reading)
        finally:
            self.outbox.close()

    def _start(self) -> None:
        self.outbox.put(
            "search:start",
            {
                "id": uuid.uuid4().hex,
                "query": self.wish.query.raw,
                "normalised": self.wish.query.model_dump(mode="json"),
                "quantity": self.wish.quantity,
                "currency": self.wish.currency,
                "sources": self.voice.listed(self.means.quota.left),
            },
        )

    async def _round(self, sources: Sequence[Source], request: Request, reading: str) -> bool:
        """Ask each source one question; returns whether any has answered it."""
        enquiries = [
            Enquiry(
                source,
                request,
                reading,
                Use(interactive=self.wish.interactive),
                self.means,
                self.voice,
                self.outbox,
                self._merge,
            )
            for source in sources
        ]
        # those with nothing in the cache go out first: reading what others have there takes its time
        enquiries.sort(key=lambda enquiry: enquiry.is_kept)
        tasks = {
            asyncio.create_task(enquiry.run(), name=f"search {enquiry.source.name}"): enquiry
            for enquiry in enquiries
        }
        if not tasks:
            return False
        try:
            _, late = await asyncio.wait(tasks, timeout=max(0.0, self._left_s()))
            for task in late:
                task.cancel()
            if late:  # one that does not let itself be ended is not waited for
                await asyncio.wait(late, timeout=GRACE_S)
            for task in late:
                tasks[task].give_up()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=GRACE_S)
        return any(enquiry.has_answered for enquiry in enquiries)

    def _merge(self, offers: Sequence[Offer]) -> None:
        changed = {part.key: part for part in self._merger.add(offers)}
        if changed:
            self._tell(changed)

    def _tell(self, changed: Mapping[str, Part]) -> None:
        parts = self._merger.parts()
        moved = self._ranks.arrange([part.key for part in parts], changed=changed.keys())
        for part in parts:
            if part.key in changed or part.key in moved:
                version = self._told[part.key][1] + 1 if part.key in self._told else 1
                self._told[part.key] = (part, version)
                self._upsert(part, version, self._ranks[part.key])

    def _upsert(self, part: Part, version: int, rank: float) -> None:
        self.outbox.upsert(
            part.key,
            lambda: {
                "key": part.key,
                "part": self.voice.part(part),
                "rank": rank,
                "version": version,
            },
        )

    def _end(self, reading: str) -> None:
        parts = [self.voice.part(part) for part in self._merger.parts()]
        meta = {
            "count": len(parts),
            "quantity": self.wish.quantity,
            "currency": self.wish.currency,
            "reading": reading,
            "elapsed_ms": self._elapsed_ms(),
        }
        self.outbox.put("result", {"parts": parts, "meta": meta})
        self.outbox.put("done", {"elapsed_ms": self._elapsed_ms()})

    def _elapsed_ms(self) -> int:
        return round((self.clock() - self._started) * 1000)

    def _left_s(self) -> float:
        return self._started + self.deadline_s - self.clock()
