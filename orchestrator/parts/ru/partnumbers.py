"""Part numbers: what may be one, and how one that was typed in two alphabets is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from orchestrator.parts.ru.letters import (
    fold,
    has_cyrillic,
    has_latin,
    only_twins,
    other_layout,
    transliterate,
    unfold,
)
from orchestrator.parts.ru.soviet import designation
from orchestrator.parts.ru.units import unit

# families by which one reading is told from another: СТМ32 is STM32 and not CTM32, НЕ555 is NE555
_WESTERN = (
    r"(?:AD[A-Z]?|ADS|ADUM|AMS|AT|ATMEGA|ATTINY|ATXMEGA|AO|AP|BA|BAS|BAT|BAV|BAW|BC|BCR|BD|BDX|BF|BS|BSS|BT|BTA|BTS|BU|"
    r"BUZ|BY|BZX|BZV|CA|CD|CH|CP|CY|DAC|DRV|DS|EP|ESP|FDS|FQP|GD|HCF|HEF|HIP|HX|ICL|ICM|INA|IR|IRF[A-Z]*|IRL[A-Z]*|"
    r"IRG|IRS|ISL|ISP|KA|KIA|LA|LF|LM|LMV|LP|LT|LTC|L|M|MAX|MBR[A-Z]*|MC|MCP|MJ|MJE|MM|MMBT|MOC|MP|MPSA|MUR|NCP|NDS|"
    r"NE|NJM|NRF|OP|OPA|PC|PCF|PIC|PT|RT|RTL|SE|SG|SI|SMAJ|SMBJ|SN|SS|SSD|ST|STM|STP|STW|TC|TCA|TDA|TEA|TIP|TL|TLC|"
    r"TLP|TNY|TOP|TPS|TSOP|TS|UA|UC|UCC|UF|ULN|UTC|VIPER|VN|W|XC|XL|Z|FR|HER|P|A|HT|TM|TTP|SX|MPU|BMP|BME|"
    r"MTS|DHT|AHT|SHT|ACS|WS|PL|FT|CS|CW|CX|S|SD|SA|FGA|FGH|IKW|IHW)(?=\d)|MTS-|[12]N\d|2S[ABCDJK]\d|74[A-Z]*\d|\d*N\d"
)
_FAMILY = re.compile(
    r"LM|NE|BC|BD|BF|KT|KD|IRF|IRFZ|IRLZ|TL|MAX|STM32|ATMEGA|ATTINY|TDA|UC|ULN|MC|CD|SN|TIP|PC|AD|OP|MCP|LT|LTC|TPS|"
    r"DS|PIC|ESP|W25Q|SG|IR|BT|BTA|BUZ|MJE|INA|OPA|BZX|BAT|BAV|SS|FR|HER|UF|UA|CA|LF|LP|AMS|XL|MP|KA|L|AO|SI|FDS|"
    r"NRF|MOC|TLP|1N|2N|2SC|2SA|2SD|74HC|74LS|74HCT|HEF|CR|MJ"
)
_FACTS = (
    r"IP\d\dK?|USB-?[\d.]+[A-Z]?|RJ-?\d+[A-Z]?|D[BA]-?(?:9|15|25|26|37|44|50|62|78)[A-Z]?|"
    r"RS-?\d{3}|I2C|I2S|1-?WIRE|\d+[- ]?(?:BIT|БИТ\w*|"
    r"BITS)|"
    r"\d+AWG|AWG-?\d+|-?\d+(?:[.,]\d+)?D[BB]M?|\d+(?:[.,]\d+)?(?:МАЧ|MAH|АЧ|AH|MCD|МКД|КД|LM|ЛМ|NM|НМ)|(?:[XY][12]){1,2}|"
    r"М\d(?:[.,]\d)?|(?:\d+(?:[.,]\d+)?)?(?:ММ2|MM2)|"
    r"M\d{1,2}X\d+|\d[XХ](?:AAA?|ААА?|CR\d+)|CAT-?\d[A-Z]?|E27|E14|\d+[ДГБ][БBЦ]|"
    r"[+\-±]?\d+(?:\.\.\.?\+?\d+)?°?[CС]?|\d+°|"
    r"-?\d+\.{2,3}\+?\d+[°CС]*|\d+(?:ГБ|МБ|КБ|GB|MB|KB|MBIT|KBIT|КБИТ|МБИТ)(?:IT)?|[34]D|2D|5G|4G|3G|IEC\d+|ГОСТ\d+|"
    r"\d+[-]?Х|\d+-?(?:КАНАЛЬН|РАЗРЯДН|КРАТН|ПОЗИЦ|КОНТАКТ|ВЫВОДН|ПИНОВ|ФАЗН|СЕГМЕНТ|ОБОРОТН|СЛОЙН)\w*|PPM\d+|\d+PPM|"
    r"\d+(?:-|Х|X)?(?:CH|КАН\w*|ОСН\w*)|H\d{2,3}|Н\d{2}|М\d{2,4}|М1500|18650|21700|14500|26650|14250|"
    r"\d+(?:°|ГРАД\w*)C?|\d+(?:СМ|CM|М|КГ|Г|KG|ДЮЙМ\w*|INCH|\")|±\d.*|\d+(?:[.,]\d+)?-\d+(?:[.,]\d+)?(?:V|В|A|А|MM|"
    r"ММ)?|[<>]=?.*"
)
_RANGE = re.compile(r"\d+(?:[.,]\d+)?(?:-|\.{2,3})\d+(?:[.,]\d+)?([^\W\d]+)")
_SHAPE = re.compile(r"[0-9A-ZА-ЯЁ][0-9A-ZА-ЯЁ\-/+#,._()]*", re.IGNORECASE)


@lru_cache(maxsize=1)
def _facts() -> re.Pattern[str]:
    return re.compile(_FACTS)


@lru_cache(maxsize=1)
def _families() -> re.Pattern[str]:
    return re.compile(_WESTERN)


def western(upper: str) -> bool:
    """Whether capitals begin as a well-known Western family does."""
    return _families().match(upper) is not None


@dataclass(frozen=True, slots=True)
class PartNumber:
    """A part number in Latin capitals, the other way it may be read, and how sure the first is."""

    mpn: str
    other: tuple[str, ...] = ()
    sure: float = 1.0


def is_fact(token: str) -> bool:
    """Letters and digits that are no part number: `IP67`, `USB2.0`, `RS-485`, `16бит`, `105°C`."""
    if found := _RANGE.fullmatch(token):
        return unit(found[1]) is not None
    return _facts().fullmatch(token.upper()) is not None


def may_be(token: str) -> bool:
    """Whether a token has the shape of a part number: letters and digits, nothing of a sentence."""
    if len(token) < 2 or len(token) > 40 or not _SHAPE.fullmatch(token):
        return False
    return any(c.isdigit() for c in token) and any(c.isalpha() for c in token)


def is_family(upper: str) -> bool:
    """Whether letters alone are the family of Western part numbers: `LM`, `TDA`."""
    return _FAMILY.fullmatch(upper) is not None


def joins(left: str, right: str) -> bool:
    """Whether two tokens are one part number written apart: `LM 358`, `КТ 315Б`."""
    if not right[:1].isdigit() or len(left) > 7:
        return False
    folded = fold(left.upper())
    if _FAMILY.fullmatch(folded) or _FAMILY.fullmatch(transliterate(left)):
        return True
    return has_cyrillic(left) and designation(left + right) is not None


@lru_cache(maxsize=4096)
def read(token: str) -> PartNumber:
    """A token as a part number. Latin ones come out as they are, in capitals.

    Mixed scripts with look-alikes only are folded (`STM32F103С8Т6`); Soviet designations are transliterated; what
    is all Cyrillic look-alikes is folded with the transliteration as the other reading; the rest is transliterated.
    """
    upper = _COMMA.sub(r"\1.\2", token.upper())
    if not has_cyrillic(upper):
        return PartNumber(upper)
    if upper.startswith(("СН74", "СН75", "СН54")):  # SN74 by ear, HC by eye
        return PartNumber("SN" + fold(upper)[2:], (fold(upper),), 0.8)
    spelled, folded = transliterate(upper), fold(upper)
    twins = only_twins(upper)
    soviet = designation(token)
    if soviet is not None and not (twins and has_latin(upper)):
        mixed_twins = (fold(upper),) if twins and fold(upper) != soviet.latin else ()
        return PartNumber(soviet.latin, mixed_twins)
    if twins and has_latin(upper):
        return PartNumber(folded, _others(folded, transliterate(unfold(upper)), soviet is not None))
    if not twins and has_latin(upper) and not western(spelled) and western(spelled_folded(upper)):
        return PartNumber(spelled_folded(upper), sure=0.8)
    if twins:
        if _JAPANESE.fullmatch(spelled):
            return PartNumber(folded, (spelled,), 0.9)
        if western(spelled) and not western(folded):
            return PartNumber(spelled, (folded,), 0.8)
        return PartNumber(folded, _others(folded, spelled, True), 0.95)
    swapped = other_layout(token).upper()
    typed = re.match(r"[A-Z]{2,}\d{3}", swapped)  # ДЬ358; Д13 and СФ3 are what they are
    if typed and swapped.isascii() and western(swapped) and not western(spelled):
        return PartNumber(swapped, (spelled,), 0.6)
    heard = by_ear(upper)
    if western(heard):
        return PartNumber(heard, (spelled,) if spelled != heard else (), 0.8)
    best = spelled_folded(upper)
    if western(best) and not western(spelled):
        return PartNumber(best, (spelled,), 0.7)
    return PartNumber(spelled, (), 0.8)


_JAPANESE = re.compile(r"S(?!8050|8550|90\d\d)\d{3,4}")  # С1815 is 2SC1815, С9014 is S9014
# the Russian comma of AMS1117-3,3 and 1,5KE200A; that of 74HC4051PW,118 belongs to it
_COMMA = re.compile(r"((?<=-)\d{1,2}|^1),(\d{1,2}$|5[KК][EЕ])")
_EAR = str.maketrans("СРХНУВ", "CPXNUB")
_HEARD = {
    "MAKS": "MAX", "PIK": "PIC", "ATTINI": "ATTINY", "MZHE": "MJE", "LMX": "LM", "ESPE": "ESP",
}  # fmt: skip
_HEAD = re.compile(r"([А-ЯЁA-Z]+)(.*)", re.DOTALL)


def by_ear(upper: str) -> str:
    """A Western part number somebody wrote as it is spoken: the family as it sounds, `СТМ32Ф103С8` → `STM32F103C8`."""
    found = _HEAD.fullmatch(upper)
    if not found:
        return transliterate(upper)
    head = transliterate(found[1])
    return _HEARD.get(head, head) + transliterate(found[2].translate(_EAR))


def spelled_folded(upper: str) -> str:
    """Look-alikes as they look, the other letters as they sound: `АО3400Д` → `AO3400D`."""
    return transliterate(fold(upper))


def _others(first: str, second: str, wanted: bool) -> tuple[str, ...]:
    return (second,) if wanted and second != first else ()
