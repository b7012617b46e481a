"""What a part is: the words that say it, in any order, and what it is called in answers.

The rule with the most words of the query wins; then the heavier one, then the one that stands first in the query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.parts.ru.type_table import TABLE


@dataclass(frozen=True, slots=True)
class Type:
    """A type of part: its name in answers, its English words, the short name, what a bare code would be (R, C, L)."""

    name: str
    en: str
    subtype: str | None = None
    code: str | None = None
    connector: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    words: frozenset[str]
    type: Type
    weight: int


_CODE = {
    "resistor": "R",
    "trimmer": "R",
    "potentiometer": "R",
    "resistor network": "R",
    "thermistor": "R",
    "ntc thermistor": "R",
    "ptc thermistor": "R",
    "photoresistor": "R",
    "ferrite bead": "R",
    "inductor": "L",
    "common mode choke": "L",
    "crystal": "F",
    "oscillator": "F",
    "resonator": "F",
    "supercapacitor": "C",
}
CONNECTORS = frozenset(
    {"connector", "pin header", "terminal block", "ic_socket", "relay socket", "jumper"}
)
# a word says less than the designation: К73-17 is not just a capacitor
GENERIC = frozenset(
    {"capacitor", "diode", "transistor", "ic", "resistor", "connector", "thyristor"}
)
# of these the pairs of voltages (in and out) are not the rated one
TWO_SIDED = frozenset({"transformer", "dc-dc converter", "power supply", "level shifter"})


def _load() -> list[Rule]:
    rules = []
    for line in TABLE.strip().splitlines():
        words, _, said = line.partition(" = ")
        fields = [field.strip() for field in said.split(";")]
        name = fields[0]
        code = _CODE.get(name) or ("C" if name.endswith("capacitor") else None)
        kind = Type(
            name=name,
            en=fields[1] if len(fields) > 1 else name,
            subtype=fields[2] if len(fields) > 2 else None,
            code=code,
            connector=name in CONNECTORS,
        )
        weight = 5 if words.startswith("-") else 10
        rules.append(Rule(frozenset(words.lstrip("-").split("+")), kind, weight))
    return rules


RULES = _load()
_BY_WORD: dict[str, list[Rule]] = {}
for _rule in RULES:
    for _word in _rule.words:
        _BY_WORD.setdefault(_word, []).append(_rule)


def choose(found: Mapping[str, int]) -> Rule | None:
    """The rule for the concepts found, each with the place of its first word in the query; None when none fits."""
    best: tuple[int, int, int] | None = None
    chosen = None
    seen: set[int] = set()
    for word in found:
        for rule in _BY_WORD.get(word, ()):
            if id(rule) in seen or not rule.words <= found.keys():
                continue
            seen.add(id(rule))
            rank = (len(rule.words), rule.weight, -min(found[each] for each in rule.words))
            if best is None or rank > best:
                best, chosen = rank, rule
    return chosen


def named(concept: str) -> Type:
    """The type of a Soviet designation (`soviet.ACTIVE`, `soviet.PASSIVE`)."""
    return _NAMED[concept]


_BY_WORDS = {rule.words: rule.type for rule in RULES}


def _of(*words: str) -> Type:
    return _BY_WORDS[frozenset(words)]


_NAMED: dict[str, Type] = {
    "resistor": _of("resistor"),
    "trimmer": _of("trimmer"),
    "potentiometer": _of("variable_r"),
    "thermistor": _of("thermistor"),
    "varistor": _of("varistor"),
    "capacitor": _of("capacitor"),
    "ceramic capacitor": _of("capacitor", "ceramic"),
    "electrolytic capacitor": _of("capacitor", "electrolytic"),
    "tantalum capacitor": _of("capacitor", "tantalum"),
    "film capacitor": _of("capacitor", "film"),
    "mica capacitor": _of("capacitor", "mica"),
    "trimmer capacitor": _of("capacitor", "trimming"),
    "supercapacitor": _of("super"),
    "inductor": _of("inductor"),
    "fuse": _of("fuse"),
    "crystal": _of("crystal"),
    "switch": _of("switch"),
    "triac": _of("triac"),
    "thyristor": _of("thyristor"),
    "diac": _of("diac"),
    "bridge": _of("bridge"),
    "diode": _of("diode"),
    "zener": _of("zener"),
    "varactor": _of("varicap"),
    "display": _of("display"),
    "led": _of("led"),
    "optocoupler": _of("optocoupler"),
    "photodiode": _of("photodiode"),
    "transistor": _of("transistor"),
    "jfet": _of("jfet", "soviet"),
    "mosfet": _of("field", "soviet"),
    "relay": _of("relay"),
    "transformer": _of("transformer"),
    "photoresistor": _of("photoresistor"),
    "reed switch": _of("reed_switch"),
    "connector": _of("connector"),
    "ic": _of("ic"),
}
