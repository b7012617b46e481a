"""Price strings: read exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.parts.money import parse_price

NBSP, NARROW, THIN = "\u00a0", "\u202f", "\u2009"

PRICES: list[tuple[str, str, str | None]] = [
    # the point, the comma, and where the currency decides
    ("$5.61", "USD", "5.61"),
    ("$0.083", "USD", "0.083"),
    ("$1,050", "USD", "1050"),
    ("1,050", "USD", "1050"),
    ("1,050", "EUR", "1.050"),
    ("1,050.00", "USD", "1050"),
    ("1,234,567.89", "USD", "1234567.89"),
    ("1,234,567", "USD", "1234567"),
    ("$1.050", "USD", "1.05"),
    ("1.0500", "USD", "1.05"),
    ("0,0456", "USD", "0.0456"),
    ("5,61", "USD", "5.61"),
    ("1234,567", "USD", "1234.567"),
    (",05", "EUR", "0.05"),
    (".05", "USD", "0.05"),
    ("$.05", "USD", "0.05"),
    ("0.083", "JPY", "0.083"),
    ("0,083", "USD", "0.083"),
    ("7", "USD", "7"),
    ("0", "USD", "0"),
    ("0.00", "USD", "0"),
    ("£0.045", "GBP", "0.045"),
    ("£1,234.50", "GBP", "1234.50"),
    ("UK£0.5", "GBP", "0.5"),
    ("45p", "GBP", "0.45"),
    ("5¢", "USD", "0.05"),
    # the euro
    ("0,083 €", "EUR", "0.083"),
    ("1.234,56 €", "EUR", "1234.56"),
    ("€ 1.234,56", "EUR", "1234.56"),
    ("1 234,56 €", "EUR", "1234.56"),
    (f"1{NARROW}234,56{NBSP}€", "EUR", "1234.56"),
    ("€1,050.00", "EUR", "1050"),
    ("1.050", "EUR", "1.05"),
    ("1.234.567", "EUR", "1234567"),
    ("5,– €", "EUR", "5"),
    ("1.050,- €", "EUR", "1050"),
    ("ab 0,12 €", "EUR", "0.12"),
    ("12,50 EUR/Stk.", "EUR", "12.50"),
    ("&euro;&nbsp;5,61", "EUR", "5.61"),
    ("12,5 евро", "EUR", "12.5"),
    ("eur 0.5", "EUR", "0.5"),
    # the north and the east of Europe
    ("1 234,56 zł", "PLN", "1234.56"),
    ("0,3456 zł", "PLN", "0.3456"),
    ("PLN 12,345", "PLN", "12.345"),
    ("12,50 zł netto", "PLN", "12.50"),
    ("1 234,50 Kč", "CZK", "1234.50"),
    ("Kč 2,345", "CZK", "2.345"),
    ("kr 1.234,50", "NOK", "1234.50"),
    ("kr. 1.234,50", "DKK", "1234.50"),
    ("1 234,50 kr", "SEK", "1234.50"),
    ("5:- kr", "SEK", "5"),
    ("SEK 0,482", "SEK", "0.482"),
    ("1.050 kr.", "DKK", "1.05"),
    ("DKK 1.050", "DKK", "1.05"),
    ("1.050 Ft", "HUF", "1050"),
    ("1 050 Ft", "HUF", "1050"),
    ("12,50 Ft", "HUF", "12.50"),
    ("1,050 Ft", "HUF", "1050"),
    ("1.234,50 lei", "RON", "1234.50"),
    ("RON 0,345", "RON", "0.345"),
    ("12,50 лв.", "BGN", "12.50"),
    ("₺1.234,50", "TRY", "1234.50"),
    ("12,345 TL", "TRY", "12.345"),
    ("CHF 1'234.50", "CHF", "1234.50"),
    ("1’234.50 CHF", "CHF", "1234.50"),
    ("Fr. 5.-", "CHF", "5"),
    ("1'050.–", "CHF", "1050"),
    ("SFr. 0.35", "CHF", "0.35"),
    # roubles and their neighbours
    ("1 050 руб.", "RUB", "1050"),
    ("12,5 ₽", "RUB", "12.5"),
    ("1050р", "RUB", "1050"),
    ("1050 р.", "RUB", "1050"),
    ("1050p", "RUB", "1050"),  # a Latin p
    ("12.50 RUR", "RUB", "12.50"),
    ("12.50 RUB", "RUR", "12.50"),
    (f"1{NBSP}234,56{NBSP}₽", "RUB", "1234.56"),
    ("от 12,5", "RUB", "12.5"),
    ("12.5/шт", "RUB", "12.5"),
    ("12,50 руб./шт.", "RUB", "12.50"),
    ("12,50 ₽ за 1 шт", "RUB", "12.50"),
    ("5 руб. 60 коп.", "RUB", "5.60"),
    ("12,345 руб", "RUB", "12.345"),
    ("цена: 99,90 руб. без НДС", "RUB", "99.90"),
    ("12,5 грн", "UAH", "12.5"),
    ("1 050 ₸", "KZT", "1050"),
    ("3,40 Br", "BYN", "3.40"),
    # Asia
    ("¥1,050", "JPY", "1050"),
    ("¥1,050", "CNY", "1050"),  # China groups with commas
    ("￥1,050", "JPY", "1050"),
    ("１，０５０円", "JPY", "1050"),
    ("1.050", "JPY", "1050"),
    ("¥0.83", "JPY", "0.83"),
    ("¥0.0456", "CNY", "0.0456"),
    ("12.5元", "CNY", "12.5"),
    ("RMB 3.20", "CNY", "3.20"),
    ("3.20 cny", "RMB", "3.20"),
    ("₩1,050", "KRW", "1050"),
    ("1.050", "KRW", "1050"),
    ("1,050원", "KRW", "1050"),
    ("Rp 12.500", "IDR", "12500"),
    ("Rp.12.500", "IDR", "12500"),
    ("Rp12.500,50", "IDR", "12500.50"),
    ("IDR 12,500", "IDR", "12500"),
    ("12.500 ₫", "VND", "12500"),
    ("1.250.000đ", "VND", "1250000"),
    ("₹1,23,456.78", "INR", "123456.78"),
    ("₹1,050", "INR", "1050"),
    ("Rs.500", "INR", "500"),
    ("Rs. 500/-", "INR", "500"),
    ("10,00,000", "INR", "1000000"),
    ("RM 3.20", "MYR", "3.20"),
    ("RM1,234.50", "MYR", "1234.50"),
    ("NT$ 5", "TWD", "5"),
    ("NT$1,050", "TWD", "1050"),
    ("HK$0.123", "HKD", "0.123"),
    ("S$1.05", "SGD", "1.05"),
    ("฿1,050.25", "THB", "1050.25"),
    ("₱12.50", "PHP", "12.50"),
    ("₪3.40", "ILS", "3.40"),
    ('3.40 ש"ח', "ILS", "3.40"),
    ("AED 1,050.50", "AED", "1050.50"),
    ("١٢٫٥", "SAR", "12.5"),
    # the Americas, Africa, Oceania
    ("R$ 1.234,56", "BRL", "1234.56"),
    ("R$ 0,345", "BRL", "0.345"),
    ("BRL 12,345", "BRL", "12.345"),
    ("R$ 1.050", "BRL", "1.05"),
    ("CA$1,234.50", "CAD", "1234.50"),
    ("C $5.61", "CAD", "5.61"),
    ("A$0.12", "AUD", "0.12"),
    ("NZ$1,050", "NZD", "1050"),
    ("MX$1,050.50", "MXN", "1050.50"),
    ("R 12,50", "ZAR", "12.50"),
    ("R1 234.50", "ZAR", "1234.50"),
    ("R1,050", "ZAR", "1050"),
    ("CLP$ 1.050", "CLP", "1050"),
    ("$1.050", "CLP", "1050"),
    # codes and words beside the number
    ("USD 0.029", "USD", "0.029"),
    ("0.029 USD", "USD", "0.029"),
    ("usd0.029", "USD", "0.029"),
    ("$0.10 ea", "USD", "0.10"),
    ("$0.10 each", "USD", "0.10"),
    ("US$0.10/ea.", "USD", "0.10"),
    ("$5.61 USD", "USD", "5.61"),
    ("5.61 (USD)", "USD", "5.61"),
    ("Price: $5.61", "USD", "5.61"),
    ("$5.61*", "USD", "5.61"),
    ("$5.61¹", "USD", "5.61"),
    ("\ufeff $5.61\u200b ", "USD", "5.61"),
    (f"1{THIN}234.50", "USD", "1234.50"),
    ("1 234,567", "USD", "1234.567"),  # thousands stand apart, so the comma is decimal
    # no price, or not one for sure
    ("", "USD", None),
    ("   ", "USD", None),
    ("Call", "USD", None),
    ("n/a", "USD", None),
    ("по запросу", "RUB", None),
    ("-", "EUR", None),
    ("$", "USD", None),
    ("-5.61", "USD", None),
    ("−5.61", "USD", None),
    ("$-5.61", "USD", None),
    ("(5.61)", "USD", None),
    ("5.61-", "USD", None),
    ("1e3", "USD", None),
    ("1.5E-3", "USD", None),
    ("4k7", "USD", None),
    ("5k", "USD", None),
    ("12 тыс. руб.", "RUB", None),
    ("$12.50 / 100", "USD", None),
    ("$12.50/100 pcs", "USD", None),
    ("1.10 - 2.20", "USD", None),
    ("$5.61 $6.20", "USD", None),
    ("5.61 6.20", "USD", None),
    ("10+ $5.61", "USD", None),
    ("1,23", "USD", "1.23"),
    ("1,23,456", "USD", None),  # lakhs in dollars
    ("1.23.456", "EUR", None),
    ("12,34.56", "USD", None),
    ("1.234,567.89", "USD", None),
    ("1 23,45", "EUR", None),
    ("0 123", "USD", None),
    ("5..61", "USD", None),
    ("5.", "USD", None),
    ("5½", "USD", None),
    ("5⁹⁹", "EUR", None),  # raised hundredths: not 5, and not 599
    ("£5.61", "EUR", None),
    ("$5.61", "EUR", None),
    ("5.61 USD", "EUR", None),
    ("€5,61", "USD", None),
    ("HK$5", "USD", None),
    ("kr 5", "EUR", None),
    ("12,5 грн", "RUB", None),
    ("5.61 incl. VAT", "GBP", None),  # prices here are without tax
    ("5€61", "EUR", None),
    ("1.050", "XYZ", None),
    ("XYZ 1.05", "XYZ", "1.05"),
    ("9" * 65, "USD", None),
]


@pytest.mark.parametrize(("text", "currency", "number"), PRICES)
def test_a_price_is_read_exactly_or_not_at_all(
    text: str, currency: str, number: str | None
) -> None:
    assert parse_price(text, currency) == (None if number is None else Decimal(number))


def test_the_table_covers_many_currencies() -> None:
    assert len(PRICES) >= 120
    assert len({currency for _, currency, _ in PRICES}) >= 25


LOCALES = {  # currency → what groups thousands, the decimal sign, how the mark stands
    "USD": (",", ".", "${}"),
    "GBP": (",", ".", "£{}"),
    "EUR": (".", ",", "{} €"),
    "PLN": (NBSP, ",", "{} zł"),
    "CZK": (NBSP, ",", "{} Kč"),
    "SEK": (NARROW, ",", "{} kr"),
    "NOK": (NBSP, ",", "kr {}"),
    "DKK": (".", ",", "{} kr."),
    "RUB": (NBSP, ",", "{} ₽"),
    "BRL": (".", ",", "R$ {}"),
    "TRY": (".", ",", "₺{}"),
    "RON": (".", ",", "{} lei"),
    "CHF": ("’", ".", "CHF {}"),
    "CAD": (",", ".", "C${}"),
    "AUD": (",", ".", "A${}"),
    "CNY": (",", ".", "¥{}"),
    "TWD": (",", ".", "NT${}"),
    "HKD": (",", ".", "HK${}"),
    "SGD": (",", ".", "S${}"),
    "MYR": (",", ".", "RM {}"),
    "THB": (",", ".", "฿{}"),
    "PHP": (",", ".", "₱{}"),
    "ILS": (",", ".", "{} ₪"),
    "MXN": (",", ".", "MX${}"),
    "ZAR": (NBSP, ",", "R {}"),
    "JPY": (",", ".", "¥{}"),
    "KRW": (",", ".", "₩{}"),
    "IDR": (".", ",", "Rp {}"),
    "VND": (".", ",", "{} ₫"),
    "HUF": (NBSP, ",", "{} Ft"),
}
WHOLE = {"JPY", "KRW", "IDR", "VND", "HUF"}


@given(
    currency=st.sampled_from(sorted(LOCALES)),
    units=st.integers(min_value=0, max_value=10**10),
    places=st.integers(min_value=0, max_value=5),
)
def test_what_a_locale_writes_is_read_back(currency: str, units: int, places: int) -> None:
    group, point, form = LOCALES[currency]
    if places == 0 and currency not in WHOLE:
        places = 2  # a distributor writes hundredths where the currency has them
    if places == 3 and (currency in WHOLE or currency == "ZAR"):
        places = 2  # nobody writes a thousandth of a yen
    price = Decimal(units).scaleb(-places)
    written = f"{price:,.{places}f}".translate({ord(","): group, ord("."): point})
    assert parse_price(form.format(written), currency) == price


@given(st.text(max_size=40), st.sampled_from(sorted(LOCALES)))
def test_no_text_breaks_it_and_none_is_read_as_negative(text: str, currency: str) -> None:
    price = parse_price(text, currency)
    assert price is None or price >= 0
