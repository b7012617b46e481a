"""Backends and their parameters: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.backends import (
    BACKENDS,
    RATIOS,
    Backend,
    FluxParams,
    ImageParams,
    Lora,
    SdxlParams,
    VideoParams,
    flux_body,
    get,
    loras_text,
    nearest_ratio,
    parse,
    with_seed,
)
from orchestrator.errors import ParamsInvalid, UnknownBackend

FLUX, SD15, SDXL = get("flux"), get("sd15"), get("sdxl")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def image(params: dict[str, Any]) -> ImageParams:
    parsed = parse(SD15, params)
    assert isinstance(parsed, ImageParams)
    return parsed


def flux(params: dict[str, Any]) -> FluxParams:
    parsed = parse(FLUX, params)
    assert isinstance(parsed, FluxParams)
    return parsed


# ------------------------------------------------------------------------------ backends


def test_the_backends_stand_in_the_order_they_are_offered() -> None:
    assert next(iter(BACKENDS)) == "flux"
    assert list(BACKENDS)[-4:] == ["sd15", "sdxl", "sd35", "svd"]
    assert all(b.paid == (b.service == "bfl") for b in BACKENDS.values())
    assert (FLUX.model, FLUX.price) == ("flux-pro-1.1-ultra", "$0.06 (6 credits) a picture")


def test_the_backends_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        BACKENDS["x"] = SD15  # type: ignore[index]
    with pytest.raises(AttributeError):
        SD15.title = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "near"),
    [("SD15", "sd15"), ("sdx", "sdxl"), ("flux-pro", "flux"), ("sd1.5", "sd15")],
)
def test_an_unknown_backend_is_refused_in_the_agreed_words_with_what_was_meant(
    name: str, near: str
) -> None:
    with pytest.raises(UnknownBackend) as caught:
        get(name)
    assert caught.value.message == "Invalid backend"
    assert f"Did you mean {near}" in caught.value.remedy
    assert "sd15, sdxl, sd35, svd." in caught.value.remedy


@pytest.mark.parametrize("name", ["", "midjourney", "<script>", "sd15\n"])
def test_a_foreign_backend_name_is_never_repeated(name: str) -> None:
    with pytest.raises(UnknownBackend) as caught:
        get(name)
    assert caught.value.message == "Invalid backend"
    assert "<script>" not in caught.value.remedy


# ------------------------------------------------------------------------------ ComfyUI parameters


def test_without_parameters_the_backend_decides() -> None:
    assert image({}).model_dump() == {
        "width": 512,
        "height": 512,
        "steps": 20,
        "cfg": 7.0,
        "sampler": "euler",
        "scheduler": "normal",
        "seed": None,
        "batch_size": 1,
        "negative_prompt": "",
        "checkpoint": None,
        "image": None,
        "denoise": None,
        "mask": None,
        "loras": (),
        "vae": None,
        "clip_skip": 1,
        "hires_scale": 1.0,
        "hires_denoise": 0.5,
        "hires_steps": None,
        "upscaler": None,
        "styles": (),
    }
    larger = parse(SDXL, {})
    assert isinstance(larger, ImageParams)
    assert (larger.width, larger.height, larger.steps) == (1024, 1024, 30)


@pytest.mark.parametrize(
    ("params", "field", "value"),
    [
        ({"negativePrompt": "blur"}, "negative_prompt", "blur"),
        ({"negative_prompt": "blur"}, "negative_prompt", "blur"),
        ({"batchSize": 4}, "batch_size", 4),
        ({"sampler_name": "ddim"}, "sampler", "ddim"),
        ({"samplerName": "ddim"}, "sampler", "ddim"),
        ({"ckpt_name": "a.ckpt"}, "checkpoint", "a.ckpt"),
        ({"steps": "8"}, "steps", 8),  # from a command line
        ({"cfg": "7.5"}, "cfg", 7.5),
        ({"cfg": 0}, "cfg", 0.0),
        ({"width": 768.0}, "width", 768),  # from JavaScript
        ({"width": None}, "width", 512),  # from a form
        ({"width": ""}, "width", 512),
        ({"seed": 0}, "seed", 0),
        ({"seed": "0"}, "seed", 0),
        ({"seed": -1}, "seed", None),
        ({"seed": "-1"}, "seed", None),
        ({"seed": None}, "seed", None),
        ({"seed": 2**64 - 1}, "seed", 2**64 - 1),  # KSampler's largest
        ({"width": 16, "height": 4096}, "height", 4096),
        ({"steps": 10_000}, "steps", 10_000),
        ({"sampler": "euler", "sampler_name": "euler"}, "sampler", "euler"),
        ({"image": "a.png", "denoise": 0}, "denoise", 0.0),
        ({"denoise": 1.0}, "denoise", 1.0),  # what a form shows, and what happens anyway
        ({"hiresDenoise": 0.5}, "hires_denoise", 0.5),
        ({"hires_scale": "1.5", "hiresSteps": "4"}, "hires_steps", 4),
        ({"loras": "a:0.8, b"}, "loras", (Lora(name="a", strength=0.8), Lora(name="b"))),
        ({"loras": [{"name": "a:0.8"}]}, "loras", (Lora(name="a:0.8"),)),
        (
            {"loras": "dir:x/a.safetensors:-2"},
            "loras",
            (Lora(name="dir:x/a.safetensors", strength=-2),),
        ),
        ({"loras": "a:b"}, "loras", (Lora(name="a:b"),)),
        ({"loras": '[{"name": "a, b", "strength": 2}]'}, "loras", (Lora(name="a, b", strength=2),)),
        ({"loras": " , "}, "loras", ()),
    ],
)
def test_a_parameter_is_understood(params: dict[str, Any], field: str, value: object) -> None:
    assert getattr(image(params), field) == value


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"width": 513},
            "width = 513: must be a multiple of 8 from 16 to 4096, in pixels",
        ),
        ({"width": 8}, "width = 8: must be"),
        ({"height": 4104}, "height = 4104: must be"),
        ({"width": True}, "width = True: must be"),
        ({"width": "wide"}, "width = 'wide': must be"),
        ({"steps": 0}, "steps = 0: must be a whole number from 1 to 10000"),
        ({"steps": 2.5}, "steps = 2.5: must be"),
        ({"cfg": 101}, "cfg = 101: must be a number from 0 to 100"),
        ({"cfg": "nan"}, "cfg = 'nan': must be"),
        ({"cfg": float("inf")}, "cfg = inf: must be"),
        ({"seed": -2}, "seed = -2: must be a whole number from 0 to 2^64-1, or -1"),
        ({"seed": 2**64}, f"seed = {2**64}: must be"),
        ({"seed": True}, "seed = True: must be"),
        ({"batchSize": 65}, "batchSize = 65: must be a whole number from 1 to 64"),
        ({"negativePrompt": ["a"]}, "negativePrompt = ['a']: must be text"),
        ({"sampler": 3}, "sampler = 3: must be the name of a sampler"),
        ({"widht": 512}, "widht is not a parameter of sd15; did you mean width?"),
        ({"cfgScale": 7}, "cfgScale is not a parameter of sd15; did you mean cfg?"),
        ({"negPrompt": "x"}, "did you mean negative_prompt?"),
        ({"aspectRatio": "16:9"}, "aspectRatio is not a parameter of sd15"),
        ({"sampler": "ddim", "sampler_name": "lms"}, "are the same and differ"),
        ({"mask": "m.png"}, "mask = 'm.png' says nothing without image"),
        ({"denoise": 0.5}, "denoise = 0.5 says nothing without image"),
        ({"image": "a.png", "denoise": 1.1}, "denoise = 1.1: must be a number from 0 to 1"),
        ({"hires_denoise": 0.4}, "hires_denoise = 0.4 says nothing without hiresScale"),
        ({"hiresSteps": 4, "hiresScale": 1}, "hiresSteps = 4 says nothing without hiresScale"),
        ({"hiresScale": 5}, "hiresScale = 5: must be a number from 1 to 4"),
        ({"clipSkip": 13}, "clipSkip = 13: must be a whole number from 1 to 12"),
        ({"loras": "a:11"}, "loras = 'a:11': must be a list of at most 16 LoRAs"),
        ({"loras": [{"name": "a", "weight": 1}]}, "must be a list of at most 16 LoRAs"),
        ({"loras": [{"name": " "}]}, "must be a list of at most 16 LoRAs"),
        ({"loras": [{"name": "a", "strength": True}]}, "must be a list"),
        ({"loras": ["a"]}, "must be a list"),
        ({"loras": "[" * 5000}, "must be a list"),
        ({"loras": [{"name": "a"}] * 17}, "must be a list of at most 16"),
        ({"refiner": "r.safetensors"}, "refiner is not a parameter of sd15"),
        ({"frames": 14}, "frames is not a parameter of sd15"),
    ],
)
def test_a_bad_parameter_is_named_with_its_value_and_what_is_allowed(
    params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParamsInvalid) as caught:
        image(params)
    assert message in caught.value.message


def test_every_bad_parameter_is_named_at_once() -> None:
    with pytest.raises(ParamsInvalid) as caught:
        image({"width": 1, "steps": "x", "hight": 3, "cfg": 7})
    assert caught.value.message.count("must be") == 2
    assert all(word in caught.value.message for word in ("width", "steps", "hight", "height?"))
    assert "cfg =" not in caught.value.message
    assert caught.value.remedy.startswith("SD 1.5 takes: width, height, steps")


def test_a_refiner_s_place_says_nothing_without_a_refiner() -> None:
    with pytest.raises(ParamsInvalid) as caught:
        parse(SDXL, {"refinerAt": 0.5})
    assert caught.value.message == "refinerAt = 0.5 says nothing without refiner"
    assert caught.value.fields == {"refinerAt": "says nothing without refiner"}
    both = parse(SDXL, {"refinerAt": 0.5, "refiner": "r"})
    assert isinstance(both, SdxlParams)
    assert both.refiner_at == 0.5


def test_an_image_is_painted_over_in_part_and_nothing_wholly() -> None:
    strengths = [
        image(params).strength
        for params in ({}, {"image": "a.png"}, {"image": "a.png", "denoise": 0.2})
    ]
    assert strengths == [1.0, 0.75, 0.2]


def test_a_video_has_its_own_parameters() -> None:
    video = parse(get("svd"), {"minCfg": 2, "motion": 1023, "outputFormat": "mp4"})
    assert isinstance(video, VideoParams)
    assert (video.width, video.height, video.frames, video.fps) == (1024, 576, 14, 6)
    assert (video.cfg, video.min_cfg, video.motion, video.output_format) == (2.5, 2.0, 1023, "mp4")
    for bad in ({"motion": 0}, {"frames": 401}, {"outputFormat": "gif"}, {"batchSize": 2}):
        with pytest.raises(ParamsInvalid):
            parse(get("svd"), bad)


def test_over_rest_a_list_of_loras_is_a_list() -> None:
    given = [{"name": "a", "strength": 1}]
    assert image({"loras": given}) == parse(SD15, {"loras": given}, strict=True)
    with pytest.raises(ParamsInvalid):
        parse(SD15, {"loras": "a:1"}, strict=True)


@given(
    loras=st.lists(
        st.builds(
            Lora,
            name=st.text(min_size=1, max_size=20).map(str.strip).filter(bool),
            strength=st.floats(-10, 10),
        ),
        max_size=16,
    )
)
def test_loras_as_text_are_the_same_loras(loras: list[Lora]) -> None:
    text = loras_text([lora.model_dump() for lora in loras])
    assert image({"loras": text}).loras == tuple(loras)


@pytest.mark.parametrize("backend", list(BACKENDS.values()), ids=list(BACKENDS))
def test_what_was_parsed_is_understood_once_more(backend: Backend) -> None:
    once = parse(backend, {})
    assert parse(backend, once.model_dump()) == once


@given(
    params=st.dictionaries(
        st.text(max_size=12)
        | st.sampled_from(
            ["width", "seed", "cfg", "loras", "mask", "image", "hiresSteps", "refinerAt", "frames"]
        ),
        JSON_VALUES,
    )
)
def test_whatever_is_sent_is_parsed_or_refused_in_one_line(params: dict[str, Any]) -> None:
    for backend in BACKENDS.values():
        said = ""
        try:
            parse(backend, params)
        except ParamsInvalid as error:
            said = error.message
        assert not said or said.isprintable()
        assert "pydantic" not in said
        assert len(said) < 6_000


def test_a_huge_value_is_not_repeated_in_full() -> None:
    with pytest.raises(ParamsInvalid) as caught:
        image({"steps": "9" * 50_000, "x" * 50_000: 1})
    assert len(caught.value.message) < 500


def test_parameters_are_values() -> None:
    with pytest.raises(ValidationError):
        image({}).steps = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        ImageParams.model_validate(image({}).model_dump() | {"denoiser": 1})


# ------------------------------------------------------------------------------ FLUX


@pytest.mark.parametrize(
    ("params", "ratio"),
    [
        ({}, "4:3"),  # the backend's own 1024×768
        ({"width": 1024, "height": 1024}, "1:1"),
        ({"width": 1920, "height": 1080}, "16:9"),
        ({"width": "1080", "height": "1920"}, "9:16"),
        ({"width": 4096, "height": 16}, "21:9"),  # as far as it goes
        ({"height": 1024}, "1:1"),
        ({"aspectRatio": "2:1"}, "2:1"),  # the range is BFL's, our list only rounds
        ({"aspect_ratio": " 16:9 "}, "16:9"),
        ({"width": 1024, "height": 768, "aspectRatio": "16:9"}, "16:9"),  # the old system's form
    ],
)
def test_flux_gets_a_shape(params: dict[str, Any], ratio: str) -> None:
    assert flux(params).aspect_ratio == ratio


@given(width=st.integers(16, 4096), height=st.integers(16, 4096))
def test_the_nearest_shape_is_the_same_lying_down(width: int, height: int) -> None:
    def turned(ratio: str) -> str:
        return ":".join(reversed(ratio.split(":")))

    def off(ratio: str) -> float:
        across, down = map(int, ratio.split(":"))
        return max(width * down / (height * across), height * across / (width * down))

    upright, lying = nearest_ratio(width, height), nearest_ratio(height, width)
    best = min(map(off, RATIOS))
    assert off(upright) == pytest.approx(best)
    assert off(turned(lying)) == pytest.approx(best)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"aspectRatio": "22:9"}, "aspectRatio = '22:9': must be a shape from 21:9 to 9:21"),
        ({"aspectRatio": "wide"}, "aspectRatio = 'wide': must be"),
        ({"aspectRatio": "0:0"}, "aspectRatio = '0:0': must be"),
        ({"safety_tolerance": 7}, "safety_tolerance = 7: must be a whole number from 0"),
        ({"output_format": "gif"}, "output_format = 'gif': must be jpeg or png"),
        ({"raw": "perhaps"}, "raw = 'perhaps': must be true or false"),
        ({"seed": 2**32}, "seed = 4294967296: must be"),
        ({"negativePrompt": "x"}, "negativePrompt is not a parameter of flux"),
        ({"steps": 20}, "steps is not a parameter of flux"),
        ({"sampler_name": "euler"}, "sampler_name is not a parameter of flux"),
        ({"saftey_tolerance": 1}, "did you mean safety_tolerance?"),
    ],
)
def test_flux_refuses(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsInvalid) as caught:
        flux(params)
    assert message in caught.value.message


def test_the_body_for_flux_is_what_its_documents_ask_for() -> None:
    params = flux({"width": 1920, "height": 1080, "seed": 0, "raw": "true", "outputFormat": "JPG"})
    assert flux_body(params, "an eagle") == {
        "prompt": "an eagle",
        "aspect_ratio": "16:9",
        "seed": 0,  # a seed like any other
        "safety_tolerance": 2,
        "output_format": "jpeg",
        "raw": True,
        "prompt_upsampling": False,
    }
    assert "seed" not in flux_body(flux({}), "an eagle")


# ------------------------------------------------------------------------------ seeds


@pytest.mark.parametrize("params", [{}, {"seed": None}, {"seed": -1}, {"Seed": "-1"}, {"seed": ""}])
@pytest.mark.parametrize("backend", list(BACKENDS.values()), ids=list(BACKENDS))
def test_a_seed_is_chosen_where_there_is_none(backend: Any, params: dict[str, Any]) -> None:
    rng = random.Random(5)
    seeds = [with_seed(params, backend, rng)["seed"] for _ in range(200)]
    limit = 2**32 - 1 if backend.service == "bfl" else 2**53 - 1
    assert len(set(seeds)) == 200
    assert all(0 <= seed <= limit for seed in seeds)
    assert max(seeds) > limit // 2
    assert parse(backend, with_seed(params, backend, rng)).model_dump()["seed"] is not None


@pytest.mark.parametrize("seed", [0, "0", 42, 2**64 - 1, "x", -7])
def test_a_seed_that_was_given_is_left_alone(seed: object) -> None:
    params = {"steps": 4, "seed": seed}
    assert with_seed(params, SD15, random.Random(1)) == params


def test_choosing_a_seed_keeps_the_rest_and_changes_no_argument() -> None:
    params = {"negativePrompt": "x", "seed": -1, "unknown": [1]}
    chosen = with_seed(params, SD15, random.Random(1))
    assert params["seed"] == -1
    assert {**chosen, "seed": -1} == params
