"""Nodes that make a video of a picture, and keep it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from PIL import Image

from orchestrator.engine import latent, wording
from orchestrator.engine.latent import Pixels, check_size
from orchestrator.engine.motion import Video
from orchestrator.engine.nodes.images import scaled
from orchestrator.engine.nodes.node import (
    PNG_INFO,
    Input,
    Node,
    Result,
    Run,
    Server,
    combo,
    number,
    side,
)
from orchestrator.engine.weights import Model, Vae

METHODS = {"default": 4, "fastest": 0, "slowest": 6}  # name -> WebP's effort
EXIF_MAKE, EXIF_MODEL = 0x010F, 0x0110  # where ComfyUI writes what made the file


def nodes(server: Server) -> list[Node]:
    said, modern = server.said, server.dialect.modern
    method: Input = combo(METHODS) if modern else [list(METHODS)]
    prefix = {"default": "ComfyUI"} | ({"multiline": False} if modern else {})
    return [
        Node(
            "SVD_img2vid_Conditioning",
            "SVD_img2vid_Conditioning",
            said("conditioning/video_models", "model/conditioning/stable video"),
            {
                "clip_vision": ["CLIP_VISION"],
                "init_image": ["IMAGE"],
                "vae": ["VAE"],
                "width": side(1024, 16, 8),
                "height": side(576, 16, 8),
                "video_frames": ["INT", number(14, 1, 4096)],
                "motion_bucket_id": ["INT", number(127, 1, 1023, **server.advanced)],
                "fps": ["INT", number(6, 1, 1024)],
                "augmentation_level": [
                    "FLOAT",
                    number(0.0, 0.0, 10.0, step=0.01, **server.advanced),
                ],
            },
            ("CONDITIONING", "CONDITIONING", "LATENT"),
            _condition,
            output_names=("positive", "negative", "latent"),
            module="comfy_extras.nodes_video_model",
        ),
        Node(
            "VideoLinearCFGGuidance",
            said("VideoLinearCFGGuidance", "Video Linear CFG Guidance"),
            said("sampling/video_models", "model/sampling/guiders"),
            {
                "model": ["MODEL"],
                "min_cfg": [
                    "FLOAT",
                    number(1.0, 0.0, 100.0, step=0.5, round=0.01, **server.advanced),
                ],
            },
            ("MODEL",),
            _guide,
            module="comfy_extras.nodes_video_model",
        ),
        Node(
            "SaveAnimatedWEBP",
            said("SaveAnimatedWEBP", "Save Animated WEBP"),
            said("image/animation", "image"),
            {
                "images": ["IMAGE", {}] if modern else ["IMAGE"],
                "filename_prefix": ["STRING", prefix],
                "fps": ["FLOAT", number(6.0, 0.01, 1000.0, step=0.01)],
                "lossless": ["BOOLEAN", {"default": True}],
                "quality": ["INT", number(80, 0, 100)],
                "method": method,
            },
            ("IMAGE",) if modern else (),
            _save_webp,
            output_node=True,
            hidden={k: [v] for k, v in PNG_INFO.items()} if modern else dict(PNG_INFO),
            output_names=("images",) if modern else None,
            module="comfy_extras.nodes_images",
        ),
    ]


def _condition(
    run: Run,
    *,
    clip_vision: str | None,
    init_image: Pixels,
    vae: Vae,
    width: int,
    height: int,
    video_frames: int,
    motion_bucket_id: int,
    fps: int,
    augmentation_level: float,
) -> Result:
    if clip_vision is None:
        raise RuntimeError(
            "There is no image encoder (CLIP vision) in this checkpoint. Load one that makes videos of pictures."
        )
    given = latent.empty(width, height, video_frames)
    whole = (side - side % 8 for side in (width, height))
    picture = scaled(init_image[:1], *whole, method="bilinear", crop=True)[0]
    video = Video(picture, motion_bucket_id, fps, augmentation_level)
    return Result(((wording.nothing(video),), (wording.nothing(),), given))


def _guide(run: Run, *, model: Model, min_cfg: float) -> Result:
    return Result((replace(model, min_cfg=min_cfg),))


def _save_webp(
    run: Run,
    *,
    images: Pixels,
    filename_prefix: str,
    fps: float,
    lossless: bool,
    quality: int,
    method: str,
) -> Result:
    height, width = images.shape[1:3]
    check_size(width, height, len(images))
    first, *others = (Image.fromarray(frame) for frame in images)
    buffer = io.BytesIO()
    first.save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=int(1000 / fps),
        lossless=lossless,
        quality=quality,
        method=METHODS[method],
        exif=_exif(run),
    )
    file = run.folders.save(
        buffer.getvalue(), prefix=filename_prefix, type_="output", size=(width, height), ext="webp"
    )
    return Result((images,), ui={"images": [file], "animated": [len(images) > 1]})


def _exif(run: Run) -> Image.Exif:
    """What made the file: `name:json`, the prompt under Model, all else under Make and the tags below it."""
    exif = Image.Exif()
    exif[EXIF_MODEL] = f"prompt:{json.dumps(run.prompt)}"
    extra = run.extra_data.get("extra_pnginfo") or {}
    for tag, (name, value) in zip(range(EXIF_MAKE, 0, -1), extra.items(), strict=False):
        exif[tag] = f"{name}:{json.dumps(value)}"
    return exif
