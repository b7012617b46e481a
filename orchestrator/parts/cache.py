"""Answers of the sources, kept: how old they may be, and who of several processes fetches one that is missing.

Only whole answers get here; one that failed, or was broken off, is never kept. An offer's prices and stock are fresh
for an hour and shown as stale for a day; for a week it still says which parts there are.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from itertools import count
from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import StoreBusy
from orchestrator.parts.database import Database
from orchestrator.parts.sources.base import Request
from orchestrator.parts.values import Offer, PriceBreak

SCHEMA = 1  # of the offers as kept: part of every key, so an older program's answers are not read
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
MAX_BYTES = 200_000_000  # of answers, packed
MAX_HISTORY_DAYS = 730
MAX_HISTORY = 200_000  # snapshots
PRUNE_EVERY = 50  # answers put
OLD_PRICES = "prices and stock were older than a day and are not shown"
OFFERS = TypeAdapter(tuple[Offer, ...])
LADDER = TypeAdapter(tuple[PriceBreak, ...])
UNSEEN = 0.0  # when a process began that may not be looked at
_serial = count()


@dataclass(frozen=True, kw_only=True)
class Life:
    """For how long a kind of data is as good as new, and for how long it is better than nothing."""

    fresh_s: float
    stale_s: float


class Data(StrEnum):
    """What an answer holds."""

    PRICES = "prices"  # with prices or stock
    LIST = "list"  # only which parts there are
    NOTHING = "nothing"


LIVES = {
    Data.PRICES: Life(fresh_s=HOUR_S, stale_s=DAY_S),
    Data.LIST: Life(fresh_s=6 * HOUR_S, stale_s=7 * DAY_S),
    Data.NOTHING: Life(fresh_s=15 * MINUTE_S, stale_s=15 * MINUTE_S),
}


@dataclass(frozen=True)
class Entry:
    """A kept answer. `is_fresh`: it stands for a new one."""

    offers: tuple[Offer, ...]
    age_s: float
    is_fresh: bool


@dataclass(frozen=True)
class Packed:
    """A kept answer as it lies in the database."""

    blob: bytes
    age_s: float

    def open(self) -> Entry | None:
        """The offers, unless they are too old for anything or cannot be read."""
        try:
            offers = OFFERS.validate_json(zlib.decompress(self.blob))
        except (zlib.error, ValidationError):
            return None
        return _aged(offers, self.age_s)


@dataclass(frozen=True)
class Flight:
    """The right to fetch an answer, until a time of the wall clock."""

    key: str
    owner: str


@dataclass(frozen=True)
class Snapshot:
    """The prices of an offer from a day (UTC, `2026-11-23`) on, until the next snapshot."""

    day: str
    breaks: tuple[PriceBreak, ...]


class Cache:
    """Kept answers in the shared database. A database that is busy is a cache that has nothing, never an error."""

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._database = database
        self._now = now
        self._max_bytes = max_bytes
        self._puts = 0

    def find(self, key: str) -> Packed | None:
        """The kept answer as it lies there, unless there is none. Cheap: what it holds is read by `open`."""
        query = "select offers, fetched from answers where key = ?"
        try:
            row = self._database.read(lambda db: db.execute(query, [key]).fetchone())
        except StoreBusy:
            return None
        # a clock that was put back makes answers of the future: they are as new as any
        return Packed(row[0], max(0.0, self._now().timestamp() - row[1])) if row else None

    def get(self, key: str) -> Entry | None:
        """The kept answer, unless it is too old for anything. What cannot be read counts as missing."""
        packed = self.find(key)
        return packed.open() if packed is not None else None

    def put(self, key: str, offers: Sequence[Offer], *, source: str) -> None:
        """Keep a whole answer, and note its prices where they have changed. Called off the loop: it packs."""
        kept = tuple(offers)
        now = self._now()
        blob = zlib.compress(OFFERS.dump_json(kept), 1)  # 6 saves a tenth and costs thrice the time
        ladders = [(offer_key(offer), _ladder(offer)) for offer in kept if offer.breaks]
        row = (key, source, now.timestamp(), len(blob), blob)

        def act(db: Any) -> None:
            db.execute("insert or replace into answers values (?,?,?,?,?)", row)
            for offer, ladder in ladders:
                last = db.execute(
                    "select ladder from history where offer = ? order by day desc limit 1", [offer]
                ).fetchone()
                if last is None or last[0] != ladder:
                    day = now.date().isoformat()
                    db.execute(
                        "insert or replace into history values (?,?,?)", [offer, day, ladder]
                    )

        try:
            self._database.write(act)
            self._puts += 1
            if self._puts % PRUNE_EVERY == 1:
                self.prune()
        except StoreBusy:
            return

    def history(self, offer: Offer) -> list[Snapshot]:
        """The prices of an offer over time, oldest first, one of each day on which they changed."""
        query = "select day, ladder from history where offer = ? order by day"
        try:
            rows = self._database.read(lambda db: db.execute(query, [offer_key(offer)]).fetchall())
        except StoreBusy:
            return []
        return [Snapshot(day, LADDER.validate_json(ladder)) for day, ladder in rows]

    def prune(self) -> None:
        """Drop what is too old for anything, then the oldest until the rest is not too large."""
        now = self._now()
        oldest = now.timestamp() - LIVES[Data.LIST].stale_s
        first_day = datetime.fromtimestamp(
            max(0.0, now.timestamp() - MAX_HISTORY_DAYS * DAY_S), UTC
        ).date()

        def act(db: Any) -> None:
            db.execute("delete from answers where fetched < ?", [oldest])
            db.execute("delete from flights where until < ?", [now.timestamp()])
            db.execute("delete from history where day < ?", [first_day.isoformat()])
            crowded = db.execute(
                "select day from history order by day desc limit 1 offset ?", [MAX_HISTORY]
            ).fetchone()
            if crowded is not None:
                db.execute("delete from history where day <= ?", crowded)
            too_much = db.execute("select total(size) from answers").fetchone()[0] - self._max_bytes
            if too_much <= 0:
                return
            too_much += self._max_bytes * 0.1  # so that the next answers find room
            last = 0.0
            for fetched, size in db.execute("select fetched, size from answers order by fetched"):
                last, too_much = fetched, too_much - size
                if too_much <= 0:
                    break
            db.execute("delete from answers where fetched <= ?", [last])

        self._database.write(act)

    # ---------------------------------------------------------------- single flight

    def board(self, key: str, *, deadline_s: float) -> Flight | None:
        """The right to fetch an answer, for at most `deadline_s`; None while another search has it.

        An owner that has died is not waited for, and one whose process cannot be seen only until its deadline.
        A database that is busy gives the right to everybody: a call too many is better than no answer.
        """
        now = self._now().timestamp()
        flight = Flight(key, f"{os.getpid()}/{_born(os.getpid())}/{next(_serial)}")

        def act(db: Any) -> bool:
            row = db.execute("select owner, until from flights where key = ?", [key]).fetchone()
            # `until` far ahead was written by a clock that has been put back since
            if row is not None and now < row[1] <= now + 10 * deadline_s and _lives(row[0]):
                return False
            values = [key, flight.owner, now + deadline_s]
            db.execute("insert or replace into flights values (?,?,?)", values)
            return True

        try:
            return flight if self._database.write(act) else None
        except StoreBusy:
            return flight

    def land(self, flight: Flight) -> None:
        """Give the right back, whether the answer was kept or not."""
        query = "delete from flights where key = ? and owner = ?"
        try:
            self._database.write(lambda db: db.execute(query, [flight.key, flight.owner]))
        except StoreBusy:
            return  # it runs out by itself


def answer_key(*, source: str, version: str, scope: str, request: Request) -> str:
    """The name of an answer: the same for requests that ask the same of the same interface in the same place."""
    # an exact answer is about its numbers, whatever else was said beside them
    attrs = request.attrs or {} if not request.mpns else {}
    asked = {
        "keyword": " ".join(request.keyword.casefold().split()) if not request.mpns else "",
        "mpns": sorted(" ".join(mpn.upper().split()) for mpn in request.mpns),
        "type": request.type if not request.mpns else None,
        "attrs": sorted((name, str(value)) for name, value in attrs.items()),
        "limit": request.limit,
    }
    kind = "exact" if request.mpns else "keyword"
    text = json.dumps([SCHEMA, source, version, kind, scope, asked], sort_keys=True)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def offer_key(offer: Offer) -> str:
    """The name of an offer over time."""
    text = "\x1f".join((offer.source, offer.seller, offer.region, offer.sku, offer.mpn))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]


def _aged(offers: tuple[Offer, ...], age_s: float) -> Entry | None:
    data = _data(offers)
    life = LIVES[data]
    if age_s <= life.fresh_s:
        return Entry(offers, age_s, True)
    if age_s <= life.stale_s:
        return Entry(tuple(o.model_copy(update={"stale": True}) for o in offers), age_s, False)
    if data is Data.PRICES and age_s <= LIVES[Data.LIST].stale_s:
        return Entry(tuple(_without_prices(offer) for offer in offers), age_s, False)
    return None


def _without_prices(offer: Offer) -> Offer:
    warnings = (*offer.warnings, OLD_PRICES)
    update = {"breaks": (), "stock": None, "stale": True, "warnings": warnings}
    return offer.model_copy(update=update)


def _data(offers: Sequence[Offer]) -> Data:
    if not offers:
        return Data.NOTHING
    priced = any(offer.breaks or offer.stock is not None for offer in offers)
    return Data.PRICES if priced else Data.LIST


def _ladder(offer: Offer) -> str:
    return LADDER.dump_json(tuple(sorted(offer.breaks, key=lambda b: b.quantity))).decode()


@cache
def _born(pid: int) -> float:
    """When this process began: its number alone may be another's by the time it is read."""
    return _process(pid) or UNSEEN


def _lives(owner: str) -> bool:
    pid, born, _ = owner.split("/")
    began = _process(int(pid))
    return began is not None and (began == float(born) or UNSEEN in {began, float(born)})


def _process(pid: int) -> float | None:
    """When a process began; None when there is none, or only its corpse."""
    import psutil  # here: 15 ms, and a search that finds all it needs in the cache does without

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:  # there, but not ours to look at
        return UNSEEN
