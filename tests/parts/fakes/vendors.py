"""Distributors that answer as the real ones do: the right method, key, headers and limits, or the error they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakes import faults, payloads
from fakes.server import Asked, FakeServer, Reply

DIGIKEY_ID, DIGIKEY_SECRET = "planted-digikey-id", "planted-digikey-secret"
MOUSER_KEY = "planted mouser+key/1"
FARNELL_KEY = "planted-farnell-key"


class DigiKeyFake:
    """`products` are found by their number; `tokens` are those it gave, of which only the last is good."""

    def __init__(self, server: FakeServer, products: Sequence[Any] = ()) -> None:
        self.base_url = f"{server.url}/digikey"
        self.products = list(products) or [payloads.digikey_product()]
        self.tokens: list[str] = []
        self.remaining = 1000
        server.route("POST", "/digikey/v1/oauth2/token", self._token)
        server.route("POST", "/digikey/products/v4/search/keyword", self._search)

    def _token(self, asked: Asked) -> Reply:
        form = asked.form()
        if form.get("grant_type") != "client_credentials" or (
            form.get("client_id"),
            form.get("client_secret"),
        ) != (DIGIKEY_ID, DIGIKEY_SECRET):
            told = {
                "error": "invalid_client",
                "error_description": f"unknown {form.get('client_secret')}",
            }
            return Reply(told, 401)
        self.tokens.append(f"planted-bearer-{len(self.tokens)}")
        return Reply(
            {"access_token": self.tokens[-1], "expires_in": 599, "token_type": "Bearer"},
            delay_s=0.02,
        )

    def _search(self, asked: Asked) -> Reply:
        if not self.tokens or asked.headers.get("authorization") != f"Bearer {self.tokens[-1]}":
            return faults.unauthorised()
        if asked.headers.get("x-digikey-client-id") != DIGIKEY_ID:
            return faults.not_allowed()
        question = asked.json()
        assert set(question) <= {"Keywords", "Limit", "Offset", "FilterOptionsRequest"}
        assert 1 <= question["Limit"] <= 50
        self.remaining -= 1
        headers = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": str(self.remaining)}
        page = self.products[question["Offset"] :][: question["Limit"]]
        return Reply(payloads.digikey_answer(*page, total=len(self.products)), headers=headers)


def mouser(server: FakeServer, parts: Sequence[Any] = ()) -> str:
    """Mouser below /mouser; the partnumber search finds what begins with one of the numbers."""
    known = list(parts) or [payloads.mouser_part()]

    def refused(asked: Asked) -> Reply | None:
        key = asked.one("apiKey")
        return None if key == MOUSER_KEY else faults.mouser_bad_key(key)

    def keyword(asked: Asked) -> Reply:
        assert asked.json()["SearchByKeywordRequest"]["records"] <= 50
        return refused(asked) or Reply(payloads.mouser_answer(*known))

    def partnumber(asked: Asked) -> Reply:
        numbers = asked.json()["SearchByPartRequest"]["mouserPartNumber"].split("|")
        if len(numbers) > 10 or not all(3 <= len(number) <= 40 for number in numbers):
            return faults.mouser_refusal("The length of the part number is wrong.")
        found = [
            p for p in known if any(p["ManufacturerPartNumber"].startswith(n) for n in numbers)
        ]
        return refused(asked) or Reply(payloads.mouser_answer(*found))

    server.route("POST", "/mouser/api/v1/search/keyword", keyword)
    server.route("POST", "/mouser/api/v1/search/partnumber", partnumber)
    return f"{server.url}/mouser"


def farnell(server: FakeServer, products: Sequence[Any] = ()) -> str:
    """Farnell below /farnell; the root of the answer depends on the term."""
    known = list(products) or [payloads.farnell_product()]

    def search(asked: Asked) -> Reply:
        if asked.one("callInfo.apiKey") != FARNELL_KEY:
            return faults.farnell_bad_key()
        assert asked.one("versionNumber") == "1.4"
        assert asked.one("callInfo.responseDataFormat") == "JSON"
        kind, _, term = asked.one("term").partition(":")
        if kind == "manuPartNum":
            found = [p for p in known if p["translatedManufacturerPartNumber"] == term]
            root = "manufacturerPartNumberSearchReturn"
        elif kind == "id":
            found = [p for p in known if p["sku"] == term]
            root = "premierFarnellPartNumberReturn"
        else:
            found, root = known, "keywordSearchReturn"
        return Reply(payloads.farnell_answer(*found, root=root))

    server.route("GET", "/farnell/catalog/products", search)
    return f"{server.url}/farnell"
