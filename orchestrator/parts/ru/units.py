"""Units and prefixes in Russian and English spelling, any mixture of scripts: what a unit measures, and how much.

Case decides between milli and mega where it can (`мОм` and `МОм`); where a prefix makes no sense for a unit the other
is meant (`МА` is milliampere, `мгц` megahertz). Everything is a table, built once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from orchestrator.parts.ru.letters import fold


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: the attribute it measures, the power of ten to the base unit, whether case left doubt."""

    attr: str
    exponent: int
    doubt: int | None = None  # the exponent of the other reading, where case leaves one


BASES: dict[str, tuple[str, ...]] = {
    "resistance": ("ом", "om", "ohm", "ohms", "ω", "oм"),
    "capacitance": ("ф", "f", "farad", "фд", "fd"),
    "inductance": ("гн", "h", "hn", "henry"),
    "voltage": ("в", "v", "vdc", "vac", "в=", "в~", "vrms", "vpk", "vb", "вольт"),
    "current": ("а", "a", "adc", "ампер", "amp", "amps"),
    "power": ("вт", "w", "ватт", "watt", "watts"),
    "frequency": ("гц", "hz"),
}
# after folding to lower case; the case-bearing letter is asked afterwards
PREFIXES: dict[str, int] = {
    "": 0,
    "п": -12,
    "p": -12,
    "р": -12,  # Cyrillic er, typed for Latin p
    "н": -9,
    "n": -9,
    "мк": -6,
    "mk": -6,
    "mc": -6,
    "мкр": -6,
    "μ": -6,
    "u": -6,
    "м": -3,
    "m": -3,
    "к": 3,
    "k": 3,
    "г": 9,
    "g": 9,
}
_MEGA_TOO = {"resistance", "frequency", "power"}
_WORD = re.compile(
    r"(пико|нано|микро|милли|мили|кило|мега|гига)?-?(ом|фарад|генри|вольт|ампер|ватт|герц)(?:а|ов|ы|ах|ам|ом)?"
)
_WORD_EN = re.compile(
    r"(pico|nano|micro|milli|kilo|mega|giga)?-?(ohm|farad|henr|volt|amp(?:ere)?|watt|hertz)(?:s|y|ies)?"
)
_WORD_PREFIX = {
    "пико": -12, "нано": -9, "микро": -6, "милли": -3, "мили": -3, "кило": 3, "мега": 6, "гига": 9,
    "pico": -12, "nano": -9, "micro": -6, "milli": -3, "kilo": 3, "mega": 6, "giga": 9,
}  # fmt: skip
_WORD_ATTR = {
    "ом": "resistance", "фарад": "capacitance", "генри": "inductance", "вольт": "voltage",
    "ампер": "current", "ватт": "power", "герц": "frequency",
    "ohm": "resistance", "farad": "capacitance", "henr": "inductance", "volt": "voltage",
    "amp": "current", "ampere": "current", "watt": "power", "hertz": "frequency",
}  # fmt: skip


def _table() -> dict[str, tuple[str, int]]:
    table: dict[str, tuple[str, int]] = {}
    for attr, bases in BASES.items():
        for prefix, exponent in PREFIXES.items():
            for base in bases:
                table.setdefault(fold(prefix + base), (attr, exponent))
    # spellings with a meaning of their own
    table["r"] = table["е"] = table["e"] = ("resistance", 0)
    for spelling in ("mfd", "мфд", "mkfd"):
        table[spelling] = ("capacitance", -6)
    for spelling in ("к/ом", "k/ohm"):
        table[fold(spelling)] = ("resistance", 3)
    del table["h"]  # 10H is no inductance that anybody means
    table["hn"] = ("inductance", 0)
    return table


_UNITS = _table()
_MILLI = ("m", "M")  # `fold` makes both Cyrillic and Latin m Latin, in its case
_FOLD_KEEPING_CASE = str.maketrans(
    {"м": "m", "М": "M", "к": "k", "К": "K", "о": "o", "О": "O", "в": "в", "Ω": "ω", "µ": "μ"}
)


@lru_cache(maxsize=4096)
def unit(spelling: str) -> Unit | None:
    """What a unit's spelling means, None when it is none: `мкФ`, `kOhm`, `МОм`, `килоом`, `V`."""
    text = spelling.strip().rstrip(".").replace("Ω", "ω").replace("µ", "μ")
    if not text or len(text) > 16:
        return None
    lower = text.lower()
    word = _WORD.fullmatch(lower) or _WORD_EN.fullmatch(lower)
    if word and (word[1] or len(lower) > 2):
        return Unit(_WORD_ATTR[word[2]], _WORD_PREFIX.get(word[1] or "", 0))
    found = _UNITS.get(lower) or _UNITS.get(fold(lower)) or _UNITS.get(fold(text).lower())
    if found is None:
        return None
    attr, exponent = found
    if exponent != -3:
        return Unit(attr, exponent)
    return _milli_or_mega(text, attr)


def _milli_or_mega(text: str, attr: str) -> Unit:
    """Case tells `мОм` from `МОм`; all-lower `мом` is what people type for megohm, all-lower `мф` for microfarad."""
    big = text[0] in "МM"
    same_case = text == text.lower() or text == text.upper()
    if attr == "frequency":
        return Unit(attr, 6)
    if attr == "resistance":
        if big:
            return Unit(attr, 6)
        # `mohm` in English is well spelled, `мом` in Russian is lazy
        lazy = text == "мом"
        return Unit(attr, 6, -3) if lazy else Unit(attr, -3)
    if attr == "capacitance":
        return Unit(attr, -6, -3) if same_case or big else Unit(attr, -3)
    if attr == "power" and big and not same_case:
        return Unit(attr, 6, -3)
    return Unit(attr, -3)
