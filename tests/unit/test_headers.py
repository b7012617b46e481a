"""Headers of answers: a pause that somebody asks for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.headers import retry_after_s

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST_S = 3600.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", LONGEST_S),
        ("99999999", LONGEST_S),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),  # past
        ("soon", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, now=NOW, longest_s=LONGEST_S) == seconds
