"""Workbooks: the first sheet's cells as text, and a sheet of rows as a file."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

Cell = str | int | Decimal | bool | None
LARGEST = 32_000_000  # bytes, unpacked: a small archive can hold a very large file
MOST_COLUMNS = 500
LONGEST = 32_767  # characters that a cell holds
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NOT_A_NAME = re.compile(r"[\\/?*\[\]:']")


def read(data: bytes) -> list[list[str]]:
    """The rows of the first sheet that has any. Raises ValueError when it is no workbook, or one that means harm."""
    import openpyxl  # here: a tenth of a second, and few searches have to do with a workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > LARGEST:
            raise ValueError("a sheet is too large")
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        try:
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # what the file says of its size may be wrong
                lines = sheet.iter_rows(max_col=MOST_COLUMNS, values_only=True)
                if rows := [row for line in lines if (row := _texts(line))]:
                    return rows
        finally:
            book.close()
    except ValueError:
        raise
    except Exception as error:  # openpyxl has no class for what its parsers raise
        raise ValueError("not an XLSX file") from error
    raise ValueError("no sheet with cells in it")


def _texts(line: Sequence[Any]) -> list[str]:
    """A row's cells as texts up to its last one; none of an empty row."""
    cells = [_text(value) for value in line]
    while cells and not cells[-1].strip():
        cells.pop()
    return cells


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    return str(value)


def write(rows: Iterable[Sequence[Cell]], *, title: str = "parts") -> bytes:
    """A workbook of one sheet. Texts are texts and never formulas, numbers are numbers."""
    import openpyxl
    from openpyxl.cell import WriteOnlyCell

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(NOT_XML.sub("", NOT_A_NAME.sub(" ", title))[:31] or "parts")
    for row in rows:
        cells: list[Any] = list(row)
        for place, value in enumerate(cells):
            if isinstance(value, str):
                cells[place] = WriteOnlyCell(sheet, NOT_XML.sub("", value)[:LONGEST])
                cells[place].data_type = "s"  # else what begins with = is a formula
        sheet.append(cells)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()
