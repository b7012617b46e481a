"""A contact sheet: every job in its place, labelled; what is missing says why; hostile words are words."""

from __future__ import annotations

import html
import io
import itertools
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.batch.sheet import CELL, Cell, Sheet, arranged

HOSTILE = "<img src=x onerror=alert(1)>\u202e\"'&amp; {{7*7}} </style></table>"


def cells(axes: Mapping[str, Sequence[Any]], picture: Path | None = None) -> list[Cell]:
    """A cell for each combination, the last axis fastest, as a batch has them."""
    rows = itertools.product(*axes.values())
    return [
        Cell(at=dict(zip(axes, values, strict=True)), picture=picture, words="queued")
        for values in rows
    ]


def painted(path: Path, colour: str = "teal", size: tuple[int, int] = (64, 64)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def test_the_last_axis_goes_across_and_the_others_down() -> None:
    axes = {"prompt": ["cat", "dog"], "cfg": [4, 7], "seed": [1, 2, 3]}
    grid = arranged(axes, cells(axes))
    assert grid.columns == ["seed 1", "seed 2", "seed 3"]
    assert [label for label, _ in grid.rows] == [
        "cat\ncfg 4",
        "cat\ncfg 7",
        "dog\ncfg 4",
        "dog\ncfg 7",
    ]
    for label, row in grid.rows:
        assert [cell.at["seed"] for cell in row if cell] == [1, 2, 3]
        assert all(f"cfg {cell.at['cfg']}" in label for cell in row if cell)


def test_an_axis_with_one_value_makes_neither_row_nor_column() -> None:
    axes = {"prompt": ["cat"], "cfg": [4, 7], "seed": [1, 2]}
    grid = arranged(axes, cells(axes))
    assert grid.columns == ["seed 1", "seed 2"]
    assert [label for label, _ in grid.rows] == ["cfg 4", "cfg 7"]


def test_one_axis_is_nearly_a_square_that_loses_nobody() -> None:
    axes = {"seed": list(range(10))}
    grid = arranged(axes, cells(axes))
    assert len(grid.columns) == 4
    assert [label for label, _ in grid.rows] == ["seed 0 …", "seed 4 …", "seed 8 …"]
    stood = [cell.at["seed"] for _, row in grid.rows for cell in row if cell]
    assert stood == list(range(10))
    assert grid.rows[-1][1][2:] == [None, None]


def test_a_corner_in_which_no_job_stands_is_empty() -> None:
    axes = {"cfg": [4, 7], "seed": [1, 2]}
    grid = arranged(axes, cells(axes)[:3])
    assert grid.rows[1][1][1] is None
    assert "<td></td>" in Sheet("s", axes, cells(axes)[:3]).html()


def test_nothing_at_all_is_a_sheet_too() -> None:
    sheet = Sheet("empty", {}, [])
    assert "<h1>empty</h1>" in sheet.html()
    assert Image.open(io.BytesIO(sheet.png())).format == "PNG"


def test_each_picture_stands_in_its_place(tmp_path: Path) -> None:
    axes = {"cfg": [4, 7], "seed": [1, 2]}
    colours = ["red", "lime", "blue", "yellow"]
    made = [
        Cell(at=cell.at, picture=painted(tmp_path / f"{colour}.png", colour), words="")
        for cell, colour in zip(cells(axes), colours, strict=True)
    ]
    sheet = Image.open(io.BytesIO(Sheet("s", axes, made).png())).convert("RGB")
    middle = sheet.height - 16 - 8 - 2 * CELL - 8 + CELL // 2
    left = sheet.width - 16 - 8 - 2 * CELL - 8 + CELL // 2
    step = CELL + 8
    spots = [
        (left, middle),
        (left + step, middle),
        (left, middle + step),
        (left + step, middle + step),
    ]
    assert [sheet.getpixel(spot) for spot in spots] == [
        (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0),
    ]  # fmt: skip


def test_a_wide_picture_is_shown_whole(tmp_path: Path) -> None:
    axes = {"cfg": [4], "seed": [1]}
    wide = painted(tmp_path / "wide.png", "red", (400, 100))
    sheet = Image.open(io.BytesIO(Sheet("s", axes, cells(axes, wide)).png())).convert("RGB")
    found = sheet.getcolors(1 << 24)
    assert found is not None
    red = next(count for count, colour in found if colour == (255, 0, 0))
    assert red == CELL * CELL // 4


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n damaged", b"<svg/>", None])
def test_a_picture_that_cannot_be_read_says_so(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "bad.png"
    if data is not None:
        path.write_bytes(data)
    axes = {"cfg": [4, 7], "seed": [1, 2]}
    sheet = Sheet("s", axes, cells(axes, path))
    assert sheet.html().count("the picture cannot be read") == 4
    assert Image.open(io.BytesIO(sheet.png())).format == "PNG"


def test_a_cell_without_a_picture_says_why() -> None:
    axes = {"seed": [1, 2]}
    said = Cell(at={"seed": 1}, picture=None, words="failed: the server has no checkpoint")
    page = Sheet("s", axes, [said]).html()
    assert "<td class=none>failed: the server has no checkpoint</td>" in page


class Tags(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_words_are_words_wherever_they_stand(tmp_path: Path) -> None:
    axes = {HOSTILE: [HOSTILE, "b"], "prompt": [HOSTILE * 1000, "d"]}
    made = cells(axes, painted(tmp_path / "a.png"))
    made[0] = Cell(at=made[0].at, picture=None, words=HOSTILE)
    page = Sheet(HOSTILE, axes, made).html()
    read = Tags(page)
    assert read.tags <= {
        "html", "meta", "title", "style", "h1", "table", "thead", "tbody", "tr", "th", "td", "img", "br",
    }  # fmt: skip
    assert HOSTILE in read.text
    assert html.escape(HOSTILE) in page
    assert len(page) < 60_000


def test_a_huge_sheet_stays_one_that_can_be_opened() -> None:
    axes = {"cfg": list(range(300)), "seed": [1, 2]}
    sheet = Image.open(io.BytesIO(Sheet("s", axes, cells(axes)).png()))
    assert max(sheet.size) <= 30_000


def test_it_is_saved_as_what_its_name_says(tmp_path: Path) -> None:
    sheet = Sheet("s", {}, [])
    assert sheet.save(tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert sheet.save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_prompts_that_begin_alike_keep_a_row_of_their_own() -> None:
    axes = {"prompt": ["x" * 400 + "a", "x" * 400 + "b"], "seed": [1, 2]}
    grid = arranged(axes, cells(axes))
    assert [len([each for each in row if each]) for _, row in grid.rows] == [2, 2]
