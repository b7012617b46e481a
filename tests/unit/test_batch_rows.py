"""What a grid asks for: axes, zips, rows of a file, ids that stay the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.batch import files
from orchestrator.batch.rows import (
    MAX_ROWS,
    Row,
    checked_name,
    name_of,
    rows,
    seed_of,
    split,
)
from orchestrator.errors import RequestInvalid


def made(*, together: Any = (), table: Any = None, **asked: Any) -> list[Row]:
    axes, fixed = split(asked)
    return list(rows(axes, fixed, together=together, table=table, backend="sd15"))


def test_every_combination_is_one_row_and_the_last_axis_changes_fastest() -> None:
    found = made(prompt=["cat", "dog"], cfg=(4, 7.5), seed=range(2), steps=9)
    assert [(row.prompt, row.params["cfg"], row.params["seed"]) for row in found] == [
        (prompt, cfg, seed) for prompt in ("cat", "dog") for cfg in (4, 7.5) for seed in (0, 1)
    ]
    assert all(row.params["steps"] == 9 for row in found)
    assert found[0].at == {"prompt": "cat", "cfg": 4, "seed": 0}


def test_axes_that_advance_together_are_one_axis() -> None:
    found = made(
        prompt="cat", width=[64, 128], height=[128, 64], cfg=[1, 2], together=[("width", "height")]
    )
    sizes = [(row.params["width"], row.params["height"], row.params["cfg"]) for row in found]
    assert sizes == [(64, 128, 1), (64, 128, 2), (128, 64, 1), (128, 64, 2)]


@pytest.mark.parametrize(
    ("together", "message"),
    [
        ([("width", "cfg")], "not equally long: width has 2, cfg has 1"),
        ([("width", "steps")], "'steps' is not an axis"),
        (
            [("width", "height"), ("height", "width")],
            "'width' is in two zips|'height' is in two zips",
        ),
    ],
)
def test_a_zip_that_makes_no_sense_is_refused(together: Any, message: str) -> None:
    with pytest.raises(RequestInvalid, match=message):
        made(prompt="cat", width=[1, 2], height=[1, 2], cfg=[1], steps=3, together=together)


def test_a_list_is_one_value_of_a_parameter_that_is_a_list() -> None:
    assert [row.params["styles"] for row in made(prompt="cat", styles=["ink", "wash"])] == [
        ["ink", "wash"]
    ]
    varied = made(prompt="cat", styles=[[], ["ink"]])
    assert [row.params["styles"] for row in varied] == [[], ["ink"]]


def test_numbers_of_numpy_are_numbers() -> None:
    found = made(prompt="cat", cfg=np.linspace(1, 2, 3), seed=np.arange(2))
    assert [type(row.params["seed"]) for row in found] == [int] * 6
    assert found[2].params["cfg"] == 1.5


@pytest.mark.parametrize("value", [[], (), range(0)])
def test_an_axis_without_values_is_refused(value: Any) -> None:
    with pytest.raises(RequestInvalid, match="cfg has no values"):
        made(prompt="cat", cfg=value)


@pytest.mark.parametrize("value", [float("nan"), {1, 2} and object(), b"bytes"])
def test_a_value_that_cannot_be_written_down_is_refused(value: Any) -> None:
    with pytest.raises(RequestInvalid, match="cannot be written down"):
        made(prompt="cat", cfg=value)


def test_more_rows_than_anybody_waits_for_are_refused_before_they_are_made() -> None:
    with pytest.raises(RequestInvalid, match=re.escape(f"{MAX_ROWS:,} are allowed")):
        made(prompt="cat", seed=range(10_000), cfg=range(10_000))


def test_rows_of_a_table_go_through_the_grid_and_win_over_what_is_fixed() -> None:
    table = [{"prompt": "cat", "steps": 3}, {"prompt": "dog", "backend": "sdxl"}]
    found = made(steps=9, seed=[1, 2], table=table)
    assert [(row.prompt, row.backend, row.params["steps"]) for row in found] == [
        ("cat", "sd15", 3),
        ("cat", "sd15", 3),
        ("dog", "sdxl", 9),
        ("dog", "sdxl", 9),
    ]


def test_a_row_without_a_prompt_is_refused() -> None:
    with pytest.raises(RequestInvalid, match="no prompt"):
        made(seed=[1], table=[{"steps": 3}])


NAMES = st.sampled_from(["cfg", "steps", "seed", "width", "sampler"])
VALUES = st.one_of(st.integers(-5, 5), st.sampled_from(["", "ink", "каша"]), st.booleans())


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.randoms())
def test_the_same_row_is_the_same_job_in_whatever_order_it_is_said(
    params: dict[str, Any], random: Any
) -> None:
    shuffled = list(params.items())
    random.shuffle(shuffled)
    one = Row(prompt="cat", backend="sd15", params=params)
    other = Row(prompt="cat", backend="sd15", params=dict(shuffled), at={"cfg": 1})
    assert one.id("a") == other.id("a")
    assert one.id("a") != one.id("b")
    assert one.id("a") != Row(prompt="dog", backend="sd15", params=params).id("a")


def test_a_name_is_safe_as_a_file_and_a_request_without_one_gets_the_same_each_time() -> None:
    assert checked_name("My  Cats") == "my-cats"
    for bad in ("", "../up", "a/b", "каша", ".hidden", "x" * 81):
        with pytest.raises(RequestInvalid, match="cannot be the name"):
            checked_name(bad)
    assert name_of({"a": [1], "b": 2}) == name_of({"b": 2, "a": [1]})
    assert name_of({"a": [1]}) != name_of({"a": [2]})
    assert 0 <= seed_of("any") < 2**31


# ------------------------------------------------------------------------------ files


def read(folder: Path, name: str, data: bytes) -> list[dict[str, Any]]:
    file = folder / name
    file.write_bytes(data)
    return files.read(file)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b"prompt,cfg,hires\ncat,7.5,true\n\ndog,,\n"),
        ("a.csv", "\ufeffprompt;cfg;hires\r\ncat;7.5;TRUE\r\ndog;;\r\n".encode()),
        ("a.tsv", b"prompt\tcfg\thires\ncat\t7.5\ttrue\ndog\t\t\n"),
        ("a.jsonl", b'{"prompt": "cat", "cfg": 7.5, "hires": true}\n"dog"\n'),
        (
            "a.json",
            b'[{"prompt": "cat", "cfg": 7.5, "hires": true}, {"prompt": "dog", "cfg": null}]',
        ),
    ],
)
def test_a_file_of_rows_says_the_same_in_every_format(
    tmp_path: Path, name: str, data: bytes
) -> None:
    assert read(tmp_path, name, data) == [
        {"prompt": "cat", "cfg": 7.5, "hires": True},
        {"prompt": "dog"},
    ]


def test_a_workbook_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for line in (["prompt", "cfg", None], ["cat", 7.5, None], [12, None, None]):
        book.active.append(line)
    book.save(tmp_path / "a.xlsx")
    book.close()
    assert files.read(tmp_path / "a.xlsx") == [{"prompt": "cat", "cfg": 7.5}, {"prompt": "12"}]


def test_a_prompt_that_looks_like_a_number_stays_a_text_and_a_list_becomes_one(
    tmp_path: Path,
) -> None:
    data = b'prompt,styles\n1984,"[""ink""]"\n'
    assert read(tmp_path, "a.csv", data) == [{"prompt": "1984", "styles": ["ink"]}]


def test_a_text_file_is_a_prompt_on_each_line(tmp_path: Path) -> None:
    data = "a cat\n\n# a note\nкот у окна\n".encode()
    assert read(tmp_path, "a.txt", data) == [{"prompt": "a cat"}, {"prompt": "кот у окна"}]
    assert read(tmp_path, "b.txt", "кот".encode("cp1251")) == [{"prompt": "кот"}]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"text\ncat\n", "no column `prompt`"),
        ("a.csv", b"prompt\ncat,7\n", "line 2 has more cells"),
        ("a.csv", b"", "no column"),
        ("a.csv", b"prompt\n", "has no rows"),
        ("a.jsonl", b"[1]\n", "row 1 is not an object"),
        ("a.jsonl", b"{", "cannot be read"),
        ("a.json", b"{}", "not a list"),
        ("a.xlsx", b"PK no", "not an Excel workbook"),
        ("a.docx", b"", "is no file of rows"),
    ],
)
def test_a_file_that_has_no_rows_is_refused_with_what_is_wrong(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    with pytest.raises(RequestInvalid, match=message) as caught:
        read(tmp_path, name, data)
    assert caught.value.remedy


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RequestInvalid, match="cannot be read"):
        files.read(tmp_path / "none.csv")
