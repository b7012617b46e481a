"""Which parts of the sample answer a question, best first: by part number, by kind and values, by words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from orchestrator.parts.mpn import mpn_key
from orchestrator.parts.sources.base import Request
from orchestrator.parts.sources.sample_catalogue import Entry, catalogue
from orchestrator.parts.values import Attr

PREFIX_MIN = 3  # characters of a part number that may stand for longer ones

# Wider kinds that a narrower one also answers to.
_WIDER: Mapping[str, tuple[str, ...]] = {
    "bjt": ("transistor", "bipolar transistor"),
    "mosfet": ("transistor",),
    "jfet": ("transistor", "mosfet"),  # "полевой транзистор" says both
    "igbt": ("transistor",),
    "schottky diode": ("diode",),
    "zener diode": ("diode",),
    "tvs diode": ("diode",),
    "triac": ("thyristor",),
    "ceramic capacitor": ("capacitor",),
    "electrolytic capacitor": ("capacitor",),
    "tantalum capacitor": ("capacitor",),
    "film capacitor": ("capacitor",),
    "supercapacitor": ("capacitor",),
    "linear regulator": ("ic", "voltage regulator"),
    "dc-dc converter": ("ic", "voltage regulator", "switching regulator", "power supply"),
    "voltage reference": ("ic",),
    "pwm controller": ("ic",),
    "op amp": ("ic",),
    "comparator": ("ic",),
    "timer": ("ic",),
    "microcontroller": ("ic",),
    "driver": ("ic", "motor driver"),
    "interface": ("ic", "transceiver"),
    "memory": ("ic", "eeprom", "flash"),
    "logic": ("ic", "logic gate", "logic ic"),
    "adc": ("ic",),
    "dac": ("ic",),
    "optocoupler": ("ic",),
    "temperature sensor": ("sensor", "ic"),
    "ntc thermistor": ("thermistor",),
    "resettable fuse": ("fuse",),
    "reed relay": ("relay",),
    "solid state relay": ("relay",),
    "trimmer": ("potentiometer",),
    "pin header": ("connector",),
    "terminal block": ("connector",),
    "tactile switch": ("switch", "button"),
    "button": ("switch",),
    "crystal": ("resonator",),
    "battery holder": ("holder",),
}
# Other names that a kind goes by.
_SAME = {
    "schottky": "schottky diode",
    "zener": "zener diode",
    "tvs": "tvs diode",
    "dcdc": "dc-dc converter",
    "dc dc converter": "dc-dc converter",
    "microcircuit": "ic",
    "integrated circuit": "ic",
    "chip resistor": "resistor",
    "operational amplifier": "op amp",
    "aluminum electrolytic capacitor": "electrolytic capacitor",
    "mcu": "microcontroller",
    "scr": "thyristor",
    "mov": "varistor",
    "ptc resettable fuse": "resettable fuse",
    "bipolar transistor": "bjt",
    "push button": "button",
    "pushbutton": "button",
}
# How a part's value must stand to the asked one, unless the kind says otherwise below.
_EXACT = frozenset({"resistance", "capacitance", "inductance", "frequency", "pins", "pitch_mm", "size_mm"})  # fmt: skip
_AT_LEAST = frozenset({"voltage", "current", "power"})
_EXACT_OF = {
    "zener diode": {"voltage"},
    "linear regulator": {"voltage"},
    "dc-dc converter": {"voltage"},
    "power supply": {"voltage"},
    "battery": {"voltage"},
    "relay": {"voltage"},
    "reed relay": {"voltage"},
    "solid state relay": {"voltage"},
    "transformer": {"voltage"},
    "varistor": {"voltage"},
    "tvs diode": {"voltage"},
    "buzzer": {"voltage"},
    "fuse": {"current"},
    "resettable fuse": {"current"},
}
# A part of these kinds that does not tell its value cannot be the one asked for.
_MUST_TELL = frozenset(
    {"resistance", "capacitance", "inductance", "frequency", "size_mm", "dims", "color"}
)
_SPACES = re.compile(r"[\s,;()/]+")


@dataclass(frozen=True, kw_only=True)
class _Indexed:
    entry: Entry
    keys: tuple[str, ...]  # of the part number, and of its Russian designation
    kinds: frozenset[str]
    package: str
    text: str  # all its words in small letters, a space before each


@cache
def _index() -> tuple[_Indexed, ...]:
    return tuple(
        _Indexed(
            entry=entry,
            keys=tuple(mpn_key(name) for name in (entry.mpn, entry.russian) if name),
            kinds=frozenset({entry.type, *_WIDER.get(entry.type, ())}),
            package=package_key(entry.package),
            text=_searchable(entry),
        )
        for entry in catalogue()
    )


def _searchable(entry: Entry) -> str:
    said = f"{entry.description} {entry.type} {entry.mpn} {entry.maker or ''}"
    return " " + " ".join(_SPACES.split(said.lower()))


def package_key(text: str) -> str:
    """A package as far as it is the same under other spellings: `TO220`, `TO-220`; `SO-8`, `SOIC-8`."""
    key = re.sub(r"[\s\-_]", "", text.upper())
    key = re.sub(r"^P(?=DIP)|^[LT](?=QFP)", "", key)
    return re.sub(r"^SOIC?P?(?=\d)", "SO", key)


def matches(request: Request) -> list[Entry]:
    """The parts that answer, best first, at most `request.limit` of them."""
    wanted = [key for mpn in request.mpns if (key := mpn_key(mpn))]
    found = _by_number(wanted, request) if wanted else []
    return (found or _by_meaning(request))[: request.limit]


def _by_number(wanted: Sequence[str], request: Request) -> list[Entry]:
    attrs = request.attrs or {}
    ranked: list[tuple[int, int, float, str, Entry]] = []
    for item in _index():
        best: tuple[int, int] | None = None
        for key in item.keys:
            for place, want in enumerate(wanted):
                if key == want:
                    best = min(best or (9, 0), (0, place))
                elif len(want) >= PREFIX_MIN and key.startswith(want):
                    best = min(best or (9, 0), (1, place))
        if best is not None:
            # A part number says more than a package said beside it: those only order the rows.
            distance = _distance(item, attrs)
            ranked.append((*best, math.inf if distance is None else distance, item.entry.mpn, item.entry))  # fmt: skip
    ranked.sort(key=lambda row: row[:4])
    return [row[-1] for row in ranked]


def _by_meaning(request: Request) -> list[Entry]:
    attrs = request.attrs or {}
    kind = (request.type or "").lower().replace("_", " ")
    kind = _SAME.get(kind, kind)
    known = any(kind in item.kinds for item in _index()) if kind else False
    words = _words(request.keyword, "" if request.mpns or not known else kind)
    rows: list[tuple[int, float, float, str, Entry]] = []
    for item in _index():
        if known and kind not in item.kinds:
            continue
        distance = _distance(item, attrs)
        if distance is None:
            continue
        # Words begin as asked; a number may stand inside one, as 555 does in NE555P.
        hits = sum((word if word.isdigit() else f" {word}") in item.text for word in words)
        if (request.mpns or not (known or attrs)) and (not words or hits < len(words)):
            continue  # nothing else says what is asked, so every word must be there
        rows.append((-hits, distance, item.entry.usd, item.entry.mpn, item.entry))
    rows.sort(key=lambda row: row[:4])
    if rows and rows[0][0] < 0:
        # Words that single some out ("USB", "red") leave out the others of the same kind.
        rows = [row for row in rows if row[0] == rows[0][0]]
    return [row[-1] for row in rows]


def _words(keyword: str, kind: str) -> list[str]:
    """The words of a query that neither name its kind nor a value."""
    ofkind = set(kind.split())
    said = [word for word in _SPACES.split(keyword.lower()) if word and word not in ofkind]
    if not kind:
        return said
    return [word for word in said if word[0].isalpha() and len(word) > 1 and not word[-1].isdigit()]


def _distance(item: _Indexed, attrs: Mapping[str, Attr]) -> float | None:
    """How far beyond the asked values a part goes, 0 just as asked; None: it is not what was asked for."""
    entry, distance = item.entry, 0.0
    for name, asked in attrs.items():
        if name == "package":
            if package_key(str(asked)) not in {item.package, item.package.rstrip("0123456789")}:
                return None
            continue
        told = entry.attrs.get(name)
        if told is None:
            if name in _MUST_TELL:
                return None
            distance += 0.5
        elif isinstance(told, str) or isinstance(asked, str):
            if str(told).lower() != str(asked).lower():
                return None
        elif name == "tolerance":
            if told > asked:
                return None
        elif name in _EXACT or name in _EXACT_OF.get(entry.type, ()):
            if not math.isclose(told, asked, rel_tol=1e-3):
                return None
        elif name in _AT_LEAST:
            if told < asked * (1 - 1e-6) or asked <= 0:
                return None
            distance += math.log(told / asked)
    return distance
