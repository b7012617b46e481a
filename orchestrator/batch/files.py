"""The rows of a batch that somebody keeps in a file: CSV, Excel, JSONL, JSON, or a text with a prompt on each line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from orchestrator.batch.rows import MAX_ROWS, PROMPT
from orchestrator.errors import RequestInvalid

MAX_BYTES = 50_000_000
ENCODINGS = ("utf-8-sig", "cp1251")  # what a spreadsheet in Russian Windows saves is not UTF-8
REMEDY = "Give a .csv, .xlsx, .jsonl or .json file with a column `prompt`, or a .txt file with a prompt on each line."
WORDS = {"true": True, "false": False}
Table = list[dict[str, Any]]


def read(path: Path) -> Table:
    """The rows of a file; an empty cell says nothing. Raises RequestInvalid, with the line where one is wrong."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise RequestInvalid(f"{path.name} is no file of rows", remedy=REMEDY)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RequestInvalid(f"{path.name} is larger than {MAX_BYTES // 1_000_000} MB")
        found = reader(path.read_bytes())
    except OSError as error:
        raise RequestInvalid(f"{path} cannot be read: {error.strerror}", remedy=REMEDY) from error
    except (ValueError, csv.Error) as error:
        raise RequestInvalid(f"{path.name} cannot be read: {error}", remedy=REMEDY) from error
    if not found:
        raise RequestInvalid(f"{path.name} has no rows", remedy=REMEDY)
    if len(found) > MAX_ROWS:
        raise RequestInvalid(f"{path.name} has {len(found):,} rows; {MAX_ROWS:,} are allowed")
    return found


def _csv(data: bytes) -> Table:
    text = _text(data)
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = next(lines, [])
    return _named(names, lines)


def _excel(data: bytes) -> Table:
    from zipfile import BadZipFile

    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except (BadZipFile, KeyError) as error:
        raise ValueError("it is not an Excel workbook") from error
    try:
        lines = book.worksheets[0].iter_rows(values_only=True)
        return _named([str(name or "") for name in next(lines, ())], lines)
    finally:
        book.close()


def _json_lines(data: bytes) -> Table:
    lines = [line for line in _text(data).splitlines() if line.strip()]
    return [_object(orjson.loads(line), number) for number, line in enumerate(lines, 1)]


def _json(data: bytes) -> Table:
    said = orjson.loads(data)
    if not isinstance(said, list):
        raise ValueError("it is not a list of rows")
    return [_object(row, number) for number, row in enumerate(said, 1)]


def _prompts(data: bytes) -> Table:
    lines = (line.strip() for line in _text(data).splitlines())
    return [{PROMPT: line} for line in lines if line and not line.startswith("#")]


def _object(said: Any, number: int) -> dict[str, Any]:
    if isinstance(said, str):
        return {PROMPT: said}
    if not isinstance(said, dict):
        raise ValueError(f"row {number} is not an object")
    return {str(name): value for name, value in said.items() if value is not None}


def _named(names: list[str], lines: Iterable[Iterable[Any]]) -> Table:
    heads = [name.strip() for name in names]
    if PROMPT not in heads:
        raise ValueError("it has no column `prompt`")
    found = []
    for number, line in enumerate(lines, 2):
        cells = list(line)
        if any(cell not in (None, "") for cell in cells[len(heads) :]):
            raise ValueError(f"line {number} has more cells than the head")
        row = {name: _cell(name, cell) for name, cell in zip(heads, cells, strict=False) if name}
        if kept := {name: value for name, value in row.items() if value is not None}:
            found.append(kept)
    return found


def _cell(name: str, cell: Any) -> Any:
    """A cell as the value that it shows; None for an empty one. A prompt is always text."""
    if not isinstance(cell, str):
        return str(cell) if name == PROMPT and cell is not None else cell
    said = cell.strip()
    if not said or name == PROMPT:
        return said or None
    if said.lower() in WORDS:
        return WORDS[said.lower()]
    kinds: tuple[Callable[[str], Any], ...] = (int, float)
    for kind in kinds:
        try:
            return kind(said)
        except ValueError:
            continue
    return orjson.loads(said) if said[0] in "[{" else said


def _text(data: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError("it is neither UTF-8 nor Windows-1251")


READERS: Mapping[str, Callable[[bytes], Table]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".xlsx": _excel,
    ".jsonl": _json_lines,
    ".json": _json,
    ".txt": _prompts,
}
