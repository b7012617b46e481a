"""Exports: numbers stay numbers, nothing becomes a formula, and the public file tells no seller."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offers import ladder, offer

from orchestrator.parts import export, xlsx
from orchestrator.parts.bom import Line, Quote, quote
from orchestrator.parts.merge import Merger
from orchestrator.parts.values import Part


def found(**changes: object) -> list[Part]:
    merger = Merger(quantity=100)
    merger.add([offer(**changes)])
    return merger.parts()


def quoted(part: Part) -> Quote:
    return quote([Line(row=2, quantity=4, mpn=part.mpn, designators=("=R1", "R2"))], {2: [part]})


def rows_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_a_csv_says_what_was_found() -> None:
    data = export.to_csv(export.parts_table(found(description="Транзистор, NPN")))
    head, row = rows_of(data)
    told = dict(zip(head, row, strict=True))
    assert data.startswith(b"\xef\xbb\xbf")
    assert (told["description"], told["total"], told["in_stock"]) == (
        "Транзистор, NPN",
        "10.00",
        "yes",
    )


def test_a_workbook_says_the_same_as_the_csv() -> None:
    table = export.parts_table(found())
    assert xlsx.read(export.to_xlsx(table))[1][:3] == rows_of(export.to_csv(table))[1][:3]


def test_a_workbook_keeps_numbers_as_numbers() -> None:
    table: export.Table = [("a",), (Decimal("0.0000001"),), (12,), (True,)]
    assert xlsx.read(export.to_xlsx(table)) == [["a"], ["0.0000001"], ["12"], ["1"]]


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "＝1+1",
    " =1",
    "\ufeff=1",
    '=HYPERLINK("x")',
]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    (row,) = rows_of(export.to_csv([(text,)]))
    assert row[0].startswith("'")
    ((cell,),) = xlsx.read(export.to_xlsx([(text,)]))
    assert cell.startswith("'")


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4))
def test_any_text_makes_a_readable_workbook_and_csv(texts: list[str]) -> None:
    xlsx.write([texts])
    rows = rows_of(export.to_csv([texts]))
    assert not any(cell[:1] in {"=", "+", "-", "@"} for row in rows for cell in row)


def test_the_public_tables_tell_no_seller() -> None:
    parts = found(url="https://x.example/p", description="from DigiKey 2N3904FS-ND")
    table = export.parts_table(parts, public_view=True)
    for made in (
        table,
        export.quote_table(quoted(parts[0]), public_view=True),
        export.kicad_table(quoted(parts[0])),
    ):
        text = export.to_csv(made).decode().casefold()
        assert "digikey" not in text
        assert "2n3904fs-nd" not in text
        assert "x.example" not in text
        assert len({len(row) for row in made}) == 1
    assert dict(zip(table[0], table[1], strict=True))["unit_price"] == Decimal("0.10")


def test_a_part_without_a_price_has_a_line_of_the_same_width() -> None:
    for public_view in (False, True):
        table = export.parts_table(found(breaks=()), public_view=public_view)
        assert len(table) == 2
        assert len({len(row) for row in table}) == 1


def test_a_quote_ends_with_its_total() -> None:
    table = export.quote_table(quoted(found(breaks=ladder((1, "0.25")))[0]))
    told = dict(zip(table[0], table[-1], strict=True))
    assert (told["designators"], told["total"]) == ("total", Decimal("1.00"))
    assert rows_of(export.to_csv(table))[1][0] == "'=R1 R2"
