"""What may be said aloud: no key, no query string (three sources want the key in it), no password of a proxy."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

MASK = "****"
MAX_DETAIL = 200  # characters of a foreign message that are worth showing
QUERY = re.compile(r"\?[^\s\"'<>\\]*=[^\s\"'<>\\]*")
USER = re.compile(r"(?<=://)[^/\s@\"']+@")
# httpcore logs to these and no filter of a parent logger sees it
LOGGERS = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")))  # fmt: skip


def without_queries(text: str) -> str:
    """Text whose addresses have lost their query, user and password."""
    return USER.sub("", QUERY.sub("", text))


def clean(text: str, secrets: Sequence[SecretStr] = (), *, limit: int = MAX_DETAIL) -> str:
    """A foreign text as one line of bounded length with the secrets masked, however they are written in an address."""
    for secret in secrets:
        value = secret.get_secret_value()
        for written in {value, quote(value, safe=""), quote_plus(value)} if value else ():
            text = text.replace(written, MASK)
    line = " ".join("".join(c if c.isprintable() else " " for c in without_queries(text)).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def plain(value: Any) -> Any:
    """A value of a request with its secrets opened, at the last moment: nobody's variables hold a key before."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def quiet_logs() -> None:
    """Take query strings out of what httpx and httpcore log. Does no harm when repeated."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_without_queries)


def _without_queries(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        # numbers stay: the format may ask for them with %d
        record.args = tuple(
            each if isinstance(each, int | float) else without_queries(str(each))
            for each in record.args
        )
    record.msg = without_queries(str(record.msg))
    return True
