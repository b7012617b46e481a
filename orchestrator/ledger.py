"""The ledger: every purchase, one line per event, appended and never changed. Several processes write it.

    {"at":"2026-11-22T12:00:00.000000+00:00","event":"reserved","key":"019a….1-1","day":"2026-11-22","usd":"0.06",
     "backend":"flux","model":"flux-pro-1.1-ultra","job":"019a…","fence":1}

A purchase is *reserved* before its request is sent, then *charged* with what the service says, or *released* when
nothing was bought; it is *corrected* when that turns out to be wrong. It belongs to the day of UTC on which it was
reserved. An amount is USD, as text. A line that a crash tore is set aside in `ledger.torn`, and its event is found
again in the job files (`attempts/till.py`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from orchestrator.errors import DiskFull, StoreBusy
from orchestrator.files import DISK, Disk, is_full
from orchestrator.locks import KernelLock, acquire
from orchestrator.spending import (
    NOTHING,
    Budget,
    DaySpending,
    Spending,
    Undecided,
    day_of,
    plain,
)

logger = logging.getLogger(__name__)

WAIT_S = 10.0  # a healthy holder of the lock needs milliseconds
PIECE = 2**22  # bytes read at a time
MAX_USD = 1_000_000  # of one purchase; more, or less than nothing, is a line that makes no sense


class Event(StrEnum):
    """What happened to a purchase."""

    RESERVED = "reserved"  # about to be sent
    CHARGED = "charged"  # bought
    RELEASED = "released"  # not bought after all
    CORRECTED = "corrected"  # bought for another price, or for nothing


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """One picture that is bought: by which attempt of which job, and from which model. `key` is the name of the
    attempt's receipt; `day` is empty until it is reserved."""

    key: str
    job: str
    fence: int
    backend: str
    model: str
    usd: Decimal = NOTHING
    day: str = ""


@dataclass
class Totals:
    """What the ledger says in all. `spent` by day and backend; `reserved` are the purchases of unknown outcome."""

    spent: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    pictures: dict[tuple[str, str], int] = field(default_factory=dict)
    reserved: dict[str, Purchase] = field(default_factory=dict)
    damaged: int = 0  # lines that make no sense

    def spent_on(self, day: str) -> Decimal:
        """What was charged on a day, or for it."""
        return sum((usd for (its, _), usd in self.spent.items() if its == day), NOTHING)

    def reserved_on(self, day: str) -> Decimal:
        """What may be charged for a day beyond that."""
        return sum((p.usd for p in self.reserved.values() if p.day == day), NOTHING)

    def spent_in_all(self) -> Decimal:
        """What was charged since the ledger began."""
        return sum(self.spent.values(), NOTHING)


