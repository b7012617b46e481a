"""Workflows that a user saved: what is found in them, and what filling them in changes."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from object_info import RECORDINGS, SD15, SDXL, SERVERS, stocked

from orchestrator.backends import get, parse
from orchestrator.errors import ParamsInvalid, SavedWorkflowInvalid
from orchestrator.workflows import Inputs, Offered, SavedWorkflow, Workflow, make, preflight

KSAMPLER = {
    "seed": 7,
    "steps": 20,
    "cfg": 8.0,
    "sampler_name": "euler",
    "scheduler": "normal",
    "denoise": 1.0,
    "model": ["4", 0],
    "positive": ["6", 0],
    "negative": ["7", 0],
    "latent_image": ["5", 0],
}
# as ComfyUI exports its default workflow
PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "3": ("KSampler", KSAMPLER),
    "4": ("CheckpointLoaderSimple", {"ckpt_name": SD15}),
    "5": ("EmptyLatentImage", {"width": 640, "height": 448, "batch_size": 1}),
    "6": ("CLIPTextEncode", {"text": "a bottle", "clip": ["4", 1]}),
    "7": ("CLIPTextEncode", {"text": "watermark", "clip": ["4", 1]}),
    "8": ("VAEDecode", {"samples": ["3", 0], "vae": ["4", 2]}),
    "9": ("SaveImage", {"filename_prefix": "ComfyUI", "images": ["8", 0]}),
}


def document(nodes: dict[str, tuple[str, dict[str, Any]]], **more: Any) -> Workflow:
    """A workflow in API format, with the titles ComfyUI adds; `more` replaces nodes, by "n" and their id."""
    every = nodes | {key.removeprefix("n"): value for key, value in more.items()}
    return {
        key: {"inputs": copy.deepcopy(inputs), "class_type": name, "_meta": {"title": name}}
        for key, (name, inputs) in every.items()
    }


def saved(nodes: dict[str, tuple[str, dict[str, Any]]] = PLAIN, **more: Any) -> SavedWorkflow:
    return SavedWorkflow.read(document(nodes, **more), name="mine")


def sampler(**inputs: Any) -> tuple[str, dict[str, Any]]:
    return ("KSampler", KSAMPLER | inputs)


def filled(
    workflow: SavedWorkflow, params: dict[str, Any] | None = None, prompt: str = "an eagle", **inputs: str
) -> Workflow:  # fmt: skip
    return workflow.fill(
        parse(workflow.backend(), params or {}),
        prompt,
        inputs=Inputs(**inputs),
        filename_prefix="lab",
    )


def changes(workflow: SavedWorkflow, after: Workflow) -> dict[str, Any]:
    """What differs from the file, as {"node.input": value}."""
    assert after.keys() == workflow.document.keys()
    return {
        f"{key}.{name}": value
        for key, node in after.items()
        for name, value in node["inputs"].items()
        if workflow.document[key]["inputs"].get(name) != value
    }


# ------------------------------------------------------------------------------ what is found


def test_the_file_s_own_values_are_the_backend_s_defaults() -> None:
    backend = saved().backend()
    assert (backend.name, backend.service, backend.paid) == ("mine", "comfyui", False)
    assert parse(backend, {}).model_dump(exclude={"styles"}) == {
        "seed": None,  # chosen for each job
        "width": 640,
        "height": 448,
        "batch_size": 1,
        "steps": 20,
        "cfg": 8.0,
        "denoise": 1.0,
        "sampler": "euler",
        "scheduler": "normal",
        "checkpoint": SD15,
        "negative_prompt": "watermark",
    }


def test_nothing_else_is_taken() -> None:
    for params in ({"loras": "x"}, {"image": "a.png"}, {"refiner": "x"}, {"width": 1001}):
        with pytest.raises(ParamsInvalid):
            parse(saved().backend(), params)


def test_what_is_not_said_stays_as_it_is_in_the_file() -> None:
    workflow = saved()
    assert changes(workflow, filled(workflow)) == {"6.text": "an eagle", "9.filename_prefix": "lab"}


def test_what_is_said_is_filled_in() -> None:
    workflow = saved()
    params = {
        "seed": 0,
        "width": 512,
        "height": 768,
        "steps": 4,
        "cfg": 1.5,
        "sampler": "DPM++ 2M Karras",
        "denoise": 0.5,
        "batchSize": 3,
        "checkpoint": SDXL,
        "negativePrompt": "blur",
    }
    assert changes(workflow, filled(workflow, params)) == {
        "3.seed": 0,
        "5.width": 512,
        "5.height": 768,
        "3.steps": 4,
        "3.cfg": 1.5,
        "3.sampler_name": "dpmpp_2m",
        "3.scheduler": "karras",
        "3.denoise": 0.5,
        "5.batch_size": 3,
        "4.ckpt_name": SDXL,
        "7.text": "blur",
        "6.text": "an eagle",
        "9.filename_prefix": "lab",
    }


def test_filling_in_changes_neither_the_file_nor_what_was_filled_before() -> None:
    original = document(PLAIN)
    workflow = SavedWorkflow.read(original, name="mine")
    first = filled(workflow, {"seed": 1})
    first["3"]["inputs"]["steps"] = 99
    original["3"]["inputs"]["steps"] = 98
    assert filled(workflow, {"seed": 1})["3"]["inputs"]["steps"] == 20


def test_equal_arguments_make_equal_workflows() -> None:
    one, other = (filled(saved(), {"seed": 5}) for _ in range(2))
    assert json.dumps(one) == json.dumps(other)


def test_an_odd_sampler_of_the_file_is_left_as_it_is_spelt() -> None:
    workflow = saved(n3=sampler(sampler_name="K_Odd Sampler", scheduler="beta57 (RES)"))
    assert "3.sampler_name" not in changes(workflow, filled(workflow, {"scheduler": "karras"}))
    assert "3.scheduler" not in changes(workflow, filled(workflow, {"sampler": "ddim"}))


# ------------------------------------------------------------------------------ prompts


def texts(workflow: SavedWorkflow) -> set[str]:
    """Where the prompt goes."""
    found = changes(workflow, filled(workflow))
    return {place for place, value in found.items() if value == "an eagle"}


def test_a_prompt_is_found_through_conditioning_nodes() -> None:
    workflow = saved(
        n3=sampler(positive=["20", 0], negative=["20", 1]),
        n20=("ControlNetApplyAdvanced", {"positive": ["21", 0], "negative": ["7", 0], "strength": 1.0}),
        n21=("ConditioningSetTimestepRange", {"conditioning": ["22", 0], "start": 0.0, "end": 1.0}),
        n22=("ConditioningCombine", {"conditioning_1": ["6", 0], "conditioning_2": ["23", 0]}),
        n23=("CLIPTextEncode", {"text": "on the left", "clip": ["4", 1]}),
    )  # fmt: skip
    assert texts(workflow) == {"6.text"}
    assert "7.text" in changes(workflow, filled(workflow, {"negativePrompt": "blur"}))
    assert workflow.notes == ("1 more of its texts stay as they are.",)


def test_swapped_outputs_are_followed_by_their_place() -> None:
    workflow = saved(
        n3=sampler(positive=["20", 1], negative=["20", 0]),
        n20=("ControlNetApplyAdvanced", {"positive": ["7", 0], "negative": ["6", 0]}),
    )
    assert texts(workflow) == {"6.text"}


def test_an_encoder_with_several_texts_is_given_the_prompt_in_all_of_them() -> None:
    sdxl = {"width": 1024, "height": 1024, "text_g": "a", "text_l": "b", "clip": ["4", 1]}
    assert texts(saved(n6=("CLIPTextEncodeSDXL", sdxl))) == {"6.text_g", "6.text_l"}
    flux = {"clip_l": "a", "t5xxl": "b", "guidance": 3.5, "clip": ["4", 1]}
    assert texts(saved(n6=("CLIPTextEncodeFlux", flux))) == {"6.clip_l", "6.t5xxl"}


def test_a_text_that_another_node_holds_is_changed_there() -> None:
    workflow = saved(
        n6=("CLIPTextEncode", {"text": ["30", 0], "clip": ["4", 1]}),
        n30=("StringConcatenate", {"string_a": ["31", 0], "string_b": ", 8k", "delimiter": ""}),
        n31=("PrimitiveStringMultiline", {"value": "a bottle"}),
    )
    assert texts(workflow) == {"31.value"}


def test_what_a_language_model_is_told_first_is_not_the_prompt() -> None:
    workflow = saved(
        n6=("CLIPTextEncode", {"text": ["30", 0], "clip": ["4", 1]}),
        n30=("StringConcatenate", {"string_a": "You are a painter.", "string_b": ["31", 0]}),
        n31=("PrimitiveStringMultiline", {"value": "a bottle"}),
    )
    assert texts(workflow) == {"31.value"}


def test_both_models_of_a_refined_workflow_are_given_the_prompt() -> None:
    half = {name: value for name, value in KSAMPLER.items() if name not in {"seed", "denoise"}}
    workflow = saved(
        n3=("KSamplerAdvanced", half | {"noise_seed": 7, "start_at_step": 0, "end_at_step": 16}),
        n10=(
            "KSamplerAdvanced",
            half | {"noise_seed": 0, "start_at_step": 16, "end_at_step": 10000, "model": ["11", 0],
                    "positive": ["12", 0], "negative": ["13", 0], "latent_image": ["3", 0]},
        ),
        n11=("CheckpointLoaderSimple", {"ckpt_name": "refiner.safetensors"}),
        n12=("CLIPTextEncode", {"text": "a bottle", "clip": ["11", 1]}),
        n13=("CLIPTextEncode", {"text": "watermark", "clip": ["11", 1]}),
        n8=("VAEDecode", {"samples": ["10", 0], "vae": ["4", 2]}),
    )  # fmt: skip
    assert texts(workflow) == {"6.text", "12.text"}
    found = changes(workflow, filled(workflow, {"seed": 5, "steps": 10, "checkpoint": SDXL}))
    assert (found["3.noise_seed"], found["10.noise_seed"]) == (5, 5)
    assert (found["3.steps"], found["10.steps"]) == (10, 10)
    # the same parts of the steps
    assert (found["3.end_at_step"], found["10.start_at_step"]) == (8, 8)
    assert "10.end_at_step" not in found
    assert "11.ckpt_name" not in found


def test_a_negative_that_is_the_positive_zeroed_is_none() -> None:
    workflow = saved(n7=("ConditioningZeroOut", {"conditioning": ["6", 0]}))
    assert texts(workflow) == {"6.text"}
    assert "negative_prompt" not in workflow.backend().params.model_fields


def test_a_guider_s_prompt_and_a_sampler_of_parts_are_found() -> None:
    workflow = saved(
        {
            "1": ("UNETLoader", {"unet_name": "flux1-dev.safetensors", "weight_dtype": "default"}),
            "2": ("CLIPTextEncode", {"text": "a bottle", "clip": ["9", 0]}),
            "3": ("FluxGuidance", {"guidance": 3.5, "conditioning": ["2", 0]}),
            "4": ("BasicGuider", {"model": ["1", 0], "conditioning": ["3", 0]}),
            "5": ("RandomNoise", {"noise_seed": 1}),
            "6": ("KSamplerSelect", {"sampler_name": "euler"}),
            "7": ("BasicScheduler", {"scheduler": "simple", "steps": 20, "denoise": 1.0, "model": ["1", 0]}),
            "8": ("SamplerCustomAdvanced", {"noise": ["5", 0], "guider": ["4", 0], "sampler": ["6", 0],
                                            "sigmas": ["7", 0], "latent_image": ["10", 0]}),
            "9": ("DualCLIPLoader", {"clip_name1": "a", "clip_name2": "b", "type": "flux"}),
            "10": ("EmptySD3LatentImage", {"width": 1024, "height": 1024, "batch_size": 1}),
            "11": ("PreviewImage", {"images": ["8", 0]}),
        }
    )  # fmt: skip
    assert texts(workflow) == {"2.text"}
    found = changes(
        workflow, filled(workflow, {"seed": 9, "sampler": "heun", "steps": 8, "width": 512})
    )
    assert (found["5.noise_seed"], found["6.sampler_name"], found["7.steps"]) == (9, "heun", 8)
    assert found["10.width"] == 512


def test_a_video_s_prompt_is_that_of_its_first_picture() -> None:
    offered = Offered(stocked("V1"))
    made = make(
        get("svd"),
        parse(get("svd"), {"seed": 1}),
        "an eagle",
        offered=offered,
        inputs=Inputs(),
        filename_prefix="x",
    )
    workflow = SavedWorkflow.read(made, name="svd of mine")
    found = changes(workflow, filled(workflow, {"seed": 3, "width": 512}, "a fox"))
    assert set(found.values()) == {"a fox", 3, 512, "lab"}
    assert [place.split(".")[1] for place in found].count("seed") == 2
    assert [place.split(".")[1] for place in found].count("width") == 2


def test_without_samplers_the_only_prompt_is_the_one() -> None:
    workflow = saved(
        {
            "1": ("FluxProUltraImageNode", {"prompt": "a bottle", "seed": 1, "raw": False}),
            "2": ("SaveImage", {"images": ["1", 0], "filename_prefix": "x"}),
        }
    )
    assert texts(workflow) == {"1.prompt"}


def test_a_prompt_whose_name_depends_on_a_choice_is_found() -> None:
    node = {"model": "happyhorse-1.1", "model.prompt": "a bottle", "model.resolution": "720p"}
    workflow = saved(
        {
            "1": ("HappyHorseReferenceVideoApi", node),
            "2": ("SaveVideo", {"video": ["1", 0], "filename_prefix": "x", "format": "mp4"}),
        }
    )
    assert texts(workflow) == {"1.model.prompt"}


def test_every_side_of_a_guider_with_two_is_found() -> None:
    workflow = saved(
        n3=("DualCFGGuider", {"cond1": ["6", 0], "cond2": ["20", 0], "negative": ["7", 0]}),
        n20=("ReferenceLatent", {"conditioning": ["7", 0]}),
    )
    assert texts(workflow) == {"6.text"}


RECORDED_APIS = RECORDINGS / "builder" / "front-end-1.45.20-api.json"


def test_real_templates_are_read_and_filled() -> None:
    if not RECORDED_APIS.exists():
        pytest.skip("no recording of the front end's conversions")
    found = dict.fromkeys(("prompt", "seed"), 0)
    local = {
        name: workflow
        for name, workflow in json.loads(RECORDED_APIS.read_text()).items()
        if not name.startswith("api_")  # nodes that call paid services
    }
    for name, workflow in local.items():
        read = SavedWorkflow.read(workflow, name=name)
        after = filled(read, prompt="a prompt of mine")
        found["prompt"] += "a prompt of mine" in json.dumps(after)
        found["seed"] += "seed" in read.backend().params.model_fields
        assert all(workflow[key]["class_type"] == node["class_type"] for key, node in after.items())
    assert len(local) >= 25
    assert found["prompt"] >= len(local) - 1  # an audio workflow has tags and lyrics instead
    assert found["seed"] >= len(local) - 1  # a language model has its own way


def test_a_workflow_without_a_prompt_says_so() -> None:
    workflow = saved(
        {
            "1": ("LoadImage", {"image": "example.png", "upload": "image"}),
            "2": ("ImageUpscaleWithModel", {"upscale_model": ["3", 0], "image": ["1", 0]}),
            "3": ("UpscaleModelLoader", {"model_name": "4x.pth"}),
            "4": ("SaveImage", {"images": ["2", 0], "filename_prefix": "x"}),
        }
    )
    assert texts(workflow) == set()
    assert workflow.notes[0].startswith("It has no prompt")
    assert changes(workflow, filled(workflow, image="up.png")) == {
        "1.image": "up.png",
        "4.filename_prefix": "lab",
    }


# ------------------------------------------------------------------------------ the rest


def test_a_second_pass_keeps_what_differs_from_the_first() -> None:
    workflow = saved(
        n3=sampler(),
        n10=sampler(latent_image=["11", 0], denoise=0.5, steps=20, cfg=6.0),
        n11=("LatentUpscale", {"samples": ["3", 0], "width": 1280, "height": 896}),
        n8=("VAEDecode", {"samples": ["10", 0], "vae": ["4", 2]}),
    )
    found = changes(workflow, filled(workflow, {"denoise": 0.9, "steps": 9, "cfg": 2, "seed": 4}))
    assert (found["3.denoise"], found["3.cfg"]) == (0.9, 2.0)
    assert not {"10.denoise", "10.cfg"} & set(found)
    assert (found["3.steps"], found["10.steps"]) == (9, 9)
    assert (found["3.seed"], found["10.seed"]) == (4, 4)


def test_the_first_pass_is_the_first_of_the_flow_not_of_the_file() -> None:
    workflow = saved(
        {"1": sampler(latent_image=["3", 0], denoise=0.5)} | PLAIN,
        n8=("VAEDecode", {"samples": ["1", 0], "vae": ["4", 2]}),
    )
    found = changes(workflow, filled(workflow, {"denoise": 0.9}))
    assert "1.denoise" not in found
    assert found["3.denoise"] == 0.9


def test_a_size_or_a_seed_that_another_node_holds_is_changed_there() -> None:
    workflow = saved(
        n5=("EmptyLatentImage", {"width": ["20", 0], "height": 448, "batch_size": 1}),
        n20=("PrimitiveInt", {"value": 640}),
        n3=sampler(seed=["21", 0]),
        n21=("Seed (rgthree)", {"seed": 3}),
    )
    found = changes(workflow, filled(workflow, {"width": 512, "seed": 11}))
    assert (found["20.value"], found["21.seed"]) == (512, 11)
    assert "5.width" not in found


def test_one_number_for_both_sides_is_left_alone() -> None:
    workflow = saved(
        n5=("EmptyLatentImage", {"width": ["20", 0], "height": ["20", 0], "batch_size": 1}),
        n20=("PrimitiveInt", {"value": 512}),
    )
    assert not {"width", "height"} & set(workflow.backend().params.model_fields)


def test_what_is_told_the_canvas_s_size_is_told_the_new_one() -> None:
    sized = {"width": 640, "height": 448, "target_width": 640, "target_height": 448, "crop_w": 0}
    workflow = saved(
        n6=("CLIPTextEncodeSDXL", {**sized, "text_g": "a", "text_l": "a", "clip": ["4", 1]}),
        n30=("ImageScale", {"width": 640, "height": 448, "image": ["8", 0]}),
    )
    found = changes(workflow, filled(workflow, {"width": 512}))
    assert {place for place, value in found.items() if value == 512} == {
        "5.width",
        "6.width",
        "6.target_width",
    }


def test_pictures_and_masks_are_put_into_the_first_loaders() -> None:
    workflow = saved(
        n20=("LoadImage", {"image": "example.png"}),
        n21=("LoadImage", {"image": "style.png"}),
        n22=("LoadImageMask", {"image": "mask.png", "channel": "red"}),
    )
    assert workflow.notes == ("Of its 2 pictures only the first can be changed.",)
    after = filled(workflow, {"image": "a.png", "mask": "m.png"}, image="up.png", mask="upm.png")
    found = changes(workflow, after)
    assert (found["20.image"], found["22.image"]) == ("up.png", "upm.png")
    assert "21.image" not in found
    assert "20.image" not in changes(workflow, filled(workflow))


def test_a_prefix_is_given_to_pictures_only() -> None:
    workflow = saved(
        n20=("SaveAnimatedWEBP", {"images": ["8", 0], "filename_prefix": "v", "fps": 6.0}),
        n21=("VHS_VideoCombine", {"images": ["8", 0], "filename_prefix": "v"}),
        n22=("CheckpointSave", {"model": ["4", 0], "filename_prefix": "checkpoints/x"}),
        n23=("SaveImage", {"images": ["8", 0], "filename_prefix": ["24", 0]}),
        n24=("PrimitiveString", {"value": "x"}),
    )
    found = changes(workflow, filled(workflow))
    assert {place for place, value in found.items() if value == "lab"} == {
        "9.filename_prefix",
        "20.filename_prefix",
        "21.filename_prefix",
    }


@pytest.mark.parametrize(
    ("node", "field", "said"),
    [
        (("EmptyLatentImage", {"width": 1001, "height": 448, "batch_size": 1}), "width", "width of 1001"),
        (("EmptyLatentImage", {"width": 640, "height": 448, "batch_size": 999}), "batch_size", "batch size of 999"),
    ],
)  # fmt: skip
def test_a_value_that_the_lab_would_refuse_stays(node: Any, field: str, said: str) -> None:
    workflow = saved(n5=node)
    assert field not in workflow.backend().params.model_fields
    assert said in workflow.notes[0]
    parse(workflow.backend(), {})
    long = saved(n7=("CLIPTextEncode", {"text": "x" * 50_000, "clip": ["4", 1]}))
    parse(long.backend(), {})
    assert "longer than the lab takes" in long.notes[0]


# ------------------------------------------------------------------------------ files that are none


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "holds no workflow"),
        ({}, "holds no workflow"),
        ("x", "holds no workflow"),
        ({"nodes": [{"id": 1}], "links": [], "version": 0.4}, "is in the format of ComfyUI's editor"),
        ({"1": 5}, "1 is no node"),
        ({"1": {"inputs": {}}}, "1 is no node"),
        ({"1": {"class_type": "", "inputs": {}}}, "1 is no node"),
        ({"1": {"class_type": "SaveImage", "inputs": []}}, "1 is no node"),
        ({"a\nb": 1}, "is no node"),
        ({"1": {"class_type": "VAEDecode", "inputs": {}}}, "has no node that gives out a result"),
        ({str(n): {"class_type": "SaveImage", "inputs": {}} for n in range(5001)}, "more than 5,000"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_workflow_says_what_to_do(found: Any, said: str) -> None:
    with pytest.raises(SavedWorkflowInvalid) as caught:
        SavedWorkflow.read(found, name="mi\nne")
    assert said in caught.value.message
    assert caught.value.message.isprintable()
    assert "ComfyUI" in caught.value.remedy


def test_a_circle_and_a_link_to_nowhere_are_read_and_told_by_the_preflight() -> None:
    workflow = saved(
        n3=sampler(positive=["20", 0], latent_image=["99", 0]),
        n20=("ConditioningCombine", {"conditioning_1": ["20", 0], "conditioning_2": ["6", 0]}),
    )
    assert texts(workflow) == {"6.text"}
    with pytest.raises(Exception, match="latent_image"):
        preflight(filled(workflow), Offered(stocked("V1")))


def test_a_very_long_chain_is_followed_to_its_end() -> None:
    chain = {
        str(n): ("ConditioningZeroIn", {"conditioning": [str(n + 1), 0]}) for n in range(100, 4000)
    } | {"4000": ("CLIPTextEncode", {"text": "a", "clip": ["4", 1]})}
    assert texts(saved(PLAIN | {"3": sampler(positive=["100", 0])} | chain)) == {"4000.text"}


LINK = st.tuples(st.sampled_from("1234"), st.integers(-4, 4)).map(list)
NAMES = (
    "positive", "negative", "text", "seed", "steps", "width", "height", "image", "conditioning", "value",
    "filename_prefix", "model", "ckpt_name", "end_at_step", "denoise", "sampler_name",
)  # fmt: skip
INPUTS = st.dictionaries(
    st.sampled_from(NAMES),
    LINK | st.integers() | st.text(max_size=5) | st.floats() | st.none() | st.booleans()
    | st.lists(st.integers(), max_size=2),
)  # fmt: skip
CLASSES = st.sampled_from(
    [
        "KSampler",
        "CLIPTextEncode",
        "EmptyLatentImage",
        "LoadImage",
        "SaveImage",
        "PrimitiveInt",
        "X",
    ]
)


@given(
    nodes=st.dictionaries(
        st.sampled_from("1234"), st.tuples(CLASSES, INPUTS), min_size=1, max_size=4
    )
)
def test_any_workflow_is_filled_or_refused(nodes: dict[str, tuple[str, dict[str, Any]]]) -> None:
    try:
        workflow = saved(nodes)
    except SavedWorkflowInvalid:
        return
    backend = workflow.backend()
    plain = filled(workflow)
    assert plain.keys() == workflow.document.keys()
    if "seed" in backend.params.model_fields:
        assert 77 in changes(workflow, filled(workflow, {"seed": 77})).values()
    if "steps" in backend.params.model_fields:
        assert filled(workflow, {"steps": 33})


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("backend", ["sd15", "sdxl", "sd35", "svd"])
def test_our_own_workflows_saved_and_filled_in_fit_the_server(name: str, backend: str) -> None:
    offered = Offered(stocked(name))
    kind = get(backend)
    made = make(kind, parse(kind, {}), "x", offered=offered, inputs=Inputs(), filename_prefix="x")
    workflow = SavedWorkflow.read(made, name="again")
    after = filled(workflow, {"seed": 5, "width": 640, "steps": 3, "sampler": "Euler a"})
    preflight(after, offered)
    assert {"5", "640", "3", "euler_ancestral"} <= {
        str(v) for v in changes(workflow, after).values()
    }
