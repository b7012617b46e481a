"""The `parameters` text: what is written is read again, and what other programs write is understood."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.recipes.infotext import compose, parse
from orchestrator.recipes.words import SAMPLERS, SCHEDULERS, infotext_of, params_of
from orchestrator.workflows import normalise_sampler

WEB_UI = """a red fox in the snow, <lora:add_detail:0.8> (masterpiece:1.2)
second line
Negative prompt: blurry, "ugly": bad
lowres
Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 965400086, Size: 512x768, Model hash: 45dee52b, Model: dreamshaper_8, VAE: vae-ft-mse-840000.safetensors, Clip skip: 2, Lora hashes: "add_detail: 7c6bad76eb54, other: 1", Version: v1.6.0"""  # noqa: E501
FORGE = """a castle
Steps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 5, Size: 896x1152, Model: sd_xl_base_1.0, Denoising strength: 0.4, Hires upscale: 1.5, Hires steps: 0, Hires upscaler: 4x-UltraSharp, Version: f2.0.1v1.10.1"""  # noqa: E501


def read(text: str) -> tuple[str, dict[str, Any], list[str]]:
    found = parse(text)
    assert found is not None
    return params_of(found)


def test_a_text_of_the_web_ui_is_understood() -> None:
    prompt, params, notes = read(WEB_UI)
    assert prompt == "a red fox in the snow,  (masterpiece:1.2)\nsecond line"
    assert params == {
        "steps": 28,
        "cfg": 6.5,
        "seed": 965400086,
        "clipSkip": 2,
        "sampler": "dpmpp_2m",
        "scheduler": "karras",
        "width": 512,
        "height": 768,
        "negativePrompt": 'blurry, "ugly": bad\nlowres',
        "loras": [{"name": "add_detail", "strength": 0.8}],
        "checkpoint": "dreamshaper_8",
        "vae": "vae-ft-mse-840000.safetensors",
    }
    assert notes == []


def test_a_second_pass_is_understood_and_its_upscaler_told_of() -> None:
    _, params, notes = read(FORGE)
    assert (params["hiresScale"], params["hiresDenoise"]) == (1.5, 0.4)
    assert "hiresSteps" not in params  # 0 says: as many as in the first
    assert "denoise" not in params
    assert (params["sampler"], params["scheduler"]) == ("euler", "simple")
    assert notes == ["was enlarged by 4x-UltraSharp between its two passes; here the latent is"]


def test_a_picture_made_from_a_picture_is_told_of() -> None:
    _, params, notes = read("x\nSteps: 20, Seed: 1, Size: 64x64, Denoising strength: 0.6")
    assert params["denoise"] == 0.6
    assert "another picture" in notes[0]


@pytest.mark.parametrize(
    ("sampler", "schedule", "expected"),
    [
        ("Euler a", None, ("euler_ancestral", "normal")),
        ("DPM++ 2M Karras", None, ("dpmpp_2m", "karras")),
        ("DPM++ 2M", None, ("dpmpp_2m", "normal")),
        ("DPM++ 2M", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 3M SDE", "Automatic", ("dpmpp_3m_sde", "exponential")),
        ("Euler", "Automatic", ("euler", "normal")),
        ("Euler", "Uniform", ("euler", "normal")),
        ("Euler", "SGM Uniform", ("euler", "sgm_uniform")),
        ("DDIM", "DDIM", ("ddim", "ddim_uniform")),
        ("UniPC", "Beta", ("uni_pc", "beta")),
    ],
)
def test_the_web_uis_samplers_are_comfyuis(
    sampler: str, schedule: str | None, expected: tuple[str, str]
) -> None:
    said = f", Schedule type: {schedule}" if schedule else ""
    _, params, _ = read(f"x\nSteps: 20, Sampler: {sampler}{said}, Seed: 1, Size: 64x64")
    assert (params["sampler"], params["scheduler"]) == expected


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - {"dpm_adaptive", "restart"}))
@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_every_sampler_and_scheduler_survives_the_web_uis_words(
    sampler: str, scheduler: str
) -> None:
    written = {"steps": 20, "sampler": sampler, "scheduler": scheduler, "seed": 1}
    _, params, _ = read(infotext_of("x", written, model=None, software="lab"))
    assert params == written
    assert normalise_sampler(SAMPLERS[sampler]) == sampler


def test_everything_the_lab_knows_is_read_again() -> None:
    params = {
        "steps": 20,
        "cfg": 7.5,
        "seed": 2**64 - 1,
        "clipSkip": 2,
        "sampler": "euler_ancestral",
        "scheduler": "karras",
        "width": 640,
        "height": 448,
        "negativePrompt": "уродливо: да, «нет»\nвторая строка",
        "checkpoint": "модель, 1: x",
        "loras": [{"name": "стиль", "strength": -0.5}, {"name": "b", "strength": 1.0}],
        "hiresScale": 1.5,
        "hiresSteps": 12,
        "hiresDenoise": 0.4,
    }
    text = infotext_of('орёл, "над" горами: да\nsecond, line', params, model=None, software="lab 1")
    prompt, again, notes = read(text)
    assert prompt == 'орёл, "над" горами: да\nsecond, line'
    assert again == params
    assert notes == []


def test_the_line_has_the_names_that_other_readers_look_for() -> None:
    params = {"steps": 20, "sampler": "euler_ancestral", "scheduler": "karras", "cfg": 7.0}
    size = {"seed": 1, "width": 512, "height": 512, "checkpoint": "folder/v1-5.safetensors"}
    assert infotext_of("a fox", params | size, model=None, software="orchestrator 1").split(
        "\n"
    ) == [
        "a fox",
        "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 1, "
        "Size: 512x512, Model: v1-5, Version: orchestrator 1",
    ]


words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n,:\"'\\"), max_size=60
)


@given(prompt=words, negative=words, value=words)
def test_texts_survive_whatever_is_in_them(prompt: str, negative: str, value: str) -> None:
    lines = [line for text in (prompt, negative) for line in text.split("\n")]
    if any(line.startswith(("Negative prompt:", "Steps:")) for line in lines):
        return  # nothing in the format tells such a line from its own
    settings = {"Steps": 1, "Seed": 2, "Model": value, "Version": "x"}
    found = parse(compose(prompt, negative=negative, settings=settings))
    assert found is not None
    assert found.prompt == prompt.strip()
    assert found.negative == negative.strip()
    assert found.settings == {"Steps": "1", "Seed": "2", "Model": value, "Version": "x"}


@pytest.mark.parametrize(
    "text", ["", "just a text", "a: b", "a: b, c: d", "Negative prompt: x", "\n" * 1000]
)
def test_a_text_without_settings_is_none_of_these(text: str) -> None:
    assert parse(text) is None


def test_lines_behind_the_settings_are_overlooked() -> None:
    found = parse("a fox\nSteps: 20, Seed: 1, Size: 64x64\nTemplate: a {fox|owl}")
    assert found is not None
    assert found.prompt == "a fox"
    assert found.settings["Seed"] == "1"


@pytest.mark.parametrize(
    "text",
    [
        "x" * 3_000_000,
        "a: " * 1_000_000,
        "Steps: 1, " * 300_000,
        'x\nSteps: "' + "\\" * 90_000,
        "x\n" + "a, " * 33_000,
        "x\nSteps: 1, " + "w" * 90_000,
        "<lora:" * 300_000 + "\nSteps: 1, Seed: 1, Size: 1x1",
    ],
)
def test_no_text_keeps_the_reader_busy(text: str) -> None:
    began = time.perf_counter()
    found = parse(text)
    if found is not None:
        params_of(found)
    assert time.perf_counter() - began < 2
