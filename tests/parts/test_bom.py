"""Bills of materials: every way in which one is written, and what a device costs."""

from __future__ import annotations

import contextlib
import io
import zipfile
from decimal import Decimal

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from offers import ladder, offer
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont

from orchestrator.parts import bom, bom_files, xlsx
from orchestrator.parts.bom import Line, package, quote, words
from orchestrator.parts.errors import BomInvalid
from orchestrator.parts.merge import Merger
from orchestrator.parts.values import Offer, Part, Query

ENGLISH = [
    ["Designator", "Qty", "Value", "Footprint", "Manufacturer", "MPN"],
    ["R1, R2", "2", "10k", "0603", "Yageo", "RC0603FR-0710KL"],
    ["U1", "1", "LM358", "SOIC-8", "", ""],
]
RUSSIAN = [
    ["Поз. обозначение", "Кол-во", "Наименование", "Корпус", "Производитель", "Артикул"],
    ["С1-С3", "3 шт", "Конденсатор 100 нФ 50 В", "0805", "", ""],
    ["DD1", "1", "Микросхема", "", "ST", "STM32F103C8T6"],
]


def text(rows: list[list[str]], delimiter: str) -> str:
    return "\r\n".join(
        delimiter.join(f'"{c}"' if delimiter in c else c for c in row) for row in rows
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1251"])
def test_any_delimiter_and_encoding_reads_the_same(delimiter: str, encoding: str) -> None:
    lines = bom_files.read(text(RUSSIAN, delimiter).encode(encoding))
    assert [(line.designators, line.quantity, line.mpn, line.footprint) for line in lines] == [
        (("C1", "C2", "C3"), 3, None, "0805"),
        (("DD1",), 1, "STM32F103C8T6", None),
    ]
    assert lines[0].description == "Конденсатор 100 нФ 50 В"


def test_a_workbook_reads_as_its_csv_does() -> None:
    assert bom_files.read(xlsx.write(ENGLISH)) == bom_files.read(text(ENGLISH, ",").encode())


def test_a_workbook_with_rich_text_gaps_and_numbers_is_read() -> None:
    book = openpyxl.Workbook()
    sheet = book.create_sheet("the first one is empty")
    sheet["B2"], sheet["D2"] = "MPN", "Qty"
    sheet["B3"] = CellRichText("LM", TextBlock(InlineFont(b=True), "358"))
    sheet["D3"] = 12.0
    buffer = io.BytesIO()
    book.save(buffer)
    (line,) = bom_files.read(buffer.getvalue())
    assert (line.mpn, line.quantity) == ("LM358", 12)


@pytest.mark.parametrize(
    "sheet",
    [
        b'<!DOCTYPE x [<!ENTITY a "R1">]><worksheet><sheetData>&a;</sheetData></worksheet>',
        b"<worksheet><sheetData>" + b" " * xlsx.LARGEST,
    ],
    ids=["an entity", "very large when it is unpacked"],
)
def test_a_workbook_that_means_harm_is_refused(sheet: bytes) -> None:
    whole, buffer = zipfile.ZipFile(io.BytesIO(xlsx.write(ENGLISH))), io.BytesIO()
    with whole, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as spoilt:
        for name in whole.namelist():
            spoilt.writestr(name, sheet if "sheet1.xml" in name else whole.read(name))
    with pytest.raises(BomInvalid, match="cannot be read"):
        bom_files.read(buffer.getvalue())


def test_kicads_csv_with_lines_before_the_header_is_read() -> None:
    data = '"Source:","board.kicad_sch"\n"Date:","today"\n\n"Reference","Qnty","Value","Footprint","DNP"\n'
    data += '"R1, R2","2","4k7","Resistor_SMD:R_0603_1608Metric",""\n"R9","1","0","","DNP"\n'
    (line,) = bom_files.read(data.encode())
    assert line.designators == ("R1", "R2")
    assert words(line) == "resistor 4k7 0603"


def test_kicads_xml_is_read_and_its_symbols_grouped() -> None:
    comp = (
        """<comp ref="{}"><value>{}</value><footprint>{}</footprint><fields>{}</fields>{}</comp>"""
    )
    data = (
        '<?xml version="1.0" encoding="utf-8"?><export version="E"><components>'
        + "".join(
            (
                comp.format("C2", "100n", "Capacitor_SMD:C_0402_1005Metric", "", ""),
                comp.format("C10", "100n", "Capacitor_SMD:C_0402_1005Metric", "", ""),
                comp.format("U1", "NE555", "", '<field name="MPN">NE555DR</field>', ""),
                comp.format("U2", "X", "", "", '<property name="Mfr. Part #" value="LM317T"/>'),
                comp.format("J1", "X", "", "", '<property name="dnp"/>'),
            )
        )
        + "</components></export>"
    )
    lines = bom_files.read(data.encode())
    assert [(line.designators, line.quantity, line.asked) for line in lines] == [
        (("C2", "C10"), 2, "capacitor 100n 0402"),
        (("U1",), 1, "NE555DR"),
        (("U2",), 1, "LM317T"),
    ]


def test_designators_are_counted_when_no_quantity_is_told() -> None:
    (line,) = bom_files.read(b'Ref,MPN\n"R1-R4, R8",X1\n')
    assert line.quantity == 5


def test_a_quantity_that_disagrees_with_the_designators_is_used_and_noted() -> None:
    (line,) = bom_files.read(b"Ref,MPN,Qty\nR1 R2,X1,5\n")
    assert line.quantity == 5
    assert line.notes


def test_lines_of_one_part_are_one_line() -> None:
    (line,) = bom_files.read(b"Ref,MPN,Qty\nR1,X-1,1\nR2,x1,1\n")
    assert (line.quantity, line.designators) == (2, ("R1", "R2"))


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("R1,R2 R3;R5", ("R1", "R2", "R3", "R5")),
        ("R1-R3", ("R1", "R2", "R3")),
        ("R1..3", ("R1", "R2", "R3")),
        ("R10, R9", ("R9", "R10")),
        ("С1", ("C1",)),  # Cyrillic
        ("R1-C3", ("R1-C3",)),
        ("R1-R999999", ("R1-R999999",)),  # nobody has so many
    ],
)
def test_designators_are_read(written: str, names: tuple[str, ...]) -> None:
    assert bom_files.designators(written) == names


