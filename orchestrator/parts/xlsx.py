"""XLSX without a library: the first sheet's cells as text, and a sheet of rows as a file."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from decimal import Decimal
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from orchestrator.parts import safexml

Cell = str | int | Decimal | bool | None
LARGEST = 32_000_000  # bytes of one member, unpacked: a small archive can hold a very large file
MOST_COLUMNS = 500
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SHEET = re.compile(r"xl/worksheets/sheet(\d+)\.xml$")
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def read(data: bytes) -> list[list[str]]:
    """The rows of the first sheet that has any. Raises ValueError when it is no workbook, or one that means harm."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            shared = _shared(archive) if "xl/sharedStrings.xml" in names else []
            numbered = sorted((int(m[1]), name) for name in names if (m := SHEET.match(name)))
            for _, name in numbered:
                if rows := _rows(_member(archive, name), shared):
                    return rows
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        RuntimeError,
        OSError,
        EOFError,
    ) as error:
        raise ValueError("not an XLSX file") from error
    raise ValueError("no sheet with cells in it")


def _member(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    with archive.open(name) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError("a sheet is too large")
    return safexml.read(data)


def _shared(archive: zipfile.ZipFile) -> list[str]:
    root = _member(archive, "xl/sharedStrings.xml")
    return [_text(item) for item in root if safexml.local(item.tag) == "si"]


def _text(element: ElementTree.Element) -> str:
    """The runs of a text, without the reading aids of Japanese."""
    parts = []
    for child in element:
        kind = safexml.local(child.tag)
        if kind == "t":
            parts.append(child.text or "")
        elif kind == "r":
            parts.append(_text(child))
    return "".join(parts)


def _rows(sheet: ElementTree.Element, shared: Sequence[str]) -> list[list[str]]:
    rows = []
    for row in (element for element in sheet.iter() if safexml.local(element.tag) == "row"):
        cells: dict[int, str] = {}
        for place, cell in enumerate(row):
            column = _column(cell.attrib.get("r", ""), place)
            if column < MOST_COLUMNS:
                cells[column] = _value(cell, shared)
        if any(text.strip() for text in cells.values()):
            rows.append([cells.get(column, "") for column in range(max(cells) + 1)])
    return rows


def _column(reference: str, place: int) -> int:
    """`AB12` is column 27, counted from 0."""
    letters = re.match(r"[A-Z]{1,3}", reference)
    if letters is None:
        return place
    number = 0
    for letter in letters[0]:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _value(cell: ElementTree.Element, shared: Sequence[str]) -> str:
    kind = cell.attrib.get("t", "n")
    for child in cell:
        if kind == "inlineStr" and safexml.local(child.tag) == "is":
            return _text(child)
        if safexml.local(child.tag) == "v":
            text = child.text or ""
            if kind == "s":
                known = text.isdecimal() and int(text) < len(shared)
                return shared[int(text)] if known else ""
            return text.removesuffix(".0")
    return ""


def write(rows: Iterable[Sequence[Cell]], *, title: str = "parts") -> bytes:
    """A workbook of one sheet. Texts are texts and never formulas, numbers are numbers."""
    lines = []
    for row in rows:
        cells = "".join(_cell(value) for value in row)
        lines.append(f"<row>{cells}</row>")
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    name = escape(
        NOT_XML.sub("", re.sub(r"[\\/?*\[\]:']", " ", title))[:31] or "parts", {'"': "&quot;"}
    )
    files = {
        "[Content_Types].xml": f'{head}<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{TYPE}.worksheet+xml"/></Types>',
        "_rels/.rels": f'{head}<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1"'
        f' Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{head}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        f'<sheet name="{name}" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{head}<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1"'
        f' Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'{head}<worksheet xmlns="{MAIN}"><sheetData>{"".join(lines)}'
        "</sheetData></worksheet>",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            # a fixed date: the same rows give the same bytes
            archive.writestr(
                zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()


def _cell(value: Cell) -> str:
    if value is None or value == "":
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | Decimal):
        return (
            f"<c><v>{value:f}</v></c>" if isinstance(value, Decimal) else f"<c><v>{value}</v></c>"
        )
    text = escape(NOT_XML.sub("", value)[:32_767])  # the longest that a cell holds
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
