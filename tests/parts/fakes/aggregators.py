"""TrustedParts, OEMsecrets, a page of OEMsTrade and a supplier's XML, in their shapes, about parts of our own."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from fakes.server import Asked, FakeServer, Reply

COMPANY, KEY, SECRETS_KEY = "planted-company", "planted-tp-key", "planted-oemsecrets-key"


def trustedparts_part(mpn: str = "AC-4K7-0603", **result: Any) -> dict[str, Any]:
    told = {
        "DistributorPartNumber": f"A-{mpn}",
        "Description": "RES 4.7K",
        "Pricing": {
            "CurrencyCode": "EUR",
            "MinimumQuantity": 1,
            "Prices": [{"Quantity": 100, "Amount": 0.05}, {"Quantity": 1, "Amount": "0.1"}],
        },
        "Stock": {"QuantityOnHand": 5000},
        "Packaging": [{"PackageType": "Cut Tape", "MinimumOrderQuantity": 5}],
        "Links": [{"Type": "Datasheet", "Url": "//sheets.example/ac.pdf"}],
        **result,
    }
    return {
        "PartNumber": mpn,
        "Manufacturer": "Acme Components",
        "ProductUrl": f"https://shop.example/{mpn}",
        "Specifications": [
            {"Key": "Resistance", "Value": "4.7 kOhms"},
            {"Key": None, "Value": "x"},
        ],
        "Distributors": [{"Name": "TTI Europe", "DistributorResults": [told]}],
    }


def trustedparts(server: FakeServer) -> str:
    def search(asked: Asked) -> Reply:
        told = asked.json()
        if asked.headers.get("x-api-key") != KEY or (told["CompanyId"], told["ApiKey"]) != (
            COMPANY,
            KEY,
        ):
            return Reply({"PartResults": None, "ErrorMessage": f"Invalid API key {KEY}"})
        assert len(told["Queries"]) <= 50
        return Reply({
            "PartResults": [trustedparts_part(each["SearchToken"]) for each in told["Queries"]],
            "ErrorMessage": None,
        })  # fmt: skip

    server.route("POST", "/trusted/v2/search", search)
    return f"{server.url}/trusted"


def oemsecrets_item(**more: Any) -> dict[str, Any]:
    return {
        "sku": "S-1",
        "manufacturer": "Acme",
        "part_number": "AC-4K7-0603",
        "description": "RES 4.7K",
        "packaging": "Reel",
        "moq": "10",
        "quantity_in_stock": "1,200",
        "lead_time_weeks": "6",
        "life_cycle": "Active",
        "datasheet_url": "javascript:alert(1)",
        "buy_now_url": "https://shop.example/buy",
        "source_currency": "GBP",
        "prices": {
            "USD": [{"unit_break": 10, "unit_price": "0.1234"}, {"unit_break": 100, "unit_price": "0.0000"}]
        },
        "distributor": {
            "distributor_name": "Example Components Ltd",
            "distributor_common_name": "Example",
            "distributor_country": "GB",
            "distributor_region": "Europe",
        },
        **more,
    }  # fmt: skip


def oemsecrets(server: FakeServer) -> str:
    def search(asked: Asked) -> Reply:
        if asked.one("apiKey") != SECRETS_KEY:
            return Reply({"status": "401", "message": f"no such key {asked.one('apiKey')}"}, 401)
        found = [oemsecrets_item(part_number=asked.one("searchTerm"))]
        return Reply({"status": "200 Successful", "parts_returned": 1, "stock": found})

    server.route("GET", "/secrets/partsearch", search)
    return f"{server.url}/secrets"


def oemstrade_row(
    mpn: str = "AC-4K7-0603",
    *,
    ladder: tuple[tuple[int, str, str], ...] = (
        (5000, "0.0022", "0.00222"),
        (100, "0.0051", "0.00513"),
    ),
    more: str = "RoHS: Compliant Min Qty: 100 Package Multiple: 50 Container: Reel",
    **attrs: str,
) -> str:
    """A row of a result page; `ladder` has quantity, rounded price, exact price; from the second on it is hidden."""
    rounded = json.dumps([[at, "USD", price] for at, price, _ in ladder])
    told = {
        "data-mfr": "Acme",
        "data-instock": "28500",
        "data-stock": "",
        "data-mfrpartnumber": mpn,
        "data-price": rounded,
        "data-leadtime": "12 Weeks",
        **{f"data-{name}": value for name, value in attrs.items()},
    }
    said = " ".join(f'{name}="{escape(value)}"' for name, value in told.items())
    prices = "".join(
        f'<li class="{"hide " if place else ""}multi-price"><span class="list-left">{at:,}</span>'
        f'<span class="list-right" data-baseprice="{exact}" data-basecurrency="USD">${price}</span></li>'
        for place, (at, price, exact) in enumerate(ladder)
    )
    return (
        f'<tr class="row" {said}><td class="td-part-number"><a href="/go/track?x=1">{mpn}</a>'
        f'<p class="disti-number">D#: 303-{mpn}</p></td><td class="td-distributor-name">Acme &amp; Sons</td>'
        f'<td class="td-desc"><span class="td-description">RES 4.7K &lt;1%</span>'
        f'<div class="additional-desc">{more}</div></td>'
        f'<td class="td-price"><ul class="table-list">{prices}</ul></td></tr>'
    )


def oemstrade_page(
    *rows: str, seller: str = "Example Electronics", standing: str = "Authorized Distributor"
) -> str:
    return (
        '<html><body><script>var x = "<tr class=row>";</script>'
        f'<section id="list1" class="distributor-results" data-distributorname="{seller}">'
        f'<h2 class="distributor-title"><a href="/go/1">{seller} <span>{standing}</span></a></h2>'
        f"<table><tbody>{''.join(rows)}</tbody></table></section></body></html>"
    )


def efind_line(part: str = "КТ315Б", **fields: str) -> str:
    told = {"mfg": "Кремний", "note": "транзистор", "cur": "RUR", "p1": "12,50", "p2": "9.10",
            "p3": "", "stock": "1500", "instock": "1", "pdf": "https://sheets.example/kt.pdf", **fields}  # fmt: skip
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in told.items())
    return f"<line><part>{part}</part>{inner}</line>"


def efind_page(*lines: str, charset: str = "windows-1251") -> bytes:
    text = (
        f'<?xml version="1.0" encoding="{charset}"?>\n<data version="2.0">{"".join(lines)}</data>'
    )
    return text.encode(charset)
