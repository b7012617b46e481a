"""How often a source may be called, counted for all processes before a call is made.

A short window slides: never more than `calls` in any `window_s` seconds. A day's window is the day of UTC. Beside our
own counting stands what the source tells in its headers; the one that leaves less holds.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.errors import StoreBusy
from orchestrator.parts.database import Database
from orchestrator.parts.errors import SourceQuota, SourceRate
from orchestrator.parts.sources.base import Limit, Meter

DAY_S = 86400
RESERVE = 0.2  # of a day's calls, kept for people who wait: batches stop before it
MAX_WAIT_S = 1.5  # for a short window to have room again; what takes longer fails at once
# a call that leaves late is counted late by the source: a window is taken a little longer than it is
MARGIN_S = 0.05
TOLD_FOR_S = 2 * DAY_S  # that a source's own limit is remembered
MAX_TOLD = 100_000_000  # a header that says more is not believed


@dataclass
class Use:
    """What a search does with its sources: how long its calls may wait, and how many there were."""

    interactive: bool = True
    deadline: float | None = None  # of the monotonic clock
    calls: int = 0


_use: ContextVar[Use | None] = ContextVar("use", default=None)


@contextmanager
def using(use: Use) -> Iterator[Use]:
    """Calls made in here, also by tasks begun in here, are made for `use`."""
    token = _use.set(use)
    try:
        yield use
    finally:
        _use.reset(token)


@dataclass(frozen=True)
class Left:
    """What is left of a source's calls today; `limit` None: no limit of a day is known."""

    left: int | None
    limit: int | None

    @property
    def share(self) -> float:
        """Of the day's calls, 0.0 to 1.0."""
        return 1.0 if self.left is None or not self.limit else self.left / self.limit

    def __str__(self) -> str:
        if self.limit is None:
            return "no daily limit known"
        return f"{self.left} of {self.limit} left today"


class Quota:
    """The calls of all sources, counted in the shared database.

    `now` places calls in their windows, `clock` measures waits.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._limits: dict[str, tuple[Limit, ...]] = {}
        self._now = now
        self._clock = clock
        self._sleep = sleep

    def meter(
        self, source: str, limits: Sequence[Limit] = (), *, interactive: bool = True
    ) -> Meter:
        """What counts the calls of one source, whose `limits` are these as far as it does not tell others.

        With `interactive` False the reserve of the day is left alone.
        """
        self._limits[source] = tuple(limits)
        return _Meter(self, source, interactive)

    def left(self, source: str) -> Left:
        """What is left today; as text, `812 of 1000 left today`."""
        now = self._now()

        def act(db: sqlite3.Connection) -> Left:
            limits = [one for one in self._known(db, source, now) if one.window_s >= DAY_S]
            if not limits:
                return Left(None, None)
            least = min(limits, key=lambda one: one.calls)
            return Left(max(0, least.calls - _used_today(db, source, now)), least.calls)

        try:
            return self._database.read(act)
        except StoreBusy:
            return Left(None, None)

    async def take(
        self, source: str, calls: int, *, interactive: bool, deadline: float | None
    ) -> None:
        """Reserve calls; waits up to MAX_WAIT_S, not beyond `deadline`, for a short window to have room.

        Raises SourceQuota when the day is used up, SourceRate when it would have to wait longer.
        """
        until = self._clock() + MAX_WAIT_S
        until = until if deadline is None else min(until, deadline)
        while True:
            wait_s = self._reserve(source, calls, interactive=interactive)
            if wait_s <= 0:
                return
            if self._clock() + wait_s > until:
                told = round(wait_s, 1) if math.isfinite(wait_s) else None
                raise SourceRate("Its calls of this moment are used up", retry_after_s=told)
            await self._sleep(wait_s)

    def _reserve(self, source: str, calls: int, *, interactive: bool) -> float:
        """Reserve calls if all windows have room, and return 0; else return when to try again, in seconds."""
        now = self._now()
        at = now.timestamp()

        def act(db: sqlite3.Connection) -> float:
            known = self._known(db, source, now)
            longest = max((one.window_s for one in known if one.window_s < DAY_S), default=0)
            _forget(db, source, at, longest + MARGIN_S)
            wait_s = 0.0
            for one in known:
                if one.window_s >= DAY_S:
                    _check_day(db, source, now, one, calls, interactive=interactive)
                else:
                    wait_s = max(wait_s, _wait_s(db, source, at, one, calls))
            if wait_s <= 0:
                db.execute("insert into calls values (?,?,?)", [source, at, calls])
                _use_today(db, source, now, calls)
            return wait_s

        try:
            return self._database.write(act)
        except StoreBusy as error:
            # uncounted calls could go over a limit: better none
            raise SourceRate("Its calls cannot be counted now", retry_after_s=1.0) from error

    def told(self, source: str, *, window_s: int, limit: int | None, remaining: int | None) -> None:
        """What a source's headers say: others may use the same key, and limits change."""
        if window_s < 1 or (limit is not None and not 0 < limit <= MAX_TOLD):
            return
        now = self._now()
        at = now.timestamp()

        def act(db: sqlite3.Connection) -> None:
            if limit is not None:
                db.execute(
                    "insert or replace into told values (?,?,?,?)", [source, window_s, limit, at]
                )
            if remaining is None:
                return
            all_calls = limit or next(
                (one.calls for one in self._known(db, source, now) if one.window_s == window_s),
                None,
            )
            if all_calls is None:
                return
            used = max(0, all_calls - max(0, remaining))
            if window_s >= DAY_S:
                more = used - _used_today(db, source, now)
                if more > 0:
                    _use_today(db, source, now, more)
            else:
                more = used - _used(db, source, at, window_s)
                if more > 0:  # somebody else's calls; when they were is not told, so it was now
                    db.execute("insert into calls values (?,?,?)", [source, at, more])

        try:
            self._database.write(act)
        except StoreBusy:
            return  # the next answer tells it again

    def _known(self, db: sqlite3.Connection, source: str, now: datetime) -> list[Limit]:
        """The limits of a source: those told by itself go before those we know of."""
        limits = {one.window_s: one.calls for one in self._limits.get(source, ())}
        since = now.timestamp() - TOLD_FOR_S
        query = "select window_s, calls from told where source = ? and at > ?"
        limits.update(db.execute(query, [source, since]).fetchall())
        return [Limit(calls=calls, window_s=window_s) for window_s, calls in limits.items()]


