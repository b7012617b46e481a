"""Finished jobs by month in `_old/`, and a SQLite index of them that can be deleted at any time.

The files are the truth. Each month's folder has a time of its own, so a look at an unchanged archive costs one
call per month, however many jobs it holds.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson

from orchestrator.errors import CorruptFile
from orchestrator.jobs import Job, Status
from orchestrator.store.index import TICK_NS, sortable_time

logger = logging.getLogger(__name__)

SCHEMA = (
    """create table if not exists jobs (
  id text primary key, month text not null, status text not null, backend text not null, created text not null,
  prompt text not null, said text, seed, priority integer, started text, finished text, attempts integer, file text,
  failure text, remedy text, cost
) without rowid""",
    "create index if not exists by_created on jobs (created desc)",
    "create index if not exists by_status on jobs (status, created desc)",
    "create index if not exists by_backend on jobs (backend, created desc)",
    "create table if not exists months (month text primary key, changed integer not null) without rowid",
    """create table if not exists counts (
  status text not null, backend text not null, n integer not null, primary key (status, backend)
) without rowid""",
    """create trigger if not exists added after insert on jobs begin
  insert into counts values (new.status, new.backend, 1) on conflict do update set n = n + 1;
end""",
    """create trigger if not exists removed after delete on jobs begin
  update counts set n = n - 1 where status = old.status and backend = old.backend;
