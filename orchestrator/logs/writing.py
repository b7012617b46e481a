"""How the lab's programs log: JSON lines in a file of their own, readable lines on the screen, no keys in either."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter, add_log_level, add_logger_name
from structlog.typing import EventDict

from orchestrator.locks import KernelLock
from orchestrator.logs.about import SERVICE, job_at_work
from orchestrator.logs.lines import Rendering
from orchestrator.logs.redaction import Redactor
from orchestrator.paths import Paths
from orchestrator.settings import Settings

MAX_BYTES = 5_000_000
BACKUPS = 3
PROCESSES = 9  # of one kind whose files are numbered; more are told apart by their process id
PACKAGE = "orchestrator"
NOISY = ("watchfiles", "httpx", "httpcore", "websockets", "asyncio")  # a line per request or change
# what every record has
PLAIN = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName"}

_installed: list[logging.Handler] = []


def set_up(paths: Paths, settings: Settings, *, name: str, screen: bool = False) -> Path:
    """Log to `logs/{name}.log`, and to standard error with `screen`. Called by programs, never by imports.

    A second process of the same name gets `{name}-2.log`, and so on: two that rotate one file lose each other's
    lines, and Windows renames no file that is open. Returns the file. Called again, it replaces what it did.
    """
    take_down()
    redactor = Redactor(settings)
    file = OwnFile(paths.logs, name)
    file.setFormatter(_formatter(Rendering(redactor, for_people=False)))
    _installed.append(file)
    if screen and not os.environ.get(SERVICE):
        shown = Screen()
        shown.setFormatter(_formatter(Rendering(redactor, for_people=True)))
        _installed.append(shown)
    for each in (PACKAGE, *NOISY):
        source = logging.getLogger(each)
        source.setLevel(settings.log_level if each == PACKAGE else logging.WARNING)
        source.propagate = False  # whoever listens at the root would get the line with its keys
        for handler in _installed:
            source.addHandler(handler)
    _configure_structlog()
    _tell_uncaught(redactor)
    return Path(file.baseFilename)


def take_down() -> None:
    """Undo `set_up`: close the files, and leave the loggers as Python has them."""
    for each in (PACKAGE, *NOISY) if _installed else ():
        source = logging.getLogger(each)
        source.propagate = True
        source.setLevel(logging.NOTSET)
        for handler in _installed:
            source.removeHandler(handler)
    for handler in _installed:
        handler.close()
    if _installed:
        sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__
    _installed.clear()


# ------------------------------------------------------------------------------ handlers


class _Quiet(logging.Handler):
    """A handler that tells of its own trouble without the record, in which a key may be."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say where the record came from, and why it is not written."""
        kind = sys.exc_info()[0]
        with contextlib.suppress(OSError, ValueError, AttributeError):
            where = f"{record.filename}:{record.lineno}"
            sys.stderr.write(f"A log line of {where} is lost: {kind.__name__ if kind else '?'}\n")


class Screen(_Quiet, logging.StreamHandler[TextIO]):
    """Standard error as it is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


class OwnFile(_Quiet, RotatingFileHandler):
    """A rotated file that no other process writes."""

    def __init__(self, folder: Path, name: str) -> None:
        self._lock_file, own = _claim(folder, name)
        self._not_before = 0
        super().__init__(
            folder / f"{own}.log",
            maxBytes=MAX_BYTES,
            backupCount=BACKUPS,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Whether the file is full, and was not found impossible to rotate a moment ago."""
        return bool(super().shouldRollover(record)) and (
            self.stream is None or self.stream.tell() >= self._not_before
        )

    def doRollover(self) -> None:
        """Begin a new file; where somebody has the old one open, as Windows forbids then, go on in it."""
        try:
            super().doRollover()
            self._not_before = 0
        except OSError:
            if self.stream is None:
                self.stream = self._open()
            self._not_before = self.stream.tell() + MAX_BYTES // 10

    def close(self) -> None:
        """Close the file and leave its name to others."""
        super().close()
        if self._lock_file is not None:
            self._lock_file.release()


def _claim(folder: Path, name: str) -> tuple[KernelLock | None, str]:
    """A name that no living process has, and the lock that keeps it."""
    for number in range(1, PROCESSES + 1):
        own = name if number == 1 else f"{name}-{number}"
        lock = KernelLock(folder / f".{own}.lock")
        try:
            if lock.try_acquire():
                return lock, own
        except OSError:  # a folder without locks, or none at all: the process id is nobody else's
            break
        lock.release()
    return None, f"{name}-{os.getpid()}"


def _formatter(rendering: Rendering) -> logging.Formatter:
    return ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            _add_job,
            add_logger_name,
            add_log_level,
            _add_extra,
        ],
        processors=[rendering],
    )


def _add_job(_: object, __: str, event: EventDict) -> EventDict:
    """Which job a line is about, where it is about one."""
    job = job_at_work()
    return event if job is None else {"job": job, **event}


def _add_extra(_: object, __: str, event: EventDict) -> EventDict:
    """What was given as `extra`; it cannot take the place of what a line says anyway."""
    given = event["_record"].__dict__
    return {**{name: given[name] for name in given.keys() - PLAIN}, **event}


def _configure_structlog() -> None:
    """Whoever asks structlog for a logger, as an extension may, comes out at the same handlers."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _add_job,
            add_logger_name,
            add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _tell_uncaught(redactor: Redactor) -> None:
    """Have exceptions that nobody caught logged, and printed without keys."""
    root = logging.getLogger(PACKAGE)
    rendering = Rendering(redactor, for_people=True)

    def tell(
        kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, Exception):  # Ctrl-C
            sys.__excepthook__(kind, error or kind(), trace)
            return
        given: Any = (kind, error, trace)
        root.critical("An exception nobody caught ended a thread or this program", exc_info=given)
        if not any(isinstance(handler, Screen) for handler in root.handlers):
            event = {"event": "Uncaught", "level": "critical", "exc_info": given}
            sys.stderr.write(rendering(None, "", event) + "\n")

    sys.excepthook = tell
    threading.excepthook = lambda args: tell(args.exc_type, args.exc_value, args.exc_traceback)