@dataclass(frozen=True)
class _Meter:
    quota: Quota
    source: str
    interactive: bool

    async def take(self, calls: int = 1) -> None:
        use = _use.get() or Use()
        interactive = self.interactive and use.interactive
        await self.quota.take(self.source, calls, interactive=interactive, deadline=use.deadline)
        use.calls += calls

    def told(self, *, window_s: int, limit: int | None, remaining: int | None) -> None:
        self.quota.told(self.source, window_s=window_s, limit=limit, remaining=remaining)


def _check_day(
    db: sqlite3.Connection,
    source: str,
    now: datetime,
    limit: Limit,
    calls: int,
    *,
    interactive: bool,
) -> None:
    allowed = limit.calls if interactive else int(limit.calls * (1 - RESERVE))
    if _used_today(db, source, now) + calls <= allowed:
        return
    tomorrow = (now.astimezone(UTC) + timedelta(days=1)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    said = (
        f"All {limit.calls} calls of today are used up"
        if interactive
        else f"The rest of today's {limit.calls} calls is kept for searches by hand"
    )
    raise SourceQuota(said, retry_after_s=round((tomorrow - now).total_seconds(), 1))


def _wait_s(db: sqlite3.Connection, source: str, at: float, limit: Limit, calls: int) -> float:
    """How long until a sliding window has room for calls; 0 when it has."""
    too_many = _used(db, source, at, limit.window_s) + calls - limit.calls
    if too_many <= 0:
        return 0.0
    window_s = limit.window_s + MARGIN_S
    rows = db.execute(
        "select at, calls from calls where source = ? and at > ? order by at",
        [source, at - window_s],
    )
    for made_at, made in rows:
        too_many -= made
        if too_many <= 0:
            return max(0.001, float(made_at) + window_s - at)
    return float("inf")  # more at once than the window ever allows


def _used(db: sqlite3.Connection, source: str, at: float, window_s: float) -> int:
    query = "select coalesce(sum(calls), 0) from calls where source = ? and at > ?"
    return int(db.execute(query, [source, at - window_s - MARGIN_S]).fetchone()[0])


def _forget(db: sqlite3.Connection, source: str, at: float, longest_s: float) -> None:
    """Drop calls that are in no window any more, and those of the future: the clock was put back since."""
    db.execute(
        "delete from calls where source = ? and (at <= ? or at > ?)",
        [source, at - longest_s, at + longest_s],
    )


def _used_today(db: sqlite3.Connection, source: str, now: datetime) -> int:
    query = "select used from days where source = ? and day = ?"
    row = db.execute(query, [source, _day(now)]).fetchone()
    return int(row[0]) if row else 0


def _use_today(db: sqlite3.Connection, source: str, now: datetime, calls: int) -> None:
    db.execute(
        "delete from days where source = ? and day < ?", [source, _day(now - timedelta(days=7))]
    )
    query = """insert into days values (?,?,?) on conflict (source, day)
               do update set used = used + excluded.used"""
    db.execute(query, [source, _day(now), calls])


def _day(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()
