"""Prices as distributors write them, read exactly or not at all."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

from orchestrator.parts import currencies

LONGEST = 64  # characters; a longer text is no price
APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼ´`′＇ʹ"), "'")
SIGNS = {ord("٫"): ".", ord("٬"): "'", ord("·"): ".", ord("⋅"): "."}
NUMBER = re.compile(
    r"(?:(?<![^\W\d_])(?<!/)[.,])?"  # `.05`, but the point of `Rs.500` is not the number's
    r"\d(?:[\d.,' ]*\d)?"
    r"(?:[.,:][-–—]{1,2}|/-)?"  # `5.-` `5,–` `5:-` `500/-`: no hundredths
)
WHOLE = re.compile(r"([.,:/])[-–—]{1,2}$")
UNIT = r"(?:шт(?:ук[аи]?|\.)?|ед|ea(?:ch)?|pcs?|pieces?|units?|stk|stck|stück|szt|ks|db|pz|个|個|개)\.?"
EACH = re.compile(rf"(?:\s*/\s*1?\s*|\s+(?:за|per|pro|je)\s+1?\s*){UNIT}\s*$", re.IGNORECASE)
WORDS = (  # may stand beside a price and change nothing of it
    "от from ab od desde à_partir_de price unit_price цена preis prix ea each apiece"
    " без_ндс excl._vat excl_vat ex_vat ex._vat exc_vat netto net"
)
ROUBLES = re.compile(
    r"(\d{1,3}(?: \d{3})+|\d+) ?(?:руб(?:л[яей]{1,2}|ль)?|р)\.? ?(\d{2}) ?(?:коп(?:е[а-я]+)?|к)\.?",
    re.IGNORECASE,
)


def _choice(marks: Iterable[str]) -> re.Pattern[str]:
    """Any of the marks, longest first, with the point of an abbreviation; a word never inside another word."""
    ordered = sorted(marks, key=len, reverse=True)
    return re.compile(
        "|".join(
            (r"(?<![^\W\d_])" if mark[0].isalpha() and mark.isascii() else "")
            + re.escape(mark).replace("_", " ")
            + (r"(?![^\W\d_])\.?" if mark[-1].isalpha() else "")
            + (r"\.?" if mark[-1] == "/" else "")
            for mark in ordered
        ),
        re.IGNORECASE,
    )


MARK = _choice(currencies.MARKS)
MINOR = _choice(currencies.MINOR)
WORD = _choice(WORDS.split())
SPACED_DOLLAR = re.compile(r"\b(US|CA|C|AU|A|NZ|HK|NT|SG|S|MX|R) \$")


def parse_price(text: str, currency: str) -> Decimal | None:
    """The number that a price says, in `currency` (ISO 4217; RUR and RMB are known); None when it is not sure.

    None for words (`Call`), negative prices, two numbers, a price of many pieces (`$12.50 / 100`), exponents, and
    a mark of another currency: `$` is fine with every dollar, `£5` in EUR is not. A zero is a number: `0` gives
    Decimal(0), and ladders drop it. Hundredths (`5¢`, `45p`) are told in the currency.

    One separator with three digits behind it decides by currency: `1,050` is 1050 in USD and 1.050 in EUR, `1.050` is
    1050 in JPY and 1.050 in USD and EUR. Components cost fractions of a cent, so a point is a decimal one wherever
    there are hundredths.
    """
    if len(text) > LONGEST:
        return None
    iso = currencies.code(currency)
    clean = _clean(text)
    if clean is None:
        return None
    if iso in {"RUB", "BYN"} and (both := ROUBLES.fullmatch(clean)):
        return Decimal(both[1].replace(" ", "") + "." + both[2])
    clean = EACH.sub("", clean)
    found = NUMBER.search(clean)
    if found is None:
        return None
    beside = (clean[: found.start()], clean[found.end() :])
    minor = _minor(beside, iso)
    if not (minor or _fits(beside, iso)):
        return None
    value = _number(found[0], iso)
    return value / 100 if value is not None and minor else value


def _clean(text: str) -> str | None:
    """The text in plain characters and single spaces; None when raised digits may be hundredths (`5⁹⁹`)."""
    raised = 0
    kept: list[str] = []
    for char in html.unescape(text).translate(APOSTROPHES).translate(SIGNS):
        category = unicodedata.category(char)
        if category == "Nd":
            kept.append(str(unicodedata.digit(char)))
        elif unicodedata.decomposition(char).startswith("<super>"):  # a footnote
            raised += 1
            if raised > 1:
                return None
        elif category == "No":  # ½
            return None
        elif category != "Cf":
            kept.append(char)
    plain = unicodedata.normalize("NFKC", "".join(kept))
    plain = re.sub(r"\(([^()\d]*)\)", r" \1 ", plain)  # `5.61 (USD)`; `(5.61)` is a negative one
    plain = re.sub(r"[*†‡\"]", " ", plain)
    plain = SPACED_DOLLAR.sub(r"\1$", plain)  # `C $5.61`
    return " ".join(plain.split())


def _minor(beside: tuple[str, str], iso: str) -> bool:
    """Whether the only mark says hundredths of the currency."""
    before, after = (side.strip() for side in beside)
    if before or not (mark := MINOR.fullmatch(after)):
        return False
    return iso in currencies.MINOR[mark[0].rstrip(".").casefold()]


def _fits(beside: tuple[str, str], iso: str) -> bool:
    """Whether the marks and words beside a number are known, and of this currency."""
    for side in beside:
        at = 0
        while at < len(side):
            if side[at] in " :":
                at += 1
            elif mark := MARK.match(side, at):
                name = mark[0].casefold()
                known = currencies.MARKS.get(name) or currencies.MARKS[name.rstrip(".")]
                if iso not in known:
                    return False
                at = mark.end()
            elif word := WORD.match(side, at):
                at = word.end()
            elif side[at : at + 3].upper() == iso and not side[at + 3 : at + 4].isalpha():
                at += 3  # a currency that the table does not have, told by its code
            else:
                return False
    return True


def _number(written: str, iso: str) -> Decimal | None:
    if whole := WHOLE.search(written):
        sign = whole[1]
        written = written[: whole.start()] + (sign + "00" if sign in ".," else "")
    for space in (" ", "'"):
        if space in written:
            return _spaced(written, space)
    if "." in written and "," in written:
        point = max(".,", key=written.rfind)
        return _joined(written, group="," if point == "." else ".", point=point, iso=iso)
    for sign in ".,":
        if written.count(sign) > 1:
            return _joined(written, group=sign, point=None, iso=iso)
        if sign in written:
            return _single(written, sign, iso)
    return Decimal(written)


def _spaced(written: str, space: str) -> Decimal | None:
    """Thousands stand apart, so the one sign that may remain is the decimal one."""
    shape = rf"[1-9]\d{{0,2}}(?:{space}\d{{3}})+(?:[.,]\d+)?"
    if not re.fullmatch(shape, written):
        return None
    return Decimal(written.replace(space, "").replace(",", "."))


def _joined(written: str, *, group: str, point: str | None, iso: str) -> Decimal | None:
    """A number whose thousands are grouped by `group` for sure."""
    whole, _, rest = written.partition(point) if point else (written, "", "")
    sign = re.escape(group)
    threes = re.fullmatch(rf"[1-9]\d{{0,2}}(?:{sign}\d{{3}})+", whole)
    lakhs = iso in currencies.LAKHS and re.fullmatch(
        rf"[1-9]\d?(?:{sign}\d{{2}})*{sign}\d{{3}}", whole
    )
    if not (threes or lakhs) or not (rest.isdigit() or not point):
        return None
    return Decimal(whole.replace(group, "") + ("." + rest if rest else ""))


def _single(written: str, sign: str, iso: str) -> Decimal | None:
    """One separator, once: decimal unless exactly three digits follow one to three others, then the currency says."""
    whole, _, tail = written.partition(sign)
    decimal = Decimal(f"{whole or '0'}.{tail}")
    if len(tail) != 3 or not whole or whole.startswith("0") or len(whole) > 3:
        return decimal
    thousands = Decimal(whole + tail)
    if iso in currencies.ZERO_DECIMAL:
        return thousands
    if sign == ",":
        if iso in currencies.COMMA_DECIMAL:
            return decimal
        return thousands if iso in currencies.POINT_DECIMAL else None
    known = iso in currencies.POINT_DECIMAL or iso in currencies.COMMA_DECIMAL
    return decimal if known else None
