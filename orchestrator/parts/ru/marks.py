"""Marks of a part that are no values: Soviet designations, cases, dielectrics, colours, lengths."""

from __future__ import annotations

import re
from decimal import Decimal

from orchestrator.parts.ru import glued, packages, soviet, types, values, words
from orchestrator.parts.ru.letters import fold, has_cyrillic, transliterate
from orchestrator.parts.ru.reading import Reading
from orchestrator.parts.ru.tokens import Token

_CIRCUITS = (
    "ic,op amp,comparator,timer,logic,voltage regulator,linear regulator,microcontroller,driver,memory,adc,dac,"
    "motor driver,transceiver,amplifier"
)
CIRCUITS = frozenset(_CIRCUITS.split(","))
_DIELECTRICS = {
    "NP0": "C0G", "NPO": "C0G", "COG": "C0G", "C0G": "C0G", "CH": "C0G", "MP0": "C0G", "MPO": "C0G",
    **{name: name for name in (
        "X5R", "X7R", "X6S", "X7S", "X7T", "X5S", "X8R", "X8L", "X5U", "X7U", "X6T", "Y5V", "Y5U", "Y5P", "Z5U", "Z5V",
        "U2J", "X8G", "X5V", "X4R", "X5F",
    )},
}  # fmt: skip
# groups of GOST and the EIA classes nearest to them: offered, never put in their place
_GROUPS = {
    "Н20": "X7R", "Н30": "X7R", "Н50": "X7R", "Н70": "Z5U", "Н90": "Y5V", "М47": "U2J", "М75": None, "М750": None,
    "М1500": None, "П33": None, "М33": None, "М220": None, "П100": None, "М330": None, "М470": None,
}  # fmt: skip
_TEMPERATURE_GROUPS = {fold(name): (name, near) for name, near in _GROUPS.items()}
_DIMS = re.compile(
    r"(\d{1,4}(?:[.,]\d{1,3})?(?:x\d{1,4}(?:[.,]\d{1,3})?){1,2})-?(мм|mm)?\.?", re.IGNORECASE
)
_DIMS_UNITS = re.compile(r"(?<=\d)(?:мм|mm)(?=x)", re.IGNORECASE)
_MILLIMETRES = re.compile(r"[dDøØ⌀]?=?(\d{1,3}(?:[.,]\d{1,3})?)-?(?:мм|mm)\.?", re.IGNORECASE)
_PITCHES = {"0.5", "0.8", "1.0", "1.25", "1.27", "1.5", "2.0", "2.5", "2.54", "3.5", "3.81", "3.96", "4.2", "5.0",
            "5.08", "6.35", "7.5", "7.62", "9.5", "10.16", "3.0", "1.778", "1.78"}  # fmt: skip
_SIZED = frozenset(("led", "buzzer", "photodiode", "phototransistor", "display", "fan", "microphone", "speaker",
                    "photoresistor", "varistor", "button", "switch", "tactile switch"))  # fmt: skip
_CONNECTOR_NAMES = re.compile(
    r"(?:USB|RJ|DB|DR|IDC|BH|PLS|PLD|PBS|PBD|WF|HU|XT|BNC|SMA|RCA|M\d+|IP\d|JST|XH|PH|ZH|SH|DE|HD|DHR|MDN|D-?SUB|DIN|FFC|FPC|"
    r"SATA|HDMI|VGA|MC4|XLR|EC\d|T-?\d|JACK|DC)[\d.\-]*[A-Z]?",
    re.IGNORECASE,
)


def is_connector_name(text: str) -> bool:
    """`USB3.0`, `RJ45`, `DB9`: what a connector is for, which is no part number."""
    return (
        re.fullmatch(
            r"(?:USB|RJ|DB|DE|HD|XT|M|EC|IP|SMA|MC)-?\d[\d.]*[A-Z]?|XH-?2[.,]54",
            text,
            re.IGNORECASE,
        )
        is not None
    )


def is_beta(reading: Reading, text: str) -> bool:
    """`B3950` of a thermistor: a property of it, no part number."""
    thermistor = reading.type is not None and reading.type.name.endswith("thermistor")
    return thermistor and re.fullmatch(r"[BВ]=?\d{4}K?", text, re.IGNORECASE) is not None


def dielectric(text: str) -> str | None:
    upper = text.upper()
    if "Р" in upper and (found := _DIELECTRICS.get(fold(upper.replace("Р", "R")))):
        return found  # х7р
    return _DIELECTRICS.get(fold(upper)) or _DIELECTRICS.get(transliterate(upper))


