"""How much one client may ask of the panel."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

MAX_BODY = 1_000_000  # bytes
MAX_DRAINED = (
    32_000_000  # bytes of a refused body read and thrown away, so that the client sees the answer
)


@dataclass(frozen=True)
class Rate:
    """So many requests in so many seconds."""

    requests: int
    per_s: int


# a script that goes astray, not a busy page: a gallery asks for a hundred thumbnails a second while it is scrolled
WRITES = Rate(600, 10)
READS = Rate(6_000, 10)


class Limits:
    """Counts the requests of each client, window by window. For one event loop."""

    def __init__(self, *, writes: Rate = WRITES, reads: Rate = READS) -> None:
        self._strategy = FixedWindowRateLimiter(MemoryStorage())
        self._writes = RateLimitItemPerSecond(writes.requests, writes.per_s, "writes")
        self._reads = RateLimitItemPerSecond(reads.requests, reads.per_s, "reads")

    async def wait_s(self, client: str, *, writing: bool) -> int | None:
        """Count a request; returns None when it may be carried out, else after how many whole seconds another may."""
        limit = self._writes if writing else self._reads
        if await self._strategy.hit(limit, client):
            return None
        reset_at = (await self._strategy.get_window_stats(limit, client)).reset_time
        return max(1, min(math.ceil(reset_at - time.time()), limit.get_expiry()))
