"""Nodes that read, make, change and keep pictures."""

from __future__ import annotations

import io
import json
import re
import string
from random import choices
from typing import Any

import numpy as np
from PIL import Image, ImageOps, ImageSequence, PngImagePlugin

from orchestrator.engine.folders import Folders, PathRefused, digest
from orchestrator.engine.latent import Pixels, Resampling, check_size, resized
from orchestrator.engine.nodes.node import (
    JSON,
    PNG_INFO,
    Node,
    Result,
    Run,
    Server,
    batch,
    combo,
    number,
    side,
)
from orchestrator.engine.wording import Floats

METHODS = {
    "nearest-exact": Resampling.NEAREST,
    "bilinear": Resampling.BILINEAR,
    "area": Resampling.BOX,
    "bicubic": Resampling.BICUBIC,
    "lanczos": Resampling.LANCZOS,
}
PLANES = ("red", "green", "blue", "alpha")
CHANNELS = ("alpha", *PLANES[:3])  # as LoadImageMask lists them
Masks = Floats  # (batch, height, width), 0 to 1


def nodes(server: Server) -> list[Node]:
    images = ("IMAGE",) if server.dialect.modern else ()
    names = ("images",) if images else None
    folders = server.folders
    of_file: dict[str, Any] = {
        "check": {"image": lambda name: _problem(folders, name)},
        "depends_on": lambda inputs: digest(folders.path(*_place(inputs["image"]))),
    }
    offered = [folders.inputs(), {"image_upload": True}]
    return [
        Node(
            "LoadImage",
            "Load Image",
            "image",
            {"image": offered},
            ("IMAGE", "MASK"),
            _load,
            **of_file,
        ),
        Node(
            "LoadImageMask",
            "Load Image (as Mask)",
            server.said("mask", "image"),
            {"image": offered, "channel": [list(CHANNELS)]},
            ("MASK",),
            _load_mask,
            **of_file,
        ),
        Node(
            "ImageToMask",
            "Convert Image to Mask",
            server.said("mask", "image/mask"),
            {"image": ["IMAGE", {}], "channel": combo(PLANES)}
            if server.dialect.modern
            else {"image": ["IMAGE"], "channel": [list(PLANES)]},
            ("MASK",),
            _to_mask,
            module="comfy_extras.nodes_mask",
        ),
        Node(
            "SaveImage",
            "Save Image",
            "image",
            {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
            images,
            _save,
            output_node=True,
            hidden=dict(PNG_INFO),
            output_names=names,
        ),
        Node(
            "PreviewImage",
            "Preview Image",
            "image",
            {"images": ["IMAGE"]},
            images,
            _preview,
            output_node=True,
            hidden=dict(PNG_INFO),
            output_names=names,
        ),
        Node(
            "EmptyImage",
            server.said("EmptyImage", "Empty Image"),
            "image",
            {
                "width": side(512, 1, 1),
                "height": side(512, 1, 1),
                "batch_size": batch(),
                "color": ["INT", number(0, 0, 0xFFFFFF, step=1, display="color")],
            },
            ("IMAGE",),
            _empty,
        ),
        Node(
            "ImageScale",
            "Upscale Image",
            "image/upscaling",
            {
                "image": ["IMAGE"],
                "upscale_method": [list(METHODS)],
                "width": side(512, 0, 1),
                "height": side(512, 0, 1),
                "crop": [["disabled", "center"]],
            },
            ("IMAGE",),
            _scale,
        ),
        Node(
            "ImageUpscaleWithModel",
            "Upscale Image (using Model)",
            "image/upscaling",
            {"upscale_model": ["UPSCALE_MODEL", {}], "image": ["IMAGE", {}]},
            ("IMAGE",),
            _upscale,
            module="comfy_extras.nodes_upscale_model",
        ),
    ]


def _place(name: str) -> tuple[str, str, str]:
    """Type, subfolder and name of a value such as `sub/photo.png [output]`."""
    for type_ in ("output", "input", "temp"):
        if name.endswith(f"[{type_}]"):
            return type_, "", name.removesuffix(f"[{type_}]").strip()
    return "input", "", name


def _problem(folders: Folders, name: Any) -> str | None:
    try:
        found = folders.path(*_place(str(name))).is_file()
    except PathRefused:
        found = False
    return None if found else f"Invalid image file: {name}"


def _load(run: Run, *, image: str) -> Result:
    frames = []
    masks = []
    with Image.open(run.folders.path(*_place(image))) as opened:
        check_size(opened.width, opened.height, getattr(opened, "n_frames", 1))
        for frame in ImageSequence.Iterator(opened):
            upright = ImageOps.exif_transpose(frame)
            frames.append(np.asarray(upright.convert("RGB")))
            masks.append(_channel(upright, "alpha"))
    return Result((np.stack(frames), np.stack(masks)))


def _load_mask(run: Run, *, image: str, channel: str) -> Result:
    with Image.open(run.folders.path(*_place(image))) as opened:
        check_size(opened.width, opened.height, 1)
        return Result((_channel(ImageOps.exif_transpose(opened), channel)[None],))


def _channel(image: Image.Image, name: str) -> Masks:
    """One channel from 0 to 1; of alpha what is not covered, so that what was rubbed out is repainted."""
    index = PLANES.index(name)
    values = np.asarray(image.convert("RGBA"))[:, :, index].astype(np.float32) / np.float32(255)
    return 1 - values if name == "alpha" else values


def _to_mask(run: Run, *, image: Pixels, channel: str) -> Result:
    if channel == "alpha":
        raise IndexError(
            "A picture in a workflow has no alpha channel: LoadImage gives it as a mask."
        )
    return Result((image[..., PLANES.index(channel)].astype(np.float32) / np.float32(255),))


def _save(run: Run, *, images: Pixels, filename_prefix: str) -> Result:
    return _saved(run, images, prefix=filename_prefix, type_="output")


def _preview(run: Run, *, images: Pixels) -> Result:
    suffix = "".join(choices(string.ascii_lowercase, k=5))
    return _saved(run, images, prefix=f"ComfyUI_temp_{suffix}", type_="temp")


def _saved(run: Run, images: Pixels, *, prefix: str, type_: str) -> Result:
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", json.dumps(run.prompt))
    for key, value in (run.extra_data.get("extra_pnginfo") or {}).items():
        info.add_text(key, json.dumps(value))
    files: list[JSON] = []
    for index, pixels in enumerate(images):
        image = Image.fromarray(pixels)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", pnginfo=info, compress_level=1)
        named = prefix.replace("%batch_num%", str(index))
        files.append(
            run.folders.save(buffer.getvalue(), prefix=named, type_=type_, size=image.size)
        )
    return Result((images,), ui={"images": files})


def _empty(run: Run, *, width: int, height: int, batch_size: int, color: int) -> Result:
    check_size(width, height, batch_size)
    pixels = np.empty((batch_size, height, width, 3), np.uint8)
    pixels[:] = (color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF)
    return Result((pixels,))


def _scale(
    run: Run, *, image: Pixels, upscale_method: str, width: int, height: int, crop: str
) -> Result:
    old_height, old_width = image.shape[1:3]
    if not width and not height:
        return Result((image,))
    # A side of 0 means: keep the proportions.
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    return Result((scaled(image, width, height, method=upscale_method, crop=crop == "center"),))


def scaled(images: Pixels, width: int, height: int, *, method: str, crop: bool) -> Pixels:
    """Pictures at another size; with `crop` in their own proportions, cut around the middle."""
    check_size(width, height, len(images))
    old_height, old_width = images.shape[1:3]
    if crop:
        across = max(1, min(old_width, round(old_height * width / height)))
        down = max(1, min(old_height, round(old_width * height / width)))
        x, y = (old_width - across) // 2, (old_height - down) // 2
        images = images[:, y : y + down, x : x + across]
    out = np.empty((len(images), height, width, 3), np.uint8)
    for index, picture in enumerate(images):
        out[index] = resized(picture, width, height, METHODS[method])
    return out


def _upscale(run: Run, *, upscale_model: str, image: Pixels) -> Result:
    found = re.search(r"(\d)x", upscale_model)
    factor = int(found[1]) if found else 1
    height, width = (length * factor for length in image.shape[1:3])
    return Result((scaled(image, width, height, method="lanczos", crop=False),))