def designations(reading: Reading) -> None:
    """Soviet designations, which tell the type by themselves."""
    previous = None
    for token in reading.tokens:
        before, previous = previous, token
        if token.used or (not token.has_digit and token.text.upper() not in soviet.WORDS):
            continue
        if before is not None and before.low in words.PACKAGE_WORDS:
            continue
        if packages.package(token.text) or values.with_unit(token.text, code=reading.code):
            continue
        if token.text[0].isdigit() and glued.pieces(token.text, reading.code):
            continue  # 100нф50в
        if fold(token.text.upper()) in _TEMPERATURE_GROUPS or dielectric(token.text):
            continue
        found = soviet.designation(token.text)
        if found is None:
            continue
        if (
            found.series
            and reading.code in ("R", "C", "L")
            and values.letter_code(token.text, reading.code)
        ):
            continue
        take_designation(reading, token, found)


def take_designation(reading: Reading, token: Token, found: soviet.Designation) -> None:
    kind = types.named(found.kind)
    if found.series and not _fits(reading, kind):
        return
    if reading.type is None:
        reading.type, reading.by_number = kind, not found.series
    elif reading.type.name in types.GENERIC and _narrows(reading, kind):
        reading.type = kind
    if found.series:
        if "series" in reading.attrs:
            return
        reading.put("series", found.latin)
        if found.power:
            watts = Decimal(found.power.replace(",", "."))
            if reading.put("power", watts):
                from orchestrator.parts.ru.render import amount_en

                token.out = amount_en("power", watts)
        token.used = token.series = True
    elif reading.mpn is None:
        others: tuple[str, ...] = ()
        if has_cyrillic(token.text):
            from orchestrator.parts.ru import partnumbers

            others = partnumbers.read(token.text).other
        reading.take_mpn(token, found.latin, others)


def _fits(reading: Reading, kind: types.Type) -> bool:
    """A series says nothing against the words: `микросхема М1-2` is no resistor."""
    if reading.type is None or reading.type.name == kind.name:
        return True
    return (
        reading.type.code == kind.code and kind.code is not None
    ) or kind.name in reading.type.name


def _narrows(reading: Reading, kind: types.Type) -> bool:
    general = reading.type.name if reading.type else ""
    if general == "capacitor":
        return kind.code == "C"
    if general == "resistor":
        return kind.code == "R"
    if general == "diode":
        return kind.name in ("zener diode", "bridge rectifier", "varactor", "led", "photodiode")
    if general == "thyristor":
        return kind.name == "triac"
    return False


def named_packages(reading: Reading) -> None:
    """Cases with a name; `DIP 8` in two tokens; a case of tantalum behind `корпус`; `metric` behind a code."""
    tokens = reading.tokens
    connector = (
        reading.type is not None and reading.type.connector and reading.type.name != "ic_socket"
    )
    for here, token in enumerate(tokens):
        if token.used or (token.concept and token.concept != "dip"):
            continue
        after = tokens[here + 1] if here + 1 < len(tokens) else None
        before = tokens[here - 1] if here else None
        case = packages.package(token.text)
        antenna = reading.type is not None and reading.type.name == "antenna"
        if case and (connector or antenna) and case in ("SMA", "SMB", "SMC"):
            continue
        if after and not after.used and not token.has_digit and token.text.isalpha():
            joined = (
                packages.package(f"{token.text}-{after.text}") if after.text[:1].isdigit() else None
            )
            family = transliterate(fold(token.text)) if joined else ""
            if joined and (
                packages.package(token.text)
                or family in packages.FAMILIES
                or joined.split("-")[0] in packages.FAMILIES
            ):
                case = joined
                after.used = True
        if (
            case is None
            and before is not None
            and before.low in (*words.PACKAGE_WORDS, "тип", "типа")
        ):
            case = _letter_case(reading, token)
        if case is None and "/" in token.text:
            case = _behind_slash(token)
            if case and reading.put("package", case):
                continue
        if case and reading.put("package", case):
            token.used = True
            if before is not None and before.low in words.PACKAGE_WORDS:
                before.used = True


def _behind_slash(token: Token) -> str | None:
    """`LM317/TO-220`: the case comes off, the part number stays."""
    head, _, tail = token.text.rpartition("/")
    case = packages.package(tail)
    if case is None or not any(c.isdigit() for c in case) or len(head) < 3:
        return None
    if packages.package(head + tail):
        return None
    token.text = head
    return case


def _letter_case(reading: Reading, token: Token) -> str | None:
    letter = fold(token.text.upper())
    return (
        letter
        if letter in ("A", "B", "C", "D", "E", "V", "X", "P", "R", "S", "Y", "W", "T")
        else None
    )


