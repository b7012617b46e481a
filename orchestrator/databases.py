"""SQLite files that hold nothing which could not be had again: they can be deleted at any time, also while in use."""

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

OPEN_S = 5.0
# why a database cannot be on this disk; it is kept in memory then
REFUSED = ("readonly", "unable to open", "full", "disk i/o")
T = TypeVar("T")


class Database:
    """One file. Safe to use from several threads and processes; every call is one transaction of its own.

    A file that is damaged, or has another format, is put aside and made anew. Where none can be, it is kept in memory.
    """

    def __init__(
        self, file: Path, *, what: str, schema: str, version: int, wal: bool, busy_s: float
    ) -> None:
        """`what` it is: messages begin with it. `schema`: statements, each of which ends a line with its
        semicolon; `version` of them, 1 or more. `wal`: a write-ahead log, with which nobody who reads waits for who
        writes; it fails on network drives. `busy_s`: how long another process is waited for.
        """
        self.file = file
        self._what = what
        self._schema = schema
        self._version = version
        self._wal = wal
        self._busy_s = busy_s
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
            raise StoreBusy(f"{self._what} is in use by another process") from error
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise error
        self.close()
        if not any(word in said for word in REFUSED):
            self._put_aside(said, surely=is_last)
        elif is_last:  # the first time somebody may just have deleted the file
            logger.warning("%s is kept in memory: %s", self._what, error)
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
        db = sqlite3.connect(
            name, timeout=self._busy_s, check_same_thread=False, isolation_level=None
        )
        try:
            if self._wal:
                db.execute("pragma journal_mode = wal")
            # it can be rebuilt, so it need not survive a power cut; no commit waits for the disk
            db.execute("pragma synchronous = off")
            version = db.execute("pragma user_version").fetchone()[0]
            if version == 0:
                with _transaction(db):
                    for statement in self._schema.split(";\n"):
                        db.execute(statement)
                    db.execute(f"pragma user_version = {self._version}")
            elif version != self._version:
                raise sqlite3.DatabaseError(f"format {version} is not {self._version}")
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
            logger.warning("%s is made anew: %s", self._what, why)
            for end in ("-wal", "-shm", "-journal", ""):
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
                raise StoreBusy(f"{self._what} is being opened for too long")
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
