"""Farnell, Newark, element14: the product search API. Its key travels in the query string.

https://partner.element14.com/docs/Product_Search_API_REST__Description
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from orchestrator.parts.errors import (
    SourceAuth,
    SourceError,
    SourceQuota,
    SourceRate,
    SourceSchema,
)
from orchestrator.parts.keys import Keys
from orchestrator.parts.sources.base import Limit, Meter, Request
from orchestrator.parts.sources.farnell_wire import found, parse
from orchestrator.parts.sources.http import DAY_S, KEY_WORDS, Answer, Client
from orchestrator.parts.sources.reading import mapping, text, wanted
from orchestrator.parts.values import Offer

BASE_URL = "https://api.element14.com"
VERSION = "1.4"  # without it the products have no address
PAGE = 50
# A number that may be an order code of theirs; TE also makes parts with such numbers.
ORDER_CODE = re.compile(r"\d{7}(RL)?|\d{2}[A-Z]\d{4}", re.IGNORECASE)


class Farnell:
    """One store, in whose currency the prices are. A part number costs one call, or two if it may be an order code."""

    name = "farnell"
    title = "Farnell"
    version = "v1.4.1"
    limits: Sequence[Limit] = (Limit(calls=2, window_s=1), Limit(calls=1000, window_s=DAY_S))
    batch = 1

    def __init__(self, keys: Keys, meter: Meter) -> None:
        self._key = keys.farnell_api_key
        self._store = keys.farnell_store
        self.scope = self._store
        self._client = Client(
            self.name,
            base_url=BASE_URL,
            settings=keys.source(self.name),
            meter=meter,
            secrets=[self._key] if self._key else [],
            title=self.title,
            judge=self._judge,
        )

    @property
    def missing(self) -> str | None:
        """None when it can be called; else what it needs and where that is had."""
        if self._key:
            return None
        return (
            "Needs FARNELL_API_KEY: register for the Product Search API at partner.element14.com, "
            "and copy the key into .env.local."
        )

    def cost(self, request: Request) -> int:
        """The most calls that it can take: one a part number (two for what may be an order code), or one per 50."""
        if request.mpns:
            return sum(len(_terms(mpn)) for mpn in request.mpns)
        return -(-max(request.limit, 1) // PAGE)

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        """Offers, a portion for each answer. Raises SourceError."""
        if self.missing:
            raise SourceAuth(self.missing)
        for mpn in request.mpns:
            for term in _terms(mpn):
                told = await self._ask(term, min(request.limit, PAGE), 0)
                if offers := wanted(parse(told, store=self._store), mpn):
                    yield offers
                    break
        if request.mpns:
            return
        for offset in range(0, max(request.limit, 1), PAGE):
            told = await self._ask(
                f"any:{request.keyword}", min(request.limit - offset, PAGE), offset
            )
            yield parse(told, store=self._store)
            if offset + PAGE >= found(told):
                return

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def _ask(self, term: str, limit: int, offset: int) -> Any:
        answer = await self._client.call(
            "GET",
            "/catalog/products",
            params={
                "versionNumber": VERSION,
                "term": term,
                "storeInfo.id": self._store,
                "callInfo.responseDataFormat": "JSON",
                "callInfo.apiKey": self._key,
                "resultsSettings.offset": str(offset),
                "resultsSettings.numberOfResults": str(max(limit, 1)),
                "resultsSettings.responseGroup": "large",
            },
        )
        return answer.json()

    def _judge(self, answer: Answer) -> SourceError | None:
        if answer.status in (403, 429):
            return self._refusal(answer)
        told = mapping(answer.json_or_none())
        fault = told.get("Fault") or told.get("fault")
        if not fault:
            return None
        said = self._client.clean(text(mapping(fault).get("faultstring")) or text(fault))
        if any(word in said.lower() for word in KEY_WORDS):
            return SourceAuth(f"{self.title} does not accept the key: {said}")
        return SourceSchema(f"{self.title} refuses the question: {said}")

    def _refusal(self, answer: Answer) -> SourceError | None:
        """What a 403 of its gateway means: too many in a second, in a day, or the key."""
        code = answer.headers.get("x-mashery-error-code", "").lower()
        words = f"{code} {answer.text[:2000].lower()}".replace("_", " ")
        pause_s = answer.retry_after_s
        if "over qps" in words:
            return SourceRate(
                f"{self.title} asks for fewer calls in a second",
                retry_after_s=1.0 if pause_s is None else pause_s,
            )
        if "over rate" in words:
            return SourceQuota(
                f"{self.title}: the calls of this day are used up", retry_after_s=pause_s
            )
        if answer.status == 403 and ("developer inactive" in words or "not authorized" in words):
            return SourceAuth(f"{self.title} does not accept the key (403)")
        return None


def _terms(mpn: str) -> list[str]:
    """What to ask for a part number, in turn, until something is found."""
    return [f"manuPartNum:{mpn}", *([f"id:{mpn}"] if ORDER_CODE.fullmatch(mpn) else [])]
