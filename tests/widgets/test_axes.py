"""Axes as people type them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.backends import BACKENDS
from orchestrator.errors import OrchestratorError, ParamsInvalid, RequestInvalid
from orchestrator.widgets.axes import prompts, values, wanted
from orchestrator.widgets.fields import fields_of

SD15 = fields_of(BACKENDS["sd15"])


def field(kind: str) -> dict[str, str]:
    return {"kind": kind, "label": "It"}


@pytest.mark.parametrize(
    ("kind", "typed", "read"),
    [
        ("number", "4, 7, 10", [4, 7, 10]),
        ("number", "1..4", [1, 2, 3, 4]),
        ("number", "4..1", [4, 3, 2, 1]),
        ("number", "1…3, 8 ; 2\n-3", [1, 2, 3, 8, -3]),  # 2 is there already
        ("slider", "0.1..0.5..0.2", [0.1, 0.3, 0.5]),  # as written, without the noise of floats
        ("number", "512..640..64", [512, 576, 640]),
        ("seed", "18446744073709551615", [18446744073709551615]),
        ("switch", "yes, OFF", [True, False]),
        ("suggest", "euler, ddim, euler", ["euler", "ddim"]),
        ("text", "blur, noise\nhands", ["blur, noise", "hands"]),
        ("styles", "none, Anime, Anime + Photo", [[], ["Anime"], ["Anime", "Photo"]]),
        (
            "loras",
            "none, detail:0.5, a:b.safetensors:1",
            [
                [],
                [{"name": "detail", "strength": 0.5}],
                [{"name": "a:b.safetensors", "strength": 1}],
            ],
        ),
    ],
)
def test_values_are_what_was_meant(kind: str, typed: str, read: list[Any]) -> None:
    assert values(typed, field(kind)) == read


@pytest.mark.parametrize(
    ("kind", "typed", "told"),
    [
        ("number", "", "no values yet"),
        ("number", " , ;\n", "no values yet"),
        ("number", "4, lots", "lots is not a number"),
        ("number", "1..1000000000000", "would be"),
        ("number", "1..5..0", "no range"),
        ("number", "1..5..-1", "would be 0 values"),
        ("number", "1.2.3..4", "no range"),
        ("number", "nan, inf", "not a number"),
        ("switch", "perhaps", "neither yes nor no"),
        ("suggest", ",".join(map(str, range(600))), "more than 500"),
        ("number", "<img src=x onerror=1>" * 9000, "not a number"),
    ],
)
def test_what_makes_no_sense_is_told_with_a_remedy(kind: str, typed: str, told: str) -> None:
    with pytest.raises(RequestInvalid, match=told) as caught:
        values(typed, field(kind))
    assert caught.value.remedy
    assert len(caught.value.message) < 200


def test_prompts_are_lines_each_once() -> None:
    assert prompts(" a cat \n\n a dog\r\na cat") == ["a cat", "a dog"]
    with pytest.raises(RequestInvalid, match="empty"):
        prompts(" \n\t\n")


def test_a_page_s_words_become_the_arguments_of_a_grid() -> None:
    said = {
        "name": " mine ",
        "prompts": "a cat\na dog",
        "backend": "sd15",
        "axes": [{"name": "cfg", "values": "4, 7"}, {"name": "backend", "values": "sd15, sdxl"}],
        "params": {"steps": "12", "cfg": "9", "width": "", "denoise": "0.5", "mask": ""},
    }
    grid = wanted(said, SD15)
    assert (grid.name, grid.prompt, grid.backend) == ("mine", ["a cat", "a dog"], ["sd15", "sdxl"])
    assert grid.params == {"steps": 12, "cfg": [4, 7]}
    assert grid.jobs == 8


def test_what_needs_a_picture_is_asked_for_when_the_pictures_are_an_axis() -> None:
    said = {
        "prompts": "a cat",
        "backend": "sd15",
        "axes": [{"name": "image", "values": "a.png, b.png"}],
        "params": {"denoise": "0.5"},
    }
    assert wanted(said, SD15).params == {"denoise": 0.5, "image": ["a.png", "b.png"]}


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"prompts": "a"},
        {"prompts": "a", "axes": [], "params": 3},
        {"prompts": "a", "axes": "x", "params": {}},
        {"prompts": ["a"], "axes": [], "params": {}},
        {"prompts": "a" * 200_001, "axes": [], "params": {}},
        {"prompts": "a", "axes": [{"name": "<b>", "values": "1"}], "params": {}},
        {"prompts": "a", "axes": [{"name": "cfg", "values": ["1"]}], "params": {}},
        {"prompts": "a", "axes": [{"name": "cfg", "values": "1"}] * 2, "params": {}},
    ],
)
def test_nonsense_from_a_page_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(OrchestratorError) as caught:
        wanted(said, SD15)
    assert isinstance(caught.value, RequestInvalid | ParamsInvalid)
