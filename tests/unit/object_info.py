"""Servers for tests: one written by hand, and the recorded ones, each with some models on its shelves."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "recordings"
RECORDED = {
    "0.3.64": RECORDINGS / "comfyui" / "object_info.json",
    "0.27.0": RECORDINGS / "builder" / "object_info_0.27.0.json",
}
HAND_WRITTEN = ("V1", "V3")  # the two ways to list choices
SERVERS = (*HAND_WRITTEN, *RECORDED)

SD15, SDXL = "v1-5-pruned-emaonly.safetensors", "sd_xl_base_1.0.safetensors"
SD35, SVD = "sd3.5_large_fp8_scaled.safetensors", "svd.safetensors"
REFINER = "sd_xl_refiner_1.0.safetensors"
CHECKPOINTS = (SD15, SDXL, SD35, SVD, REFINER)
ENCODERS = ("clip_g.safetensors", "clip_l.safetensors", "t5xxl_fp16.safetensors")
LORAS = ("pixel-art.safetensors", "style/Ink.safetensors")
VAES = ("vae-ft-mse-840000-ema-pruned.safetensors", "sdxl_vae.safetensors")
UPSCALERS = ("RealESRGAN_x4plus.pth",)
SAMPLERS = ["euler", "euler_ancestral", "dpmpp_2m", "ddim", "uni_pc"]
SCHEDULERS = ["normal", "karras", "simple", "sgm_uniform"]

SIDE, SEED, STEPS, CFG = (16, 16384), (0, 2**64 - 1), (1, 10000), (0.0, 100.0)
STRENGTH, SHARE, PICKED = (-100.0, 100.0), (0.0, 1.0), (0, 10000)
SAMPLING = {"steps": STEPS, "cfg": CFG, "sampler_name": "samplers", "scheduler": "schedulers"}
PROMPTS = {"positive": "CONDITIONING", "negative": "CONDITIONING", "latent_image": "LATENT"}
CANVAS = {"width": SIDE, "height": SIDE, "batch_size": (1, 4096)}
# class -> inputs (a type; the limits of a number; a list of choices; the name of a list) and outputs
NODES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "CheckpointLoaderSimple": ({"ckpt_name": "checkpoints"}, ["MODEL", "CLIP", "VAE"]),
    "ImageOnlyCheckpointLoader": ({"ckpt_name": "checkpoints"}, ["MODEL", "CLIP_VISION", "VAE"]),
    "UNETLoader": ({"unet_name": [], "weight_dtype": ["default"]}, ["MODEL"]),
    "TripleCLIPLoader": (
        {f"clip_name{n}": "encoders" for n in (1, 2, 3)}, ["CLIP"]),
    "VAELoader": ({"vae_name": "vaes"}, ["VAE"]),
    "LoraLoader": (
        {"model": "MODEL", "clip": "CLIP", "lora_name": "loras",
         "strength_model": STRENGTH, "strength_clip": STRENGTH}, ["MODEL", "CLIP"]),
    "UpscaleModelLoader": ({"model_name": "upscalers"}, ["UPSCALE_MODEL"]),
    "CLIPTextEncode": ({"text": "STRING", "clip": "CLIP"}, ["CONDITIONING"]),
    "CLIPSetLastLayer": ({"clip": "CLIP", "stop_at_clip_layer": (-24, -1)}, ["CLIP"]),
    "ConditioningZeroOut": ({"conditioning": "CONDITIONING"}, ["CONDITIONING"]),
    "ConditioningSetTimestepRange": (
        {"conditioning": "CONDITIONING", "start": SHARE, "end": SHARE}, ["CONDITIONING"]),
    "ConditioningCombine": (
        {"conditioning_1": "CONDITIONING", "conditioning_2": "CONDITIONING"}, ["CONDITIONING"]),
    "SVD_img2vid_Conditioning": (
        {"clip_vision": "CLIP_VISION", "init_image": "IMAGE", "vae": "VAE", "width": SIDE, "height": SIDE,
         "video_frames": (1, 4096), "motion_bucket_id": (1, 1023), "fps": (1, 1024),
         "augmentation_level": (0.0, 10.0)}, ["CONDITIONING", "CONDITIONING", "LATENT"]),
    "EmptyLatentImage": (CANVAS, ["LATENT"]),
    "EmptySD3LatentImage": (CANVAS, ["LATENT"]),
    "VAEEncode": ({"pixels": "IMAGE", "vae": "VAE"}, ["LATENT"]),
    "VAEDecode": ({"samples": "LATENT", "vae": "VAE"}, ["IMAGE"]),
    "SetLatentNoiseMask": ({"samples": "LATENT", "mask": "MASK"}, ["LATENT"]),
    "RepeatLatentBatch": ({"samples": "LATENT", "amount": (1, 64)}, ["LATENT"]),
    "LatentUpscaleBy": (
        {"samples": "LATENT", "upscale_method": ["nearest-exact", "bislerp"],
         "scale_by": (0.01, 8.0)}, ["LATENT"]),
    "KSampler": (
        {"model": "MODEL", "seed": SEED, **SAMPLING, **PROMPTS, "denoise": SHARE}, ["LATENT"]),
    "KSamplerAdvanced": (
        {"model": "MODEL", "add_noise": ["enable", "disable"], "noise_seed": SEED, **SAMPLING, **PROMPTS,
         "start_at_step": PICKED, "end_at_step": PICKED,
         "return_with_leftover_noise": ["disable", "enable"]}, ["LATENT"]),
    "ModelSamplingSD3": ({"model": "MODEL", "shift": (0.0, 100.0)}, ["MODEL"]),
    "VideoLinearCFGGuidance": ({"model": "MODEL", "min_cfg": CFG}, ["MODEL"]),
    "LoadImage": ({"image": "uploads"}, ["IMAGE", "MASK"]),
    "LoadImageMask": (
        {"image": "uploads", "channel": ["alpha", "red", "green", "blue"]}, ["MASK"]),
    "ImageToMask": ({"image": "IMAGE", "channel": ["red", "green", "blue", "alpha"]}, ["MASK"]),
    "ImageScale": (
        {"image": "IMAGE", "upscale_method": ["nearest-exact", "lanczos"], "width": (0, 16384),
         "height": (0, 16384), "crop": ["disabled", "center"]}, ["IMAGE"]),
    "ImageUpscaleWithModel": ({"upscale_model": "UPSCALE_MODEL", "image": "IMAGE"}, ["IMAGE"]),
    "SaveImage": ({"images": "IMAGE", "filename_prefix": "STRING"}, []),
    "PreviewImage": ({"images": "IMAGE"}, []),
    "SaveAnimatedWEBP": (
        {"images": "IMAGE", "filename_prefix": "STRING", "fps": (0.01, 1000.0), "lossless": "BOOLEAN",
         "quality": (0, 100), "method": ["default", "fastest", "slowest"]}, []),
    "CreateVideo": ({"images": "IMAGE", "fps": (1.0, 120.0)}, ["VIDEO"]),
    "SaveVideo": (
        {"video": "VIDEO", "filename_prefix": "STRING", "format": ["auto", "mp4"],
         "codec": ["auto", "h264"]}, []),
}  # fmt: skip


def combo(options: list[str], *, shape: str) -> list[Any]:
    """A list of choices as older nodes (V1) and newer ones (V3) describe it."""
    return [options, {"tooltip": "…"}] if shape == "V1" else ["COMBO", {"options": options}]


def server(
    shape: str = "V1",
    checkpoints: tuple[str, ...] = CHECKPOINTS,
    *,
    encoders: tuple[str, ...] = ENCODERS,
    without: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The part of /object_info that our workflows meet, by hand."""
    lists = {
        "checkpoints": checkpoints, "encoders": encoders, "vaes": VAES, "loras": LORAS,
        "upscalers": UPSCALERS, "samplers": SAMPLERS, "schedulers": SCHEDULERS,
    }  # fmt: skip

    def spec(said: Any) -> list[Any]:
        match said:
            case "uploads":
                return [["example.png"], {"image_upload": True}]
            case str() if said in lists:
                return combo(list(lists[said]), shape=shape)
            case str():
                return [said, {}]
            case list():
                return combo(said, shape=shape)
        low, high = said
        return ["FLOAT" if isinstance(low, float) else "INT", {"min": low, "max": high}]

    return {
        name: {
            "input": {"required": {key: spec(said) for key, said in inputs.items()}},
            "output": outputs,
        }
        for name, (inputs, outputs) in NODES.items()
        if name not in without
    }


