"""The one SQLite file of the search: cached answers, quotas, breakers. It can be deleted at any time.

Times in it are seconds since the epoch: rows of several processes are compared, so a clock that starts with a
process would not do.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from orchestrator.errors import StoreBusy
from orchestrator.locks import KernelLock, acquire

logger = logging.getLogger(__name__)

FORMAT = 1  # of the tables; another one is put aside
SCHEMA = """
create table answers (
  key text primary key, source text not null, fetched real not null, size integer not null,
  offers blob not null
) without rowid;
create index by_age on answers (fetched, size);
create table flights (key text primary key, owner text not null, until real not null) without rowid;
create table history (
  offer text not null, day text not null, ladder text not null, primary key (offer, day)
) without rowid;
create index by_day on history (day);
create table calls (source text not null, at real not null, calls integer not null);
create index by_call on calls (source, at);
create table days (
  source text not null, day text not null, used integer not null, primary key (source, day)
) without rowid;
create table told (
  source text not null, window_s integer not null, calls integer not null, at real not null,
  primary key (source, window_s)
) without rowid;
create table breakers (
  source text primary key, fingerprint text not null, failures text not null, kind text not null,
  open_until real not null, open_s real not null, probe_until real not null
) without rowid;
"""
BUSY_S = 2.0  # transactions take well under a millisecond; more is a process that is stopped
OPEN_S = 5.0
# why a database cannot be on this disk; it is kept in memory then
REFUSED = ("readonly", "unable to open", "full", "disk i/o")
T = TypeVar("T")


class Database:
    """Safe to use from several threads and processes. Every call is one transaction of its own."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._opened = (0, 0)  # process, and inode of the file
        self._in_memory = False

    def read(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """What `act` finds. Raises StoreBusy when another process holds the file for too long."""
        return self._again(act)

    def write(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Do `act` wholly or not at all, nobody writing meanwhile. Raises StoreBusy."""

        def whole(db: sqlite3.Connection) -> T:
            with _transaction(db):
                return act(db)

        return self._again(whole)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._db is not None and self._opened[0] == os.getpid():
                self._db.close()
            self._db = None

    def _again(self, act: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            for is_last in (False, True):
                try:
                    return act(self._open())
                except sqlite3.DatabaseError as error:
                    self._recover(error, is_last=is_last)
            return act(self._open())

    def _recover(self, error: sqlite3.DatabaseError, *, is_last: bool) -> None:
        said = str(error).lower()
        if "locked" in said or "busy" in said:
            raise StoreBusy("The cache of the components search is in use") from error
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise error
        self.close()
        if not any(word in said for word in REFUSED):
            self._put_aside(said, surely=is_last)
        elif is_last:  # the first time somebody may just have deleted the file
            logger.warning("The cache of the components search is kept in memory: %s", error)
            self._in_memory = True

    def _open(self) -> sqlite3.Connection:
        # a connection does not survive a fork, and a deleted file takes what nobody else will read
        if self._db is not None and self._opened == (os.getpid(), self._inode()):
            return self._db
        self.close()
        if self._in_memory:
            self._db, self._opened = self._connect(":memory:"), (os.getpid(), 0)
            return self._db
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self._guard():
                # under the lock: a new file must not meet the journal of one that is being put aside
                db = self._connect(str(self.file))
        except OSError as error:
            raise sqlite3.OperationalError(f"unable to open: {error}") from error
        self._db, self._opened = db, (os.getpid(), self._inode())
        return db

    def _connect(self, name: str) -> sqlite3.Connection:
        db = sqlite3.connect(name, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
        try:
            db.execute("pragma journal_mode = wal")
            # it can be rebuilt, so it need not survive a power cut; no commit waits for the disk
            db.execute("pragma synchronous = off")
            version = db.execute("pragma user_version").fetchone()[0]
            if version == 0:
                with _transaction(db):
                    for statement in SCHEMA.split(";\n"):
                        db.execute(statement)
                    db.execute(f"pragma user_version = {FORMAT}")
            elif version != FORMAT:
                raise sqlite3.DatabaseError(f"format {version} is not {FORMAT}")
        except BaseException:
            db.close()
            raise
        return db

    def _put_aside(self, why: str, *, surely: bool) -> None:
        """Give a damaged file another name, one is kept. Only if nobody else has done so meanwhile.

        `surely`: it has failed twice, whatever a check of it says.
        """
        with contextlib.suppress(OSError), self._guard():
            if not surely and self._is_sound():
                return
            logger.warning("The cache of the components search is made anew: %s", why)
            for end in ("-wal", "-shm", ""):
                name = self.file.with_name(self.file.name + end)
                with contextlib.suppress(FileNotFoundError):
                    name.replace(self.file.with_name(f"{self.file.name}.damaged{end}"))

    def _is_sound(self) -> bool:
        """Whether another process has put a new file there already."""
        if not self.file.exists():
            return True
        try:
            db = self._connect(str(self.file))
        except sqlite3.DatabaseError:
            return False
        try:
            return bool(db.execute("pragma quick_check(1)").fetchone()[0] == "ok")
        except sqlite3.DatabaseError:
            return False
        finally:
            db.close()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        lock = KernelLock(self.file.with_name(self.file.name + ".lock"))
        try:
            if not acquire(lock, deadline=time.monotonic() + OPEN_S):
                raise StoreBusy("The cache of the components search is being opened for too long")
            yield
        finally:
            lock.release()

    def _inode(self) -> int:
        if self._in_memory:
            return 0
        try:
            return self.file.stat().st_ino
        except OSError:
            return -1


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("begin immediate")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # some errors have rolled it back already
            db.execute("rollback")
        raise
    db.execute("commit")
