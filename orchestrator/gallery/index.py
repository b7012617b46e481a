"""A SQLite index of the pictures, for all processes of a lab. It can be deleted at any time."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.databases import Database
from orchestrator.gallery.image import GalleryImage
from orchestrator.gallery.reading import EPOCH, Facts, Marks, us_of

logger = logging.getLogger(__name__)

FORMAT = 1  # of the tables; another one is made anew
SCHEMA = """
create table images (
  file text primary key, inode integer not null, beside integer not null, marks text not null,
  seq integer not null, created integer not null, job text, backend text, prompt text not null,
  words text not null, size integer not null, width integer not null, height integer not null,
  mime text not null, version text not null, favourite integer not null
);
create index by_created on images (created desc, file desc);
create index by_backend on images (backend, created desc, file desc);
create index by_favourite on images (favourite, created desc, file desc);
create index by_seq on images (seq);
create table others (  -- named like pictures, but none, or not yet
  file text primary key, inode integer not null, beside integer not null, marks text not null
);
create table state (
  folder text not null, folder_ns integer not null, favourites_ns integer not null,
  seq integer not null, born integer not null
);
insert into state values ('', 0, 0, 0, abs(random() / 2));
"""
INSERT = f"insert into images values ({','.join('?' * 16)})"
COLUMNS = "file, job, backend, prompt, created, size, width, height, favourite, version, mime"
BUSY_S = 5.0
INTEGER = (1 << 63) - 1  # SQLite's are signed; some file systems number files beyond
MAX_WORDS = 20  # of a search


class State(NamedTuple):
    """How far the index has followed the folders."""

    folder: str
    folder_ns: int
    favourites_ns: int
    seq: int  # of the newest change
    born: int  # tells this index from one made anew


class Found(NamedTuple):
    """A file as it was found, to be noted."""

    file: str
    said: Facts | Marks  # only marks when it is no picture
    inode: int
    beside: int  # inode of the sidecar; 0: none
    favourite: bool

    @classmethod
    def of(cls, file: str, said: Facts | Marks, *, favourite: bool) -> Found:
        """A file of which only what it says is known."""
        return cls(file, said, *_inodes(said), favourite)


class Index:
    """Rows about pictures. Safe to use from several threads and processes."""

    def __init__(self, file: Path) -> None:
        self._database = Database(
            file,
            what="The index of the pictures",
            schema=SCHEMA,
            version=FORMAT,
            wal=False,
            busy_s=BUSY_S,
        )

    # ---------------------------------------------------------------- reading

    def state(self) -> State:
        """How far the index is."""
        return State(
            *self._read("select folder, folder_ns, favourites_ns, seq, born from state")[0]
        )

    def known(self) -> dict[str, tuple[int, int]]:
        """Every name in the index with the inode of the file and of its sidecar."""
        rows = self._read(
            "select file, inode, beside from images union all select file, inode, beside from others"
        )
        return {file: (inode, beside) for file, inode, beside in rows}

    def others(self) -> list[tuple[str, str]]:
        """The files that were no pictures, with their marks."""
        return self._read("select file, marks from others")

    def favourites(self) -> set[str]:
        """The names of marked pictures."""
        return {row[0] for row in self._read("select file from images where favourite = 1")}

    def backends(self) -> list[str]:
        """The names of all backends that made a picture."""
        rows = self._read("select distinct backend from images where backend is not null")
        return sorted(row[0] for row in rows)

    def get(self, file: str) -> tuple[GalleryImage, str] | None:
        """A picture and its marks."""
        rows = self._read(f"select {COLUMNS}, marks from images where file = ?", [file])
        return (_image(rows[0]), rows[0][-1]) if rows else None

    def page(
        self,
        *,
        backend: str | None,
        text: str | None,
        favourite: bool | None,
        since: datetime | None,
        until: datetime | None,
        owned: bool | None,
        limit: int,
        offset: int,
    ) -> tuple[list[tuple[GalleryImage, str]], int]:
        """Pictures with their marks, newest first, and how many there are in all."""
        where = _Where()
        where.add("backend = ?", None if backend is None else _storable(backend))
        where.add("favourite = ?", None if favourite is None else int(favourite))
        where.add("created >= ?", us_of(since) if since else None)
        where.add("created < ?", us_of(until) if until else None)
        where.add("(job is not null) = ?", None if owned is None else int(owned))
        for word in _storable(text or "").casefold().split()[:MAX_WORDS]:
            where.add("(instr(words, ?) or substr(lower(job), 1, ?) = ?)", word, len(word), word)
        total = self._read(f"select count(*) from images {where}", where.values)[0][0]
        rows = self._read(
            f"select {COLUMNS}, marks from images {where} order by created desc, file desc limit ? offset ?",
            [*where.values, min(limit, INTEGER), min(offset, INTEGER)],
        )
        return [(_image(row), row[-1]) for row in rows], total

    def since(self, seq: int, *, limit: int) -> list[GalleryImage]:
        """The pictures that are new or have changed since, newest change last."""
        rows = self._read(
            f"select {COLUMNS} from images where seq > ? order by seq desc limit ?", [seq, limit]
        )
        return [_image(row) for row in reversed(rows)]

    # ---------------------------------------------------------------- writing

    def put(self, found: Iterable[Found]) -> None:
        """Note files, in place of what was known of them."""
        batch = list(found)

        def act(db: sqlite3.Connection) -> None:
            seq = _next(db)
            _forget(db, [each.file for each in batch])
            rows = [_stranger(each) for each in batch if isinstance(each.said, Marks)]
            db.executemany("insert into others values (?,?,?,?)", rows)
            rows = [_row(each, each.said, seq) for each in batch if isinstance(each.said, Facts)]
            db.executemany(INSERT, rows)

        if batch:
            self._database.write(act)

    def update(self, file: str, facts: Facts) -> None:
        """Note that a picture's content has changed, if it is still in the index."""

        def act(db: sqlite3.Connection) -> None:
            row = db.execute("select favourite from images where file = ?", [file]).fetchone()
            if row is not None:
                found = Found.of(file, facts, favourite=bool(row[0]))
                _forget(db, [file])
                db.execute(INSERT, _row(found, facts, _next(db)))

        self._database.write(act)

    def drop(self, files: Iterable[str]) -> None:
        """Forget files."""
        names = list(files)

        def act(db: sqlite3.Connection) -> None:
            _next(db)
            _forget(db, names)

        if names:
            self._database.write(act)

    def mark(self, files: Iterable[str], favourite: bool) -> None:
        """Note that pictures are favourites, or are none any more."""
        names = list(files)

        def act(db: sqlite3.Connection) -> None:
            seq = _next(db)
            query = "update images set favourite = ?, seq = ? where file = ?"
            db.executemany(query, [(int(favourite), seq, file) for file in names])

        if names:
            self._database.write(act)

    def note_folder(self, folder: str, changed_ns: int) -> None:
        """Note that the index has all that a folder had at this time of it."""
        self._database.write(
            lambda db: db.execute(
                "update state set folder = ?, folder_ns = ?", [folder, changed_ns]
            )
        )

    def note_favourites(self, changed_ns: int) -> None:
        """Note that the index has all marks that their folder had at this time of it."""
        self._database.write(
            lambda db: db.execute("update state set favourites_ns = ?", [changed_ns])
        )

    def clear(self) -> None:
        """Forget everything."""

        def act(db: sqlite3.Connection) -> None:
            db.execute("delete from images")
            db.execute("delete from others")
            db.execute(
                "update state set folder = '', folder_ns = 0, favourites_ns = 0, born = ?", [_id()]
            )

        self._database.write(act)

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._database.read(lambda db: db.execute(query, values).fetchall())

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class _Where:
    """Conditions of a query, as far as they are given."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        if values[0] is not None:
            self.parts.append(condition)
            self.values += values

    def __str__(self) -> str:
        return "where " + " and ".join(self.parts) if self.parts else ""


def _next(db: sqlite3.Connection) -> int:
    db.execute("update state set seq = seq + 1")
    return int(db.execute("select seq from state").fetchone()[0])


def _id() -> int:
    return secrets.randbits(62)


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode()  # half a surrogate pair cannot be asked for


def _forget(db: sqlite3.Connection, files: Iterable[str]) -> None:
    names = [(file,) for file in files]
    db.executemany("delete from images where file = ?", names)
    db.executemany("delete from others where file = ?", names)


def _row(found: Found, facts: Facts, seq: int) -> tuple[Any, ...]:
    # a picture that no recipe tells of is found by its name
    words = facts.prompt if facts.job_id else f"{facts.prompt}\n{found.file}"
    return (
        found.file, found.inode, found.beside, repr(facts.marks), seq, facts.created_us,
        facts.job_id, facts.backend, facts.prompt, words.casefold(), facts.size, facts.width,
        facts.height, facts.mime, facts.marks.version, int(found.favourite),
    )  # fmt: skip


def _stranger(found: Found) -> tuple[Any, ...]:
    return (found.file, found.inode, found.beside, repr(found.said))


def _inodes(said: Facts | Marks) -> tuple[int, int]:
    marks = said.marks if isinstance(said, Facts) else said
    return marks.picture[0] & INTEGER, (marks.sidecar[0] & INTEGER if marks.sidecar else 0)


def _image(row: Sequence[Any]) -> GalleryImage:
    file, job, backend, prompt, created, size, width, height, favourite, version, mime = row[:11]
    return GalleryImage(
        file=file,
        job_id=job,
        backend=backend,
        prompt=prompt,
        created_at=EPOCH + timedelta(microseconds=created),
        size=size,
        width=width,
        height=height,
        favourite=bool(favourite),
        version=version,
        mime=mime,
    )
