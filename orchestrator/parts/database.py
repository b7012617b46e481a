"""The one SQLite file of the search: cached answers, quotas, breakers. It can be deleted at any time.

Times in it are seconds since the epoch: rows of several processes are compared, so a clock that starts with a
process would not do.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator import databases

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


class Database(databases.Database):
    """The file, at the place that is given."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            file,
            what="The cache of the components search",
            schema=SCHEMA,
            version=FORMAT,
            wal=True,
            busy_s=BUSY_S,
        )
