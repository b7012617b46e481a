"""Graphs with a given picture, several samplers or frames, in API format, written by hand."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from engine_talk import Talk, painting
from PIL import Image

from orchestrator.engine import CHECKPOINTS
from orchestrator.engine.weights import FILES

JSON = Any
Graph = dict[str, JSON]
SD15, SDXL, REFINER, SD35, SVD = CHECKPOINTS


def node(class_type: str, **inputs: JSON) -> JSON:
    return {"class_type": class_type, "inputs": inputs}


def over(name: str, *, denoise: float, mask: str | None = None, **changes: JSON) -> Graph:
    """Image to image; with a mask, only where it is white."""
    graph = painting(**changes)
    graph["20"] = node("LoadImage", image=name)
    graph["21"] = node("VAEEncode", pixels=["20", 0], vae=["4", 2])
    source = ["21", 0]
    if mask:
        graph["22"] = node("LoadImageMask", image=mask, channel="red")
        graph["23"] = node("SetLatentNoiseMask", samples=source, mask=["22", 0])
        source = ["23", 0]
    graph["3"]["inputs"] |= {"denoise": denoise, "latent_image": source}
    return graph


def with_lora(strength: float, **changes: JSON) -> Graph:
    graph = painting(**changes)
    graph["10"] = node(
        "LoraLoader", model=["4", 0], clip=["4", 1], lora_name=FILES["loras"][0],
        strength_model=strength, strength_clip=strength,
    )  # fmt: skip
    graph["3"]["inputs"]["model"] = ["10", 0]
    graph["6"]["inputs"]["clip"] = graph["7"]["inputs"]["clip"] = ["10", 1]
    return graph


def hires(*, denoise: float, scale: float = 2.0, **changes: JSON) -> Graph:
    """A second pass over the enlarged latent."""
    graph = painting(**changes)
    graph["10"] = node(
        "LatentUpscaleBy", samples=["3", 0], upscale_method="bicubic", scale_by=scale
    )
    again = graph["3"]["inputs"] | {"latent_image": ["10", 0], "denoise": denoise, "steps": 2}
    graph["11"] = node("KSampler", **again)
    graph["8"]["inputs"]["samples"] = ["11", 0]
    return graph


def refined(*, at: int, steps: int, refiner: str = REFINER, **changes: JSON) -> Graph:
    """Base and refiner share one schedule: the base leaves its noise, the refiner goes on."""
    graph = painting(checkpoint=SDXL, **changes)
    kept = ("model", "cfg", "sampler_name", "scheduler", "positive", "negative", "latent_image")
    shared = {k: graph["3"]["inputs"][k] for k in kept} | {"steps": steps}
    graph["3"] = node(
        "KSamplerAdvanced", **shared, add_noise="enable", noise_seed=graph["3"]["inputs"]["seed"],
        start_at_step=0, end_at_step=at, return_with_leftover_noise="enable",
    )  # fmt: skip
    graph["12"] = node("CheckpointLoaderSimple", ckpt_name=refiner)
    for id, text in (("13", graph["6"]), ("14", graph["7"])):
        graph[id] = node("CLIPTextEncode", text=text["inputs"]["text"], clip=["12", 1])
    links = {"model": ["12", 0], "positive": ["13", 0], "negative": ["14", 0]}
    graph["15"] = node(
        "KSamplerAdvanced", **(shared | links | {"latent_image": ["3", 0]}), add_noise="disable",
        noise_seed=0, start_at_step=at, end_at_step=10000, return_with_leftover_noise="disable",
    )  # fmt: skip
    graph["8"]["inputs"]["samples"] = ["15", 0]
    return graph


def sd35(**changes: JSON) -> Graph:
    """The template of SD 3.5: three encoders, shifted schedule, a negative prompt for the beginning only."""
    graph = painting(checkpoint=SD35, cfg=4.5, scheduler="sgm_uniform", **changes)
    names = {f"clip_name{i}": n for i, n in enumerate(FILES["text_encoders"], start=1)}
    graph["10"] = node("TripleCLIPLoader", **names)
    graph["6"]["inputs"]["clip"] = graph["7"]["inputs"]["clip"] = ["10", 0]
    graph["11"] = node("ModelSamplingSD3", model=["4", 0], shift=3.0)
    graph["12"] = node("ConditioningZeroOut", conditioning=["7", 0])
    graph["13"] = node("ConditioningSetTimestepRange", conditioning=["12", 0], start=0.1, end=1.0)
    graph["14"] = node("ConditioningSetTimestepRange", conditioning=["7", 0], start=0.0, end=0.1)
    graph["15"] = node("ConditioningCombine", conditioning_1=["13", 0], conditioning_2=["14", 0])
    graph["3"]["inputs"] |= {"model": ["11", 0], "negative": ["15", 0]}
    graph["5"]["class_type"] = "EmptySD3LatentImage"
    return graph


def video(
    source: list[JSON],
    *,
    frames: int = 5,
    motion: int = 127,
    fps: float = 6.0,
    lossless: bool = True,
    width: int = 128,
    height: int = 80,
    seed: int = 3,
) -> Graph:
    """Image to video; `source` is the link of the picture, whose nodes are to be added."""
    return {
        "30": node("ImageOnlyCheckpointLoader", ckpt_name=SVD),
        "31": node(
            "SVD_img2vid_Conditioning", clip_vision=["30", 1], init_image=source, vae=["30", 2], width=width,
            height=height, video_frames=frames, motion_bucket_id=motion, fps=int(fps), augmentation_level=0.0,
        ),
        "32": node("VideoLinearCFGGuidance", model=["30", 0], min_cfg=1.0),
        "33": node(
            "KSampler", model=["32", 0], seed=seed, steps=3, cfg=2.5, sampler_name="euler", scheduler="karras",
            positive=["31", 0], negative=["31", 1], latent_image=["31", 2], denoise=1.0,
        ),
        "34": node("VAEDecode", samples=["33", 0], vae=["30", 2]),
        "35": node(
            "SaveAnimatedWEBP", images=["34", 0], filename_prefix="vid", fps=fps, lossless=lossless, quality=80,
            method="fastest",
        ),
    }  # fmt: skip


def still_and_video(**changes: JSON) -> Graph:
    """A still painted from words, and its video; the still itself is not kept."""
    graph = painting(side=80)
    del graph["9"]
    return graph | video(["8", 0], **changes)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def scene(height: int = 64, width: int = 64) -> np.ndarray:
    """A picture with fine details, which eight pixels to one cannot hold."""
    y, x = np.mgrid[:height, :width]
    checks = ((x // 2 + y // 2) % 2 * 60).astype(np.uint8)
    return np.stack([(x * 3 + checks) % 256, (y * 3) % 256, 255 - checks], -1).astype(np.uint8)


def half_white(height: int = 64, width: int = 64) -> np.ndarray:
    """A mask: the left half stays, the right half is repainted."""
    mask = np.zeros((height, width, 3), np.uint8)
    mask[:, width // 2 :] = 255
    return mask


async def put(talk: Talk, name: str, data: bytes, subfolder: str = "orchestrator") -> str:
    """Upload a picture; returns what LoadImage takes."""
    answer = await talk.http.post(
        "/upload/image", files={"image": (name, data, "image/png")}, data={"subfolder": subfolder}
    )
    stored = answer.json()
    return "/".join(filter(None, (stored["subfolder"], stored["name"])))


async def pictures(talk: Talk, graph: Graph) -> list[np.ndarray]:
    """The pictures a graph saves."""
    answer = await talk.post(graph)
    assert answer.status_code == 200, answer.text
    prompt_id = answer.json()["prompt_id"]
    await talk.hear_until("executing", node=None, prompt_id=prompt_id)
    entry = await talk.history(prompt_id)
    assert entry["status"]["completed"], entry["status"]["messages"][-1]
    found = []
    for output in entry["outputs"].values():
        for file in output["images"]:
            data = (await talk.http.get("/view", params=file)).content
            found.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int))
    return found


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """How far two pictures are from each other, 0 to 255."""
    return float(np.abs(one - other).mean())
