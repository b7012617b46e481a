"""Where the lab's processes log: a file per process kind, one line per record, keys masked."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler

from orchestrator.jobs import one_line
from orchestrator.paths import Paths
from orchestrator.settings import Settings

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
MAX_BYTES = 5_000_000
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
