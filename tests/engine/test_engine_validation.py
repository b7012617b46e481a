"""What is refused at submission, and with which words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine_talk import painting, plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_http import WITHOUT_TLS

from orchestrator.engine import Engine
from orchestrator.engine.dialects import DIALECTS
from orchestrator.engine.folders import Folders
from orchestrator.engine.nodes import Node, table
from orchestrator.engine.validation import Verdict, validate

JSON = Any
SHARED = Path(__file__).parents[2].parent / "shared" / "recordings"


@pytest.fixture(scope="module")
def folders() -> Iterator[Folders]:
    made = Folders()
    yield made
    made.close()


@pytest.fixture(scope="module")
def nodes(folders: Folders) -> dict[str, Node]:
    return table(DIALECTS["0.27"], folders)


def judged(nodes: dict[str, Node], prompt: JSON, dialect: str = "0.27") -> Verdict:
    return validate(prompt, nodes, DIALECTS[dialect])


def changed(graph: dict[str, JSON], node: str, **inputs: JSON) -> dict[str, JSON]:
    graph[node]["inputs"] |= inputs
    return graph


def without(graph: dict[str, JSON], node: str, name: str) -> dict[str, JSON]:
    del graph[node]["inputs"][name]
    return graph


@pytest.mark.parametrize(
    ("graph", "node", "type_", "message", "details"),
    [
        (without(plain(), "1", "width"), "1", "required_input_missing", "Required input is missing", "width"),
        (
            changed(plain(), "2", image=["1"]), "2", "bad_linked_input",
            "Bad linked input, must be a length-2 list of [node_id, slot_index]", "image",
        ),
        (
            changed(painting(), "8", samples=["6", 0]), "8", "return_type_mismatch",
            "Return type mismatch between linked nodes",
            "samples, received_type(CONDITIONING) mismatch input_type(LATENT)",
        ),
        (
            changed(plain(), "1", width="wide"), "1", "invalid_input_type",
            "Failed to convert an input value to a INT value",
            "width, wide, invalid literal for int() with base 10: 'wide'",
        ),
        (changed(plain(), "1", width=-5), "1", "value_smaller_than_min", "Value -5 smaller than min of 1", "width"),
        (
            changed(plain(), "1", width=99999), "1", "value_bigger_than_max",
            "Value 99999 bigger than max of 16384", "width",
        ),
        (
            changed(plain(), "2", crop="no"), "2", "value_not_in_list", "Value not in list",
            "crop: 'no' not in ['disabled', 'center']",
        ),
    ],
)  # fmt: skip
def test_each_wrong_input_is_named(
    nodes: dict[str, Node], graph: JSON, node: str, type_: str, message: str, details: str
) -> None:
    verdict = judged(nodes, graph)
    assert verdict.error is not None
    assert verdict.error["type"] == "prompt_outputs_failed_validation"
    (error,) = verdict.node_errors[node]["errors"]
    assert (error["type"], error["message"], error["details"]) == (type_, message, details)
    assert verdict.node_errors[node]["dependent_outputs"] == ["9" if "9" in graph else "3"]


def test_long_lists_are_only_counted(nodes: dict[str, Node]) -> None:
    verdict = judged(nodes, changed(painting(), "3", sampler_name="euler_a"))
    (error,) = verdict.node_errors["3"]["errors"]
    assert error["details"] == "sampler_name: 'euler_a' not in (list of length 44)"
    assert error["extra_info"] == {
        "input_name": "sampler_name",
        "input_config": None,
        "received_value": "euler_a",
    }


def test_the_problem_of_an_output_itself_is_in_the_summary(nodes: dict[str, Node]) -> None:
    verdict = judged(nodes, without(plain(), "3", "images"))
    assert verdict.error is not None
    assert verdict.error["details"] == "Required input is missing: images"


def test_a_good_output_runs_although_another_is_dropped(nodes: dict[str, Node]) -> None:
    graph = plain() | {"7": {"class_type": "PreviewImage", "inputs": {}}}
    verdict = judged(nodes, graph)
    assert (verdict.error, verdict.outputs) == (None, ["3"])
    assert verdict.node_errors["7"]["dependent_outputs"] == ["7"]


def test_a_link_to_no_node_is_an_exception_at_its_consumer(nodes: dict[str, Node]) -> None:
    verdict = judged(nodes, changed(plain(), "2", image=["77", 0]))
    (error,) = verdict.node_errors["3"]["errors"]
    assert (error["type"], error["details"]) == ("exception_during_inner_validation", "'77'")


def test_a_missing_picture_fails_the_nodes_own_check(nodes: dict[str, Node]) -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "../../etc/passwd"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    (error,) = judged(nodes, graph).node_errors["1"]["errors"]
    assert error["type"] == "custom_validation_failed"
    assert error["details"] == "image - Invalid image file: ../../etc/passwd"


def test_a_ring_is_told_by_the_newer_dialect_and_overflows_the_older(
    nodes: dict[str, Node],
) -> None:
    ring = changed(plain(), "2", image=["2", 0])
    verdict = judged(nodes, ring)
    assert verdict.error is not None
    assert verdict.node_errors["2"]["errors"][0]["details"] == "2 (ImageScale) -> 2 (ImageScale)"
    (old,) = judged(nodes, ring, "0.3.64").node_errors["3"]["errors"]
    assert old["extra_info"]["exception_type"] == "RecursionError"


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        (b"", "no_prompt"),
        (b"{}", "no_prompt"),
        (b"[1, 2]", "no_prompt"),
        (b"not json", "no_prompt"),
        (b'{"prompt": 5}', "invalid_prompt"),
        (b'{"prompt": {}}', "prompt_no_outputs"),
        (b'{"prompt": {"1": 5}}', "missing_node_type"),
        (b'{"prompt": {"1": {"class_type": ["KSampler"]}}}', "missing_node_type"),
        (
            b'{"prompt": {"1": {"class_type": "SaveImage", "inputs": 5}}}',
            "prompt_outputs_failed_validation",
        ),
        (b'{"prompt": {}, "number": "high"}', "invalid_prompt"),
        (b'{"prompt": {}, "prompt_id": 5}', "invalid_prompt_id"),
    ],
)
def test_a_malformed_body_is_a_400_with_a_type(engine_post: Any, body: bytes, type_: str) -> None:
    answer = engine_post(body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == type_
    assert answer.json()["node_errors"].keys() <= {"1"}


def test_a_body_over_the_limit_is_a_413_and_the_server_lives(engine_post: Any) -> None:
    assert engine_post(b"x" * (100 * 1024 * 1024 + 1)).status_code == 413
    assert engine_post(b"{}").status_code == 400


@pytest.fixture(scope="module")
def engine_post() -> Iterator[Any]:
    """POST /prompt on one engine that lives as long as the module."""
    runner = asyncio.Runner()
    engine = Engine()

    async def post(body: bytes) -> httpx.Response:
        async with httpx.AsyncClient(base_url=engine.url, timeout=30, verify=WITHOUT_TLS) as http:
            return await http.post("/prompt", content=body)

    runner.run(engine.start())
    yield lambda body: runner.run(post(body))
    runner.run(engine.stop())
    runner.close()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1", "2", "3"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    node=st.sampled_from(["1", "2", "3"]),
    name=st.sampled_from(["image", "images", "width", "crop"]),
    value=values,
)
def test_no_value_whatever_breaks_validation(
    nodes: dict[str, Node], node: str, name: str, value: JSON
) -> None:
    verdict = judged(nodes, changed(plain(), node, **{name: value}))
    assert verdict.outputs or verdict.error


RECORDED = {
    "missing ckpt",
    "bad sampler",
    "unknown node",
    "no outputs",
    "bad width",
    "cycle or bad link",
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings of a real server are not here")
@pytest.mark.parametrize("name", sorted(RECORDED))
def test_refusals_equal_those_of_a_real_server(folders: Folders, name: str) -> None:
    conversation = json.loads((SHARED / "comfyui-0.27" / "conversation.json").read_text("utf-8"))
    step = next(entry for entry in conversation if entry.get("name") == name)
    expected = json.loads(step["body"])
    real = ("v1-5-pruned-emaonly.safetensors",)
    verdict = judged(table(DIALECTS["0.27"], folders, real), step["request"]["prompt"])
    assert {"error": verdict.error, "node_errors": verdict.node_errors} == _without_tooltips(
        expected
    )


def _without_tooltips(value: JSON) -> JSON:
    """The recorded body without ComfyUI's own prose, which the engine does not copy."""
    if isinstance(value, dict):
        return {k: _without_tooltips(v) for k, v in value.items() if k != "tooltip"}
    return [_without_tooltips(v) for v in value] if isinstance(value, list) else value
