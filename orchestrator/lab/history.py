"""The history of jobs as a pandas table, and the times people say to narrow it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.errors import RequestInvalid
from orchestrator.store.archive import COLUMNS, Row

if TYPE_CHECKING:
    import pandas

SHOWN = [
    "id", "status", "backend", "prompt", "seed", "priority", "created", "finished", "seconds", "attempts", "file",
    "failure", "remedy", "cost", "archived",
]  # fmt: skip
AGO = re.compile(r"(\d{1,6})\s*(m|h|d|w)")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(said: datetime | str, *, now: datetime) -> datetime:
    """A time: `7d` (m, h, d, w) before `now`, `2026-11-01`, or with a time of day; in this machine's zone where none
    is given. Raises RequestInvalid."""
    try:
        if isinstance(said, str) and (ago := AGO.fullmatch(said.strip().lower())):
            return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        when = datetime.fromisoformat(said.strip()) if isinstance(said, str) else said
        return when.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise RequestInvalid(
            f"{str(said)[:80]!r} is no time",
            remedy="Say how long ago, as 7d, 12h or 2w, or a date, as 2026-11-01.",
        ) from error


def table(rows: Sequence[Row]) -> pandas.DataFrame:
    """Rows of the store's history, one per job, with times and durations."""
    import pandas

    found = pandas.DataFrame(list(rows), columns=list(COLUMNS))
    for name in ("created", "started", "finished"):
        found[name] = pandas.to_datetime(found[name], utc=True, errors="coerce", format="ISO8601")
    found["prompt"] = found["said"].where(found["said"].notna(), found["prompt"])
    found["seconds"] = (found["finished"] - found["started"]).dt.total_seconds()
    found["archived"] = found["month"].notna()
    return found[SHOWN]
