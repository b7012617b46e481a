"""Where the lab's processes log: a file per process kind, one line per record, keys masked; and its newest lines."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from stat import S_ISREG

from orchestrator.jobs import one_line
from orchestrator.paths import Paths
from orchestrator.settings import MASK, Settings

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
MAX_BYTES = 5_000_000
TAIL_BYTES = 256_000  # read of a file's end, however long its lines are
MAX_LINE = 1_000  # characters of a line that are shown
TAB = "    "
# what looks like a secret in a line that another program wrote
# every repetition before the last is bounded: a hostile line must not keep the search busy
SECRET = re.compile(
    r"(?i)\b((?:proxy-)?authorization|x-key|[a-z_-]{0,40}(?:api[_-]?key|token|secret|password|passwd))"
    r"""(["']?[ \t]{0,9}[=:][ \t]{0,9}["']?)(?:(?:bearer|basic|token)[ \t]+)?[^\s"'&,;]+"""
)
COOKIE = re.compile(r"(?i)\b((?:set-)?cookie[\"']?\s{0,9}[=:]).+")
USER_INFO = re.compile(
    r"(?i)\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@]{1,300}@"
)  # http://user:password@…
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")  # of a line of ours
NOISY = ("watchfiles", "httpx", "httpcore", "websockets")  # a line per request or change


class OneSafeLine(logging.Formatter):
    """A record as one line without keys; a traceback follows on lines of its own, indented."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(FORMAT)
        self._settings = settings

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        trace = record.exc_info
        record.exc_info, record.exc_text = None, None
        line = one_line(super().format(record))
        if trace and trace[0] is not None:
            record.exc_info = trace
            lines = self.formatException(trace).splitlines()
            line = "\n".join([line, *("    " + text for text in lines)])
        return self._settings.redact(line)


def set_up(paths: Paths, settings: Settings, *, name: str, screen: bool = False) -> None:
    """Log to `logs/{name}.log`, and to standard error with `screen`. Called by programs, never by imports."""
    formatter = OneSafeLine(settings)
    handlers: list[logging.Handler] = [
        RotatingFileHandler(
            paths.logs / f"{name}.log",
            maxBytes=MAX_BYTES,
            backupCount=3,
            encoding="utf-8",
            delay=True,
        )
    ]
    if screen:
        handlers.append(logging.StreamHandler())
    logger = logging.getLogger("orchestrator")
    logger.setLevel(settings.log_level)
    for handler in handlers:
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


# ------------------------------------------------------------------------------ reading


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
            looked = [_log_file(item) for item in items if ".log" in item.name]
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
    paths: Paths, lines: int = 50, *, file: str | None = None, settings: Settings | None = None
) -> list[LogLine]:
    """The newest lines of one log file, or of all that are not rotated away, in the order they were written.

    A name that is no log file's gives nothing. A line without a time, as of a traceback, follows the line it stands
    below; where none has one, as in another program's log, they count as written when the file was.
    """
    stamped: list[tuple[str, LogLine]] = []
    for each in files(paths):
        if file is None and not each.name.endswith(".log"):
            continue
        if file is not None and each.name != file:
            continue
        stamp = f"{each.changed_at.astimezone():%Y-%m-%d %H:%M:%S,%f}"
        try:
            rows = tail(each.path, lines, settings=settings)
        except OSError:  # rotated away since
            continue
        first = next((row[: found.end()] for row in rows if (found := STAMP.match(row))), stamp)
        for row in rows:
            found = STAMP.match(row)
            first = row[: found.end()] if found else first
            stamped.append((first, LogLine(one_line(each.name), row)))
    stamped.sort(key=lambda pair: pair[0])
    return [line for _, line in stamped[-lines:]]


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

    Only the end of the file is read, so that a log of any size costs the same. Raises OSError.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = max(0, size - TAIL_BYTES)
        file.seek(begin)
        text = file.read(TAIL_BYTES).decode(errors="replace")
    rows = text.removesuffix("\n").split("\n") if text else []
    if begin:  # half a line may be half a key, which nobody would know for one
        rows[0] = f"(the beginning of this line, and {begin:,} bytes before it, are not read)"
    return [_shown(row, settings) for row in rows[-lines:]] if lines > 0 else []


def _shown(row: str, settings: Settings | None) -> str:
    indent = row[: len(row) - len(row.lstrip(" \t"))].replace("\t", TAB)[:40]
    line = one_line(row)
    # keys before the first cut, since a part of one is not found; patterns after it, since they are slow
    line = masked((settings.redact(line) if settings else line)[: 4 * MAX_LINE])
    return indent + (line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…")


def masked(text: str) -> str:
    """Text without whatever calls itself a key, a token or a password."""
    named = SECRET.sub(rf"\1\2{MASK}", text)
    return USER_INFO.sub(rf"\1{MASK}@", COOKIE.sub(rf"\1 {MASK}", named))
