"""DigiKey: Product Information V4 with client credentials.

https://developer.digikey.com/products/product-information-v4
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from pydantic import SecretStr

from orchestrator.parts.errors import (
    SourceAuth,
    SourceError,
    SourceQuota,
    SourceRate,
    SourceSchema,
)
from orchestrator.parts.keys import Keys
from orchestrator.parts.sources.base import Limit, Meter, Request
from orchestrator.parts.sources.digikey_wire import parse
from orchestrator.parts.sources.http import DAY_S, MINUTE_S, Answer, Client
from orchestrator.parts.sources.reading import count, mapping, once, text, wanted
from orchestrator.parts.sources.token import Token
from orchestrator.parts.values import Offer

BASE_URL = "https://api.digikey.com"
PAGE = 50  # products in one answer, at most
KEYWORDS = 250  # characters
TOKEN_LIVES_S = 600.0  # when it does not say
LONG_PAUSE_S = 3600.0  # a pause beyond this is the day's limit, not the minute's


class TokenRefused(SourceAuth):
    """DigiKey does not accept the token."""


class DigiKey:
    """One offer per packaging of a product. A part number costs one call."""

    name = "digikey"
    title = "DigiKey"
    version = "v4.1"
    limits: Sequence[Limit] = (
        Limit(calls=120, window_s=MINUTE_S),
        Limit(calls=1000, window_s=DAY_S),
    )
    batch = 1

    def __init__(
        self, keys: Keys, meter: Meter, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._id, self._secret = keys.digikey_client_id, keys.digikey_client_secret
        self._site, self._currency = keys.digikey_locale_site, keys.digikey_currency
        self.scope = f"{self._site}/en/{self._currency}"
        self._client = Client(
            self.name,
            base_url=BASE_URL,
            settings=keys.source(self.name),
            meter=meter,
            secrets=[secret for secret in (self._id, self._secret) if secret],
            title=self.title,
            judge=self._judge,
        )
        self._token = Token(self._fetch_token, clock=clock)

    @property
    def missing(self) -> str | None:
        """None when it can be called; else what it needs and where that is had."""
        if self._id and self._secret:
            return None
        return (
            "Needs DIGIKEY_CLIENT_ID and DIGIKEY_CLIENT_SECRET: register at developer.digikey.com, make a production "
            "app with Product Information V4, and copy both into .env.local."
        )

    def cost(self, request: Request) -> int:
        """One call a part number, or one for each 50 products."""
        return len(request.mpns) or -(-max(request.limit, 1) // PAGE)

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        """Offers, a portion for each answer. Raises SourceError."""
        if self.missing:
            raise SourceAuth(self.missing)
        for mpn in request.mpns:
            yield wanted(parse((await self._ask(mpn, min(request.limit, PAGE), 0)).json()), mpn)
        if request.mpns:
            return
        for offset in range(0, max(request.limit, 1), PAGE):
            told = (
                await self._ask(request.keyword, min(request.limit - offset, PAGE), offset)
            ).json()
            yield once(parse(told))
            if offset + PAGE >= (count(mapping(told).get("ProductsCount")) or 0):
                return

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def _ask(self, keywords: str, limit: int, offset: int) -> Answer:
        token = await self._token.get()
        try:
            return await self._ask_with(token, keywords, limit, offset)
        except TokenRefused:
            self._token.refused(token)
        # once more with a new one: tokens end early when the app's key is changed
        return await self._ask_with(await self._token.get(), keywords, limit, offset)

    async def _ask_with(self, token: SecretStr, keywords: str, limit: int, offset: int) -> Answer:
        return await self._client.call(
            "POST",
            "/products/v4/search/keyword",
            json={
                "Keywords": keywords[:KEYWORDS],
                "Limit": max(limit, 1),
                "Offset": offset,
                # others' goods have other terms and no authorisation
                "FilterOptionsRequest": {"MarketPlaceFilter": "ExcludeMarketPlace"},
            },
            headers={
                "Authorization": SecretStr(f"Bearer {token.get_secret_value()}"),
                "X-DIGIKEY-Client-Id": self._id,
                "X-DIGIKEY-Locale-Site": self._site,
                "X-DIGIKEY-Locale-Language": "en",
                "X-DIGIKEY-Locale-Currency": self._currency,
            },
        )

    async def _fetch_token(self) -> tuple[SecretStr, float]:
        answer = await self._client.call(
            "POST",
            "/v1/oauth2/token",
            data={
                "client_id": self._id,
                "client_secret": self._secret,
                "grant_type": "client_credentials",
            },
            counted=False,
        )
        told = mapping(answer.json())
        token = told.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii():
            raise SourceSchema(f"{self.title} gave no token")
        secret = SecretStr(token)
        self._client.add_secret(secret)
        lives_s = count(told.get("expires_in"))
        return secret, float(lives_s) if lives_s else TOKEN_LIVES_S

    def _judge(self, answer: Answer) -> SourceError | None:
        if answer.status < 400:
            return None
        told = mapping(answer.json_or_none())
        said = self._client.clean(_sentence(told))
        if answer.status == 401:
            return TokenRefused(
                f"{self.title} does not accept the key (401): {said}" if said else None
            )
        # of the token's address (RFC 6749, 5.2)
        if answer.status == 400 and text(told.get("error")):
            return SourceAuth(f"{self.title} does not accept the client id and secret: {said}")
        if answer.status == 403 and told:
            return SourceAuth(
                f"{self.title} does not allow this to the key (403): {said}",
                remedy="Check that the app at developer.digikey.com has Product Information V4.",
            )
        if answer.status == 429:
            return self._too_many(answer, said)
        if answer.status in (400, 404, 422):
            return SourceSchema(f"{self.title} refuses the question ({answer.status}): {said}")
        return None

    def _too_many(self, answer: Answer, said: str) -> SourceError:
        pause_s = answer.retry_after_s
        burst = "burst" in said.lower() or answer.headers.get("x-burstlimit-remaining") == "0"
        daily = "daily" in said.lower() or answer.headers.get("x-ratelimit-remaining") == "0"
        if not burst and (daily or (pause_s or 0) > LONG_PAUSE_S):
            return SourceQuota(
                f"{self.title}: the calls of this day are used up", retry_after_s=pause_s
            )
        return SourceRate(f"{self.title} asks for fewer calls (429)", retry_after_s=pause_s)


def _sentence(told: Any) -> str:
    """What an error body says: DKProblemDetails, the gateway's ErrorResponse, or OAuth's."""
    for key in ("detail", "ErrorMessage", "error_description", "title", "error", "ErrorDetails"):
        if said := text(told.get(key)):
            return said
    return ""
