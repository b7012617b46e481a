"""How money is written: which marks stand for which currency, and what a point or a comma means beside them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _codes(words: str) -> frozenset[str]:
    return frozenset(words.split())


SAME = MappingProxyType(  # other codes that people and files use for a currency of ISO 4217
    {
        "RUR": "RUB",  # before 1998, and in Russian price lists to this day
        "RMB": "CNY",
        "CNH": "CNY",
        "NTD": "TWD",
        "NIS": "ILS",
        "STG": "GBP",
        "UKP": "GBP",
        "CDN": "CAD",
        "YTL": "TRY",
        "SFR": "CHF",
    }
)

# Nothing in these is sold for a fraction written with three digits: `1.050` and `1,050` are a thousand and fifty.
ZERO_DECIMAL = _codes("JPY KRW VND IDR HUF ISK CLP COP PYG UGX XAF XOF IRR LBP UZS")
COMMA_DECIMAL = _codes(
    "EUR PLN CZK SEK NOK DKK RUB BRL RON BGN UAH BYN KZT TRY ARS UYU RSD HRK MDL"
)
POINT_DECIMAL = _codes(
    "USD GBP CAD AUD NZD INR SGD HKD CNY TWD MYR THB PHP MXN ILS CHF AED SAR QAR EGP PKR LKR BDT NPR PEN NGN KES"
    " KWD BHD OMR JOD ZAR TND MAD DZD"
)
LAKHS = _codes("INR PKR BDT NPR LKR")  # 1,23,456.78
DOLLARS = _codes("USD CAD AUD NZD HKD SGD TWD MXN ARS CLP COP UYU")


def _of(words: str, *currencies: str) -> dict[str, frozenset[str]]:
    return dict.fromkeys(words.casefold().split(), frozenset(currencies))


MARKS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{
            code.casefold(): frozenset({code})
            for code in sorted(
                ZERO_DECIMAL | COMMA_DECIMAL | POINT_DECIMAL | {"GEL", "AZN", "AMD", "KGS"}
            )
        },
        **{code.casefold(): frozenset({iso}) for code, iso in SAME.items()},
        "$": DOLLARS,
        **_of("us$ u$s usd$ $us dollars dollar доллар доллара долларов долл у.е", "USD"),
        **_of("ca$ c$ cad$ cdn$ can$ $ca", "CAD"),
        **_of("au$ a$ aud$", "AUD"),
        **_of("nz$ nzd$", "NZD"),
        **_of("hk$ hkd$", "HKD"),
        **_of("sg$ s$ sgd$", "SGD"),
        **_of("nt$ twd$ nt", "TWD"),
        **_of("mx$ mex$ mxn$ m$n", "MXN"),
        **_of("r$ reais real", "BRL"),
        **_of("€ euro euros евро", "EUR"),
        **_of("£", "GBP", "EGP"),
        **_of("uk£ gb£", "GBP"),
        **_of("¥", "JPY", "CNY"),
        **_of("jp¥ 円 yen", "JPY"),
        **_of("cn¥ yuan", "CNY"),
        **_of("元 圆 圓", "CNY", "TWD", "HKD"),
        **_of("₩ 원 won", "KRW"),
        **_of("₹", "INR"),
        **_of("rs", "INR", "PKR", "LKR", "NPR"),
        **_of("kr kronor kroner", "SEK", "NOK", "DKK", "ISK"),
        **_of("skr", "SEK"),
        **_of("nkr", "NOK"),
        **_of("dkr", "DKK"),
        **_of("zł zl złotych", "PLN"),
        **_of("kč kc", "CZK"),
        **_of("ft forint", "HUF"),
        **_of("lei leu", "RON", "MDL"),
        **_of("лв лева lv", "BGN"),
        **_of("₽ рубль рубля рублей", "RUB"),
        **_of("руб р", "RUB", "BYN"),
        **_of("p", "RUB", "PHP"),  # the Latin letter in place of the Russian one; peso
        **_of("br", "BYN"),
        **_of("₴ грн гривен", "UAH"),
        **_of("₸ тг тенге", "KZT"),
        **_of("₺ tl", "TRY"),
        **_of("₪ ש״ח", "ILS"),
        "ש ח": frozenset({"ILS"}),  # its quotation mark is gone by then
        **_of("฿ baht บาท", "THB"),
        **_of("₫ đ vnđ", "VND"),
        **_of("₱", "PHP"),
        **_of("rp", "IDR"),
        **_of("rm", "MYR"),
        **_of("r", "ZAR"),
        **_of("fr ₣ francs franken", "CHF"),
        **_of("dhs dh د.إ", "AED"),
        **_of("sr", "SAR"),
        **_of("s/", "PEN"),
        **_of("₦", "NGN"),
        **_of("ksh", "KES"),
        **_of("৳", "BDT"),
        **_of("din дин", "RSD"),
        **_of("kn", "HRK"),
        **_of("₾", "GEL"),
        **_of("₼", "AZN"),
        **_of("֏", "AMD"),
        **_of("сум", "UZS"),
    }
)

# A hundredth of the currency; only where it stands alone.
MINOR: Mapping[str, frozenset[str]] = MappingProxyType(
    {"¢": DOLLARS, **_of("p pence", "GBP"), **_of("коп", "RUB", "BYN")}
)


def code(currency: str) -> str:
    """A currency under its ISO 4217 code: `rur` is RUB, `RMB` is CNY. Unknown ones come back in capitals."""
    upper = currency.strip().upper()
    return SAME.get(upper, upper)
