"""TME (Europe): interface v2 with a token of five minutes, or v1 with signed forms (`TME_API=v1`)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import SecretStr

from orchestrator.parts.errors import SourceAuth, SourceError, SourceRate, SourceSchema
from orchestrator.parts.keys import Keys
from orchestrator.parts.sources import tme_v1, tme_v2
from orchestrator.parts.sources.base import Limit, Meter, Request
from orchestrator.parts.sources.http import Answer, Client
from orchestrator.parts.sources.reading import count, items, mapping, text
from orchestrator.parts.sources.token import Token
from orchestrator.parts.sources.told import elements
from orchestrator.parts.values import Offer

BASE_URL = "https://api.tme.eu"
BATCH = 50  # symbols in one call
SYMBOL_LENGTH = range(2, 19)  # one symbol of another length fails the whole call
PHRASE_LENGTH = range(3, 40)
SEARCH_LIMIT, PAGE_V1 = 100, 20
TOKEN_S = 300.0  # a token's life, when it is not told
PAUSE_S = 1.0  # after a refusal that may be the throttle
MISSING = (
    "Needs TME_TOKEN and TME_SECRET: register at developers.tme.eu and make an application there."
)


T = TypeVar("T")


class Tme:
    """One catalogue, one warehouse. Parameters are a courtesy: an offer is shown without them too."""

    name = "tme"
    title = "TME"
    limits: Sequence[Limit] = (Limit(calls=2, window_s=1),)
    batch = BATCH

    def __init__(
        self,
        keys: Keys,
        meter: Meter,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._token, self._secret = keys.tme_token, keys.tme_secret
        self._country, self._currency = keys.tme_country, keys.tme_currency
        self._signed = keys.tme_api == "v1"
        self._clock = clock
        settings = keys.source(self.name)
        self._address = (settings.base_url or BASE_URL).rstrip("/")
        self.version = f"{keys.tme_api}.1"
        self.scope = f"{self._country} {self._currency}"
        self._prices_and_stock = [
            ("scope[]", "prices"),
            ("scope[]", "stock"),
            ("currency", self._currency),
        ]
        self._bearer = Token(self._fetch)
        self._client = Client(
            self.name,
            title=self.title,
            base_url=BASE_URL,
            settings=settings,
            meter=meter,
            secrets=[secret for secret in (self._token, self._secret) if secret],
            judge=tme_v1.judge if self._signed else _judge_v2,
        )

    @property
    def missing(self) -> str | None:
        """None with both halves of the key."""
        return None if self._token and self._secret else MISSING

    def cost(self, request: Request) -> int:
        """A search, prices and parameters; once more for every 50 part numbers."""
        if self._signed:
            found = min(request.limit, PAGE_V1)
            return max(len(request.mpns), 1) * (1 + 2 * -(-found // BATCH))
        if len(request.mpns) > 1:
            return 3 * -(-len(request.mpns) // BATCH)
        return 1 + 2 * -(-min(request.limit, SEARCH_LIMIT) // BATCH)

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        """Offers in portions of up to 50 products."""
        now = self._clock()
        if self._signed:
            async for portion in self._search_v1(request, now):
                yield portion
            return
        async for products in self._products_v2(request):
            for some in _batches(products):
                symbols = [text(each.get("symbol")) for each in some]
                data = await self._details("/products/data", symbols, self._prices_and_stock)
                parameters = await _courtesy(self._details("/products/parameters", symbols, []))
                yield tme_v2.parse(some, data, parameters, fetched_at=now)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    def _key(self) -> tuple[SecretStr, SecretStr]:
        if self._token is None or self._secret is None:
            raise SourceAuth("TME has no key", remedy=MISSING)
        return self._token, self._secret

    async def _products_v2(self, request: Request) -> AsyncIterator[list[Mapping[str, Any]]]:
        if len(request.mpns) > 1:
            for some in _batches(request.mpns):
                answer = await self._get("/products", [("mpns[]", mpn) for mpn in some])
                yield _fit(elements(_data(answer)))
            return
        phrase = _phrase(request)
        if phrase is None:
            return
        limit = max(1, min(request.limit, SEARCH_LIMIT))
        question = [("phrase", phrase), ("scope[]", "products"), ("limit", str(limit))]
        answer = await self._get("/products/search", question)
        yield _fit(elements(mapping(_data(answer)).get("products")))[: request.limit]

    async def _details(
        self, path: str, symbols: Sequence[str], more: list[tuple[str, str]]
    ) -> list[Mapping[str, Any]]:
        if not symbols:
            return []
        answer = await self._get(path, [*(("symbols[]", each) for each in symbols), *more])
        return elements(_data(answer))

    async def _get(self, path: str, params: list[tuple[str, str]]) -> Answer:
        params = [("country", self._country), *params]
        bearer = await self._bearer.get()
        try:
            return await self._ask(path, params, bearer)
        except SourceAuth:
            # Ended early, or a 403 of the throttle: one fresh token, one more try.
            self._bearer.refused(bearer)
        return await self._ask(path, params, await self._bearer.get())

    async def _ask(self, path: str, params: list[tuple[str, str]], bearer: SecretStr) -> Answer:
        headers = {
            "authorization": SecretStr(f"Bearer {bearer.get_secret_value()}"),
            "accept-language": "en",  # a translated locale translates the parameters' names
        }
        return await self._client.call("GET", path, params=params, headers=headers)

    async def _fetch(self) -> tuple[SecretStr, float]:
        token, secret = self._key()
        pair = f"{token.get_secret_value()}:{secret.get_secret_value()}"
        basic = SecretStr(base64.b64encode(pair.encode()).decode())
        self._client.add_secret(basic)
        answer = await self._client.call(
            "POST",
            "/auth/token",
            data={"grant_type": "client_credentials"},
            headers={"authorization": SecretStr(f"Basic {basic.get_secret_value()}")},
            counted=False,
        )
        told = mapping(answer.json())
        value = told.get("access_token")
        if not isinstance(value, str) or not value:
            raise SourceSchema("TME gave no token")
        bearer = SecretStr(value)
        self._client.add_secret(bearer)
        return bearer, float(count(told.get("expires_in")) or TOKEN_S)

    async def _search_v1(self, request: Request, now: datetime) -> AsyncIterator[Sequence[Offer]]:
        phrases = request.mpns if len(request.mpns) > 1 else (_phrase(request),)
        for phrase in phrases:
            if phrase is None or len(phrase) not in PHRASE_LENGTH:
                continue
            question = {"SearchPlain": phrase, "SearchPage": "1", "SearchOrder": "ACCURACY"}
            found = await self._post(tme_v1.SEARCH, question)
            products = _fit(items(found.get("ProductList")), "Symbol")[: request.limit]
            for some in _batches(products):
                symbols = [text(each.get("Symbol")) for each in some]
                prices = await self._post(
                    tme_v1.PRICES, {"SymbolList": symbols, "Currency": self._currency}
                )
                told = await _courtesy(self._post(tme_v1.PARAMETERS, {"SymbolList": symbols}))
                parameters = mapping(told).get("ProductList")
                yield tme_v1.parse(some, prices, parameters, fetched_at=now)

    async def _post(
        self, path: str, params: Mapping[str, str | Sequence[str]]
    ) -> Mapping[str, Any]:
        token, secret = self._key()
        form = tme_v1.flat({
            "Token": token.get_secret_value(),
            "Country": self._country,
            "Language": "EN",
            **params,
        })  # fmt: skip
        form["ApiSignature"] = tme_v1.signature(self._address + path, form, secret)
        answer = await self._client.call("POST", path, data=form)
        return tme_v1.data_of(answer)


def _batches(all_of_them: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(all_of_them), BATCH):
        yield all_of_them[start : start + BATCH]


async def _courtesy(answer: Awaitable[T]) -> T | None:
    """What is nice to have; None when it is not to be had."""
    try:
        return await answer
    except SourceError:
        return None


def _data(answer: Answer) -> Mapping[str, Any]:
    parsed = answer.json()
    if not isinstance(parsed, Mapping) or "data" not in parsed:
        raise SourceSchema("TME answered without its envelope")
    return mapping(parsed["data"])


def _fit(products: list[Mapping[str, Any]], name: str = "symbol") -> list[Mapping[str, Any]]:
    """Those whose symbol may be asked for, each once."""
    fit = {text(each.get(name)): each for each in products}
    return [each for symbol, each in fit.items() if len(symbol) in SYMBOL_LENGTH]


def _phrase(request: Request) -> str | None:
    phrase = request.mpns[0] if request.mpns else request.keyword
    phrase = " ".join(phrase.split())
    if len(phrase) not in PHRASE_LENGTH:
        phrase = phrase[: PHRASE_LENGTH.stop].rpartition(" ")[0]
    return phrase if len(phrase) in PHRASE_LENGTH else None


def _judge_v2(answer: Answer) -> SourceError | None:
    """A 403 is either the throttle or an application that is not approved; which, only its words may tell."""
    if answer.status != 403:
        return None
    said = answer.text[:4000].lower()
    if any(word in said for word in ("limit", "throttl", "too many", "quota")):
        return SourceRate("TME asks for fewer calls (403)", retry_after_s=PAUSE_S)
    return SourceAuth(
        "TME refuses the application (403)",
        remedy="See at developers.tme.eu whether the application is approved.",
    )
