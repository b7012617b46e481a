"""The form's fields: what a backend's parameters look like on a page, and what comes back from there."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator import backends
from orchestrator.backends import Params
from orchestrator.widgets.choices import FREE, OWN, PAID, choices, group
from orchestrator.widgets.fields import fields_of, told, typed_params
from orchestrator.workflows import SavedWorkflow

KINDS = {
    "number", "seed", "text", "line", "choice", "suggest", "switch", "slider", "image", "loras", "styles",
}  # fmt: skip
FIELDS = {
    name: {field["name"]: field for field in fields_of(backends.get(name))}
    for name in backends.BACKENDS
}
GRAPH: dict[str, Any] = {
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "x", "clip": ["9", 1]}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 640, "height": 384, "batch_size": 1}},
    "5": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 1, "steps": 9, "cfg": 6.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            "model": ["9", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["4", 0],
        },
    },
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["9", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "x"}},
    "9": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "any.safetensors"}},
}  # fmt: skip


def saved() -> backends.Backend:
    return SavedWorkflow.read(GRAPH, name="portrait").backend()


@pytest.mark.parametrize("name", backends.BACKENDS)
def test_every_parameter_has_a_field_of_a_known_kind_with_words_for_it(name: str) -> None:
    params = set(backends.get(name).params.model_fields)
    hidden = {"width", "height"} if "aspect_ratio" in params else set()
    assert set(FIELDS[name]) == params - hidden
    for field in FIELDS[name].values():
        assert field["kind"] in KINDS
        assert field["label"]
        assert "must" not in field["hint"]
        assert field["hint"] or field["name"] == "seed"


@pytest.mark.parametrize("name", backends.BACKENDS)
def test_limits_of_a_number_are_those_that_are_judged_by(name: str) -> None:
    backend = backends.get(name)
    for field in FIELDS[name].values():
        if field["kind"] not in {"number", "slider"}:
            continue
        image = {"image": "a.png", "hires_scale": 2.0, "refiner": "x"}
        given = {key: value for key, value in image.items() if key in FIELDS[name]}
        for limit in (field["min"], field["max"]):
            if field["name"] == "height" and name.startswith("flux-2"):
                given["width"] = 64  # the picture has at most 4 megapixels
            parsed = backends.parse(backend, {**given, field["name"]: limit})
            assert getattr(parsed, field["name"]) == limit


def test_the_usual_fields_are_open_and_the_others_folded_away() -> None:
    fields = FIELDS["sdxl"]
    assert not any(fields[name]["more"] for name in ("width", "steps", "seed", "image", "denoise"))
    folded = ("checkpoint", "vae", "loras", "clip_skip", "hires_scale", "upscaler", "refiner")
    assert all(fields[name]["more"] for name in folded)
    assert not any(FIELDS["svd"][name]["more"] for name in ("frames", "fps", "motion"))
    assert FIELDS["svd"]["denoise"]["more"]  # of a film it is nothing of the picture's


def test_names_of_the_server_are_offered_where_they_are_taken() -> None:
    offered = {name: field["offers"] for name, field in FIELDS["sdxl"].items() if "offers" in field}
    assert offered["sampler"] == "samplers"
    assert offered["refiner"] == offered["checkpoint"] == "checkpoints"
    assert offered["upscaler"] == "upscalers"


def test_what_says_nothing_without_another_is_not_sent() -> None:
    fields = list(FIELDS["sdxl"].values())
    typed = {"denoise": "0.4", "mask": "m.png", "hires_denoise": "0.3", "refiner_at": "0.5"}
    assert typed_params(typed, fields) == {}
    assert typed_params({**typed, "image": "a.png"}, fields) == {
        "denoise": 0.4, "mask": "m.png", "image": "a.png",
    }  # fmt: skip
    assert typed_params({"hires_denoise": "0.3", "hires_scale": "1"}, fields) == {}
    twice = {"hires_denoise": 0.3, "hires_scale": 1.5}
    assert typed_params({"hires_denoise": "0.3", "hires_scale": "1.5"}, fields) == twice


def test_what_is_folded_away_and_left_as_it_was_is_not_sent() -> None:
    fields = list(FIELDS["flux"].values())
    untouched = {field["name"]: field["value"] for field in fields}
    assert typed_params(untouched, fields) == {"aspect_ratio": "4:3"}
    assert typed_params({**untouched, "raw": "true"}, fields)["raw"] is True
    flex = list(FIELDS["flux-2-flex"].values())
    off = {"prompt_upsampling": "false"}
    assert typed_params(off, flex) == {"prompt_upsampling": False}  # it is on by itself


def test_lists_come_back_as_lists() -> None:
    fields = list(FIELDS["sd15"].values())
    loras = '[{"name": "a, b", "strength": -0.5}]'
    typed = typed_params({"loras": loras, "styles": '["Anime", "a, b"]'}, fields)
    assert typed == {
        "loras": [{"name": "a, b", "strength": -0.5}],
        "styles": ["Anime", "a, b"],
    }
    assert typed_params({"loras": "[]", "styles": "[]"}, fields) == {}
    broken = "[" * 100_000
    assert typed_params({"loras": broken}, fields) == {"loras": broken}  # to be judged


@pytest.mark.parametrize("name", ["flux-kontext-pro", "flux-2-pro"])
def test_a_shape_that_the_image_decides_is_left_to_it(name: str) -> None:
    fields = list(FIELDS[name].values())
    untouched = {field["name"]: field["value"] for field in fields}
    typed = typed_params({**untouched, "image": "a.png"}, fields)
    parsed = backends.parse(backends.get(name), typed)
    assert parsed == backends.parse(backends.get(name), {"image": "a.png"})


@pytest.mark.parametrize("name", backends.BACKENDS)
def test_parameters_told_as_text_are_understood_as_the_same(name: str) -> None:
    backend, fields = backends.get(name), list(FIELDS[name].values())
    parsed: Params = backends.parse(backend, {})
    assert backends.parse(backend, typed_params(told(parsed, fields), fields)) == parsed


def test_a_saved_workflow_has_the_fields_that_were_found_with_the_file_s_own_values() -> None:
    fields = {field["name"]: field for field in fields_of(saved())}
    assert (fields["width"]["value"], fields["steps"]["value"]) == ("640", "9")
    assert fields["seed"]["value"] == ""
    assert "vae" not in fields


def test_backends_stand_in_groups_the_free_ones_first() -> None:
    known = [*backends.BACKENDS.values(), saved()]
    offered = choices(known, has_key=True)
    groups = [each["group"] for each in offered]
    assert groups == sorted(groups, key=[FREE, OWN, PAID].index)
    assert offered[0]["name"] == "sd15"
    assert group(saved()) == OWN
    assert all(each["each"].startswith("$") is each["paid"] for each in offered)
