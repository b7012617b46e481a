"""Workflows run as a whole: a given picture, masks, LoRAs, several passes, and what each of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
import pytest
from engine_graphs import (
    REFINER,
    SD15,
    SD35,
    SDXL,
    SVD,
    Graph,
    apart,
    half_white,
    hires,
    node,
    over,
    pictures,
    png,
    put,
    refined,
    scene,
    sd35,
    with_lora,
)
from engine_talk import Talk, painting, talking
from PIL import Image

from orchestrator.engine.weights import FILES

JSON = Any
T = TypeVar("T")
dialects = pytest.mark.parametrize("dialect", ["0.3.64", "0.27"])


def run(action: Callable[[Talk], Awaitable[T]], **options: JSON) -> T:
    async def main() -> T:
        async with talking(**options) as talk:
            return await action(talk)

    return asyncio.run(main())


def made(*graphs: Graph, **options: JSON) -> list[np.ndarray]:
    """The first picture of each graph, from one engine."""

    async def make(talk: Talk) -> list[np.ndarray]:
        return [(await pictures(talk, graph))[0] for graph in graphs]

    return run(make, **options)


async def _failure(talk: Talk, graph: Graph) -> dict[str, JSON]:
    prompt_id, _ = await talk.run(graph)
    event, data = (await talk.history(prompt_id))["status"]["messages"][-1]
    assert event == "execution_error"
    return dict(data)


@dialects
def test_a_picture_fades_into_the_painting_as_denoise_grows(dialect: str) -> None:
    levels = (0.0, 0.1, 0.3, 0.6, 1.0)
    given = scene()

    async def make(talk: Talk) -> list[float]:
        name = await put(talk, "scene.png", png(given))
        assert name == "orchestrator/scene.png"
        graphs = [over(name, denoise=d, text="blue sea", steps=4) for d in levels]
        return [apart((await pictures(talk, graph))[0], given) for graph in graphs]

    far = run(make, dialect=dialect)
    assert far == sorted(far)
    assert far[0] == 0
    assert 0 < far[2] < 0.5 * far[-1]
    assert far[-1] > 30


def test_what_a_mask_leaves_out_stays_to_the_pixel() -> None:
    given = scene(64, 128)

    async def make(talk: Talk) -> np.ndarray:
        name = await put(talk, "scene.png", png(given))
        mask = await put(talk, "mask.png", png(half_white(64, 128)))
        return (await pictures(talk, over(name, denoise=1.0, mask=mask, steps=4)))[0]

    painted = run(make)
    assert np.array_equal(painted[:, :40], given[:, :40])  # the border may blend, as a VAE's does
    assert apart(painted[:, 80:], given[:, 80:]) > 20


def test_a_mask_may_come_from_the_transparency_of_the_picture() -> None:
    given = scene()
    covered = np.dstack([given, np.full(given.shape[:2], 255, np.uint8)])
    covered[:, 40:, 3] = 0

    async def make(talk: Talk) -> np.ndarray:
        graph = over(await put(talk, "hole.png", png(covered)), denoise=1.0, steps=3)
        graph["23"] = node("SetLatentNoiseMask", samples=["21", 0], mask=["20", 1])
        graph["3"]["inputs"]["latent_image"] = ["23", 0]
        return (await pictures(talk, graph))[0]

    painted = run(make)
    assert np.array_equal(painted[:, :16], given[:, :16])
    assert apart(painted[:, 56:], given[:, 56:]) > 10


def test_a_mask_of_another_size_is_fitted_like_the_picture_it_lies_on() -> None:
    given = scene(64, 128)

    async def make(talk: Talk) -> np.ndarray:
        name = await put(talk, "scene.png", png(given))
        mask = await put(talk, "mask.png", png(half_white(32, 64)))
        graph = over(name, denoise=1.0, mask=mask, steps=3)
        graph["22"] = node("LoadImage", image=mask)
        graph["24"] = node(
            "ImageScale", image=["22", 0], upscale_method="nearest-exact", width=128, height=64, crop="center"
        )  # fmt: skip
        graph["25"] = node("ImageToMask", image=["24", 0], channel="red")
        graph["23"]["inputs"]["mask"] = ["25", 0]
        return (await pictures(talk, graph))[0]

    painted = run(make)
    assert np.array_equal(painted[:, :40], given[:, :40])
    assert apart(painted[:, 80:], given[:, 80:]) > 10


def test_each_picture_of_a_repeated_batch_differs_and_shows_the_given_one() -> None:
    given = scene()

    async def make(talk: Talk) -> list[np.ndarray]:
        graph = over(await put(talk, "scene.png", png(given)), denoise=0.4, steps=3)
        graph["24"] = node("RepeatLatentBatch", samples=["21", 0], amount=3)
        graph["3"]["inputs"]["latent_image"] = ["24", 0]
        return await pictures(talk, graph)

    batch = run(make)
    assert len(batch) == 3
    assert apart(batch[0], batch[1]) > 1
    assert all(apart(one, given) < 60 for one in batch)


def test_a_picture_of_any_size_is_cut_around_its_middle() -> None:
    given = scene(67, 90)

    async def make(talk: Talk) -> np.ndarray:
        name = await put(talk, "odd.png", png(given))
        return (await pictures(talk, over(name, denoise=0.0)))[0]

    assert np.array_equal(run(make), given[1:65, 1:89])


def test_lora_vae_clip_layer_and_checkpoint_each_change_the_picture_and_a_lora_by_its_strength() -> (
    None
):
    vae, skip, other = painting(), painting(), painting(checkpoint=SD35)
    vae["10"] = node("VAELoader", vae_name=FILES["vae"][0])
    vae["8"]["inputs"]["vae"] = ["10", 0]
    skip["10"] = node("CLIPSetLastLayer", clip=["4", 1], stop_at_clip_layer=-2)
    skip["6"]["inputs"]["clip"] = ["10", 0]
    loras = [with_lora(strength) for strength in (0.0, 0.3, 1.0, -1.0)]
    plain, with_vae, skipped, another, none, weak, strong, negative = made(
        painting(), vae, skip, other, *loras
    )
    assert np.array_equal(plain, none)
    assert 0.5 < apart(plain, weak) < apart(plain, strong)
    assert apart(strong, negative) > apart(plain, strong)
    assert all(apart(plain, one) > 0.5 for one in (with_vae, skipped, another))


def test_a_diffusion_model_by_itself_paints_with_its_encoders() -> None:
    graph = sd35(steps=3)
    graph["20"] = node("UNETLoader", unet_name=FILES["diffusion_models"][0], weight_dtype="default")
    graph["11"]["inputs"]["model"] = ["20", 0]
    (painted,) = made(graph)
    assert painted.std() > 10


@dialects
def test_sd35_heeds_its_shift_and_the_part_in_which_a_negative_prompt_holds(dialect: str) -> None:
    throughout, unshifted = sd35(steps=6), sd35(steps=6)
    throughout["14"]["inputs"]["end"] = 1.0
    unshifted["11"]["inputs"]["shift"] = 1.0
    (plain, again, longer, other) = made(
        sd35(steps=6), sd35(steps=6), throughout, unshifted, dialect=dialect
    )
    assert np.array_equal(plain, again)
    assert apart(plain, longer) > 0.5
    assert apart(plain, other) > 0.1


def test_a_second_pass_enlarges_the_picture_and_keeps_its_shapes() -> None:
    first, second, free = made(
        painting(steps=6), hires(denoise=0.4, steps=6), hires(denoise=0.4, steps=6, seed=2)
    )
    assert second.shape == (128, 128, 3)
    small = np.asarray(Image.fromarray(second.astype(np.uint8)).resize((64, 64))).astype(int)
    other = np.asarray(Image.fromarray(free.astype(np.uint8)).resize((64, 64))).astype(int)
    assert 0 < apart(small, first) < 0.6 * apart(other, first)


@pytest.mark.parametrize(("index", "factor"), [(0, 2), (1, 4)])
def test_an_upscale_model_enlarges_by_the_number_in_its_name(index: int, factor: int) -> None:
    graph = painting()
    graph["10"] = node("UpscaleModelLoader", model_name=FILES["upscale_models"][index])
    graph["11"] = node("ImageUpscaleWithModel", upscale_model=["10", 0], image=["8", 0])
    graph["9"]["inputs"]["images"] = ["11", 0]
    (large,) = made(graph)
    assert large.shape == (64 * factor, 64 * factor, 3)


def test_a_refiner_goes_on_where_the_base_stopped() -> None:
    alone, refined_late, refined_early = made(
        painting(checkpoint=SDXL, steps=10), refined(at=8, steps=10), refined(at=3, steps=10)
    )
    assert 0.3 < apart(alone, refined_late) < apart(alone, refined_early)
    other = made(refined(at=8, steps=10, refiner=SD15))[0]
    assert apart(refined_late, other) > 0.3


def test_noise_that_is_left_over_is_still_to_be_seen() -> None:
    graph = refined(at=4, steps=8)
    graph["8"]["inputs"]["samples"] = ["3", 0]
    for id in ("12", "13", "14", "15"):
        del graph[id]
    clean = {
        **graph,
        "3": {
            **graph["3"],
            "inputs": graph["3"]["inputs"] | {"return_with_leftover_noise": "disable"},
        },
    }
    noisy, quiet = made(graph, clean)
    rough = [np.abs(np.diff(p, axis=0)).mean() for p in (noisy, quiet)]
    assert rough[0] > 1.5 * rough[1]


def test_a_sampler_that_starts_late_with_noise_is_image_to_image() -> None:
    given = scene()

    async def make(talk: Talk) -> list[float]:
        name = await put(talk, "scene.png", png(given))
        found = []
        for start in (10, 7, 3, 0):
            graph = over(name, denoise=1.0)
            inputs = graph["3"]["inputs"]
            seed = inputs.pop("seed")
            del inputs["denoise"]
            inputs |= {
                "add_noise": "enable",
                "noise_seed": seed,
                "steps": 10,
                "start_at_step": start,
            }
            inputs |= {"end_at_step": 10000, "return_with_leftover_noise": "disable"}
            graph["3"]["class_type"] = "KSamplerAdvanced"
            found.append(apart((await pictures(talk, graph))[0], given))
        return found

    far = run(make)
    assert far == sorted(far)
    assert far[0] == 0


def test_a_video_model_reads_no_words_and_a_word_model_sees_no_picture() -> None:
    async def ask(talk: Talk) -> tuple[JSON, JSON]:
        name = await put(talk, "scene.png", png(scene()))
        words = await _failure(talk, painting(checkpoint=SVD))
        blind = {
            "1": node("ImageOnlyCheckpointLoader", ckpt_name=SD15),
            "2": node("LoadImage", image=name),
            "3": node(
                "SVD_img2vid_Conditioning", clip_vision=["1", 1], init_image=["2", 0], vae=["1", 2], width=64,
                height=64, video_frames=2, motion_bucket_id=1, fps=6, augmentation_level=0.0,
            ),
            "4": node("VAEDecode", samples=["3", 2], vae=["1", 2]),
            "5": node("PreviewImage", images=["4", 0]),
        }  # fmt: skip
        return words, await _failure(talk, blind)

    words, blind = run(ask)
    assert (words["node_type"], "text encoder" in words["exception_message"]) == (
        "CLIPTextEncode",
        True,
    )
    assert "CLIP vision" in blind["exception_message"]


def test_more_than_the_engine_can_hold_is_refused_as_out_of_memory() -> None:
    graph = painting()
    graph["10"] = node("RepeatLatentBatch", samples=["5", 0], amount=64)
    graph["11"] = node("LatentUpscaleBy", samples=["10", 0], upscale_method="area", scale_by=8.0)
    graph["12"] = node("LatentUpscaleBy", samples=["11", 0], upscale_method="area", scale_by=8.0)
    graph["3"]["inputs"]["latent_image"] = ["12", 0]
    failure = run(lambda talk: _failure(talk, graph))
    assert failure["exception_type"] == "MemoryError"
    assert "megapixels" in failure["exception_message"]


def test_the_refiner_understands_words_as_its_base_does() -> None:
    (base, refiner) = made(
        painting(checkpoint=SDXL, steps=8), painting(checkpoint=REFINER, steps=8)
    )
    (other,) = made(painting(checkpoint=SD15, steps=8))
    assert 0.3 < apart(base, refiner) < apart(base, other)
