"""A source's parameters under our terms and in one spelling, whatever language and habit they come in.

    {"Номинальное сопротивление": "4,7 кОм"}  →  {"resistance": "4.7 kΩ"}
    {"Resistance": "4.7 kOhms"}               →  {"resistance": "4.7 kΩ"}
    {"Power (Watts)": "0.1W, 1/10W"}          →  {"power": "100 mW"}

The terms are those of `Query.attrs` (resistance, capacitance, inductance, voltage, current, power, tolerance,
frequency, package, dielectric, pins, pitch, color) and: mounting, polarity, temperature, temperature_coefficient,
manufacturer,
series, packaging, hfe, rds_on, forward_voltage, part_number, lifecycle, rohs. A name of no table stays as it is;
so does a
value that is not one amount, but for its blanks. The first of two names for one term wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from orchestrator.parts.ru import marks, packages, values, words
from orchestrator.parts.ru.letters import has_cyrillic
from orchestrator.parts.ru.tokens import clean

# fmt: off
# term = names in lower case without punctuation; the longest name that is the start of a parameter's wins
_NAMES: dict[str, tuple[str, ...]] = {
    "resistance": ("resistance", "resistance value", "nominal resistance", "сопротивление", "номинальное сопротивление",
                   "номинал сопротивления", "resistance at 25c", "resistance @ 25c", "resistance ohms"),
    "capacitance": ("capacitance", "capacitance value", "емкость", "номинальная емкость", "электрическая емкость"),
    "inductance": ("inductance", "индуктивность", "номинальная индуктивность"),
    "tolerance": ("tolerance", "resistance tolerance", "capacitance tolerance", "inductance tolerance", "допуск",
                  "точность", "допуск номинала", "отклонение", "допустимое отклонение"),
    "voltage": ("voltage", "voltage rated", "rated voltage", "voltage rating", "voltage rating dc", "operating voltage",
                "напряжение", "рабочее напряжение", "номинальное напряжение", "максимальное рабочее напряжение",
                "max operating voltage", "maximum operating voltage", "max. operating voltage",
                "collector emitter voltage max", "collector-emitter voltage", "voltage collector emitter breakdown",
                "collector emitter voltage vceo max", "напряжение коллектор эмиттер", "drain to source voltage",
                "drain source voltage vds", "drain-source voltage", "напряжение сток исток", "voltage dc reverse",
                "reverse voltage", "обратное напряжение", "максимальное обратное напряжение", "zener voltage nom",
                "voltage zener nom", "напряжение стабилизации", "напряжение катушки", "coil voltage"),
    "current": ("current", "current rating", "rated current", "dc current rating", "ток", "номинальный ток",
                "рабочий ток", "максимальный ток", "current collector ic max", "continuous collector current",
                "collector current", "ток коллектора", "current continuous drain", "continuous drain current id",
                "drain current", "ток стока", "current average rectified", "прямой ток", "forward current",
                "average forward current", "load current", "current output", "output current", "выходной ток"),
    "power": ("power", "power watts", "power rating", "power max", "power dissipation", "мощность",
              "рассеиваемая мощность", "номинальная мощность", "максимальная мощность", "pd power dissipation"),
    "frequency": ("frequency", "частота", "номинальная частота", "резонансная частота", "frequency nom"),
    "transition_frequency": ("transition frequency", "frequency transition", "граничная частота"),
    "package": ("package", "package case", "case", "case inch", "case package", "supplier device package", "корпус",
                "типоразмер", "тип корпуса", "resistor case style", "transistor case style", "ceramic capacitor case",
                "capacitor case style", "case style", "diode case style", "ic case package", "case size", "size code"),
    "package_metric": ("case mm",),
    "dielectric": ("dielectric", "dielectric characteristic", "диэлектрик", "тип диэлектрика", "тке"),
    "temperature_coefficient": ("temperature coefficient", "ткс", "tcr", "температурный коэффициент"),
    "temperature": ("operating temperature", "рабочая температура", "диапазон рабочих температур", "temperature range"),
    "temperature_max": ("operating temperature max", "max operating temperature"),
    "temperature_min": ("operating temperature min", "min operating temperature"),
    "mounting": ("mounting", "mounting type", "тип монтажа", "монтаж", "transistor mounting", "connector mounting"),
    "pins": ("pins", "no of pins", "number of pins", "no of positions", "number of positions", "number of contacts",
             "количество выводов", "количество контактов", "число контактов", "число выводов",
             "number of terminations"),
    "pitch": ("pitch", "шаг", "contact pitch", "шаг контактов", "pitch spacing", "шаг выводов"),
    "color": ("color", "colour", "цвет", "цвет свечения", "led colour", "led color"),
    "polarity": ("polarity", "transistor polarity", "transistor type", "fet type", "полярность", "тип проводимости",
                 "channel type", "type of transistor", "структура", "channel mode"),
    "hfe": ("dc current gain hfe min", "dc current gain", "hfe", "коэффициент усиления", "коэффициент передачи тока"),
    "rds_on": ("rds on max", "rds on", "drain source on state resistance", "on resistance rds on",
               "сопротивление открытого канала"),
    "forward_voltage": ("voltage forward vf max", "forward voltage", "forward voltage max", "прямое напряжение"),
    "manufacturer": ("manufacturer", "производитель", "бренд", "brand", "mfr"),
    "part_number": ("part number", "артикул", "manufacturer part number", "код производителя"),
    "packaging": ("packaging", "упаковка", "kind of package", "standard packaging"),
    "series": ("series", "серия", "series name", "product range"),
    "lifecycle": ("part status", "product status", "статус", "lifecycle status"),
    "rohs": ("rohs", "rohs status", "rohs compliant"),
    "moq": ("minimum order quantity", "moq", "минимальный заказ"),
    "multiple": ("order multiple", "кратность"),
    "lead_time": ("lead time", "срок поставки", "manufacturer standard lead time"),
    "stock": ("stock", "in stock", "в наличии", "наличие"),
    "features": ("features", "особенности"),
    "type": ("type of resistor", "type of capacitor", "resistor type", "тип", "type"),
    "technology": ("resistor technology", "composition", "technology", "технология"),
}
_WORDS: dict[str, dict[str, str]] = {
    "mounting": {
        "surface mount": "SMD", "smd": "SMD", "smt": "SMD", "поверхностный": "SMD", "поверхностный монтаж": "SMD",
        "through hole": "THT", "tht": "THT", "выводной": "THT", "в отверстия": "THT", "выводной монтаж": "THT",
    },
    "packaging": {
        "tape reel tr": "tape & reel", "tape reel": "tape & reel", "лента катушка": "tape & reel",
        "cut tape ct": "cut tape", "cut tape": "cut tape",
        "лента": "cut tape", "туба": "tube", "пенал": "tube", "tube": "tube", "поддон": "tray", "tray": "tray",
        "россыпь": "bulk", "bulk": "bulk", "reel": "tape & reel",
    },
    "lifecycle": {
        "снят с производства": "obsolete", "obsolete": "obsolete", "active": "active", "в производстве": "active",
    },
}
# fmt: on
_SIGN = {
    "resistance": "Ω",
    "capacitance": "F",
    "inductance": "H",
    "voltage": "V",
    "current": "A",
    "power": "W",
    "frequency": "Hz",
}  # fmt: skip
_STEPS = ((9, "G"), (6, "M"), (3, "k"), (0, ""), (-3, "m"), (-6, "µ"), (-9, "n"), (-12, "p"))
_MEASURED = {**{name: name for name in _SIGN}, "transition_frequency": "frequency", "rds_on": "resistance",
             "forward_voltage": "voltage"}  # fmt: skip
_CODES = {"resistance": "R", "capacitance": "C", "inductance": "L"}
_NOT_A_LETTER = re.compile(r"[^\w]+")
_QUALIFIER = re.compile(r"\s*(?:\(.*?\)|@.*)\s*$")
_TEMPERATURE = re.compile(
    r"([+-]?\d+(?:[.,]\d+)?)\s*°?\s*[CСcс]?\s*(?:~|to|до|\.{2,3}|…|-)\s*\+?(-?\d+(?:[.,]\d+)?)\s*°?\s*[CСcс]\b"
)
_DEGREES = re.compile(r"([+-]?\d+(?:[.,]\d+)?)\s*°\s*[CСcс]")
_DESCRIBED = re.compile(r"(?i)\b(?:npn|pnp|n-?channel|p-?channel)\b")


def attributes(params: Mapping[str, str]) -> dict[str, str]:
    """Parameters under the terms above, values in one spelling; empty ones (`-`) are left out. Never raises."""
    found: dict[str, str] = {}
    for name, value in params.items():
        text = " ".join(value.split())
        if text in ("", "-", "--", "—", "N/A", "n/a"):
            continue
        said = term(name)
        found.setdefault(said, _spelled(said, text))
    return found


@lru_cache(maxsize=4096)
def term(name: str) -> str:
    """Our term for a source's parameter name; a name of no table comes back as it is."""
    plain = _key(name)
    return _TERMS.get(plain) or _TERMS.get(_key(_QUALIFIER.sub("", name))) or " ".join(name.split())


