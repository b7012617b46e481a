"""A meter that counts, and refuses when told to."""

from __future__ import annotations

from orchestrator.parts.errors import SourceError


class CountingMeter:
    def __init__(self, *, left: int = 10_000, refusal: SourceError | None = None) -> None:
        self.taken = 0
        self.left = left
        self.refusal = refusal
        self.heard: list[tuple[int, int | None, int | None]] = []

    async def take(self, calls: int = 1) -> None:
        if self.refusal is not None and self.left < calls:
            raise self.refusal
        self.taken += calls
        self.left -= calls

    def told(self, *, window_s: int, limit: int | None, remaining: int | None) -> None:
        self.heard.append((window_s, limit, remaining))
