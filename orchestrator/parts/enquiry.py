"""One question to one source: what the cache has of it at once, then the source itself, unless it is left alone.

Whatever goes wrong here stays here: it becomes a `provider:error` of this source, and the others know nothing of it.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, cast

from pydantic import TypeAdapter

from orchestrator.parts.breaker import Breaker
from orchestrator.parts.cache import Cache, Entry, Flight, answer_key
from orchestrator.parts.errors import SOURCE_ERRORS, SourceError, SourceSchema, SourceTimeout
from orchestrator.parts.outbox import Outbox
from orchestrator.parts.quota import RESERVE, Quota, Use, using
from orchestrator.parts.sources.base import Request, Source
from orchestrator.parts.values import Offer
from orchestrator.parts.voice import Voice

logger = logging.getLogger(__name__)

GRACE_S = 0.05  # for a cancelled task to end
POLL_S = 0.03  # how often it is asked whether another search has the answer
AT_ONCE = 25  # offers merged before others have their turn
MAX_OFFERS = 2000  # of one source in one search
OFFERS = TypeAdapter(list[Offer])
Origin = Literal["live", "cache", "stale"]


@dataclass(frozen=True, kw_only=True)
class Means:
    """What questions are asked with."""

    cache: Cache
    quota: Quota
    breaker: Breaker
    fingerprints: Mapping[str, str]
    redact: Callable[[str], str]
    deadline_s: float
    clock: Callable[[], float]


class Enquiry:
    """One question to one source, from `provider:start` to `provider:done`."""

    def __init__(
        self,
        source: Source,
        request: Request,
        reading: str,
        use: Use,
        means: Means,
        voice: Voice,
        outbox: Outbox,
        merge: Callable[[Sequence[Offer]], None],
    ) -> None:
        self.source = source
        self.has_answered = False
        self._request = request
        self._reading = reading
        self._means = means
        self._voice = voice
        self._name = voice.name(source)
        self._outbox = outbox
        self._merge = merge
        self._fingerprint = means.fingerprints.get(source.name, "")
        self._key = answer_key(
            source=source.name, version=source.version, scope=source.scope, request=request
        )
        # a source that makes no calls has nothing to save
        self._is_cached = source.cost(request) > 0
        self._kept = means.cache.find(self._key) if self._is_cached else None
        self._use = use
        self._started = means.clock()
        self._count = 0
        self._is_over = False

    @property
    def is_kept(self) -> bool:
        """Whether the cache has something, new or old."""
        return self._kept is not None

    async def run(self) -> None:
        """Ask; never raises but when it is cancelled."""
        self._started = self._means.clock()
        self._use.deadline = self._started + self._means.deadline_s
        self._outbox.put("provider:start", {"provider": self._name, "reading": self._reading})
        try:
            async with asyncio.timeout(self._means.deadline_s):
                await self._answer()
            self.has_answered = True
        except SourceError as error:
            self._fail(error)
        except TimeoutError:
            self._fail(SourceTimeout())
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            self._fail(_unexpected(self.source, "CancelledError"))
        except Exception as error:  # noqa: BLE001  a source is somebody else's code and data
            self._fail(_unexpected(self.source, type(error).__name__, error))
        self._finish()

    def give_up(self) -> None:
        """The search ends without it."""
        if not self._is_over:
            self._fail(SourceTimeout())
            self._finish()

    # ---------------------------------------------------------------- where the answer comes from

    async def _answer(self) -> None:
        entry = self._kept.open() if self._kept is not None else None
        self._kept = None  # it may be large
        if entry is not None:
            await self._rows(entry.offers, "cache" if entry.is_fresh else "stale", entry.age_s)
            if entry.is_fresh or self._means.quota.left(self.source.name).share <= RESERVE:
                return
        if not self._is_cached:
            await self._live()
            return
        if (refusal := self._ask_breaker()) is not None:
            raise refusal
        try:
            flight = await self._board()
        except BaseException:
            self._means.breaker.broken_off(self.source.name)
            raise
        if isinstance(flight, Entry):
            self._means.breaker.broken_off(self.source.name)
            await self._rows(flight.offers, "cache", flight.age_s)
            return
        try:
            offers = await self._live()
            # a whole answer, and only that, is kept; a list may be long, so it is packed off the loop
            await asyncio.to_thread(
                self._means.cache.put, self._key, offers, source=self.source.name
            )
        finally:
            self._means.cache.land(flight)

    def _ask_breaker(self) -> SourceError | None:
        refusal = self._means.breaker.ask(self.source.name, fingerprint=self._fingerprint)
        if refusal is None:
            return None
        error = SOURCE_ERRORS.get(refusal.kind, SourceError)
        why = "It is not asked until its key changes" if refusal.retry_after_s is None else (
            f"It failed and is left alone for {refusal.retry_after_s:.0f} s"
        )  # fmt: skip
        return error(why, retry_after_s=refusal.retry_after_s)

    async def _board(self) -> Flight | Entry:
        """The right to ask, or the answer that another search, here or in another process, has got meanwhile."""
        cache = self._means.cache
        while True:
            flight = cache.board(self._key, deadline_s=self._means.deadline_s + 1)
            entry = cache.get(self._key)
            if entry is not None and entry.is_fresh:
                if flight is not None:
                    cache.land(flight)
                return entry
            if flight is not None:
                return flight
            await asyncio.sleep(POLL_S)

    async def _live(self) -> list[Offer]:
        """Ask the source itself, and tell the breaker how it went."""
        breaker, name = self._means.breaker, self.source.name
        offers: list[Offer] = []
        try:
            with using(self._use):
                answer = cast(
                    "AsyncGenerator[Sequence[Offer], None]", self.source.search(self._request)
                )
                async with aclosing(answer):
                    async for portion in answer:
                        rows = self._checked(portion)[: MAX_OFFERS - len(offers)]
                        offers += rows
                        await self._rows(rows, "live", 0.0)
                        if len(offers) >= MAX_OFFERS:
                            break
        except SourceError as error:
            breaker.failed(
                name,
                error.kind,
                fingerprint=self._fingerprint,
                retry_after_s=error.retry_after_s,
            )
            raise
        except asyncio.CancelledError:
            # by its own deadline it is a failure, by a reader who left it is nothing
            if self._means.clock() - self._started >= self._means.deadline_s - GRACE_S:
                breaker.failed(name, "timeout", fingerprint=self._fingerprint)
            else:
                breaker.broken_off(name)
            raise
        except Exception:
            breaker.failed(name, "schema", fingerprint=self._fingerprint)
            raise
        breaker.succeeded(name, fingerprint=self._fingerprint)
        return offers

    def _checked(self, portion: Sequence[Offer]) -> list[Offer]:
        """A portion in which no key of ours comes back: some services repeat what they were asked with."""
        offers = list(portion)
        written = OFFERS.dump_json(offers).decode()
        redacted = self._means.redact(written)
        return offers if redacted == written else OFFERS.validate_json(redacted)

    # ---------------------------------------------------------------- telling

    async def _rows(self, offers: Sequence[Offer], origin: Origin, age_s: float) -> None:
        for start in range(0, len(offers), AT_ONCE):
            if self._is_over:
                return
            some = offers[start : start + AT_ONCE]
            self._count += len(some)
            self._merge(some)
            self._partial(some, origin, age_s)
            await asyncio.sleep(0)  # so that whoever reads sees them before the next are merged

    def _partial(self, offers: Sequence[Offer], origin: Origin, age_s: float) -> None:
        elapsed_ms = self._elapsed_ms()

        def make(rows: list[Any]) -> dict[str, Any]:
            return {
                "provider": self._name,
                "origin": origin,
                "age_s": round(age_s, 1),
                "offers": self._voice.rows(rows),
                "count": len(rows),
                "elapsed_ms": elapsed_ms,
            }

        self._outbox.portion(f"{self._name}/{origin}", list(offers), make)

    def _fail(self, error: SourceError) -> None:
        if self._is_over:
            return
        self._outbox.put(
            "provider:error",
            {
                "provider": self._name,
                "class": error.kind,
                "retry_after_s": error.retry_after_s,
                "message": self._voice.error(error),
            },
        )

    def _finish(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        data = {
            "provider": self._name,
            "count": self._count,
            "elapsed_ms": self._elapsed_ms(),
            "calls": self._use.calls,
        }
        left = self._voice.left(self._means.quota.left(self.source.name))
        self._outbox.put("provider:done", {**data, **left})

    def _elapsed_ms(self) -> int:
        return round((self._means.clock() - self._started) * 1000)


def _unexpected(source: Source, name: str, error: Exception | None = None) -> SourceError:
    """An error of no known kind. Only its class and place are told: its text may quote an address with a key."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    logger.warning("%s gave no offers: %s%s", source.name, name, place)
    return SourceSchema(f"Its answer could not be used ({name})")
