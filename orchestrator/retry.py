"""Whether an attempt that failed is made again, and after which pause. A pure question: no clock, no sleeping."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from orchestrator.errors import AmbiguousSubmit, ServiceError

MAX_RETRY_AFTER_S = 3600.0  # a service that names a longer pause is asked again after an hour
MAX_DOUBLINGS = 60  # far above any cap; keeps the power of two a finite number


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with full jitter, `max_attempts` attempts in all.

    `base_s` is the longest pause after the first failure, in seconds; it doubles with each
    failure until `cap_s`.
    """

    max_attempts: int = 3
    base_s: float = 1.0
    cap_s: float = 60.0

    def decide(self, error: Exception, *, tries: int, rng: random.Random) -> float | None:
        """Seconds to wait before another attempt, or None to fail now.

        `tries` counts the attempts made so far, the failed one included. A pause that the service
        asked for (`retry_after_s`) is waited in full, and the jitter comes on top of it: otherwise
        every job that was turned away together would come back together.
        """
        # AmbiguousSubmit by name as well as by its flag: repeating one may pay twice
        if not isinstance(error, ServiceError) or isinstance(error, AmbiguousSubmit):
            return None
        if not error.retryable or tries >= self.max_attempts:
            return None
        return _asked_pause_s(error) + rng.uniform(0.0, self.longest_s(tries))

    def longest_s(self, tries: int) -> float:
        """The upper end of the jitter after `tries` attempts, in seconds."""
        doublings = min(max(tries - 1, 0), MAX_DOUBLINGS)
        return min(self.cap_s, self.base_s * 2.0**doublings)


def _asked_pause_s(error: ServiceError) -> float:
    """The pause a service asked for, in seconds: 0 for none, and for a header that makes no sense."""
    asked = error.retry_after_s
    if asked is None or math.isnan(asked):
        return 0.0
    return min(max(asked, 0.0), MAX_RETRY_AFTER_S)
