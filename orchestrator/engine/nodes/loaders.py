"""Nodes that load models, or change how a loaded one works."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.engine.nodes.node import Node, Result, Run, Server, combo, number
from orchestrator.engine.weights import PIXEL_SPACE, Clip, Model, Vae

WEIGHT_TYPES = ("default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2")


def nodes(server: Server) -> list[Node]:
    loaders, said = server.said("loaders", "model/loaders"), server.said
    advanced_loaders = said("advanced/loaders", "model/loaders")
    strength = ["FLOAT", number(1.0, -100.0, 100.0, step=0.01)]
    encoders = server.files("text_encoders")
    weight_type = [list(WEIGHT_TYPES), *([server.advanced] if server.advanced else [])]
    return [
        Node(
            "CheckpointLoaderSimple",
            "Load Checkpoint",
            loaders,
            {"ckpt_name": [server.files("checkpoints"), {}]},
            ("MODEL", "CLIP", "VAE"),
            _load_checkpoint,
        ),
        Node(
            "ImageOnlyCheckpointLoader",
            said(
                "Image Only Checkpoint Loader (img2vid model)",
                "Load Checkpoint Image Only (img2vid model)",
            ),
            said("loaders/video_models", "model/loaders"),
            {"ckpt_name": [server.files("checkpoints")]},
            ("MODEL", "CLIP_VISION", "VAE"),
            _load_image_only,
            module="comfy_extras.nodes_video_model",
        ),
        Node(
            "UNETLoader",
            "Load Diffusion Model",
            advanced_loaders,
            {"unet_name": [server.files("diffusion_models")], "weight_dtype": weight_type},
            ("MODEL",),
            lambda run, unet_name, weight_dtype: Result((Model(unet_name),)),
        ),
        Node(
            "TripleCLIPLoader",
            "Load CLIP (Triple)" if server.dialect.modern else None,
            advanced_loaders,
            {f"clip_name{number}": combo(encoders) for number in (1, 2, 3)},
            ("CLIP",),
            lambda run, **names: Result((Clip("+".join(sorted(names.values()))),)),
            module="comfy_extras.nodes_sd3",
        ),
        Node(
            "VAELoader",
            "Load VAE",
            loaders,
            {"vae_name": [[*server.files("vae"), PIXEL_SPACE]]},
            ("VAE",),
            lambda run, vae_name: Result((Vae(vae_name, apart=True),)),
        ),
        Node(
            "UpscaleModelLoader",
            "Load Upscale Model",
            loaders,
            {"model_name": combo(server.files("upscale_models"))},
            ("UPSCALE_MODEL",),
            lambda run, model_name: Result((model_name,)),
            module="comfy_extras.nodes_upscale_model",
        ),
        Node(
            "LoraLoader",
            said("Load LoRA", "Load LoRA (Model and CLIP)"),
            loaders,
            {
                "model": ["MODEL", {}],
                "clip": ["CLIP", {}],
                "lora_name": [server.files("loras"), {}],
                "strength_model": strength,
                "strength_clip": strength,
            },
            ("MODEL", "CLIP"),
            _load_lora,
        ),
        Node(
            "CLIPSetLastLayer",
            "CLIP Set Last Layer",
            said("conditioning", "model/conditioning"),
            {
                "clip": ["CLIP"],
                "stop_at_clip_layer": ["INT", number(-1, -24, -1, step=1, **server.advanced)],
            },
            ("CLIP",),
            _set_last_layer,
        ),
        Node(
            "ModelSamplingSD3",
            "ModelSamplingSD3",
            said("advanced/model", "model/patch/stable diffusion"),
            {"model": ["MODEL"], "shift": ["FLOAT", number(3.0, 0.0, 100.0, step=0.01)]},
            ("MODEL",),
            lambda run, model, shift: Result((replace(model, shift=shift),)),
            module="comfy_extras.nodes_model_advanced",
        ),
    ]


def _load_checkpoint(run: Run, *, ckpt_name: str) -> Result:
    # a model that makes videos of pictures reads no words
    clip = None if "svd" in ckpt_name else Clip(ckpt_name)
    return Result((Model(ckpt_name), clip, Vae(ckpt_name)))


def _load_image_only(run: Run, *, ckpt_name: str) -> Result:
    vision = ckpt_name if "svd" in ckpt_name else None
    return Result((Model(ckpt_name), vision, Vae(ckpt_name)))


def _load_lora(
    run: Run,
    *,
    model: Model,
    clip: Clip | None,
    lora_name: str,
    strength_model: float,
    strength_clip: float,
) -> Result:
    if strength_model:
        model = model.with_lora(lora_name, strength_model)
    if strength_clip and clip is not None:
        clip = clip.with_lora(lora_name, strength_clip)
    return Result((model, clip))


def _set_last_layer(run: Run, *, clip: Clip, stop_at_clip_layer: int) -> Result:
    return Result((replace(clip, layer=stop_at_clip_layer),))
