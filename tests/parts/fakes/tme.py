"""TME as it answers: v2 with a bearer token, v1 with a signature that is worked out here by another route."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl, quote

from fakes.server import Asked, FakeServer, Reply

TOKEN, SECRET = "planted-tme-token", "planted-tme-secret"


def product(
    symbol: str = "AC-4K7", *, mpn: str | None = "AC-4K7-0603", **more: Any
) -> dict[str, Any]:
    return {
        "product_status": [],
        "symbol": symbol,
        "category": {"id": 7, "name": "SMD resistors"},
        "manufacturer_symbols": [mpn] if mpn else [],
        "manufacturer": {"id": 1, "name": "ACME"},
        "description": "Resistor: thick film; 4.7kΩ; SMD; 0603",
        "multiples": 10,
        "minimal_amount": 10,
        "packing": {"elements": [{"id": "RL1", "translation": "Reel", "amount": 5000}]},
        "assets": {"primary_photo": {"prime": "//pictures.example/ac.jpg?width=640"}},
        **more,
    }


def data(
    symbol: str = "AC-4K7", *, kind: str = "NET", rate: Any = 0.0, **more: Any
) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "stock_quantity": 1200,
        "prices": {
            "elements": [
                {"amount": 100, "price": 0.123, "special": False},
                {"amount": 10, "price": 0.246, "special": False},
            ],
            "tax": {"type": "VAT", "rate": rate},
            "currency": "PLN",
            "type": kind,
        },
        "deliveries": None,
        **more,
    }


def parameters(symbol: str = "AC-4K7") -> dict[str, Any]:
    def one(number: int, name: str, *values: str) -> dict[str, Any]:
        return {
            "id": number,
            "name": name,
            "values": [{"id": 1, "value": value} for value in values],
        }

    told = [
        one(2, "Manufacturer", "ACME"),
        one(1088, "Type of diode"),
        one(38, "Resistance", "4.7kΩ"),
        one(2932, "Case - inch", "0603"),
        one(1247, "Electrical mounting", "SMT", "THT"),
    ]
    return {"symbol": symbol, "parameters": {"elements": told}}


class TmeV2:
    """Knows one product for each symbol it is given; only the last token it gave is good."""

    def __init__(self, server: FakeServer, *symbols: str) -> None:
        self.base_url = f"{server.url}/tme"
        self.symbols = symbols or ("AC-4K7",)
        self.tokens: list[str] = []
        self.lives_s = 300
        server.route("POST", "/tme/auth/token", self._token)
        server.route("GET", "/tme/products/search", self._search)
        server.route("GET", "/tme/products", self._products)
        server.route("GET", "/tme/products/data", self._data)
        server.route("GET", "/tme/products/parameters", self._parameters)

    def _token(self, asked: Asked) -> Reply:
        basic = base64.b64encode(f"{TOKEN}:{SECRET}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {basic}" or asked.form() != {
            "grant_type": "client_credentials"
        }:
            return Reply({"error": "invalid_client"}, 401)
        self.tokens.append(f"planted-tme-bearer-{len(self.tokens)}")
        told = {"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": self.lives_s}
        return Reply(told, delay_s=0.02)

    def _refused(self, asked: Asked) -> Reply | None:
        assert asked.headers.get("accept-language") == "en"
        assert asked.one("country") == "PL"
        good = self.tokens and asked.headers.get("authorization") == f"Bearer {self.tokens[-1]}"
        return None if good else Reply({"error": "token expired"}, 401)

    def _search(self, asked: Asked) -> Reply:
        assert asked.query["scope[]"] == ["products"]
        assert 1 <= int(asked.one("limit")) <= 100
        found = [product(symbol) for symbol in self.symbols]
        return self._refused(asked) or Reply({"data": {"products": {"elements": found}}})

    def _products(self, asked: Asked) -> Reply:
        mpns = asked.query["mpns[]"]
        assert len(mpns) <= 50
        found = [product(f"S{place}", mpn=mpn) for place, mpn in enumerate(mpns)]
        return self._refused(asked) or Reply({"data": {"elements": found}})

    def _data(self, asked: Asked) -> Reply:
        assert asked.query["scope[]"] == ["prices", "stock"]
        return self._refused(asked) or self._each(asked, data)

    def _parameters(self, asked: Asked) -> Reply:
        return self._refused(asked) or self._each(asked, parameters)

    def _each(self, asked: Asked, make: Any) -> Reply:
        symbols = asked.query["symbols[]"]
        if len(symbols) > 50 or not all(2 <= len(symbol) <= 18 for symbol in symbols):
            return Reply({"error": {"code": "E_INPUT_PARAMS_VALIDATION_ERROR"}}, 400)
        return Reply({"data": {"elements": [make(symbol) for symbol in symbols]}})


def signed(url: str, body: bytes, secret: str = SECRET) -> bool:
    """Whether a form is signed as the recipe says, told step by step: sort, encode, join, HMAC, base64."""
    pairs = parse_qsl(body.decode(), keep_blank_values=True)
    given = dict(pairs).get("ApiSignature", "")
    rest = sorted((name, value) for name, value in pairs if name != "ApiSignature")
    encoded = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in rest
    )
    base = "POST" + "&" + quote(url, safe="-_.~") + "&" + quote(encoded, safe="-_.~")
    mac = hmac.new(secret.encode(), base.encode(), hashlib.sha1)
    return given == base64.b64encode(mac.digest()).decode()


class TmeV1:
    """The older interface: 406 and an envelope of errors, `[]` where an empty object is meant."""

    def __init__(self, server: FakeServer, symbols: int = 1) -> None:
        self.base_url = f"{server.url}/tme1"
        self.symbols = [f"AC-{place}" for place in range(symbols)]
        for action, answer in {
            "Search": self._search,
            "GetPricesAndStocks": self._prices,
            "GetParameters": self._parameters,
        }.items():
            server.route("POST", f"/tme1/Products/{action}.json", self._checked(answer))

    def _checked(self, answer: Any) -> Any:
        def route(asked: Asked) -> Reply:
            if not signed(f"{self.base_url}{asked.path.removeprefix('/tme1')}", asked.body):
                return Reply({"Status": "E_INVALID_SIGNATURE", "ErrorCode": 2, "Error": []}, 403)
            form = asked.form()
            assert form["Token"] == TOKEN
            assert form["Language"] == "EN"
            return Reply({"Status": "OK", "Data": answer(form)})

        return route

    def _search(self, form: dict[str, str]) -> Any:
        if form["SearchPlain"] == "nothing":
            return []
        found = [
            {
                "Symbol": symbol,
                "OriginalSymbol": "AC 4K7",
                "Producer": "ACME",
                "Description": "Resistor",
                "MinAmount": 10,
                "Multiples": 10,
                "ProductStatusList": ["AVAILABLE_WHILE_STOCKS_LAST"],
                "ProductInformationPage": "//www.shop.example/ac",
            }
            for symbol in self.symbols
        ]
        return {"ProductList": found, "Amount": len(found), "PageNumber": 1, "CategoryList": []}

    def _prices(self, form: dict[str, str]) -> Any:
        told = [
            {
                "Symbol": symbol,
                "PriceList": [{"Amount": 10, "PriceValue": 1.23, "PriceBase": 0, "Special": False}],
                "VatRate": 23,
                "VatType": "VAT",
                "Amount": 700,
            }
            for symbol in _listed(form)
        ]
        return {"Currency": "PLN", "PriceType": "GROSS", "ProductList": told}

    def _parameters(self, form: dict[str, str]) -> Any:
        told = {"ParameterId": 38, "ParameterName": "Resistance", "ParameterValue": "4.7kΩ"}
        return {
            "ProductList": [{"Symbol": symbol, "ParameterList": [told]} for symbol in _listed(form)]
        }


def _listed(form: dict[str, str]) -> list[str]:
    return [value for name, value in form.items() if name.startswith("SymbolList[")]