@pytest.mark.parametrize(
    ("footprint", "name"),
    [
        ("Resistor_SMD:R_0603_1608Metric", "0603"),
        ("Capacitor_SMD:C_01005_0402Metric", "01005"),
        ("Package_TO_SOT_SMD:SOT-23-5", "SOT-23-5"),
        ("Package_SO:SOIC-8_3.9x4.9mm_P1.27mm", "SOIC-8"),
        ("C0805", "0805"),
        ("TO-92", "TO-92"),
        (None, ""),
    ],
)
def test_a_package_is_taken_out_of_a_footprint(footprint: str | None, name: str) -> None:
    assert package(footprint) == name


BAD = [
    b"",
    b"\0\1\2",
    b"PK\3\4 not really",
    b"a,b,c\n1,2,3\n",
    b"Qty,Ref\n1,R1\n",
    b"MPN,Qty\n",
    b"<html>",
    b'<!DOCTYPE x [<!ENTITY a "b">]><export>&a;</export>',
    xlsx.write([]),
]


@pytest.mark.parametrize("data", BAD)
def test_what_is_no_bill_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(BomInvalid):
        bom_files.read(data)


@given(
    st.binary(max_size=80)
    | st.text(max_size=80).map(lambda tail: ("MPN;Qty;Ref\n" + tail).encode("utf-8", "replace"))
)
def test_nothing_but_a_refusal_comes_of_any_bytes(data: bytes) -> None:
    with contextlib.suppress(BomInvalid):
        bom_files.read(data)


# quotes


def parts(*offers: Offer) -> list[Part]:
    merger = Merger()
    merger.add(offers)
    return merger.parts()