@cache
def _read(version: str) -> dict[str, Any]:
    info: dict[str, Any] = json.loads(RECORDED[version].read_text())
    return info


def recorded(version: str) -> dict[str, Any]:
    """What a real server answered; skips the test where there is no recording."""
    if not RECORDED[version].exists():
        pytest.skip(f"no recording of ComfyUI {version}")
    return _read(version)


def stocked(
    name: str, checkpoints: tuple[str, ...] = CHECKPOINTS, encoders: tuple[str, ...] = ENCODERS
) -> dict[str, Any]:
    """One of SERVERS, with models on its shelves: a recorded one had next to none."""
    if name in HAND_WRITTEN:
        return server(name, checkpoints, encoders=encoders)
    info = dict(recorded(name))
    shelves: dict[str, dict[str, tuple[str, ...]]] = {
        "CheckpointLoaderSimple": {"ckpt_name": checkpoints},
        "ImageOnlyCheckpointLoader": {"ckpt_name": checkpoints},
        "TripleCLIPLoader": {f"clip_name{n}": encoders for n in (1, 2, 3)},
        "VAELoader": {"vae_name": VAES},
        "LoraLoader": {"lora_name": LORAS},
        "UpscaleModelLoader": {"model_name": UPSCALERS},
    }
    for class_type, lists in shelves.items():
        info[class_type] = copy.deepcopy(info[class_type])
        required = info[class_type]["input"]["required"]
        for key, files in lists.items():
            shape = "V3" if required[key][0] == "COMBO" else "V1"
            required[key] = combo(list(files), shape=shape)
    return info
