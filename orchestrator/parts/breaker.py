"""A source that keeps failing is left alone for a while; one that refuses the key, until the key is another.

The state is in the shared database, not in the process: a command line that is started anew for each search would
otherwise never learn, and of several processes only one should try whether the source is well again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from orchestrator.errors import StoreBusy
from orchestrator.parts.database import Database

FAILURES, WINDOW_S = 5, 60.0
FIRST_OPEN_S, MAX_OPEN_S = 30.0, 600.0
PROBE_S = 15.0  # a probe whose search died is over by then
FOREVER = 1e12
# what says that a source is unwell; `rate` names its own time, and `quota` is no failure at all
COUNTED = frozenset({"network", "timeout", "proxy", "schema", "blocked"})


@dataclass(frozen=True, kw_only=True)
class State:
    """What is known of one source. Times are seconds of the epoch, 0: never."""

    fingerprint: str = ""  # of the configuration that it was seen with
    failures: tuple[float, ...] = ()
    kind: str = ""  # of the last failure
    open_until: float = 0.0
    open_s: float = 0.0
    probe_until: float = 0.0


@dataclass(frozen=True)
class Refusal:
    """A source is not to be asked now: for what kind of failure, and for how long (None: until the key changes)."""

    kind: str
    retry_after_s: float | None


class Breaker:
    """The breakers of all sources. A database that is busy lets everything pass."""

    def __init__(
        self, database: Database, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._now = now

    def ask(self, source: str, *, fingerprint: str = "") -> Refusal | None:
        """Whether a source may be asked; None: yes, and then one of the methods below tells how it went.

        When its time is over one search may try, and the others wait for how that goes.
        """

        def decide(state: State, at: float) -> tuple[State, Refusal | None]:
            if state.fingerprint != fingerprint:
                return State(fingerprint=fingerprint), None
            if (refusal := _refusal(state, at)) is not None:
                return state, refusal
            if state.open_s == 0:
                return state, None
            if at < state.probe_until:
                return state, Refusal(state.kind, round(state.probe_until - at, 1))
            return replace(state, probe_until=at + PROBE_S), None

        return self._change(source, decide)

    def look(self, source: str, *, fingerprint: str = "") -> Refusal | None:
        """Whether a source would be asked, changing nothing."""
        try:
            state = self._database.read(lambda db: _load(db, source))
        except StoreBusy:
            return None
        return (
            _refusal(state, self._now().timestamp()) if state.fingerprint == fingerprint else None
        )

    def succeeded(self, source: str, *, fingerprint: str = "") -> None:
        """It has answered: all is forgiven."""
        self._change(source, lambda _state, _at: (State(fingerprint=fingerprint), None))

    def broken_off(self, source: str) -> None:
        """It was not waited for, so nothing is known: another search may try."""
        self._change(source, lambda state, _at: (replace(state, probe_until=0.0), None))

    def failed(
        self, source: str, kind: str, *, fingerprint: str = "", retry_after_s: float | None = None
    ) -> None:
        """It has failed; `kind` as in SourceError."""

        def count(state: State, at: float) -> tuple[State, None]:
            if kind == "auth":
                return State(fingerprint=fingerprint, kind=kind, open_until=FOREVER), None
            if kind == "rate" and retry_after_s:
                until = at + min(retry_after_s, MAX_OPEN_S)
                return replace(state, kind=kind, open_until=max(until, state.open_until)), None
            if kind not in COUNTED:
                return replace(state, probe_until=0.0), None
            failures = (*(past for past in state.failures if at - WINDOW_S < past <= at), at)
            is_probe = state.open_s > 0
            if not is_probe and len(failures) < FAILURES:
                return replace(state, failures=failures, kind=kind, fingerprint=fingerprint), None
            if is_probe and at < state.open_until:  # begun before it opened
                return state, None
            open_s = min(state.open_s * 2, MAX_OPEN_S) if is_probe else FIRST_OPEN_S
            opened = State(
                fingerprint=fingerprint, kind=kind, open_s=open_s, open_until=at + open_s
            )
            return opened, None

        self._change(source, count)

    def reset(self, source: str) -> None:
        """Forget what is known of a source."""
        self._change(source, lambda _state, _at: (State(), None))

    def _change(
        self, source: str, decide: Callable[[State, float], tuple[State, Refusal | None]]
    ) -> Refusal | None:
        at = self._now().timestamp()

        def act(db: sqlite3.Connection) -> Refusal | None:
            before = _load(db, source)
            after, refusal = decide(before, at)
            if after != before:
                _save(db, source, after)
            return refusal

        try:
            return self._database.write(act)
        except StoreBusy:
            return None


def _refusal(state: State, at: float) -> Refusal | None:
    if at >= state.open_until:
        return None
    until_key = state.open_until >= FOREVER
    # a clock that was put back would otherwise keep it shut for as long
    if not until_key and state.open_until - at > MAX_OPEN_S:
        return None
    return Refusal(state.kind, None if until_key else round(state.open_until - at, 1))


def _load(db: sqlite3.Connection, source: str) -> State:
    query = """select fingerprint, failures, kind, open_until, open_s, probe_until
               from breakers where source = ?"""
    row = db.execute(query, [source]).fetchone()
    if row is None:
        return State()
    fingerprint, failures, kind, open_until, open_s, probe_until = row
    return State(
        fingerprint=fingerprint,
        failures=tuple(json.loads(failures)),
        kind=kind,
        open_until=open_until,
        open_s=open_s,
        probe_until=probe_until,
    )


def _save(db: sqlite3.Connection, source: str, state: State) -> None:
    db.execute(
        "insert or replace into breakers values (?,?,?,?,?,?,?)",
        [
            source,
            state.fingerprint,
            json.dumps(state.failures),
            state.kind,
            state.open_until,
            state.open_s,
            state.probe_until,
        ],
    )