def read_text(raw: str) -> Query:
    """Reads `10k 0603` and no more: the real one has its own tests."""
    attrs: dict[str, float | str] = {}
    for word in raw.split():
        if word == "10k":
            attrs["resistance"] = 10_000.0
        elif word == "4k7":
            attrs["resistance"] = 4700.0
        elif word in {"0603", "0805"}:
            attrs["package"] = word
        elif word.endswith("%"):
            attrs["tolerance"] = float(word[:-1])
    return Query(raw=raw, en=raw, type="resistor" if "resistor" in raw else None, attrs=attrs)


def test_a_quote_prices_what_all_boards_need() -> None:
    lines = (
        Line(row=2, quantity=3, mpn="A1", designators=("R1", "R2", "R3")),
        Line(row=3, quantity=1, mpn="B1"),
        Line(row=4, quantity=1, mpn="MISSING"),
        Line(row=5, quantity=0, mpn="A1"),
    )
    found = {
        2: parts(offer(mpn="A1", breaks=ladder((1, "0.10"), (100, "0.02")))),
        3: parts(offer(mpn="B1", sku="b", stock=3, breaks=ladder((1, "1.50")))),
        4: parts(offer(mpn="MISSING2", sku="m")),
    }
    told = quote(lines, found, boards=10)
    assert [row.best.total if row.best else None for row in told.rows] == [
        Decimal("2.00"), Decimal("15.00"), None, None,
    ]  # fmt: skip
    assert told.total == Decimal("17.00")
    assert [line.mpn for line in told.unmatched] == ["MISSING"]
    assert told.rows[1].note == "not in stock in this quantity"
    assert "Line 2: 100 are bought for 30 needed." in told.assumptions


def test_a_number_of_another_maker_is_not_taken_when_the_line_names_one() -> None:
    line = Line(row=1, quantity=1, mpn="2N3904", manufacturer="onsemi")
    assert bom.match(line, parts(offer(mpn="2N3904", manufacturer="Diotec"))) is None
    same = bom.match(line, parts(offer(mpn="2N3904", manufacturer="Fairchild Semiconductor")))
    assert same is not None


def test_a_line_with_a_value_takes_a_part_that_says_the_same_value() -> None:
    line = Line(row=1, quantity=1, value="10k", footprint="R_0603_1608Metric", designators=("R1",))
    wrong = offer(mpn="W", sku="w", description="resistor 4k7 0603", breaks=ladder((1, "0.001")))
    large = offer(mpn="L", sku="l", description="resistor 10k 0805", breaks=ladder((1, "0.002")))
    right = offer(mpn="R", sku="r", description="resistor 10k 0603 1%", breaks=ladder((1, "0.010")))
    found = parts(wrong, large, right)
    part = bom.match(line, found, normalise=read_text)
    assert part is not None
    assert part.mpn == "R"
    told = quote([line], {1: found}, normalise=read_text)
    assert "Line 1: resistor 10k 0603 is taken to be R." in told.assumptions
    tight = line.model_copy(update={"value": "10k 0.1%"})
    assert bom.match(tight, found, normalise=read_text) is None


def test_a_number_among_a_lines_words_may_go_on_with_letters_and_the_quote_says_so() -> None:
    def reads_number(raw: str) -> Query:
        return Query(raw=raw, en=raw, mpn="LM358" if raw == "LM358" else None)

    line = Line(row=1, quantity=1, value="LM358", designators=("U1",))
    digit, letters = parts(offer(mpn="LM3580", sku="1")), parts(offer(mpn="LM358DR", sku="2"))
    assert bom.match(line, digit, normalise=reads_number) is None
    told = quote([line], {1: letters}, normalise=reads_number)
    assert "Line 1: LM358 is taken to be LM358DR." in told.assumptions
    exact = Line(row=1, quantity=1, mpn="LM358")
    assert bom.match(exact, letters, normalise=reads_number) is None


def test_a_line_of_words_without_a_value_is_left_to_a_person() -> None:
    line = Line(row=1, quantity=1, description="screw")
    assert bom.match(line, parts(offer(description="screw")), normalise=read_text) is None
