"""The gates over the template workflows, as far as templates and recordings are to be had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gates import (
    DISPUTED,
    EXCEPTIONS,
    FRONT_END,
    OBJECT_INFO,
    TOLD_BY_THE_SERVER,
    Results,
    differences,
    measure,
    recorded,
    templates_folder,
)

from orchestrator.workflows.ui import Plans

pytestmark = pytest.mark.skipif(not OBJECT_INFO.exists(), reason="there are no recordings here")


@pytest.fixture(scope="module")
def info() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(OBJECT_INFO.read_text("utf-8"))
    return document


@pytest.fixture(scope="module")
def results(info: dict[str, Any]) -> Results:
    folder = templates_folder()
    if folder is None or not FRONT_END.exists():
        pytest.skip("the package comfyui-workflow-templates-json is not installed")
    return measure(folder, info, recorded(None))


def test_every_template_converts_as_the_front_end_does_it_or_is_a_named_exception(
    results: Results,
) -> None:
    assert results.converted == 468
    assert results.different.keys() <= EXCEPTIONS.keys()
    assert len(results.equal) >= 65


def test_as_many_errors_are_told_as_the_server_told(results: Results) -> None:
    assert results.told == TOLD_BY_THE_SERVER


def test_no_template_differs_without_a_warning(results: Results) -> None:
    assert results.unwarned == []


def test_where_front_ends_differ_a_warning_says_so(results: Results) -> None:
    assert EXCEPTIONS.keys() | set(DISPUTED) <= results.warned


def test_a_template_drawn_from_its_prompt_makes_the_same_prompt(results: Results) -> None:
    assert len(results.returned) >= 465


def test_a_difference_that_a_server_would_see_is_one(info: dict[str, Any]) -> None:
    one = {"1": {"class_type": "PrimitiveInt", "inputs": {"value": 1, "unheard": 2}}}
    same = {"1": {"class_type": "PrimitiveInt", "inputs": {"value": 1}}}
    other = {"1": {"class_type": "PrimitiveInt", "inputs": {"value": 2}}}
    assert differences(one, same, info) == []
    assert differences(one, other, info) == ["1.value: 1 and 2"]


def test_every_class_of_a_recorded_server_has_a_plan_that_is_json(info: dict[str, Any]) -> None:
    told = Plans(info).as_json()
    assert told.keys() == info.keys()
    assert json.loads(json.dumps(told)) == told
    names = [entry.get("widget") for entry in told["KSampler"]["inputs"] if "widget" in entry]
    assert names == [
        *("seed", "control_after_generate", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    ]
    assert Path(OBJECT_INFO).stat().st_size > len(json.dumps(told)) / 2
