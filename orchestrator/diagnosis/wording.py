"""What several rules say."""

from __future__ import annotations

import re

REPORT = (
    "Send the project's maintainers the output of `orchestrator health --json`, the job's file `jobs/{job}.json` and "
    "the newest lines of the logs (keys in them are masked): that is all they need."
)
AGAIN = "Then `orchestrator retry {job}`"


def either(pattern: str) -> re.Pattern[str]:
    """A pattern for a message, in upper or lower case."""
    return re.compile(pattern, re.IGNORECASE)
