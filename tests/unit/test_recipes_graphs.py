"""What a ComfyUI workflow says of the picture it made, and requests made from recipes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator import backends
from orchestrator.errors import ParamsInvalid, UnknownBackend
from orchestrator.jobs import Resolved
from orchestrator.recipes import ForeignRecipe, Recipe, parameters_text, repeated
from orchestrator.recipes.graphs import Reading, from_page, read_workflow

NODES: dict[str, Any] = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}},
    "10": {
        "class_type": "LoraLoader",
        "inputs": {
            "lora_name": "first",
            "strength_model": 0.5,
            "model": ["4", 0],
            "clip": ["4", 1],
        },
    },
    "11": {
        "class_type": "LoraLoader",
        "inputs": {"lora_name": "next", "strength_model": 1, "model": ["10", 0], "clip": ["10", 1]},
    },
    "5": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 512, "height": 768, "batch_size": 2},
    },
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "лиса", "clip": ["11", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["11", 1]}},
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 2**64 - 1,
            "steps": 20,
            "cfg": 7.5,
            "sampler_name": "euler",
            "scheduler": "karras",
            "denoise": 1.0,
            "model": ["11", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
}
SAID: dict[str, Any] = {
    "seed": 2**64 - 1,
    "steps": 20,
    "cfg": 7.5,
    "sampler": "euler",
    "scheduler": "karras",
    "denoise": 1.0,
    "negativePrompt": "blurry",
    "checkpoint": "v1-5.safetensors",
    "loras": [{"name": "first", "strength": 0.5}, {"name": "next", "strength": 1}],
    "width": 512,
    "height": 768,
    "batchSize": 2,
}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def changed(**nodes: Any) -> dict[str, Any]:
    """The usual graph with other nodes, by their ids after an underscore."""
    return NODES | {name.removeprefix("_"): each for name, each in nodes.items()}


def sampler(**inputs: Any) -> dict[str, Any]:
    return node("KSampler", **(NODES["3"]["inputs"] | inputs))


def read(workflow: dict[str, Any]) -> Reading:
    found = read_workflow(workflow)
    assert found is not None
    return found


def test_the_usual_graph_is_read_whole() -> None:
    assert read(NODES) == Reading("лиса", SAID, ())


def test_texts_and_numbers_are_followed_to_the_nodes_that_say_them() -> None:
    graph = changed(
        _6=node("CLIPTextEncode", text=["20", 0], clip=["11", 1]),
        _20=node("StringConcatenate", string=["21", 0]),
        _21=node("PrimitiveString", value="from afar"),
        _3=sampler(seed=["22", 0]),
        _22=node("PrimitiveInt", value=42),
    )
    found = read(graph)
    assert (found.prompt, found.params["seed"]) == ("from afar", 42)


def test_a_prompt_is_found_behind_control_nets_and_combinations() -> None:
    graph = changed(
        _3=sampler(positive=["30", 0], negative=["30", 1]),
        _30=node("ControlNetApplyAdvanced", positive=["31", 0], negative=["7", 0], image=["40", 0]),
        _31=node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["32", 0]),
        _32=node("CLIPTextEncode", text="at night", clip=["11", 1]),
        _40=node("LoadImage", image="pose.png"),
    )
    found = read(graph)
    assert found.prompt == "лиса\nat night"
    assert found.params["negativePrompt"] == "blurry"
    assert "image" not in found.params


def test_a_sampler_of_several_parts_is_put_together() -> None:
    graph = {
        "1": node("UNETLoader", unet_name="flux1-dev.safetensors"),
        "2": node("CLIPTextEncodeFlux", clip_l="short", t5xxl="a long prompt", guidance=3.5),
        "3": node("BasicGuider", model=["1", 0], conditioning=["2", 0]),
        "4": node("RandomNoise", noise_seed=11),
        "5": node("KSamplerSelect", sampler_name="euler"),
        "6": node("BasicScheduler", scheduler="simple", steps=28, denoise=1.0, model=["1", 0]),
        "7": node("EmptySD3LatentImage", width=1024, height=1024, batch_size=1),
        "8": node(
            "SamplerCustomAdvanced",
            noise=["4", 0],
            guider=["3", 0],
            sampler=["5", 0],
            sigmas=["6", 0],
            latent_image=["7", 0],
        ),
        "9": node("SaveImage", images=["8", 0]),
    }
    found = read(graph)
    assert found.prompt == "a long prompt"
    assert found.params["checkpoint"] == "flux1-dev.safetensors"
    assert (found.params["seed"], found.params["steps"], found.params["sampler"]) == (
        11,
        28,
        "euler",
    )


def test_of_two_passes_the_first_says_the_size_and_the_second_its_own_part() -> None:
    graph = changed(
        _20=node("LatentUpscaleBy", samples=["3", 0], scale_by=1.5),
        _21=sampler(latent_image=["20", 0], steps=10, denoise=0.4),
        _8=node("VAEDecode", samples=["21", 0], vae=["4", 2]),
    )
    found = read(graph)
    assert found.params == SAID | {"hiresScale": 1.5, "hiresSteps": 10, "hiresDenoise": 0.4}


def test_a_second_checkpoint_for_the_last_steps_is_a_refiner() -> None:
    advanced = {k: v for k, v in NODES["3"]["inputs"].items() if k not in {"seed", "denoise"}}
    graph = changed(
        _3=node("KSamplerAdvanced", **advanced, noise_seed=5, start_at_step=0, end_at_step=16),
        _12=node("CheckpointLoaderSimple", ckpt_name="sd_xl_refiner.safetensors"),
        _13=node(
            "KSamplerAdvanced",
            **(advanced | {"model": ["12", 0], "latent_image": ["3", 0]}),
            start_at_step=16,
        ),
        _8=node("VAEDecode", samples=["13", 0], vae=["4", 2]),
    )
    found = read(graph)
    assert found.params["refiner"] == "sd_xl_refiner.safetensors"
    assert (found.params["refinerAt"], found.params["seed"]) == (0.8, 5)
    assert found.params["checkpoint"] == "v1-5.safetensors"


def test_a_picture_to_begin_with_is_told_of() -> None:
    graph = changed(
        _20=node("LoadImage", image="cat.png"),
        _21=node("VAEEncode", pixels=["20", 0], vae=["4", 2]),
        _3=sampler(latent_image=["21", 0], denoise=0.6),
    )
    found = read(graph)
    assert (found.params["image"], found.params["denoise"]) == ("cat.png", 0.6)
    assert "cat.png" in found.notes[0]


@pytest.mark.parametrize(
    "graph",
    [
        {},
        {"1": 5, "2": None, "3": [], "4": {"class_type": 7}},
        {"1": node("SaveImage", images=["1", 0])},
        {"nodes": [], "links": []},
        {"1": {"class_type": "KSampler", "inputs": "no"}},
    ],
)
def test_what_is_no_workflow_says_nothing(graph: dict[str, Any]) -> None:
    assert read_workflow(graph) is None


def test_circles_and_crowds_of_nodes_are_left_in_time() -> None:
    circle = changed(
        _6=node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["20", 0]),
        _20=node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["20", 0]),
        _3=sampler(latent_image=["3", 0], model=["3", 0], seed=["22", 0]),
        _22=node("PrimitiveInt", value=["22", 0]),
    )
    assert read(circle).prompt == ""
    crowd: dict[str, Any] = {
        str(n): node("X", latent_image=[str(n + 1), 0], positive=[str(n + 1), 0], a=[str(n + 2), 0])
        for n in range(20_000)
    }
    began = time.perf_counter()
    read_workflow(crowd)
    assert time.perf_counter() - began < 5


def test_the_pages_own_format_says_the_same() -> None:
    names = {"KSampler": ["seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"]}
    page: dict[str, Any] = {"nodes": [], "links": []}
    for key, each in NODES.items():
        widgets = [v for v in each["inputs"].values() if not isinstance(v, list)]
        if each["class_type"] in names:
            widgets.insert(1, "randomize")
        inputs = []
        for name, value in each["inputs"].items():
            if isinstance(value, list):
                number = len(page["links"]) + 1
                page["links"].append([number, int(value[0]), value[1], int(key), 0, "X"])
                inputs.append({"name": name, "link": number})
        page["nodes"].append(
            {
                "id": int(key),
                "type": each["class_type"],
                "widgets_values": widgets,
                "inputs": inputs,
            }
        )
    page["nodes"].append({"id": 99, "type": "SaveImage", "mode": 4, "inputs": None})
    assert read(from_page(page)) == read(NODES)
    assert from_page({"nodes": 5}) == {}
    assert from_page({"nodes": [1, {}, {"type": "X"}], "links": [[1], None]}) != NODES


# ------------------------------------------------------------------------------ making it again


def ours(**changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "job_id": "j",
        "attempt": 1,
        "index": 0,
        "backend": "sd15",
        "prompt": "a {fox|owl}",
        "params": {"steps": 20, "negative_prompt": "x"},
        "seed": 7,
        "service": "comfyui",
        "host": "http://127.0.0.1:8188",
        "workflow": NODES,
        "created_at": datetime(2026, 11, 22, tzinfo=UTC),
        "software": "orchestrator 1",
    }
    return Recipe(**(values | changes))


def test_our_own_names_the_checkpoint_that_was_chosen() -> None:
    made = repeated(ours(), {})
    assert made.backend == "sd15"
    assert made.params == {
        "steps": 20,
        "negative_prompt": "x",
        "seed": 7,
        "checkpoint": "v1-5.safetensors",
    }
    assert made.literal
    assert made.notes == ()


def test_a_checkpoint_that_was_named_stays_as_it_was_named() -> None:
    assert repeated(ours(params={"ckpt_name": "v1-5"}), {}).params == {
        "ckpt_name": "v1-5",
        "seed": 7,
    }


@pytest.mark.parametrize("name", ["negative_prompt", "negativePrompt"])
def test_a_change_replaces_the_parameter_however_it_is_spelt(name: str) -> None:
    made = repeated(ours(), {name: "y", "seed": 8, "checkpoint": None})
    assert made.params == {"steps": 20, name: "y", "seed": 8}
    backends.parse(backends.get("sd15"), made.params)
    assert not made.literal


def test_what_was_resolved_is_sent_again_unless_the_words_change() -> None:
    recipe = ours(resolved=Resolved(prompt="an owl", original="сова", translated_from="ru"))
    assert repeated(recipe, {"seed": 9}).resolved == recipe.resolved
    for words in ({"prompt": "a bear"}, {"negative_prompt": "z"}, {"styles": ["film"]}):
        made = repeated(recipe, words)
        assert (made.resolved, made.literal) == (None, False)


def test_another_backend_takes_what_it_can() -> None:
    made = repeated(ours(), {"backend": "flux"})
    assert made.params == {"seed": 7}
    assert "steps" in made.notes[0]
    with pytest.raises(UnknownBackend):
        repeated(ours(), {"backend": "flx"})


def foreign(**params: Any) -> ForeignRecipe:
    return ForeignRecipe(source="a1111", prompt="a fox", params=params)


@pytest.mark.parametrize(
    ("checkpoint", "backend", "doubtful"),
    [
        ("v1-5-pruned", "sd15", False),
        ("sd_xl_base_1.0", "sdxl", False),
        ("mystery", "sd15", True),
        (None, "sd15", True),
        ("flux1-dev", "sd15", True),  # the one that is here costs money
    ],
)
def test_a_strangers_picture_goes_to_the_backend_of_its_checkpoint(
    checkpoint: str | None, backend: str, doubtful: bool
) -> None:
    made = repeated(foreign(checkpoint=checkpoint, steps=5) if checkpoint else foreign(), {})
    assert made.backend == backend
    assert bool(made.notes) is doubtful
    assert not backends.get(made.backend).paid


def test_what_cannot_be_is_told_and_the_rest_is_asked_for() -> None:
    recipe = foreign(
        checkpoint="v1-5", width=513, height=10_000, steps=0, cfg=7.0, denoise=0.5, wings=2, seed=1
    )
    made = repeated(recipe, {})
    assert made.params == {
        "checkpoint": "v1-5",
        "width": 512,
        "height": 4096,
        "cfg": 7.0,
        "seed": 1,
    }
    said = " ".join(made.notes)
    assert "513" in said
    assert "steps" in said
    assert "wings" in said
    backends.parse(backends.get("sd15"), made.params)


def test_with_a_picture_the_strength_comes_along() -> None:
    recipe = foreign(checkpoint="v1-5", denoise=0.5)
    assert repeated(recipe, {"image": "cat.png"}).params == {
        "checkpoint": "v1-5",
        "denoise": 0.5,
        "image": "cat.png",
    }


def test_without_a_prompt_there_is_nothing_to_ask_for() -> None:
    recipe = ForeignRecipe(source="comfyui", prompt=" ", params={})
    with pytest.raises(ParamsInvalid, match="prompt"):
        repeated(recipe, {})
    assert repeated(recipe, {"prompt": "a fox"}).prompt == "a fox"


def test_the_text_for_others_says_what_was_really_used() -> None:
    text = parameters_text(ours(resolved=Resolved(prompt="an owl"), seed=2**64 - 1))
    assert text.startswith(
        "an owl <lora:first:0.5> <lora:next:1>\nNegative prompt: blurry\nSteps: 20,"
    )
    assert "Model: v1-5," in text
    flux = parameters_text(ours(backend="flux", workflow=None, params={"aspect_ratio": "1:1"}))
    assert flux == "a {fox|owl}\nSeed: 7, Model: flux, Version: orchestrator 1"
