"""Letters of two alphabets: look-alikes, transliteration, the other keyboard layout."""

from __future__ import annotations

import re

_CYRILLIC_TWINS = "АВЕКМНОРСТУХЅІЈавекмнорстухіѕј"
_LATIN_TWINS = "ABEKMHOPCTYXSIJaBeKMHopcTyxisj"
FOLD = str.maketrans(_CYRILLIC_TWINS, _LATIN_TWINS)
UNFOLD = str.maketrans("ABEKMHOPCTYX", "АВЕКМНОРСТУХ")
_TWINS = frozenset(_CYRILLIC_TWINS)

# one letter may become several (К174ХА2 → K174KHA2)
TRANSLITERATION = str.maketrans(
    dict(
        zip("АБВГДЕЁЗИЙКЛМНОПРСТУФЫЭІ", "ABVGDEEZIYKLMNOPRSTUFYEI", strict=True),
        Ж="ZH",
        Х="KH",
        Ц="TS",
        Ч="CH",
        Ш="SH",
        Щ="SHCH",
        Ю="YU",
        Я="YA",
        Ъ="",
        Ь="",
    )
)

_EN = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>~"
_RU = "йцукенгшщзхъфывапролджэячсмитьбюёЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮЁ"
_TO_RU = str.maketrans(_EN, _RU)
_TO_EN = str.maketrans(_RU, _EN)

_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LATIN = re.compile(r"[A-Za-z]")


def has_cyrillic(text: str) -> bool:
    return _CYRILLIC.search(text) is not None


def has_latin(text: str) -> bool:
    return _LATIN.search(text) is not None


def only_twins(text: str) -> bool:
    """Whether each Cyrillic letter of it also looks like a Latin one."""
    return all(letter in _TWINS for letter in _CYRILLIC.findall(text))


def fold(text: str) -> str:
    """Cyrillic letters that look Latin become Latin; others stay: `ВС547` → `BC547`. Twice is the same as once."""
    return text.translate(FOLD)


def unfold(text: str) -> str:
    """Latin capitals that look Cyrillic become Cyrillic: `K561ЛA7` → `К561ЛА7`."""
    return text.translate(UNFOLD)


def transliterate(text: str) -> str:
    """Upper-cased, letter by letter as Soviet designations are written in Latin: `КТ315Б` → `KT315B`."""
    return text.upper().translate(TRANSLITERATION)


def other_layout(text: str) -> str:
    """The same keys under the other layout: `htpbcnjh` → `резистор`, `куышыещк` → `resistor`."""
    return text.translate(_TO_EN) if has_cyrillic(text) else text.translate(_TO_RU)
