"""Soviet and Russian designations: what a part is by its first letters (GOST 10862, 11.336.919, OST 11 073.915).

Each pattern stands for a whole token in Cyrillic capitals. Passive parts are sold by series and value, so theirs is a
series; active ones are part numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from orchestrator.parts.ru.letters import (
    has_cyrillic,
    only_twins,
    other_layout,
    transliterate,
    unfold,
)


@dataclass(frozen=True, slots=True)
class Designation:
    """What a token stands for: its type of the word table, and whether it is a series or a part number."""

    kind: str
    latin: str
    series: bool = False
    power: str | None = None  # watts told by a resistor's designation, as written


_L = "[А-Я]"
_IC = r"(?:Э?К?[РМНСАБЕИФЛ]?|Э?КФ|КБ|ОСМ?|УР|ЭКФ)\d{3,4}(?:[А-Я]{2}\d{1,3}[А-Я]{0,3}\d?)(?:-\d{1,2}[А-Я]?)?"
# most particular first; a name is one of `types.named`
ACTIVE: tuple[tuple[str, str], ...] = (
    ("triac", rf"(?:КУ|2У)208{_L}?\d?"),
    ("thyristor", rf"(?:КУ|2У|3У)\d{{3}}{_L}{{0,2}}\d?"),
    ("triac", r"ТС\d{3}-\d{1,4}(?:[-,.]\d{1,2}){0,2}"),
    ("thyristor", r"Т[БЧЛО]?И?\d{3}-\d{1,4}(?:[-,.]\d{1,2}){0,2}"),
    ("diode", r"ДЛ?Ч?\d{3}-\d{1,4}(?:[-,.]\d{1,2}){0,2}"),
    ("diac", rf"(?:КН|2Н)\d{{3}}{_L}{{0,2}}"),
    ("bridge", rf"КЦ4\d\d{_L}{{0,2}}\d?"),
    ("diode", rf"(?:КЦ|2Ц)\d{{3}}{_L}{{0,2}}"),
    ("zener", rf"(?:КС|2С)\d{{3}}{_L}{{0,3}}\d?|2С\d{{3}}{_L}?|Д81[4-8]{_L}{{0,2}}\d?"),
    ("varactor", rf"(?:КВС?|2В)\d{{3}}{_L}{{0,2}}\d?|Д90[12]{_L}?"),
    (
        "display",
        rf"(?:АЛС|ЗЛС|3ЛС|КЛЦ|КИПЦ|АЛ)3(?:04|05|20|21|24|33|34|35|38)(?<!АЛ320){_L}{{0,2}}\d?",
    ),
    ("display", r"(?:ИЖЦ|ИЛЦ|ИВЛ|ИЖКЦ)\d?-\d{1,2}(?:/\d{1,2})?|КЛЦ\d{3}[А-Я]?"),
    ("display", rf"И[НВ]-?\d{{1,2}}{_L}?"),
    (
        "led",
        rf"(?:АЛ|3Л|КЛ|КЛД|КИПД|КИПМ|ЗЛ|АЛС)\d{{2,3}}{_L}{{0,3}}\d?(?:-\d?{_L}{{0,2}}\d?)?",
    ),
    (
        "optocoupler",
        rf"(?:АО[УТДР]|3О[УТДР]|ОЭП-?|КОД|КОТ|ТО)\d{{2,4}}{_L}{{0,2}}\d?|К?249[А-Я]{{2}}\d{{1,2}}{_L}?",
    ),
    ("relay", r"РП21(?:М)?-\d{3}"),
    (
        "transformer",
        rf"(?:ТПП|ТАН|ТН|ТА|ТС|ТСА|ТПИ|ТВК|ТВС|ТП)-?\d{{2,3}}{_L}{{0,2}}(?:-\d{{1,3}}){{0,2}}",
    ),
    ("photoresistor", r"ФС[КАД]-?\w{1,3}|СФ[23]-\d{1,2}[А-Я]?|ФР-?\d{3}"),
    ("photodiode", rf"ФД-?\d{{1,3}}{_L}{{0,2}}"),
    (
        "diode",
        rf"(?:КД|2Д|ГД|1Д|3И|АД|3А|1И|ГИ|КДС|2ДС|АИ)\d{{3,4}}{_L}{{0,3}}\d?(?:-\d{{1,2}})?|Д\d{{1,3}}{_L}{{0,2}}",
    ),
    ("jfet", rf"(?:КП|2П)(?:10[1-3]|30[237]|312|314|329){_L}{{0,2}}\d?"),
    ("mosfet", rf"(?:КП|2П)\d{{3,4}}{_L}{{0,3}}\d?{_L}?"),
    (
        "transistor",
        rf"(?:КТ|2Т|ГТ|1Т|КТД|3Т|КТС|2ТС|КП|2П|3П|КПС|2ПС|АП)\d{{3,4}}{_L}{{0,3}}\d?{_L}?",
    ),
    ("transistor", rf"МП\d{{2,3}}{_L}?|П\d{{3}}{_L}{{0,2}}|П[4-9]\d?{_L}|МПП?\d{{2,3}}{_L}"),
    (
        "relay",
        rf"(?:РЭС|РПС|РЭК|РЭВ|РЭН|РП|РПУ|РПВ|РЭП|РСМ|РМУ|РВ|РТ|ТКЕ|РГК|РЭА)-?\d{{1,3}}{_L}{{0,3}}",
    ),
    ("reed switch", rf"(?:КЭМ|МКА?|МК[АВС])-?\d{{1,5}}{_L}?"),
    (
        "connector",
        r"(?:РП|СНП|СНО|ШР|2РМ[ДТГ]?|МРН|РС|СШР|ОНЦ|РППМ|ГРПМ|РПМ|СР|ОНП)-?\d{1,3}(?:[-А-Я0-9/]*)",
    ),
    ("ic", _IC),
    ("ic", rf"К\d[А-Я]{{2}}\d{{3}}{_L}?|К\d{{2}}[А-Я]{{2}}\d{{3}}{_L}?"),
    ("ic", rf"КРЕН\d{{1,2}}{_L}?"),
)
_WATTS = r"(?:-(\d+(?:[.,]\d+)?)(?:ВТ|В|W)?)?"
PASSIVE: tuple[tuple[str, str], ...] = (
    ("resistor", rf"(?:ОМЛТ|МЛТ|ВС|УЛМ|УЛИ|МОН|МТ|ПЭВР?|ПЭ|БЛП|КИМ|КЭВ){_WATTS}"),
    ("resistor", rf"[СР][1-6]-\d{{1,3}}{_L}{{0,3}}{_WATTS}"),
    (
        "potentiometer",
        rf"СП3-(?:4|9|12|23|30|33|35|40|46){_L}{{0,3}}(?:-\d+)?|СП4-1{_L}{{0,2}}|СП-?[1I]|СПО-?[\d.,]*|ПП[2-9]-\d+{_L}?|ППБ-?\d*{_L}?|РП1-\d+{_L}?",
    ),
    ("trimmer", rf"СП[2-5]-\d{{1,3}}{_L}{{0,3}}(?:-\d+(?:[.,]\d+)?)?"),
    ("thermistor", r"(?:ММТ|КМТ|СТ[1-9]|ТР)-\d{1,3}[А-Я]?|ТП-\d(?:/\d)?"),
    ("varistor", r"(?:СН[12]|ВР)-\d{1,2}[А-Я]?(?:-\d+)?"),
    (
        "ceramic capacitor",
        rf"К(?:10|15|21|22|26)У?-\d{{1,3}}{_L}{{0,2}}\d?|КМ-?[3-6]{_L}?|КД-[12]{_L}?|КТ-[12]{_L}?|КЛГ|КЛС|КДУ|К15У-\d",
    ),
    ("electrolytic capacitor", rf"К50-\d{{1,3}}{_L}{{0,2}}|К51-\d{{1,2}}|ЭТО|КЭ-?\d?{_L}?"),
    ("tantalum capacitor", rf"К5[23]-\d{{1,3}}{_L}{{0,2}}|ЭТО-\d|ЭТ"),
    ("supercapacitor", rf"К58-\d{{1,3}}{_L}?"),
    (
        "film capacitor",
        rf"К7[0-8]-?\d{{1,3}}{_L}{{0,2}}|ПМ-\d|ФТ-\d|МПО|К40У?-\d{{1,2}}{_L}?|К42У?-\d{{1,2}}{_L}?|МБГ[ОЧПТН]?(?:-\d{_L}?)?|МБМ|БМТ?-?\d?|К75-\d{{1,2}}{_L}?",
    ),
    ("mica capacitor", r"КСО-\d{1,2}|СГМ-?\d?|К31-\d{1,2}[А-Я]?|КСГ-\d"),
    ("trimmer capacitor", r"КПК-?[\dА-Я]{1,2}|КТ4-\d{1,2}[А-Я]?|КПВМ?"),
    ("inductor", r"ДП?М-?\d?(?:[.,]\d+)?|Д[123]?-\d+(?:[.,]\d+)?|КИГ-?\d?"),
    (
        "fuse",
        rf"ВП[1-9]-\d{{1,2}}{_L}?|ВПТ\d?-\d{{1,3}}|ВПБ\d?-\d{{1,3}}{_L}?|ПМ-\d|ПК-\d+|ВП-?\d",
    ),
    ("crystal", r"Р[ГК]-?\d{1,4}(?:[А-Я]{1,3})?"),
    (
        "switch",
        r"(?:П2К|МТ[1-3Д]-?\d?|ТП1-\d|Т[123]|ТВ[12]-\d|МП\d-\d|ПГ\d?-\d[\dА-Я-]*|ПКН?-?\d[\dА-Я-]*|КМ1-[1IІ]|КМД1-[1IІ]|ВДМ\d?-\d+)",
    ),
)
# without a digit these are words too (ЭТ, МТ, ПЭ), so they need one or the company of a value
WORDS = frozenset({"МЛТ", "ОМЛТ", "МБМ", "МБГО", "МБГЧ", "МБГП", "ПЭВ", "ПЭВР", "П2К", "КЛС"})
_DASHED = re.compile(
    r"(КТ|ГТ|КП|КД|КС|КУ|КВ|КЦ|АЛ|АОТ|АОУ|АОД)-(\d{3,4}[А-Я]{0,3}\d?)|(МП)-(\d{2,3}[А-Я]?)"
)
_SLIPPED = re.compile(
    r"rn\d{3}[a-z,.;]?|rn\d{4}[a-z,.;]{1,2}|r[hv]?\d{3,4}[a-z,.;]{2}\d{1,2}[a-z,.;]?"
)
_LATIN_IC = re.compile(r"K(?:R|M|P)?\d{3,4}[A-Z]{2}\d{1,3}[A-Z]?")
_LATIN_ACTIVE = (
    ("thyristor", re.compile(r"KU\d{3}[A-Z]?")),
    ("zener", re.compile(r"KS[1-5]\d{2}[A-Z]?")),
    ("transistor", re.compile(r"KT\d{3,4}[A-Z]{0,2}")),
    ("diode", re.compile(r"KD[2-5]\d{2}[A-Z]?")),
    ("ic", _LATIN_IC),
)


@lru_cache(maxsize=1)
def _patterns() -> tuple[list[tuple[str, re.Pattern[str]]], list[tuple[str, re.Pattern[str]]]]:
    """Passive and active ones; compiled when the first query comes, not while the module is imported."""
    return (
        [(kind, re.compile(pattern)) for kind, pattern in PASSIVE],
        [(kind, re.compile(pattern)) for kind, pattern in ACTIVE],
    )


@lru_cache(maxsize=4096)
def designation(token: str) -> Designation | None:
    """What a token stands for among Soviet designations, None for none.

    A token with a Cyrillic letter that looks like no Latin one is read as Cyrillic throughout (`K561ЛA7`); one that
    mixes the scripts with look-alikes only is Western (`КТ315B` is `KT315B`), which is for the caller to fold.
    """
    upper = token.upper().replace("Ё", "Е")
    if not has_cyrillic(upper):
        return _latin(upper)
    text = unfold(upper)
    mixed = text != upper and only_twins(upper)
    if found := _DASHED.fullmatch(text):
        text = text.replace("-", "")  # КТ-815А
    passive, active = _patterns()
    for kind, pattern in passive:
        if found := pattern.fullmatch(text):
            if not any(c.isdigit() for c in text) and text not in WORDS:
                continue
            power = found[1] if kind == "resistor" and pattern.groups else None
            return Designation(kind, _series(text), series=True, power=power)
    if mixed and not _LATIN_IC.fullmatch(transliterate(text)):
        return None
    for kind, pattern in active:
        if pattern.fullmatch(text):
            return Designation(kind, transliterate(text.replace(",", ".")))
    return None


def designations_on_other_layout(text: str) -> tuple[str, list[str]]:
    """The text with `rn315,` → `КТ315Б` and `r561kf7` → `К561ЛА7`, and what was typed; small letters only.

    Only transistors КТ and circuits: `rl207` is a diode of that name, and `rc0603` a resistor.
    """
    if "r" not in text:
        return text, []
    words, typed = text.split(" "), []
    for here, word in enumerate(words):
        if _SLIPPED.fullmatch(word) and designation(meant := other_layout(word)):
            typed.append(word)
            words[here] = meant.upper()
    return " ".join(words), typed


def _latin(upper: str) -> Designation | None:
    """A Soviet part number somebody wrote in Latin; it stays as it is, only its type is told."""
    for kind, pattern in _LATIN_ACTIVE:
        if pattern.fullmatch(upper):
            return Designation(kind, upper)
    if re.fullmatch(r"K(?:10|15|50|52|53|7[1-8])-\d{1,3}[A-Z]?", upper):
        for kind, pattern in _patterns()[0]:
            if pattern.fullmatch(unfold(upper)):
                return Designation(kind, upper, series=True)
    return None


def _series(text: str) -> str:
    """`МЛТ-0,25ВТ` → `MLT-0.25`: the watts without their unit, with a decimal point."""
    text = re.sub(r"(?<=\d)ВТ?$", "", text) if re.search(r"-\d+[.,]?\d*ВТ$", text) else text
    return transliterate(text.replace(",", "."))
