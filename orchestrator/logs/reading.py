"""The log files there are, and their newest lines, safe to show."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any

from orchestrator.jobs import one_line
from orchestrator.logs.lines import readable
from orchestrator.logs.redaction import masked
from orchestrator.paths import Paths
from orchestrator.settings import Settings

TAIL_BYTES = 256_000  # read of a file's end, however long its lines are
MAX_LINE = 1_000  # characters of a line that are shown
STORY = "MONITOR-LOG.md"  # the monitor's, for people
TAB = "    "
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")  # of a line for people
STAMP_LENGTH = len("2026-11-22 12:00:00,000")


@dataclass(frozen=True)
class LogFile:
    """A file of the folder of logs. `size` in bytes."""

    name: str
    path: Path
    size: int
    changed_at: datetime


def files(paths: Paths) -> list[LogFile]:
    """The log files, the one written to last first; rotated ones, as `worker.log.1`, are among them."""
    try:
        with os.scandir(paths.logs) as items:
            looked = [_log_file(item) for item in items if is_log(item.name)]
    except OSError:  # the folder is gone, or on a drive that is away
        return []
    found = [file for file in looked if file is not None]
    return sorted(found, key=lambda file: (file.changed_at, file.name), reverse=True)


@dataclass(frozen=True)
class LogLine:
    """A line that is safe to show, and the name of the file it stands in."""

    file: str
    text: str


def newest(
    paths: Paths,
    lines: int = 50,
    *,
    file: str | None = None,
    job: str | None = None,
    settings: Settings | None = None,
) -> list[LogLine]:
    """The newest lines of one log file, or of all that are not rotated away, in the order they were written.

    A name that is no log file's gives nothing. With `job` only lines that name it. A line without a time, as of a
    traceback, follows the line it stands below; where none has one, as in another program's log, they count as
    written when the file was.
    """
    stamped: list[tuple[str, LogLine]] = []
    for each in files(paths):
        if file is None and not each.name.endswith(".log"):
            continue
        if file is not None and each.name != file:
            continue
        written = f"{each.changed_at.astimezone():%Y-%m-%d %H:%M:%S,%f}"
        try:
            rows = _tail(each.path, lines, settings=settings, job=job)
        except OSError:  # rotated away since
            continue
        stamp = next((at for at, _ in rows if at), written)
        for at, row in rows:
            stamp = at or stamp
            stamped.append((stamp, LogLine(one_line(each.name), row)))
    stamped.sort(key=lambda pair: pair[0])
    return [line for _, line in stamped[-lines:]]


def is_log(name: str) -> bool:
    """Whether a file of that name is a log that people read, or a rotated one."""
    return ".log" in name or name == STORY or name.startswith(f"{STORY}.")


def _log_file(item: os.DirEntry[str]) -> LogFile | None:
    try:
        stat = item.stat(follow_symlinks=False)
    except OSError:
        return None
    if not S_ISREG(stat.st_mode):  # a link could lead anywhere, a FIFO could hang
        return None
    changed_at = datetime.fromtimestamp(stat.st_mtime, UTC)
    return LogFile(item.name, Path(item.path), stat.st_size, changed_at)


def tail(path: Path, lines: int = 50, *, settings: Settings | None = None) -> list[str]:
    """The newest lines of a file, oldest first, safe to show: no control characters, no keys, not too long.

    A record in JSON becomes the line that people read, and those of its traceback. Only the end of the file is read,
    so that a log of any size costs the same. Raises OSError.
    """
    return [row for _, row in _tail(path, lines, settings=settings)]


def _tail(
    path: Path, lines: int, *, settings: Settings | None, job: str | None = None
) -> list[tuple[str, str]]:
    """Each line with the time of its record in this machine's zone, or ''."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = max(0, size - TAIL_BYTES)
        file.seek(begin)
        text = file.read(TAIL_BYTES).decode(errors="replace")
    rows = text.removesuffix("\n").split("\n") if text else []
    if begin:  # half a line may be half a key, which nobody would know for one
        rows[0] = f"(the beginning of this line, and {begin:,} bytes before it, are not read)"
    found: list[tuple[str, str]] = []
    for row in reversed(rows):  # from the end: what is not shown is not parsed
        if len(found) >= lines:
            break
        record = _record(row)
        if job is not None and (record is None or record.get("job") != job):
            continue
        found += reversed(_told(record, row))
    return [(at, _shown(row, settings)) for at, row in reversed(found[: max(0, lines)])]


def _record(row: str) -> dict[str, Any] | None:
    """What a line of JSON says; None for any other line."""
    if not row.startswith('{"at":'):
        return None
    try:
        said = json.loads(row)
        datetime.fromisoformat(str(said["at"]))
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _told(record: dict[str, Any] | None, row: str) -> list[tuple[str, str]]:
    if record is None:
        found = STAMP.match(row)
        return [(found.group() if found else "", row)]
    first, *trace = readable(record)
    micros = datetime.fromisoformat(str(record["at"])).microsecond % 1000
    return [(f"{first[:STAMP_LENGTH]}{micros:03}", first), *(("", line) for line in trace)]


def _shown(row: str, settings: Settings | None) -> str:
    indent = row[: len(row) - len(row.lstrip(" \t"))].replace("\t", TAB)[:40]
    line = one_line(row)
    # keys before the first cut, since a part of one is not found; patterns after it, since they are slow
    line = masked((settings.redact(line) if settings else line)[: 4 * MAX_LINE])
    return indent + (line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…")
