"""The files that a bill of materials comes in: CSV of any delimiter and encoding, XLSX, KiCad's CSV and XML."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree

from orchestrator.parts import safexml, xlsx
from orchestrator.parts.bom import Line
from orchestrator.parts.errors import BomInvalid
from orchestrator.parts.mpn import LOOK_ALIKES, manufacturer_key, mpn_key

LARGEST = 8_000_000  # bytes
MOST_LINES = 20_000
HEAD_ROWS = 40  # KiCad and ERP systems write some lines before the header
MOST_PIECES = 10**9
RANGE = re.compile(r"([A-Z]+)(\d{1,6})\s*(?:-|–|—|…|\.{2,3}|:)\s*([A-Z]*)(\d{1,6})")
LONGEST_RANGE = 5000
COLUMNS = {  # the first known name counts; a header is folded to letters, digits and single spaces
    "mpn": "mpn|manufacturer part number|manufacturer part no|manufacturer part|manufacturer pn|mfr part number"
    "|mfr part no|mfr part|mfr pn|mfg part number|mfg part no|mfg part|mfg pn|mfpn|mfr no|manufacturer number"
    "|part number|partnumber|part no|part num|pn|p n|part|артикул производителя|парт номер|партномер"
    "|парт номер производителя"
    "|номер производителя|каталожный номер|артикул|маркировка",
    "designators": "designators|designator|references|reference|reference s|refdes|ref des|ref|refs"
    "|reference designator|reference designators|поз обозначение|позиционное обозначение|позиционные обозначения|поз"
    "|обозначение|обозначения|позиция",
    "quantity": "quantity|qty|qnty|quantity per board|qty per board|quantity per pcb|count|amount|pcs|кол во|количество"
    "|кол|кол на плату|количество на плату|шт|к во",
    "value": "value|val|comment|designation|номинал|значение|номинальное значение",
    "footprint": "footprint|package|case|pcb footprint|case package|footprint name|корпус|посадочное место|типоразмер",
    "manufacturer": "manufacturer|mfr|mfg|manufacturer name|mfr name|brand|maker|производитель|изготовитель|бренд"
    "|фирма",
    "description": "description|desc|part description|наименование|описание|название|name|компонент|тип",
    "skip": "dnp|dni|dnf|do not populate|do not place|do not fit|exclude from bom|не устанавливать|не монтировать",
}
NAMES = {
    name: (field, place)
    for field, names in COLUMNS.items()
    for place, name in enumerate(names.split("|"))
}
YES = frozenset(
    {
        "1",
        "x",
        "yes",
        "y",
        "true",
        "dnp",
        "dni",
        "dnf",
        "да",
        "не устанавливать",
        "excluded from bom",
    }
)


def read(data: bytes) -> tuple[Line, ...]:
    """The lines of a bill of materials, those of one part together. Raises BomInvalid, saying what is wrong."""
    if len(data) > LARGEST:
        raise BomInvalid("The file is too large for a bill of materials")
    try:
        if data.startswith(b"PK"):
            found = _table(xlsx.read(data))
        elif data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
            found = _kicad(safexml.read(data))
        else:
            found = _csv(_decoded(data))
    except ValueError as error:
        raise BomInvalid(f"The file cannot be read: {error}") from error
    lines = _grouped(found)
    if not lines:
        raise BomInvalid("There are no lines in it")
    if len(lines) > MOST_LINES:
        raise BomInvalid(f"There are more than {MOST_LINES} lines in it")
    return lines


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("windows-1251", "replace")  # what Excel writes in Russia


def _csv(text: str) -> list[Line]:
    """Read with the delimiter that makes the most columns with known names."""
    if "\0" in text:
        raise ValueError("it is not a text")
    tables = []
    for delimiter in ",;\t|":
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        except csv.Error:
            continue
        tables.append((len(_head(rows)[1]), rows))
    if not tables:
        raise ValueError("it is not CSV")
    return _table(max(tables, key=lambda known: known[0])[1])


def _table(rows: Sequence[Sequence[str]]) -> list[Line]:
    at, columns = _head(rows)
    if not columns.keys() & {"mpn", "value", "description"}:
        raise ValueError("no column of part numbers, values or descriptions is in it")
    lines = []
    for number, row in enumerate(rows[at + 1 :], at + 2):
        cells = {
            field: row[column].strip()[:300]
            for field, column in columns.items()
            if column < len(row)
        }
        if line := _line(number, cells):
            lines.append(line)
    return lines


def _head(rows: Sequence[Sequence[str]]) -> tuple[int, dict[str, int]]:
    """Where the header is, and the column of each field in it."""
    best: tuple[int, dict[str, int]] = (0, {})
    for at, row in enumerate(rows[:HEAD_ROWS]):
        columns: dict[str, tuple[int, int]] = {}
        for column, cell in enumerate(row):
            field, place = NAMES.get(_folded(cell), ("", 0))
            if field and (field not in columns or place < columns[field][0]):
                columns[field] = (place, column)
        if len(columns) > len(best[1]):
            best = (at, {field: column for field, (_, column) in columns.items()})
    return best


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold().replace("ё", "е")
    return " ".join(re.sub(r"[\W_]+", " ", plain).split())


def _line(number: int, cells: Mapping[str, str]) -> Line | None:
    """A line of the bill, or None for one that is empty or not to be mounted."""
    text = {
        field: None if cells.get(field, "") in {"", "-", "~"} else cells[field] for field in COLUMNS
    }
    if _folded(text["skip"] or "") in YES or _folded(text["value"] or "") in {"dnp", "dni", "dnf"}:
        return None
    if not (text["mpn"] or text["value"] or text["description"]):
        return None
    names = designators(text["designators"] or "")
    quantity, notes = _quantity(text["quantity"], len(names))
    return Line(
        row=number,
        quantity=quantity,
        designators=names,
        mpn=text["mpn"],
        manufacturer=text["manufacturer"],
        value=text["value"],
        footprint=text["footprint"],
        description=text["description"],
        notes=notes,
    )


def _quantity(text: str | None, named: int) -> tuple[int, tuple[str, ...]]:
    number = re.fullmatch(
        r"(\d[\d  ]*)(?:[.,]0*)?\s*(?:шт\.?|pcs?\.?|ea\.?)?", text or "", re.IGNORECASE
    )
    if number is None or (quantity := int(re.sub(r"\D", "", number[1]))) > MOST_PIECES:
        note = f"the quantity {text[:20]!r} is not read, {named or 1} is used" if text else ""
        note = note or ("" if named else "no quantity is told, 1 is used")
        return named or 1, (note,) if note else ()
    if named and named != quantity:
        return quantity, (f"{named} designators but a quantity of {quantity}, which is used",)
    return quantity, ()


def designators(text: str) -> tuple[str, ...]:
    """`R1, R2 R5-R7` as five names; Cyrillic letters that look Latin are taken for Latin."""
    plain = unicodedata.normalize("NFKC", text).translate(LOOK_ALIKES).upper()
    names: dict[str, None] = {}
    rest = RANGE.sub(lambda found: _spread(found, names), plain)
    names.update(
        dict.fromkeys(name for name in re.split(r"[\s,;]+", rest) if re.search(r"[A-Z]", name))
    )
    return tuple(sorted(names, key=_natural))


def _spread(found: re.Match[str], names: dict[str, None]) -> str:
    first, last = int(found[2]), int(found[4])
    if found[3] not in {"", found[1]} or not 0 <= last - first < LONGEST_RANGE:
        return found[0].replace(" ", "")
    names.update(dict.fromkeys(f"{found[1]}{number}" for number in range(first, last + 1)))
    return " "


def _natural(name: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.findall(r"\d+|\D+", name)
    ]


def _kicad(root: ElementTree.Element) -> list[Line]:
    """KiCad's XML netlist: a `comp` for each symbol, its fields as `field` or `property`."""
    lines = []
    for number, comp in enumerate(root.iter("comp"), 1):
        fields = {_folded(field.get("name", "")): field.text or "" for field in comp.iter("field")}
        flags = set()
        for prop in comp.iter("property"):
            name = _folded(prop.get("name", ""))
            if "value" in prop.attrib:
                fields.setdefault(name, prop.get("value", ""))
            else:
                flags.add(name)
        cells = {
            "designators": comp.get("ref", ""),
            "value": comp.findtext("value", ""),
            "footprint": comp.findtext("footprint", ""),
            "quantity": "1",
            "skip": "dnp" if flags & {"dnp", "exclude from bom"} else "",
        }
        ranked = sorted(
            (NAMES[name], value.strip()) for name, value in fields.items() if name in NAMES
        )
        for (field, _), value in ranked:
            if value and value != "~" and not cells.get(field):
                cells[field] = value[:300]
        if line := _line(number, cells):
            lines.append(line)
    return lines


def _grouped(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Lines of one part as one line, in the order of their first."""
    groups: dict[tuple[str, ...], Line] = {}
    for line in lines:
        key: tuple[str, ...]
        if line.mpn:
            key = (mpn_key(line.mpn), manufacturer_key(line.manufacturer) or "")
        else:
            same = (line.value, line.footprint, line.description)
            letters = re.match(r"[A-Z]+", line.designators[0]) if line.designators else None
            key = (*((text or "").casefold() for text in same), letters[0] if letters else "")
        known = groups.get(key)
        groups[key] = line if known is None else _both(known, line)
    return tuple(groups.values())


def _both(one: Line, other: Line) -> Line:
    names = sorted({*one.designators, *other.designators}, key=_natural)
    return one.model_copy(
        update={
            "quantity": one.quantity + other.quantity,
            "designators": tuple(names),
            "notes": (*one.notes, *other.notes),
        }
    )