def _key(name: str) -> str:
    return " ".join(_NOT_A_LETTER.sub(" ", name.lower().replace("ё", "е")).split())


_TERMS = {_key(name): term for term, names in _NAMES.items() for name in names}


def _spelled(said: str, text: str) -> str:
    if said in _MEASURED:
        return _amount(_MEASURED[said], text) or text
    if said == "tolerance":
        return _percent(text) or _absolute(text) or text
    if said in ("package", "package_metric"):
        return _case(text)
    if said == "dielectric":
        first = re.split(r"[ ,/(]", text)[0]
        return marks.dielectric(first) or text
    if said == "pitch":
        return _millimetres(text)
    if said.startswith("temperature") and "coef" not in said:
        return _celsius(text)
    if said == "polarity" and (kind := _DESCRIBED.search(text)):
        return (
            kind[0].upper().replace("CHANNEL", "channel").replace("Nc", "N-c").replace("Pc", "P-c")
        )
    if said == "color":
        colors = [words.color(word.lower().replace("ё", "е")) for word in text.split()]
        return next((color for color in colors if color), text.lower())
    known = _WORDS.get(said, {})
    return known.get(_key(text), text)


def _amount(attr: str, text: str) -> str | None:
    """One amount with its unit; of `0.1W, 1/10W` the first, of `40 V @ 1 mA` what stands before the condition."""
    for part in (text, re.split(r"\s*(?:@|\(|;|,\s|, )", text)[0]):
        joined = clean(part).replace(" ", "").lstrip("±")
        found = values.with_unit(joined)
        if found is not None and found.attr == attr:
            return show(attr, found.amount)
        code = _CODES.get(attr)
        found = values.letter_code(joined, code) if code else None
        if found is not None and found.attr == attr:
            return show(attr, found.amount)
        if attr == "resistance" and values.number(joined) is not None:
            return show(attr, values.number(joined) or Decimal(0))
    return None


