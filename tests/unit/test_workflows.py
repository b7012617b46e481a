"""Workflows: names of samplers and checkpoints, and what a server would refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from object_info import RECORDED, SAMPLERS, SD15, SDXL, recorded, server

from orchestrator.backends import get, parse
from orchestrator.errors import MissingCheckpoint
from orchestrator.workflows import (
    Fault,
    Graph,
    Inputs,
    Offered,
    check_against,
    choose_checkpoint,
    family_of,
    make,
    near_matches,
    normalise_sampler,
    normalise_scheduler,
    scheduler_in,
)


def workflow(backend: str = "sd15", **params: Any) -> dict[str, dict[str, Any]]:
    return make(
        get(backend),
        parse(get(backend), {"seed": 42, **params}),
        "an eagle",
        offered=Offered(server()),
        inputs=Inputs(),
        filename_prefix="lab",
    )


def only(problems: list[Any]) -> Any:
    assert len(problems) == 1, problems
    return problems[0]


# ------------------------------------------------------------------------------ the graph


def test_a_prompt_becomes_the_workflow_a_server_runs() -> None:
    assert workflow(negativePrompt="blur", batchSize=2) == {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": SD15}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "an eagle", "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "blur", "clip": ["1", 1]}},
        "4": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 512, "height": 512, "batch_size": 2},
        },
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 42,
                "steps": 20,
                "cfg": 7.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
                "model": ["1", 0],
                "positive": ["2", 0],
                "negative": ["3", 0],
                "latent_image": ["4", 0],
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "lab"}},
    }


def test_equal_requests_make_equal_bytes() -> None:
    # ComfyUI caches by the graph, and a recipe is compared with another
    assert json.dumps(workflow()) == json.dumps(workflow())


def test_a_workflow_once_given_away_does_not_change_with_the_graph() -> None:
    graph = Graph()
    loaded = graph.checkpoint_loader_simple(ckpt_name=SD15)
    before = graph.to_api()
    before["1"]["inputs"]["ckpt_name"] = "other"
    graph.clip_text_encode(clip=loaded.clip, text="x")
    assert list(before) == ["1"]
    assert graph.to_api()["1"]["inputs"] == {"ckpt_name": SD15}


@pytest.mark.parametrize(
    ("params", "sampler", "scheduler"),
    [
        ({"sampler": "euler_a"}, "euler_ancestral", "normal"),  # what the old system sent
        ({"sampler": "DPM++ 2M Karras"}, "dpmpp_2m", "karras"),
        ({"sampler": "DPM++ 2M Karras", "scheduler": "simple"}, "dpmpp_2m", "karras"),
        ({"sampler": "ddim", "scheduler": "Simple"}, "ddim", "simple"),
    ],
)
def test_the_sampler_is_sent_as_the_server_spells_it(
    params: dict[str, str], sampler: str, scheduler: str
) -> None:
    inputs = workflow(**params)["5"]["inputs"]
    assert (inputs["sampler_name"], inputs["scheduler"]) == (sampler, scheduler)


# ------------------------------------------------------------------------------ samplers


@pytest.mark.parametrize(
    ("name", "sampler", "scheduler"),
    [
        ("euler_a", "euler_ancestral", None),
        ("Euler a", "euler_ancestral", None),
        ("k_euler", "euler", None),
        ("k_euler_a", "euler_ancestral", None),
        ("k_euler_ancestral", "euler_ancestral", None),
        ("EULER", "euler", None),
        ("dpm++ 2m", "dpmpp_2m", None),
        ("dpmpp2m", "dpmpp_2m", None),
        ("k_dpmpp_2m", "dpmpp_2m", None),
        ("DPM++ 2M Karras", "dpmpp_2m", "karras"),
        ("dpmpp_2m_karras", "dpmpp_2m", "karras"),
        ("DPM++ SDE Karras", "dpmpp_sde", "karras"),
        ("DPM++ 2M SDE Exponential", "dpmpp_2m_sde", "exponential"),
        ("DPM++ 3M SDE", "dpmpp_3m_sde", None),
        ("DPM++ 2S a Karras", "dpmpp_2s_ancestral", "karras"),
        ("DPM2 a", "dpm_2_ancestral", None),
        ("LMS Karras", "lms", "karras"),
        ("Euler SGM Uniform", "euler", "sgm_uniform"),
        ("ddim", "ddim", None),
        ("DDIM", "ddim", None),
        ("UniPC", "uni_pc", None),
        ("uni_pc", "uni_pc", None),
        ("sample_heun", "heun", None),
        ("res_multistep_cfg_pp", "res_multistep_cfg_pp", None),
    ],
)
def test_a_sampler_is_known_by_other_tools_names(
    name: str, sampler: str, scheduler: str | None
) -> None:
    assert (normalise_sampler(name), scheduler_in(name)) == (sampler, scheduler)


@pytest.mark.parametrize("version", list(RECORDED))
def test_a_name_that_a_server_offers_is_its_own_alias(version: str) -> None:
    required = recorded(version)["KSampler"]["input"]["required"]
    for name in required["sampler_name"][0]:
        assert (normalise_sampler(name), scheduler_in(name)) == (name, None)
    for name in required["scheduler"][0]:
        assert normalise_scheduler(name) == name


@given(name=st.text(max_size=40))
def test_tidying_a_sampler_twice_changes_nothing_more(name: str) -> None:
    once = normalise_sampler(name)
    if scheduler_in(once) is None and not once.startswith(("k_", "sample_")):
        assert normalise_sampler(once) == once


# ------------------------------------------------------------------------------ near names


@pytest.mark.parametrize(
    ("name", "offered", "first"),
    [
        ("eulr", SAMPLERS, "euler"),
        ("DPMPP-2M", SAMPLERS, "dpmpp_2m"),
        (
            "dreamshaper",
            ["a.ckpt", "sd15/DreamShaper_8_pruned.safetensors"],
            "sd15/DreamShaper_8_pruned.safetensors",
        ),
        ("v1-5-pruned.ckpt", [SDXL, SD15], SD15),
        ("Ksampler", ["KSamplerAdvanced", "KSampler"], "KSampler"),
    ],
)
def test_a_near_name_is_found(name: str, offered: list[str], first: str) -> None:
    assert near_matches(name, offered)[0] == first


def test_a_name_unlike_all_others_has_no_near_ones() -> None:
    assert near_matches("zzzz", SAMPLERS) == []
    assert near_matches("", SAMPLERS) == []


def test_no_more_near_names_than_asked_for() -> None:
    assert len(near_matches("model", [f"model_{n}" for n in range(50)], limit=4)) == 4


# ------------------------------------------------------------------------------ checkpoints


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("v1-5-pruned-emaonly.safetensors", "sd15"),
        ("v1-5-pruned-emaonly-fp16.safetensors", "sd15"),
        ("sd-v1-4.ckpt", "sd15"),
        ("sd15.safetensors", "sd15"),
        ("sd-1.5-anime.safetensors", "sd15"),
        ("sd_1_5.safetensors", "sd15"),
        ("model_v1.5.safetensors", "sd15"),
        ("dreamshaper_8.safetensors", "sd15"),
        ("SD1.5\\someone.safetensors", "sd15"),  # a server on Windows
        ("embedded-sd15-no-model.safetensors", "sd15"),
        ("embedded-sdxl-no-model.safetensors", "sdxl"),
        ("sd_xl_base_1.0.safetensors", "sdxl"),
        ("sd_xl_refiner_1.0.safetensors", "refiner"),
        ("juggernautXL_v9.safetensors", "sdxl"),
        ("RealVisXLV50.safetensors", "sdxl"),
        ("sdxlUnstable_v1.5.safetensors", "sdxl"),
        ("dreamshaperXL_v1-5.safetensors", "sdxl"),
        ("ponyDiffusionV6.safetensors", "sdxl"),
        ("SDXL/anything.safetensors", "sdxl"),
        ("sd3.5_medium.safetensors", "sd35"),
        ("sd3_medium_incl_clips.safetensors", "sd35"),
        ("stable-diffusion-3.5-large.safetensors", "sd35"),
        ("sd35.safetensors", "sd35"),
        ("flux1-dev-fp8.safetensors", "flux"),
        ("FLUX_v1.5_xl.safetensors", "flux"),
        ("svd_xt.safetensors", "svd"),
        ("svd-xt-1-1.safetensors", "svd"),
        ("v2-1_768-ema-pruned.safetensors", "sd2"),
        ("hunyuan_video_720p.safetensors", "video"),
        ("my-model.safetensors", None),
        ("chilloutmix_NiPrunedFp32Fix.safetensors", None),
        ("axle.safetensors", None),
        ("influx.safetensors", None),
    ],
)
def test_the_family_is_read_from_the_file_name(name: str, family: str | None) -> None:
    assert family_of(name) == family


@pytest.mark.parametrize(
    ("family", "offered", "chosen"),
    [
        ("sd15", ["flux1-dev.safetensors", SDXL, SD15, "svd.safetensors"], SD15),
        ("sdxl", ["flux1-xl.safetensors", SDXL, SD15], SDXL),
        ("sd15", ["dreamshaper_8.safetensors", SD15], SD15),  # the original first
        (
            "sdxl",
            ["sd_xl_refiner_1.0.safetensors", "juggernautXL.safetensors"],
            "juggernautXL.safetensors",
        ),
        ("sd15", ["v1-5-b.ckpt", "v1-5-c.safetensors"], "v1-5-c.safetensors"),
        ("sd15", ["mymodel.safetensors"], "mymodel.safetensors"),  # all there is
        (
            "sd15",
            ["embedded-sd15-no-model.safetensors", "embedded-sdxl-no-model.safetensors"],
            "embedded-sd15-no-model.safetensors",
        ),
        (
            "sdxl",
            ["embedded-sd15-no-model.safetensors", "embedded-sdxl-no-model.safetensors"],
            "embedded-sdxl-no-model.safetensors",
        ),
    ],
)
def test_a_checkpoint_is_chosen(family: str, offered: list[str], chosen: str) -> None:
    assert choose_checkpoint(family, offered, None) == chosen
    assert choose_checkpoint(family, list(reversed(offered)), None) == chosen


@pytest.mark.parametrize(
    ("family", "offered"),
    [
        ("sd15", []),
        ("sd15", [SDXL]),
        ("sd15", ["sd3_medium.safetensors", "flux1-dev.safetensors", "svd.safetensors"]),
        ("sdxl", ["sd3_xl.safetensors", "flux-xl.safetensors"]),
        ("sdxl", ["sd_xl_refiner_1.0.safetensors", "sd_xl_turbo_1.0.safetensors"]),
        ("sdxl", ["sdxl_lightning_4step.safetensors", "dreamshaperXL_inpainting.safetensors"]),
        ("sd15", ["sd-v1-5-inpainting.ckpt"]),
        ("sd15", ["one.safetensors", "two.safetensors"]),  # which of them?
        ("sdxl", ["mymodel.safetensors"]),
        ("sd15", ["mymodel-turbo.safetensors"]),
    ],
)
def test_no_checkpoint_is_better_than_a_wrong_one(family: str, offered: list[str]) -> None:
    with pytest.raises(MissingCheckpoint) as caught:
        choose_checkpoint(family, offered, None)
    assert all(name in caught.value.message for name in offered)


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        (SD15, [SDXL, SD15], SD15),
        (
            "sd_xl_turbo_1.0.safetensors",
            ["sd_xl_turbo_1.0.safetensors"],
            "sd_xl_turbo_1.0.safetensors",
        ),
        (
            "DreamShaper_8",
            ["a.ckpt", "sd15/dreamshaper_8.safetensors"],
            "sd15/dreamshaper_8.safetensors",
        ),
        ("mymodel.safetensors", ["mymodel.safetensors", SD15], "mymodel.safetensors"),
        (SDXL, [SDXL, SD15], SDXL),  # an odd wish for SD 1.5, and the same graph
    ],
)
def test_a_wanted_checkpoint_is_used(wanted: str, offered: list[str], chosen: str) -> None:
    assert choose_checkpoint("sd15", offered, wanted) == chosen


def test_a_wanted_checkpoint_that_is_missing_is_told_with_near_ones() -> None:
    with pytest.raises(MissingCheckpoint) as caught:
        choose_checkpoint("sd15", [SDXL, "dreamshaper_8.safetensors"], "dreamshaper_7.safetensors")
    assert "no checkpoint dreamshaper_7.safetensors" in caught.value.message
    assert "did you mean dreamshaper_8.safetensors?" in caught.value.message
    assert SDXL in caught.value.message


def test_a_wanted_name_that_several_have_is_not_guessed() -> None:
    with pytest.raises(MissingCheckpoint) as caught:
        choose_checkpoint("sd15", ["a/model.safetensors", "b/model.safetensors"], "model")
    assert "a/model.safetensors, b/model.safetensors" in caught.value.message


@pytest.mark.parametrize(
    "wanted", ["svd_xt.safetensors", "flux1-dev.safetensors", "sd3.5.safetensors"]
)
def test_a_checkpoint_that_the_graph_cannot_run_is_refused_even_if_wanted(wanted: str) -> None:
    with pytest.raises(MissingCheckpoint):
        choose_checkpoint("sdxl", [wanted, SDXL], wanted)


def test_a_long_or_hostile_list_makes_a_short_message_of_one_line() -> None:
    offered = [f"evil\n[worker] completed {n}" + "x" * 500 for n in range(900)]
    with pytest.raises(MissingCheckpoint) as caught:
        choose_checkpoint("sd15", offered, None)
    assert caught.value.message.isprintable()
    assert "and 888 more" in caught.value.message
    assert len(caught.value.message) < 2_000


# ------------------------------------------------------------------------------ against a server


def test_a_real_server_lacks_a_checkpoint_that_was_not_installed() -> None:
    graph = workflow()
    graph["1"]["inputs"]["ckpt_name"] = "nope.ckpt"
    problem = only(check_against(graph, recorded("0.3.64")))
    assert (problem.fault, problem.input) == (Fault.NOT_OFFERED, "ckpt_name")


@pytest.mark.parametrize("version", list(RECORDED))
def test_every_node_of_a_real_server_can_be_asked_about(version: str) -> None:
    info = recorded(version)
    bare = {str(n): {"class_type": name, "inputs": {}} for n, name in enumerate(info)}
    faults = {problem.fault for problem in check_against(bare, info)}
    assert faults == {Fault.MISSING}


@pytest.mark.parametrize("shape", ["V1", "V3"])
def test_a_choice_that_is_not_offered_is_told_with_near_ones(shape: str) -> None:
    graph = workflow()
    graph["5"]["inputs"]["sampler_name"] = "euler_a"
    problem = only(check_against(graph, server(shape)))
    assert (problem.node_id, problem.class_type, problem.input) == ("5", "KSampler", "sampler_name")
    assert (problem.fault, problem.value) == (Fault.NOT_OFFERED, "euler_a")
    assert "euler_ancestral" in problem.near
    assert str(problem).startswith("KSampler (node 5): sampler_name = 'euler_a' is not one of")


@pytest.mark.parametrize(
    ("node", "name", "value", "fault"),
    [
        ("5", "steps", 0, Fault.TOO_SMALL),
        ("5", "steps", 10_001, Fault.TOO_LARGE),
        ("5", "steps", "many", Fault.WRONG_TYPE),
        ("5", "seed", 2**64, Fault.TOO_LARGE),
        ("5", "cfg", 100.1, Fault.TOO_LARGE),
        ("5", "cfg", float("nan"), Fault.WRONG_TYPE),
        ("5", "model", "a model", Fault.WRONG_TYPE),
        ("5", "model", ["99", 0], Fault.BAD_LINK),  # no such node
        ("5", "model", ["1", 3], Fault.BAD_LINK),  # no such output
        ("5", "model", ["1", 1], Fault.BAD_LINK),  # a CLIP
        ("5", "model", ["1"], Fault.BAD_LINK),
        ("5", "model", ["1", "0"], Fault.BAD_LINK),
        ("4", "width", 8, Fault.TOO_SMALL),
        ("4", "height", 16_392, Fault.TOO_LARGE),
    ],
)
def test_a_bad_input_is_found(node: str, name: str, value: Any, fault: Fault) -> None:
    graph = workflow()
    graph[node]["inputs"][name] = value
    problem = only(check_against(graph, server()))
    assert (problem.node_id, problem.input, problem.fault) == (node, name, fault)


def test_a_missing_input_and_a_missing_node_are_told_together() -> None:
    graph = workflow()
    del graph["5"]["inputs"]["cfg"]
    graph["6"]["class_type"] = "VAEDecoder"
    graph["7"]["class_type"] = "SaveImages"
    found = {(p.node_id, p.fault, p.near[:1]) for p in check_against(graph, server())}
    # the server names only the first missing node
    assert found == {
        ("5", Fault.MISSING, ()),
        ("6", Fault.NO_CLASS, ("VAEDecode",)),
        ("7", Fault.NO_CLASS, ("SaveImage",)),
    }


def test_what_only_the_server_can_judge_is_let_through() -> None:
    info: dict[str, Any] = {
        "Odd": {
            "input": {
                "required": {
                    "image": [["a.png"], {"image_upload": True}],
                    "fetched": ["COMBO", {"remote": {"route": "/x"}}],
                    "new": ["COMFY_AUTOGROW_V3", {}],
                    "any": ["*", {}],
                },
                "optional": {"text": ["STRING"], "flag": ["BOOLEAN", {}]},
            },
            "output": ["*"],
        }
    }
    inputs = {"image": "b.png [output]", "fetched": "x", "any": ["1", 0], "text": 3, "more": 1}
    assert check_against({"1": {"class_type": "Odd", "inputs": inputs}}, info) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    graph=st.dictionaries(
        st.text(max_size=2),
        JSON
        | st.fixed_dictionaries(
            {"class_type": st.just("N"), "inputs": st.dictionaries(st.just("i"), JSON)}
        ),
        max_size=3,
    ),
    spec=JSON | st.lists(st.sampled_from(["INT", "FLOAT", "COMBO", "MODEL"]) | JSON, max_size=2),
)
def test_nonsense_from_either_side_raises_nothing(graph: dict[str, Any], spec: Any) -> None:
    info = {"N": {"input": {"required": {"i": spec}}, "output": ["INT"]}}
    for problem in check_against(graph, info):
        assert str(problem).isprintable()
    assert isinstance(check_against(graph, {"N": spec}), list)
