"""What headers of HTTP answers say. Pure: text in, values out."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_s(value: str | None, *, now: datetime, longest_s: float) -> float | None:
    """The pause in seconds that a Retry-After asks for, as a number or a date (RFC 9110, 10.2.3).

    At most `longest_s`; None when it says nothing that can be used.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), longest_s)
