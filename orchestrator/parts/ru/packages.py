"""Cases of parts: `СОТ-23`, `TO220`, `8-SOIC`, `0603`, to one spelling each."""

from __future__ import annotations

import re
from functools import lru_cache

from orchestrator.parts.ru.letters import fold, has_cyrillic, transliterate

_CHIP = (
    "01005 0201 0402 0603 0805 1206 1210 1218 1806 1808 1812 1825 2010 2220 2225 2512 2725 2728 2816 "
    "0204 0207 0306 0508 0612 1020 1225 2920"
)
CHIP = frozenset(_CHIP.split())
# codes in tenths of a millimetre: LEDs, crystals, inductors, tantalum; never a resistor's value
_METRIC = (
    "1005 1608 2012 3216 3528 6032 7343 7260 2016 2520 3225 5032 7050 3215 1612 6035 5050 2835 5630 5730 "
    "3014 3020 3030 3535 4014 2020 7020 1616 4020 4030 5040 6045 6028 8040"
)
METRIC = frozenset(_METRIC.split())
IMPERIAL_OF = {
    "0402": "01005", "0603": "0201", "1005": "0402", "1608": "0603", "2012": "0805", "3216": "1206",
    "3225": "1210", "4520": "1808", "4532": "1812", "5025": "2010", "6332": "2512", "5750": "2220",
}  # fmt: skip
SOVIET = {"КТ-26": "TO-92", "КТ-27": "TO-126", "КТ-28": "TO-220", "КТ-9": "TO-3", "КТ-46": "SOT-23"}

_COUNTED = (
    "SOIC|SOP|SSOP|TSSOP|MSOP|QSOP|VSSOP|HTSSOP|HSOP|TSOP|HSSOP|SO|SOJ|DIP|PDIP|CDIP|SDIP|CERDIP|SIP|ZIP|DIL|SIL|"
    "QFP|TQFP|LQFP|PQFP|VQFP|HTQFP|QFN|VQFN|UQFN|WQFN|TQFN|HVQFN|DFN|UDFN|WDFN|VDFN|TDFN|MLF|LFCSP|LCC|PLCC|CLCC|"
    "BGA|FBGA|TFBGA|UFBGA|LFBGA|VFBGA|FCBGA|PBGA|LGA|WLCSP|CSP|WSON|SON|USON|VSON|MULTIWATT|PENTAWATT"
)
_ALONE = re.compile(
    rf"(?:{_COUNTED}|SMA|SMB|SMC|SMAF|SMBF|DPAK|D2PAK|D3PAK|IPAK|I2PAK|MELF|MINIMELF|MICROMELF|POWERPAK|GBU|GBJ|KBU|KBPC|KBP|KBL)"
)
_WITH_COUNT = re.compile(rf"({_COUNTED})-?(\d{{1,4}})([A-Z]{{0,2}})")
_COUNT_FIRST = re.compile(rf"(\d{{1,3}})-?({_COUNTED})")
_TO = re.compile(r"(TO|DO|SOT|TSOT|SOD|SC|LL)-?(\d{1,3})([A-Z]{0,3})(?:-(\d{1,2})(L?))?")
_HC49 = re.compile(r"HC-?49(?:[-/]?(SMD|[A-Z0-9]{1,3}))?(?:[-/](SMD|S|U|H))?")
_ALIASES = {
    "TKFP": "TQFP", "LKFP": "LQFP", "KFP": "QFP", "KFN": "QFN", "SOIK": "SOIC", "PLSS": "PLCC",
    "D2-PAK": "D2PAK", "D-PAK": "DPAK", "MINI-MELF": "MINIMELF", "DDPAK": "D2PAK", "DPAC": "DPAK",
    "I-PAK": "IPAK", "TO252": "TO-252",
}  # fmt: skip
FAMILIES = frozenset([*_COUNTED.split("|"), "TO", "SOT", "SOD", "DO", "TSOT", "SC"])
# families with numbers which exist; SC-70 yes, SC1815 no
_NUMBERS: dict[str, frozenset[int]] = {
    "SC": frozenset({59, 62, 70, 74, 75, 76, 79, 88, 89, 90}),
    "LL": frozenset({34, 35, 41}),
}


@lru_cache(maxsize=4096)
def package(text: str) -> str | None:
    """A case by any of its spellings, None for anything else; chip codes are not decided here."""
    upper = text.upper()
    if upper in SOVIET:
        return SOVIET[upper]
    if not has_cyrillic(upper):
        return _latin(upper)
    # СОТ-23 must not be read as COT-23: letter by letter first, then as look-alikes
    return _latin(transliterate(upper)) or _latin(fold(upper))


def _latin(text: str) -> str | None:
    for wrong, right in _ALIASES.items():
        if text.startswith(wrong):
            text = right + text[len(wrong) :]
            break
    if _ALONE.fullmatch(text):
        return text
    if found := _WITH_COUNT.fullmatch(text):
        if len(found[2]) > (
            2 if "SO" in found[1] or "IP" in found[1] else 3 if "GA" not in found[1] else 4
        ):
            return None  # TSOP1738 is a receiver
        return f"{found[1]}-{found[2]}{found[3]}"
    if found := _COUNT_FIRST.fullmatch(text):
        return f"{found[2]}-{found[1]}"
    if found := _TO.fullmatch(text):
        numbers = _NUMBERS.get(found[1])
        if numbers and int(found[2]) not in numbers:
            return None
        more = f"-{found[4]}{found[5]}" if found[4] else ""
        return f"{found[1]}-{found[2]}{found[3]}{more}"
    if found := _HC49.fullmatch(text):
        suffix = "".join(part for part in found.groups() if part)
        return f"HC-49{suffix}"
    return None


def chip(text: str, *, metric: bool = False) -> str | None:
    """A chip code of four digits; `metric`: it was said to be one, so that the imperial one is told."""
    if metric and text in IMPERIAL_OF:
        return IMPERIAL_OF[text]
    return text if text in CHIP or text in METRIC else None
