"""The parts of the offline sample: hand-listed ones from a table, resistors, capacitors and inductors by rule.

Part numbers and ratings are those of well-known parts; stocks, prices and sellers (`sample`) are made up.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from orchestrator.parts.values import Attr, Lifecycle

E3 = (1.0, 2.2, 4.7)
E6 = (1.0, 1.5, 2.2, 3.3, 4.7, 6.8)
OWN = "Sample Works"  # the maker of parts that stand for no real maker's
TEXT_ATTRS = frozenset({"color", "dims", "dielectric", "series"})
UNITS = {
    "resistance": "Ω",
    "capacitance": "F",
    "inductance": "H",
    "voltage": "V",
    "current": "A",
    "power": "W",
    "frequency": "Hz",
}
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


# each is made once: equal by identity, and so a key of caches
@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """One part of the sample; `usd` is about what one piece costs, `russian` the designation in Cyrillic."""

    mpn: str
    maker: str | None
    type: str
    package: str
    usd: float
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    words: str = ""
    russian: str | None = None
    lifecycle: Lifecycle = Lifecycle.ACTIVE

    @property
    def description(self) -> str:
        """What it is, with its values, as a shop would say it."""
        said = [self.russian or "", self.words, *self.params.values()]
        return " ".join(word for word in said if word)

    @property
    def params(self) -> dict[str, str]:
        """Its values in words, by the names a shop would give them."""
        told = {name.capitalize(): shown(name, value) for name, value in self.attrs.items()}
        return {**told, "Package": self.package}


def shown(name: str, value: Attr) -> str:
    """A value as people write it: `shown("resistance", 4700.0)` is `4.7 kΩ`."""
    if isinstance(value, str):
        return value
    if name == "tolerance":
        return f"±{value:g} %"
    if name.endswith("_mm"):
        return f"{value:g} mm"
    unit = UNITS.get(name)
    if unit is None:
        return f"{value:g}"
    size = abs(value)
    for factor, prefix in _PREFIXES:
        if size >= factor * (1 - 1e-9):
            return f"{value / factor:.6g} {prefix}{unit}"
    return f"{value * 1e12:.6g} p{unit}"


@cache
def catalogue() -> tuple[Entry, ...]:
    """Every part of the sample, always the same, in the same order."""
    return (*_listed(), *_resistors(), *_ceramics(), *_other_capacitors(), *_inductors())


def _listed() -> Iterator[Entry]:
    text = resources.files(__package__).joinpath("sample.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        attrs: dict[str, Attr] = {}
        for pair in filter(None, row["attrs"].split(";")):
            name, _, value = pair.partition("=")
            attrs[name] = value
        russian = attrs.pop("ru", None)
        lifecycle = attrs.pop("lifecycle", Lifecycle.ACTIVE)
        yield Entry(
            mpn=row["mpn"],
            maker=row["maker"] or None,
            type=row["type"],
            package=row["package"],
            usd=float(row["usd"]),
            attrs={
                name: value if name in TEXT_ATTRS else float(value) for name, value in attrs.items()
            },
            words=row["words"],
            russian=str(russian) if russian else None,
            lifecycle=Lifecycle(str(lifecycle)),
        )


def _decades(series: tuple[float, ...], first: int, last: int) -> Iterator[float]:
    """The values of a series from 10**first up to and with 10**last."""
    for decade in range(first, last):
        for value in series:
            yield float(f"{value}e{decade}")
    yield float(f"1e{last}")


def _letter_code(value: float, letters: tuple[tuple[float, str], ...]) -> str:
    """A value with a letter for its point: 4700 is `4K7`, 10 is `10R`."""
    for factor, letter in letters:
        if value >= factor * (1 - 1e-9):
            whole, _, rest = f"{value / factor:.6g}".partition(".")
            return f"{whole}{letter}{rest}"
    return f"0{letters[-1][1]}{f'{value / letters[-1][0]:.6g}'[2:]}"


_OHMS = ((1e6, "M"), (1e3, "K"), (1.0, "R"))
_MICRO = ((1e-6, "U"), (1e-9, "N"))


def _digit_code(value: float, unit: float, *, digits: int = 2) -> str:
    """Digits and the number of noughts after them, counted in `unit`: 100 nF is `104`, 4.7 kΩ with three `4701`."""
    mantissa, _, exponent = f"{value / unit:.{digits - 1}e}".partition("e")
    return mantissa.replace(".", "") + str(int(exponent) - digits + 1)


def _four(ohms: float) -> str:
    """Ohms in four characters: 4.7 kΩ is `4K70`, 100 Ω is `100R`."""
    factor, letter = next(each for each in _OHMS if ohms >= each[0])
    whole, _, rest = f"{ohms / factor:.2f}".partition(".")
    return f"{whole}{letter}{rest}"[:4]


def _precise(mpn: str, maker: str, ohms: float) -> Entry:
    return Entry(
        mpn=mpn,
        maker=maker,
        type="resistor",
        package="0603",
        usd=0.014,
        attrs={"resistance": ohms, "tolerance": 1.0, "power": 0.1},
        words="chip resistor thick film SMD",
    )


def _resistors() -> Iterator[Entry]:
    # package, tolerance, letter of it, watts, price, values from a series over decades
    rules = (
        ("0603", 1.0, "F", 0.1, 0.011, E6, 1, 6),
        ("0805", 5.0, "J", 0.125, 0.009, E6, 0, 6),
        ("0402", 1.0, "F", 0.0625, 0.008, E3, 1, 6),
        ("1206", 5.0, "J", 0.25, 0.016, E3, 1, 6),
    )
    for package, tolerance, letter, watts, usd, series, first, last in rules:
        for ohms in _decades(series, first, last):
            yield Entry(
                mpn=f"RC{package}{letter}R-07{_letter_code(ohms, _OHMS)}L",
                maker="Yageo",
                type="resistor",
                package=package,
                usd=usd,
                attrs={"resistance": ohms, "tolerance": tolerance, "power": watts},
                words="chip resistor thick film SMD",
            )
    for ohms in _decades(E6, 1, 6):
        yield _precise(f"CRCW0603{_four(ohms)}FKEA", "Vishay", ohms)
    for ohms in _decades(E3, 2, 5):
        yield _precise(f"ERJ-3EKF{_digit_code(ohms, 1.0, digits=3)}V", "Panasonic", ohms)
    for ohms in _decades(E3, 2, 5):
        code = _letter_code(ohms, _OHMS)
        axial: dict[str, Attr] = {"resistance": ohms, "tolerance": 5.0, "power": 0.25}
        yield Entry(
            mpn=f"CFR-25JB-52-{code}",
            maker="Yageo",
            type="resistor",
            package="Axial",
            usd=0.03,
            attrs=axial,
            words="carbon film resistor through hole",
        )
        yield Entry(
            mpn=f"MLT-0.25-{code}",
            maker=None,
            type="resistor",
            package="Axial",
            usd=0.04,
            attrs={**axial, "series": "MLT-0.25"},
            words="metal film resistor through hole Soviet",
            russian=f"МЛТ-0,25 {shown('resistance', ohms)}",
        )
    for ohms in (0.01, 0.05, 0.1, 0.5):
        yield Entry(
            mpn=f"SWR2512-{_letter_code(ohms, _OHMS)}-F",
            maker=OWN,
            type="resistor",
            package="2512",
            usd=0.14,
            attrs={"resistance": ohms, "tolerance": 1.0, "power": 1.0},
            words="current-sense resistor shunt SMD",
        )


def _ceramics() -> Iterator[Entry]:
    # dielectric in the part number, its term, package, volts, their digit, tolerance, letter, end, price, farads
    small = (1e-11, 1.5e-11, 2.2e-11, 3.3e-11, 4.7e-11, 1e-10, 2.2e-10, 4.7e-10)
    middle = (1e-9, 2.2e-9, 4.7e-9, 1e-8, 2.2e-8, 4.7e-8, 1e-7)
    rules = (
        ("NPO", "C0G", "0603", 50.0, "9", 5.0, "J", "BN", 0.014, small),
        ("NPO", "C0G", "0805", 50.0, "9", 5.0, "J", "BN", 0.019, small[2:]),
        ("X7R", "X7R", "0603", 50.0, "9", 10.0, "K", "BB", 0.016, middle),
        ("X7R", "X7R", "0805", 50.0, "9", 10.0, "K", "BB", 0.022, (*middle, 2.2e-7, 1e-6)),
        ("X7R", "X7R", "0402", 16.0, "7", 10.0, "K", "BB", 0.011, (1e-9, 1e-8, 1e-7)),
        ("X5R", "X5R", "0805", 16.0, "7", 10.0, "K", "BB", 0.07, (2.2e-6, 4.7e-6, 1e-5)),
        ("X5R", "X5R", "1206", 25.0, "8", 10.0, "K", "BB", 0.12, (4.7e-6, 1e-5, 2.2e-5)),
    )
    for code, dielectric, package, volts, digit, tolerance, letter, end, usd, farads in rules:
        for value in farads:
            yield Entry(
                mpn=f"CC{package}{letter}R{code}{digit}{end}{_digit_code(value, 1e-12)}",
                maker="Yageo",
                type="ceramic capacitor",
                package=package,
                usd=usd,
                attrs={
                    "capacitance": value,
                    "voltage": volts,
                    "tolerance": tolerance,
                    "dielectric": dielectric,
                },
                words="ceramic capacitor MLCC SMD",
            )


def _other_capacitors() -> Iterator[Entry]:
    # kind, part number, maker, package, tolerance, price, words, (farads, volts)…
    rules = (
        (
            "electrolytic capacitor", "SWE-{micro}-{volts:g}V", OWN, "Radial", 20.0, 0.12,
            "aluminum electrolytic capacitor",
            ((1e-6, 50), (1e-5, 25), (1e-5, 50), (4.7e-5, 25), (1e-4, 16), (1e-4, 25), (1e-4, 50),
             (2.2e-4, 25), (4.7e-4, 16), (4.7e-4, 35), (1e-3, 16), (1e-3, 25), (1e-3, 50),
             (2.2e-3, 25), (4.7e-3, 35)),
        ),
        (
            "electrolytic capacitor", "K50-35-{micro}-{volts:g}V", None, "Radial", 20.0, 0.15,
            "aluminum electrolytic capacitor Soviet",
            ((1e-5, 25), (1e-4, 25), (4.7e-4, 35), (1e-3, 25)),
        ),
        (
            "tantalum capacitor", "TAJB{digits}K{volts:03.0f}RNJ", "KYOCERA AVX", "B", 10.0, 0.34,
            "tantalum capacitor SMD",
            ((1e-6, 35), (4.7e-6, 25), (1e-5, 16), (2.2e-5, 10), (4.7e-5, 6)),
        ),
        (
            "film capacitor", "SWF-{digits}-{volts:g}V", OWN, "Radial", 10.0, 0.22,
            "film capacitor polypropylene",
            ((1e-9, 630), (2.2e-9, 630), (1e-8, 630), (1e-7, 400), (4.7e-7, 400), (1e-6, 250)),
        ),
        (
            "film capacitor", "K73-17-{micro}-{volts:g}V", None, "Radial", 10.0, 0.28,
            "film capacitor polyester Soviet", ((1e-7, 63), (4.7e-7, 250), (1e-6, 63)),
        ),
        (
            "ceramic capacitor", "K10-17B-{micro}-{volts:g}V", None, "Radial", 20.0, 0.12,
            "ceramic capacitor Soviet", ((1e-9, 50), (1e-8, 50), (1e-7, 50)),
        ),
        (
            "supercapacitor", "SWC-{micro}-{volts:g}V", OWN, "Radial", 20.0, 1.9,
            "supercapacitor double layer", ((0.1, 5.5), (0.47, 5.5), (1.0, 5.5), (10.0, 2.7)),
        ),
    )  # fmt: skip
    for kind, pattern, maker, package, tolerance, usd, words, values in rules:
        for farads, volts in values:
            mpn = pattern.format(
                digits=_digit_code(farads, 1e-12),
                micro=_letter_code(farads, ((1.0, "F"), *_MICRO)),
                volts=volts,
            )
            attrs: dict[str, Attr] = {
                "capacitance": farads,
                "voltage": float(volts),
                "tolerance": tolerance,
            }
            russian = None
            if mpn[0] == "K":
                series = "-".join(mpn.split("-")[:2])
                attrs["series"] = series
                russian = series.replace("K", "К").replace("B", "Б")
            cost = usd * (1 + (farads * 1e6) ** 0.5 / 20) if kind != "supercapacitor" else usd
            yield Entry(
                mpn=mpn,
                maker=maker,
                type=kind,
                package=package,
                usd=round(cost, 3),
                attrs=attrs,
                words=words,
                russian=russian,
            )


def _inductors() -> Iterator[Entry]:
    henries = (1e-6, 2.2e-6, 4.7e-6, 1e-5, 2.2e-5, 4.7e-5, 1e-4)
    # package, price, words, amperes of each of the values
    rules = (
        ("0805", 0.06, "chip inductor SMD", (0.8, 0.6, 0.45, 0.3, 0.2, 0.13, 0.08)),
        ("CDRH127", 0.48, "power inductor shielded choke SMD", (9.0, 7.5, 6.0, 4.5, 3.5, 2.5, 1.7)),
        ("Radial", 0.25, "choke inductor through hole", (4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0)),
    )
    for package, usd, words, currents in rules:
        for value, amperes in zip(henries, currents, strict=True):
            yield Entry(
                mpn=f"SWL-{package}-{_letter_code(value, _MICRO)}",
                maker=OWN,
                type="inductor",
                package=package,
                usd=usd,
                attrs={"inductance": value, "current": amperes, "tolerance": 20.0},
                words=words,
            )
    for mpn, package, ohms, amperes in (
        ("BLM18AG601SN1D", "0603", 600.0, 0.5),
        ("BLM18PG121SN1D", "0603", 120.0, 2.0),
        ("BLM21PG221SN1D", "0805", 220.0, 2.0),
        ("BLM15AG102SN1D", "0402", 1000.0, 0.3),
    ):
        yield Entry(
            mpn=mpn,
            maker="Murata",
            type="ferrite bead",
            package=package,
            usd=0.05,
            attrs={"resistance": ohms, "current": amperes},
            words="ferrite bead SMD",
        )
