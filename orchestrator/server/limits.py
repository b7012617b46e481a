"""How much one client may ask of the panel."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

MAX_BODY = 1_000_000  # bytes
# bytes of a refused body read and thrown away, so that the client sees the answer
MAX_DRAINED = 32_000_000


@dataclass(frozen=True)
class Rate:
    """So many requests in so many seconds."""

    requests: int
    per_s: int


# a script that goes astray, not a busy page: a gallery asks for a hundred thumbnails a second while it is scrolled
WRITES = Rate(600, 10)
READS = Rate(6_000, 10)
STEP_S = 1.0  # by which no clock drifts between two requests; NTP slews it by less


class Limits:
    """Counts the requests of each client, window by window. For one event loop."""

    def __init__(
        self,
        *,
        writes: Rate = WRITES,
        reads: Rate = READS,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wall` is the clock that people set, `clock` one that only goes forward; both in seconds."""
        self._wall, self._clock = wall, clock
        self._ahead_s = wall() - clock()
        self._counts = MemoryStorage()
        self._strategy = FixedWindowRateLimiter(self._counts)
        self._writes = RateLimitItemPerSecond(writes.requests, writes.per_s, "writes")
        self._reads = RateLimitItemPerSecond(reads.requests, reads.per_s, "reads")

    async def wait_s(self, client: str, *, writing: bool) -> int | None:
        """Count a request; returns None when it may be carried out, else after how many whole seconds another may."""
        # windows end by the clock on the wall: when that is put back by an hour, this one would last for an hour
        ahead_s = self._wall() - self._clock()
        if abs(ahead_s - self._ahead_s) > STEP_S:
            await self._counts.reset()
        self._ahead_s = ahead_s
        limit = self._writes if writing else self._reads
        if await self._strategy.hit(limit, client):
            return None
        reset_at = (await self._strategy.get_window_stats(limit, client)).reset_time
        return max(1, min(math.ceil(reset_at - time.time()), limit.get_expiry()))