def show(attr: str, amount: Decimal) -> str:
    """`4.7 kΩ`, `100 nF`, `250 mW`: at least 1 and below 1000 of the step."""
    if not amount:
        return f"0 {_SIGN[attr]}"
    fitting = (step for step in _STEPS if abs(amount) >= Decimal(1).scaleb(step[0]))
    exponent, prefix = next(fitting, _STEPS[-1])
    digits = format(amount.scaleb(-exponent).normalize(), "f")
    return f"{digits} {prefix}{_SIGN[attr]}"


def _percent(text: str) -> str | None:
    amount = values.percent(clean(text).replace(" ", ""))
    return None if amount is None else f"±{format(amount.normalize(), 'f')}%"


def _absolute(text: str) -> str | None:
    found = values.with_unit(clean(text).replace(" ", "").lstrip("±"))
    return (
        f"±{show(found.attr, found.amount)}" if found is not None and found.attr in _SIGN else None
    )


def _case(text: str) -> str:
    first = re.split(r"[ ,(\[]", text)[0]
    known = packages.package(text) or packages.package(first) or packages.chip(first)
    if known and not ("," in text and known == "TO"):
        return known
    return text if not has_cyrillic(text) else packages.package(text) or text


def _millimetres(text: str) -> str:
    found = re.search(r"(\d+(?:[.,]\d+)?)\s*(?:mm|мм)", text)
    return f"{found[1].replace(',', '.')} mm" if found else text


def _celsius(text: str) -> str:
    if found := _TEMPERATURE.search(text):
        return f"{found[1].replace(',', '.').lstrip('+')}…{found[2].replace(',', '.')} °C"
    if found := _DEGREES.search(text):
        return f"{found[1].replace(',', '.').lstrip('+')} °C"
    return text