def chip_codes(reading: Reading) -> None:
    """Chip codes, `0805`; with `metric` or `мм` beside it the imperial one. A part in a case keeps that."""
    tokens = reading.tokens
    for here, token in enumerate(tokens):
        if token.used or "package" in reading.attrs:
            continue
        after = tokens[here + 1] if here + 1 < len(tokens) else None
        metric = after is not None and after.low in (
            "metric",
            "метрический",
            "метрика",
            "мм",
            "метр",
        )
        text = token.text
        bare = re.fullmatch(r"(?:smd|смд|чип|r|c|к|корпус)?-?(\d{4,5})(м|m)?", text, re.IGNORECASE)
        if not bare or (
            not bare[2] and text != bare[1] and not re.match(r"(?i)smd|смд|чип|корпус", text)
        ):
            continue
        case = packages.chip(bare[1], metric=metric or bool(bare[2]))
        if case is None or (bare[2] and case == bare[1]):
            continue
        if case in packages.METRIC and reading.code == "R" and not metric:
            continue
        if not reading.put("package", case):
            continue
        token.used = True
        if metric and after is not None:
            after.used = True
            reading.also(f"package={bare[1]}", "the code in millimetres")


def colors(reading: Reading) -> None:
    for here, token in enumerate(reading.tokens):
        if token.has_digit or token.used:
            continue
        found = words.color(token.low)
        if found is None:
            continue
        if found == "white":
            around = reading.tokens[max(0, here - 1) : here + 2]
            for other in around:
                if not other.used and (how := words.tempered(other.low)):
                    found = f"{how} white"
                    other.used = True
        if reading.put("color", found):
            token.used = True


def lengths(reading: Reading) -> None:
    """Pitch, size and dimensions in millimetres; groups of temperature and dielectrics on the way."""
    connector = reading.type is not None and reading.type.connector
    name = reading.type.name if reading.type else ""
    tokens = reading.tokens
    for here, token in enumerate(tokens):
        if token.used or token.concept or _dielectric(reading, token) or not token.has_digit:
            continue
        after = tokens[here + 1] if here + 1 < len(tokens) else None
        before = tokens[here - 1] if here else None
        text = _DIMS_UNITS.sub("", token.text)
        unit_after = after is not None and not after.used and after.low.rstrip(".") in ("мм", "mm")
        if found := _DIMS.fullmatch(text):
            if reading.put("dims", found[1].replace(",", ".")):
                in_mm = bool(found[2]) or unit_after
                token.used, token.out = True, found[1].replace(",", ".") + ("mm" if in_mm else "")
                if unit_after and after is not None:
                    after.used = True
            continue
        amount: Decimal | None = None
        if found := _MILLIMETRES.fullmatch(token.text):
            amount = Decimal(found[1].replace(",", "."))
        elif unit_after and values.number(token.text) is not None and not packages.chip(token.text):
            amount = values.number(token.text)
        pitched = before is not None and before.low.rstrip(":") in words.PITCH_WORDS
        in_mm = amount is not None
        if amount is None and values.number(token.text) is not None:
            written = token.text.replace(",", ".")
            if pitched or (connector and written in _PITCHES):
                amount = values.number(token.text)
        if amount is None:
            continue
        # a round plug is told by its diameter
        written_round = name == "connector" and format(amount, "f") in ("3.5", "2.5", "6.3", "6.35")
        written_round = (
            written_round
            and any(t.concept in ("jack", "plug") for t in tokens)
            and "pins" not in reading.attrs
        )
        legs = name in ("", "cable") and "pins" in reading.attrs and format(amount, "f") in _PITCHES
        round_plug = written_round and not pitched
        attr = (
            "size_mm"
            if round_plug
            else "pitch_mm"
            if connector or pitched or legs
            else "size_mm"
            if name in _SIZED
            else None
        )
        token.out = format(amount, "f") + ("mm" if in_mm else "")
        if attr is not None and reading.put(attr, amount):
            token.used = True
        token.used = True
        if unit_after and after is not None:
            after.used = True


def _dielectric(reading: Reading, token: Token) -> bool:
    if found := dielectric(token.text):
        if reading.put("dielectric", found):
            token.used, token.out = True, found if "р" in token.low else fold(token.text.upper())
        return True
    group = _TEMPERATURE_GROUPS.get(fold(token.text.upper()))
    capacitor = reading.code == "C" or "capacitance" in reading.attrs
    if group and capacitor:
        name, near = group
        token.used = True
        if near:
            reading.also(f"dielectric={near}", f"the class nearest to the group {name}")
        return True
    return False
