"""Whether two part numbers, or two makers, are the same. Precision before recall: a doubt keeps them apart."""

from __future__ import annotations

import csv
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from pathlib import Path

LOOK_ALIKES = str.maketrans("АВЕКМНОРСТУХавекмнорстухЁёІіЈјЅѕ", "ABEKMHOPCTYXABEKMHOPCTYXEEIIJJSS")
POINT = re.compile(r"(?<=\d)[.,](?=\d)")  # 071.5K is not 0715K
SEPARATORS = re.compile(r"[\s\-‐-―−_/.,]+")
LEGAL = re.compile(
    r"\b(?:inc|incorporated|corp|corporation|co|company|ltd|limited|llc|plc|ag|gmbh|kg|sa|nv|bv|ab|oy|as|srl|spa|kk"
    r"|eisos|pte|pty|sdn|bhd|s a|n v|b v|ооо|оао|зао|пао|ао)\b"
)
NOBODY = frozenset(
    {
        "unknown",
        "none",
        "n a",
        "na",
        "no name",
        "noname",
        "generic",
        "various",
        "various manufacturers",
        "other",
        "others",
        "not specified",
        "unbranded",
        "неизвестно",
        "не указан",
        "нет",
    }
)
MAKERS = Path(__file__).with_name("makers.csv")


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Who a name stands for. `since`: when an acquired company's parts became the new owner's."""

    name: str  # as it is shown
    since: date | None
    domain: str | None


@lru_cache(maxsize=4096)  # names and numbers come from outside: no end of them
def mpn_key(text: str) -> str:
    """A part number folded for comparing: letters that look alike are one, case and separators do not count.

    `+` and `#` count, as do packing suffixes (`TR`, `/NOPB`), and a decimal point between digits.
    """
    folded = unicodedata.normalize("NFKC", text).translate(LOOK_ALIKES).upper()
    pointed = POINT.sub("\0", folded)
    kept = "".join(c for c in SEPARATORS.sub("", pointed) if unicodedata.category(c) != "Cf")
    return kept.replace("\0", ".")


def manufacturer_key(name: str | None, *, on: date | None = None) -> str | None:
    """A maker's name folded for comparing, or None when nobody is named.

    Of `onsemi / Fairchild` the first counts. Aliases and acquisitions are followed by makers.csv, never guessed; with
    `on` only acquisitions up to that day.
    """
    maker = _maker(name, on=on)
    return maker if maker is None else _fold(maker)


def manufacturer_name(name: str | None) -> str | None:
    """A maker as it is shown: the table's spelling if it is known, else the name as told."""
    return _maker(name, on=None)


def manufacturer_domain(name: str | None) -> str | None:
    """The web domain of a known maker: its own datasheet comes first."""
    key = manufacturer_key(name)
    maker = _makers().get(key) if key else None
    return maker.domain if maker else None


@lru_cache(maxsize=4096)
def _maker(name: str | None, *, on: date | None) -> str | None:
    whole = " ".join((name or "").split())
    if _fold(whole) in NOBODY:  # `N/A`
        return None
    for part in re.split(r" ?/ ?| \| ", whole):
        folded = _fold(part)
        if not folded or folded in NOBODY:
            continue
        known = _makers().get(folded)
        if known is None or (on is not None and known.since is not None and known.since > on):
            return part
        return known.name
    return None


@cache
def _makers() -> dict[str, Maker]:
    """The table by folded alias; a maker's own name is an alias of itself."""
    makers: dict[str, Maker] = {}
    with MAKERS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            since = date.fromisoformat(row["since"]) if row["since"] else None
            alias = _fold(row["alias"])
            maker = Maker(name=row["maker"], since=since, domain=row["domain"] or None)
            makers.setdefault(alias, maker)  # the row of the name itself comes first
    return makers


@lru_cache(maxsize=4096)
def _fold(name: str) -> str:
    """Casefolded, without punctuation, accents and legal forms."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    words = " ".join(re.sub(r"[^\w+]+", " ", plain.replace("&", " and ")).split())
    bare = " ".join(LEGAL.sub(" ", words).split())
    return bare.removesuffix(" and") or words  # `GmbH & Co. KG` leaves one
