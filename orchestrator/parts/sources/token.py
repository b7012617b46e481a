"""A bearer token: in memory only, fetched once for all who wait, renewed before it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from pydantic import SecretStr

EARLY_S = 30.0  # before its end a token is no longer used: the call with it takes time too


class Token:
    """`fetch` brings a token and how many seconds it lives; what it raises, `get` raises."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[tuple[SecretStr, float]]],
        *,
        early_s: float = EARLY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._early_s = early_s
        self._clock = clock
        self._token: SecretStr | None = None
        self._until = 0.0
        # held while fetching: whoever waits finds the token there; a fetch that is cancelled hands over to the next
        self._fetching = asyncio.Lock()

    async def get(self) -> SecretStr:
        """A token that lives for a while yet."""
        async with self._fetching:
            if self._token is None or self._clock() >= self._until:
                began = self._clock()
                self._token, lives_s = await self._fetch()
                # a token that lives shorter than twice the margin is used for half of its life
                self._until = began + max(lives_s - self._early_s, lives_s / 2)
            return self._token

    def refused(self, token: SecretStr) -> None:
        """The source did not accept it: the next `get` fetches another, unless somebody has already."""
        if self._token == token:
            self._token = None