class Ledger:
    """The ledger in one file. Safe to use from several threads and processes; a change costs one fsync."""

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        disk: Disk = DISK,
        wait_s: float = WAIT_S,
    ) -> None:
        self.path = path
        self.now = now
        self._torn = path.with_suffix(".torn")
        self._disk = disk
        self._wait_s = wait_s
        self._mutex = threading.RLock()
        self._lock = KernelLock(path.with_suffix(".lock"))
        self._process = os.getpid()
        self._forget()

    def _forget(self) -> None:
        self._totals = Totals()  # without what is reserved
        self._reserved: dict[str, dict[str, Any]] = {}  # key -> its line
        self._settled: dict[str, tuple[str, str, Decimal]] = {}  # key -> day, backend, usd
        self._read_to = 0
        self._inode = 0

    def close(self) -> None:
        """Close the lock's file."""
        self._lock.release()

    # ---------------------------------------------------------------- writing

    def reserve(self, purchase: Purchase, *, budget: Budget, what: str = "The picture") -> Purchase:
        """Set aside what a purchase is going to cost, if the budget of the day allows it: no two purchases get the
        same money. Returns it with its day. Raises BudgetExceeded, StoreBusy, DiskFull, OSError."""
        with self._alone():
            today, totals = day_of(self.now()), self.totals()
            budget.check(
                purchase.usd,
                spent=totals.spent_on(today),
                reserved=totals.reserved_on(today),
                what=what,
            )
            reserved = replace(purchase, day=today)
            self._append(Event.RESERVED, reserved)
            return reserved

    def charge(self, purchase: Purchase, usd: Decimal | None) -> None:
        """Write down what was charged; without `usd` what was reserved. The second time nothing happens.

        The day is that of the reservation, else the purchase's own, else today.
        """
        self.charge_all([(purchase, usd)])

    def charge_all(self, bills: Iterable[tuple[Purchase, Decimal | None]]) -> None:
        """As `charge`, for any number of purchases in one go."""
        with self._alone():
            charged = []
            for purchase, usd in bills:
                if purchase.key in self._settled:
                    continue
                known = self._known(purchase)
                price = known.usd if usd is None else usd
                day = known.day or day_of(self.now())
                charged.append(replace(known, usd=price, day=day))
            if charged:
                self._append(Event.CHARGED, *charged)

    def release(self, key: str) -> None:
        """Free what was reserved: nothing was bought. A purchase that is not reserved is let alone."""
        with self._alone():
            if (line := self._reserved.get(key)) is not None:
                self._append(Event.RELEASED, replace(_purchase(line), usd=NOTHING))

    def correct(self, purchase: Purchase, usd: Decimal) -> None:
        """Say what a purchase has cost in truth, whatever was written down before; 0 when it was not bought."""
        with self._alone():
            settled = self._settled.get(purchase.key)
            if settled is not None and settled[2] == usd:
                return
            known = self._known(purchase)
            day = settled[0] if settled else known.day or day_of(self.now())
            self._append(Event.CORRECTED, replace(known, usd=usd, day=day))

    def _known(self, purchase: Purchase) -> Purchase:
        line = self._reserved.get(purchase.key)
        return purchase if line is None else _purchase(line)

    # ---------------------------------------------------------------- reading

    def totals(self) -> Totals:
        """What the ledger says now."""
        with self._mutex:
            self._read()
            said = self._totals
            reserved = {key: _purchase(line) for key, line in self._reserved.items()}
            return Totals(dict(said.spent), dict(said.pictures), reserved, said.damaged)

    def spending(self, budget: Budget, *, credits: Decimal | None = None) -> Spending:
        """Where the money went, and what `budget` leaves of today."""
        totals, today = self.totals(), day_of(self.now())
        spent, reserved = totals.spent_on(today), totals.reserved_on(today)
        days = sorted(totals.spent.items(), key=lambda item: item[0][1])
        return Spending(
            day=today,
            per_day=budget.per_day,
            spent_today=spent,
            reserved_today=reserved,
            left_today=budget.left(spent=spent, reserved=reserved),
            spent_in_all=totals.spent_in_all(),
            days=tuple(
                DaySpending(
                    day=day, backend=backend, usd=usd, pictures=totals.pictures[day, backend]
                )
                for (day, backend), usd in sorted(days, key=lambda item: item[0][0], reverse=True)
            ),
            undecided=tuple(
                Undecided(key=p.key, job=p.job, backend=p.backend, day=p.day, usd=p.usd)
                for p in totals.reserved.values()
            ),
            credits=credits,
            damaged=totals.damaged,
        )

    def is_new(self) -> bool:
        """Whether nothing has been written yet."""
        with self._mutex:
            self._read()
            return self._read_to == 0

    # ---------------------------------------------------------------- the file

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the ledger against everybody else, with everything read that is in it."""
        deadline = time.monotonic() + self._wait_s
        if not self._mutex.acquire(timeout=self._wait_s):
            raise StoreBusy("The ledger is locked")
        try:
            if self._process != os.getpid():  # a forked child: the parent's lock is not its own
                self._lock = KernelLock(self.path.with_suffix(".lock"))
                self._process = os.getpid()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not acquire(self._lock, deadline=deadline):
                raise StoreBusy("Another process has held the ledger's lock for too long")
            try:
                self._set_torn_aside()
                self._read()
                yield
            finally:
                self._lock.unlock()
        finally:
            self._mutex.release()

    def _append(self, event: Event, *purchases: Purchase) -> None:
        at = self.now().astimezone(UTC).isoformat(timespec="microseconds")
        lines = b"".join(_line(at, event, purchase) for purchase in purchases)
        try:
            if self._inode == 0:
                self._disk.append(self.path, b"")
                self._disk.sync_folder(self.path.parent)
            self._disk.append(self.path, lines)
        except OSError as error:
            if is_full(error):
                raise DiskFull(f"No space left for {self.path.name}") from error
            raise
        self._read()

    def _set_torn_aside(self) -> None:
        """Move what a crash has left of a line out of the way of the next one; the caller holds the lock."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return
        if size == 0:
            return
        with self.path.open("rb") as file:
            file.seek(size - 1)
            if file.read() == b"\n":
                return
            torn = b""
            while size and b"\n" not in torn:
                size = max(0, size - PIECE)
                file.seek(size)
                torn = file.read()
        whole = size + torn.rfind(b"\n") + 1
        torn = torn[torn.rfind(b"\n") + 1 :]
        # first kept, then cut off: a crash between the two only keeps it twice
        self._disk.append(self._torn, torn + b"\n")
        self._disk.cut(self.path, whole)
        logger.warning("The last line of %s was torn: see %s", self.path.name, self._torn.name)

    def _read(self) -> None:
        """Take in the lines that are new since the last look."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            self._forget()
            return
        with file:
            state = os.fstat(file.fileno())
            if state.st_ino != self._inode or state.st_size < self._read_to:
                self._forget()  # another file
                self._inode = state.st_ino
            file.seek(self._read_to)
            rest = b""
            while piece := file.read(PIECE):
                lines = (rest + piece).split(b"\n")
                rest = lines.pop()  # of a line that is being written there is only a part
                for line in lines:
                    self._take(line)
                self._read_to += sum(map(len, lines)) + len(lines)

    def _take(self, line: bytes) -> None:
        try:
            said = orjson.loads(line)
            key, event, usd = said["key"], said["event"], _amount(said["usd"])
            where = (said["day"], said["backend"])
            if not (type(key) is type(where[0]) is type(where[1]) is str):
                raise TypeError(key)
            if event == "reserved":
                said["fence"], _ = int(said["fence"]), (said["job"], said["model"])
                if key not in self._settled:
                    self._reserved[key] = said
            elif event == "released":
                self._reserved.pop(key, None)
            elif event == "charged":
                if key not in self._settled:
                    self._settle(key, where, usd)
            elif event == "corrected":
                self._settle(key, where, usd)
            else:
                raise ValueError(event)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, InvalidOperation):
            self._totals.damaged += 1
            logger.warning("A line of %s makes no sense: %.80r", self.path.name, line)

    def _settle(self, key: str, where: tuple[str, str], usd: Decimal) -> None:
        totals = self._totals
        self._reserved.pop(key, None)
        if before := self._settled.get(key):
            totals.spent[before[:2]] -= before[2]
            totals.pictures[before[:2]] -= before[2] > 0
        self._settled[key] = (*where, usd)
        totals.spent[where] = totals.spent.get(where, NOTHING) + usd
        totals.pictures[where] = totals.pictures.get(where, 0) + (usd > 0)


def _line(at: str, event: Event, purchase: Purchase) -> bytes:
    said = {
        "at": at,
        "event": event,
        "key": purchase.key,
        "day": purchase.day,
        "usd": plain(purchase.usd),
        "backend": purchase.backend,
        "model": purchase.model,
        "job": purchase.job,
        "fence": purchase.fence,
    }
    return orjson.dumps(said) + b"\n"


@lru_cache(maxsize=1000)  # of 100,000 lines most say one of a few prices
def _amount(text: str) -> Decimal:
    usd = Decimal(text)
    if not 0 <= usd < MAX_USD:
        raise ValueError(text)
    return usd


def _purchase(said: dict[str, Any]) -> Purchase:
    return Purchase(
        key=said["key"],
        job=str(said["job"]),
        fence=said["fence"],
        backend=str(said["backend"]),
        model=str(said["model"]),
        usd=_amount(said["usd"]),
        day=str(said["day"]),
    )