end""",
)
TABLES = ("jobs", "months", "counts")
VERSION = 2  # of the schema: an index of another one is made anew
BUSY_S = 5.0
REOPENED = 3  # times that an index made anew by others is opened before it is taken for damaged
CHUNK = 5000  # rows of a history read at a time, so that nobody who archives waits for long
SEARCHED = 1000  # characters of a prompt that can be found
CACHE_KB = 64_000  # the default of 2 MB halves the speed at which 100,000 jobs are indexed anew
COLUMNS = (
    "id", "month", "status", "backend", "created", "prompt", "said", "seed", "priority", "started", "finished",
    "attempts", "file", "failure", "remedy", "cost",
)  # fmt: skip
INTO = f"({','.join('?' * len(COLUMNS))})"
MAX_TEXT = 2000  # characters of other texts that are kept
Row = tuple[Any, ...]
T = TypeVar("T")


class Archive:
    """The jobs below one `_old` folder. Safe to use from several threads and processes."""

    def __init__(
        self, folder: Path, index: Path, *, on_corrupt: Callable[[Path, CorruptFile], object]
    ) -> None:
        self._folder = folder
        self._root = str(folder)
        self._file = index
        self._on_corrupt = on_corrupt
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._process = 0
        self._listed: tuple[int, list[str]] = (0, [])

    # ---------------------------------------------------------------- files

    def month_of(self, job: Job) -> Path:
        """The folder a finished job moves to."""
        return self._folder / f"{job.finished_at or job.created_at:%Y-%m}"

    def find(self, job_id: str) -> Path | None:
        """Where an archived job lies. Asks the folders: the index may be behind."""
        for month in self._months():
            if os.path.isfile(f"{self._root}/{month}/{job_id}.json"):
                return self.path(job_id, month)
        return None

    def path(self, job_id: str, month: str) -> Path:
        """Where a job of a month lies."""
        return Path(f"{self._folder}/{month}/{job_id}.json")

    def _months(self) -> list[str]:
        """The folders with jobs, newest first. The old system put its jobs into `_old` itself: month ''."""
        try:
            changed, began_ns = os.stat(self._root).st_mtime_ns, time.time_ns()
            if changed != self._listed[0]:
                with os.scandir(self._folder) as items:
                    found = [i.name for i in items if i.is_dir(follow_symlinks=False)]
                # kept, because the old system may have left thousands of files here. A young stamp proves nothing
                settled = changed if began_ns - changed > TICK_NS else 0
                self._listed = settled, [*sorted(found, reverse=True), ""]
        except FileNotFoundError:
            return []
        return self._listed[1]

    # ---------------------------------------------------------------- lists

    def add(self, jobs: Sequence[Job], move: Callable[[Path, Job], bool]) -> list[Job]:
        """Move jobs into their months' folders with `move`, and note them; returns those that moved.

        The caller holds a lock against others that archive: only so can a folder's new time be noted as known,
        instead of listing a month of a hundred thousand jobs again.
        """
        moved: list[Job] = []
        by_month: dict[Path, list[Job]] = {}
        for job in jobs:
            by_month.setdefault(self.month_of(job), []).append(job)
        for folder, group in by_month.items():
            folder.mkdir(exist_ok=True)
            in_step = self._known().get(folder.name) in {None, folder.stat().st_mtime_ns}
            gone = [job for job in group if move(folder, job)]
            moved += gone
            try:
                self._note_moved(folder, gone, in_step=in_step)
            except sqlite3.OperationalError as error:
                logger.warning("The index of the archive is behind: %s", error)
        return moved

    def _note_moved(self, folder: Path, gone: list[Job], *, in_step: bool) -> None:
        rows = [row_of(job.to_document(), folder.name) for job in gone]
        self._write("delete from jobs where id = ?", [(job.id,) for job in gone])
        self._write(f"insert into jobs values {INTO}", rows)
        if in_step and folder.name in self._known():
            self._note_month(folder.name, folder.stat().st_mtime_ns)

    def page(
        self,
        *,
        limit: int,
        status: str | None = None,
        backend: str | None = None,
        words: Sequence[str] = (),
    ) -> list[tuple[str, str, str]]:
        """The newest archived jobs, as (time of creation, id, month), newest first."""
        where, values = _where(status, backend, words)
        query = f"select created, id, month from jobs {where} order by created desc limit ?"
        rows = self._read(query, [*values, limit])
        return [(str(created), str(job_id), str(month)) for created, job_id, month in rows]

    def history(
        self,
        *,
        limit: int,
        since: str | None = None,
        until: str | None = None,
        status: str | None = None,
        backend: str | None = None,
        words: Sequence[str] = (),
    ) -> Iterator[Row]:
        """What the index says of archived jobs, COLUMNS, newest first. No file is opened.

        `since` and `until` bound the time of creation, as `sortable_time` writes it; the latter is not included.
        """
        where, values = _where(status, backend, words)
        joint = "and" if where else "where"
        if since is not None:
            where, joint = f"{where} {joint} created >= ?", "and"
            values.append(since)
        # from where the last chunk ended: no lock is held between chunks
        last, last_id = until or "\U0010ffff", None
        while limit > 0:
            begin = "created < ?" if last_id is None else "created <= ? and (created < ? or id > ?)"
            given = [last] if last_id is None else [last, last, last_id]
            query = (
                f"select {','.join(COLUMNS)} from jobs {where} {joint} {begin} "
                "order by created desc, id limit ?"
            )
            rows = self._read(query, [*values, *given, min(limit, CHUNK)])
            yield from rows
            limit -= len(rows)
            if len(rows) < CHUNK:
                return
            last_id, last = rows[-1][0], rows[-1][4]

    def counts(self) -> Counter[tuple[Status, str]]:
        """How many archived jobs have which status and backend."""
        rows = self._read("select status, backend, n from counts where n > 0", [])
        return Counter({(Status(status), str(backend)): int(n) for status, backend, n in rows})

    def count(self, *, status: str | None, backend: str | None, words: Sequence[str]) -> int:
        """How many archived jobs are so; a search looks at every one."""
        if words:
            where, values = _where(status, backend, words)
            return int(self._read(f"select count(*) from jobs {where}", values)[0][0])
        return sum(
            n
            for (its_status, its_backend), n in self.counts().items()
            if (status is None or its_status == status)
            and (backend is None or its_backend == backend)
        )

    def ids_like(self, prefix: str) -> list[str]:
        """Archived ids that begin so."""
        rows = self._read(
            "select id from jobs where id >= ? and id < ? limit 3", [prefix, prefix + "\U0010ffff"]
        )
        return [str(row[0]) for row in rows]

    def reconcile(self) -> None:
        """Bring the index up to date with the folders; from nothing if need be.

        On a full disk, or while another process writes it for long, it stays behind.
        """
        try:
            self._reconcile()
        except sqlite3.OperationalError as error:
            logger.warning("The index of the archive is behind: %s", error)

    def _reconcile(self) -> None:
        known = self._known()
        months = self._months()
        for month in months:
            folder = self._folder / month
            try:
                changed = folder.stat().st_mtime_ns
            except FileNotFoundError:
                continue
            if known.get(month) != changed:
                self._reconcile_month(month, changed)
        for gone in known.keys() - set(months):
            self._write("delete from jobs where month = ?", [(gone,)])
            self._write("delete from months where month = ?", [(gone,)])

    def _reconcile_month(self, month: str, changed: int) -> None:
        rows = self._read("select id from jobs where month = ?", [month])
        known = {str(row[0]) for row in rows}
        there: set[str] = set()
        new: list[Row] = []
        with os.scandir(self._folder / month) as items:
            for item in items:
                if item.name.endswith(".json") and item.is_file(follow_symlinks=False):
                    job_id = item.name[:-5]
                    there.add(job_id)
                    if job_id not in known and (row := self._row(item.path, job_id, month)):
                        new.append(row)
        gone = [(job_id,) for job_id in known - there]
        self._write("delete from jobs where id = ?", gone)
        # in the order of the key: at random, 100,000 rows take twice as long
        self._write(f"insert or ignore into jobs values {INTO}", sorted(new))
        self._note_month(month, changed)

    def _known(self) -> dict[str, int]:
        rows = self._read("select month, changed from months", [])
        return {str(month): int(changed) for month, changed in rows}

    def _note_month(self, month: str, changed: int) -> None:
        self._write("insert or replace into months values (?,?)", [(month, changed)])

    def _row(self, path: str, job_id: str, month: str) -> Row | None:
        try:
            with open(path, "rb") as file:
                document = orjson.loads(file.read())
            if document["id"] != job_id:
                raise ValueError(f"the job in it is {str(document['id'])[:80]!r}")
            return row_of(document, month)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._on_corrupt(Path(path), CorruptFile(f"not a job: {error!r}"))
            return None

    # ---------------------------------------------------------------- SQLite

    def _read(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._again(lambda db: db.execute(query, values).fetchall())

    def _write(self, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
        batch = list(rows)
        if batch:
            with self._lock:
                self._again(lambda db: _commit(db, query, batch))

    def _again(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Act on the database; a damaged or deleted one is made anew and filled from the files."""
        for _ in range(REOPENED):
            try:
                return act(self._open())
            except sqlite3.OperationalError as error:
                if "locked" in str(error) or "full" in str(error):
                    raise
                if "readonly" not in str(error):
                    break
                self.close()  # another process has made it anew: ours is a file that is gone
            except sqlite3.DatabaseError:
                break
        self.close()
        for name in (self._file, self._file.with_name(self._file.name + "-journal")):
            name.unlink(missing_ok=True)
        return act(self._open())

    def _open(self) -> sqlite3.Connection:
        if self._process != os.getpid():  # SQLite connections do not survive a fork
            self._db = None
        if self._db is None or not self._file.exists():
            self._process = os.getpid()
            self._db = sqlite3.connect(self._file, timeout=BUSY_S, check_same_thread=False)
            # it can be rebuilt, so it need not survive a power cut; no WAL: that fails on network drives
            self._db.execute("pragma synchronous = off")
            self._db.execute(f"pragma cache_size = -{CACHE_KB}")
            _prepare(self._db)
        return self._db

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            if self._db is not None and self._process == os.getpid():
                self._db.close()
            self._db = None


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables of this version. In one transaction: of two processes that find an old index or none, the second
    must find the tables of the first, not take them away under it."""
    if db.execute("pragma user_version").fetchone()[0] == VERSION:
        return
    db.execute("begin immediate")
    with db:
        if db.execute("pragma user_version").fetchone()[0] != VERSION:
            for table in TABLES:
                db.execute(f"drop table if exists {table}")
            for statement in SCHEMA:
                db.execute(statement)
            db.execute(f"pragma user_version = {VERSION}")


def _commit(db: sqlite3.Connection, query: str, rows: list[tuple[Any, ...]]) -> None:
    with db:
        db.executemany(query, rows)


def _where(status: str | None, backend: str | None, words: Sequence[str]) -> tuple[str, list[str]]:
    given = [("status = ?", status), ("backend = ?", backend)]
    given += [("(instr(prompt, ?) or instr(id, ?) = 1)", word) for word in words]
    used = [(part, value) for part, value in given if value is not None]
    values = [value for part, value in used for _ in range(part.count("?"))]
    return ("where " + " and ".join(part for part, _ in used) if used else ""), values


def searched(prompt: object) -> str:
    """A prompt as a search sees it."""
    return str(prompt or "")[:SEARCHED].casefold()


def row_of(document: dict[str, Any], month: str | None) -> Row:
    """COLUMNS of a job file. Raises ValueError, KeyError, TypeError, AttributeError where it is none.

    What decides where a job is found has to make sense; of the rest, nonsense is left out.
    """
    prompt = searched(document.get("prompt"))
    said = str(document.get("prompt") or "")[:MAX_TEXT]
    result, failure = _within(document, "result"), _within(document, "failure")
    attempts = document.get("attempts")
    return (
        str(document["id"]),
        month,
        Status(document["status"]).value,
        str(document["backend"]),
        sortable_time(document["createdAt"]),
        prompt,
        None if said == prompt else said,  # most of the index would be the prompts twice
        _scalar(_within(document, "params").get("seed")),
        _scalar(document.get("priority")),
        _scalar(document.get("startedAt")),
        _scalar(document.get("finishedAt")),
        len(attempts) if isinstance(attempts, list) else 0,
        _scalar(result.get("file")),
        _scalar(failure.get("message")),
        _scalar(failure.get("remedy")),
        _scalar(_within(result, "cost").get("amount")),
    )


def newest_first(row: Row) -> str:
    """What rows are ordered by, reversed."""
    return str(row[4])


def _within(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _scalar(value: object) -> str | int | float | None:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return (
        value
        if isinstance(value, int | float)
        else value[:MAX_TEXT]
        if isinstance(value, str)
        else None
    )
