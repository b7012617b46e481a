"""Progress over workflows with several samplers: honest by the work each does, and never backwards."""

from __future__ import annotations

import asyncio
import uuid
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.connectors.comfyui import ComfyUI, Timing
from orchestrator.connectors.comfyui_progress import CEILING, PromptProgress
from orchestrator.engine import CHECKPOINTS, Engine, Faults
from orchestrator.jobs import Progress

SD15, SDXL, REFINER, _, SVD = CHECKPOINTS
Graph = dict[str, Any]


def node(class_type: str, **inputs: Any) -> Any:
    return {"class_type": class_type, "inputs": inputs}


def sampler(latent: str, *, steps: int, model: str = "4", **more: Any) -> Any:
    inputs = {
        "model": [model, 0], "seed": 1, "steps": steps, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal",
        "positive": ["6", 0], "negative": ["6", 0], "latent_image": [latent, 0], "denoise": 1.0,
    }  # fmt: skip
    return node("KSampler", **(inputs | more))


def base(steps: int = 8, side: int = 64) -> Graph:
    return {
        "3": sampler("5", steps=steps),
        "4": node("CheckpointLoaderSimple", ckpt_name=SDXL),
        "5": node("EmptyLatentImage", width=side, height=side, batch_size=1),
        "6": node("CLIPTextEncode", text="an eagle", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="lab", images=["8", 0]),
    }


def second_pass(steps: int = 8) -> Graph:
    graph = base(steps)
    graph["10"] = node("LatentUpscaleBy", samples=["3", 0], upscale_method="area", scale_by=2.0)
    graph["11"] = sampler("10", steps=steps, denoise=0.5)
    graph["8"]["inputs"]["samples"] = ["11", 0]
    return graph


def advanced(latent: str, model: str, *, add: str, start: int, end: int, leave: str) -> Any:
    made = sampler(latent, steps=10, model=model)
    inputs = made["inputs"]
    del inputs["denoise"]
    inputs["noise_seed"] = inputs.pop("seed")
    inputs |= {"add_noise": add, "start_at_step": start, "end_at_step": end}
    return {
        "class_type": "KSamplerAdvanced",
        "inputs": inputs | {"return_with_leftover_noise": leave},
    }


def with_refiner() -> Graph:
    graph = base()
    graph["3"] = advanced("5", "4", add="enable", start=0, end=8, leave="enable")
    graph["12"] = node("CheckpointLoaderSimple", ckpt_name=REFINER)
    graph["15"] = advanced("3", "12", add="disable", start=8, end=10000, leave="disable")
    graph["8"]["inputs"]["samples"] = ["15", 0]
    return graph


def video_of_a_still(frames: int = 6) -> Graph:
    graph = base()
    del graph["9"]
    return graph | {
        "30": node("ImageOnlyCheckpointLoader", ckpt_name=SVD),
        "31": node(
            "SVD_img2vid_Conditioning", clip_vision=["30", 1], init_image=["8", 0], vae=["30", 2], width=64,
            height=64, video_frames=frames, motion_bucket_id=127, fps=6, augmentation_level=0.0,
        ),
        "33": sampler("31", steps=8, model="30", positive=["31", 0], negative=["31", 1], latent_image=["31", 2]),
        "34": node("VAEDecode", samples=["33", 0], vae=["30", 2]),
        "35": node(
            "SaveAnimatedWEBP", images=["34", 0], filename_prefix="vid", fps=6.0, lossless=False, quality=80,
            method="fastest",
        ),
    }  # fmt: skip


def after(graph: Graph, *finished: str) -> float:
    """The fraction once these nodes are finished."""
    progress = PromptProgress(graph)
    nodes = {id: {"state": "finished", "value": 1, "max": 1} for id in finished}
    progress.take("progress_state", {"nodes": nodes})
    return progress.current.fraction


def test_a_second_pass_over_four_times_the_pixels_is_four_fifths_of_the_work() -> None:
    graph = second_pass(steps=100)
    assert after(graph, "3", "4", "5", "6") == pytest.approx(0.2, abs=0.02)


def test_a_sampler_that_does_a_part_of_the_steps_counts_for_that_part() -> None:
    graph = with_refiner()
    assert after(graph, "3") == pytest.approx(4 * after(graph, "15"), rel=0.01)


def test_a_video_counts_for_all_its_frames() -> None:
    graph = video_of_a_still(frames=6)
    assert after(graph, "33") == pytest.approx(6 * after(graph, "3"), rel=0.01)


def test_a_batch_does_not_weigh_more_than_itself() -> None:
    """The weights are relative: where everything is of one size, nothing changes."""
    graph = base(steps=16)
    graph["5"]["inputs"] |= {"width": 1024, "height": 1024, "batch_size": 4}
    assert after(graph, "4") == pytest.approx(1 / 21)
    assert after(graph, "3") == pytest.approx(16 / 21)


def test_all_nodes_together_are_all_of_it() -> None:
    for graph in (base(), second_pass(), with_refiner(), video_of_a_still()):
        assert after(graph, *graph) == CEILING


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3),
    st.lists(st.sampled_from(["1", "2", 0, None]), max_size=2),
)  # fmt: skip
names = st.sampled_from(
    ["width", "height", "batch_size", "scale_by", "amount", "samples", "latent_image", "steps", "start_at_step",
     "end_at_step"]
)  # fmt: skip


@given(st.dictionaries(names, values), st.dictionaries(names, values))
def test_no_workflow_breaks_the_weights(one: Graph, other: Graph) -> None:
    graph = {"1": node("KSampler", **one), "2": node("KSamplerAdvanced", **other)}
    assert 0 <= after(graph, "1") <= CEILING


@pytest.mark.parametrize("dialect", ["0.27", "0.3.64"])
@pytest.mark.parametrize(
    ("graph", "samplers"),
    [(second_pass(), 2), (with_refiner(), 2), (video_of_a_still(), 2)],
    ids=["second pass", "refiner", "video of a still"],
)
def test_several_samplers_move_one_bar_with_previews_all_along(
    dialect: str, graph: Graph, samplers: int
) -> None:
    seen: list[Progress] = []

    async def main() -> None:
        faults = Faults(step_delay_s=0.05)
        async with Engine(dialect=dialect, faults=faults) as engine:
            comfy = ComfyUI(engine.url, timing=Timing(poll_interval_s=0.2))
            try:
                id = str(uuid.uuid4())
                await comfy.submit(graph, prompt_id=id)
                await comfy.wait(id, on_progress=seen.append)
            finally:
                await comfy.close()

    asyncio.run(main())
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 8
    steps = [p.step or 0 for p in seen]
    starts = [step for before, step in pairwise(steps) if step < before]
    assert len(starts) >= samplers - 1  # the count of steps begins again, the fraction does not
    previews = list(dict.fromkeys(p.preview for p in seen if p.preview))
    assert len(previews) >= 4
    # the prompt's end may be heard before its last steps are told
    assert all(p.step <= p.steps for p in seen if p.step and p.steps)
