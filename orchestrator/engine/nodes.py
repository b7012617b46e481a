"""The nodes the engine knows: what each takes, in the shape of `/object_info`, and what it does."""

from __future__ import annotations

import io
import json
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from random import choices
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from orchestrator.engine import painter, sampling, wording
from orchestrator.engine.dialects import Dialect
from orchestrator.engine.folders import Folders, PathRefused, digest

JSON = Any
Pixels = np.ndarray[Any, np.dtype[np.uint8]]  # (batch, height, width, 3)

CHECKPOINTS = ("embedded-sd15-no-model.safetensors", "embedded-sdxl-no-model.safetensors")
MAX_SIDE = 16384
MAX_PIXELS = 64_000_000  # of one prompt's batch: more would take gigabytes to paint


class Run(Protocol):
    """What a node may ask of the prompt it runs in."""

    folders: Folders
    prompt: dict[str, JSON]
    extra_data: dict[str, JSON]

    def step(self, done: int, of: int, latent: wording.Floats) -> None:
        """Report progress; raises when the prompt was interrupted."""


@dataclass(frozen=True)
class Result:
    outputs: tuple[Any, ...] = ()
    ui: dict[str, JSON] | None = None


@dataclass(frozen=True)
class Node:
    """One node class."""

    name: str
    display_name: str
    category: str
    inputs: dict[str, list[JSON]]  # input name -> [type or choices, options]
    outputs: tuple[str, ...]
    execute: Callable[..., Result]
    output_node: bool = False
    hidden: dict[str, str] = field(default_factory=dict)
    output_names: tuple[str, ...] | None = None
    #: Refuses a value at submission with a sentence; the named inputs are then not compared with their choices.
    check: dict[str, Callable[[Any], str | None]] = field(default_factory=dict)
    #: What besides the inputs decides the result, such as a file's bytes.
    depends_on: Callable[[dict[str, JSON]], str] | None = None

    def to_json(self, dialect: Dialect) -> dict[str, JSON]:
        hidden = {"hidden": dict(self.hidden)} if self.hidden else {}
        info: dict[str, JSON] = {
            "input": {"required": self.inputs, **hidden},
            "input_order": {
                "required": list(self.inputs),
                **{key: list(value) for key, value in hidden.items()},
            },
            "output": list(self.outputs),
            "output_is_list": [False] * len(self.outputs),
            "output_name": list(self.output_names or self.outputs),
            "name": self.name,
            "display_name": self.display_name,
            "description": "",
            "python_module": "nodes",
            "category": self.category,
            "output_node": self.output_node,
        }
        if dialect.modern:
            info |= {"is_input_list": False, "has_intermediate_output": False, "search_aliases": []}
        return info


def table(
    dialect: Dialect, folders: Folders, checkpoints: tuple[str, ...] = CHECKPOINTS
) -> dict[str, Node]:
    """All nodes by class name. Made anew for each question, because LoadImage lists the input folder."""
    images = ("IMAGE",) if dialect.modern else ()
    side = {"default": 512, "max": MAX_SIDE}
    nodes = [
        Node(
            "KSampler",
            "KSampler",
            "sampling",
            {
                "model": ["MODEL", {}],
                "seed": ["INT", _number(0, 0, 2**64 - 1) | {"control_after_generate": True}],
                "steps": ["INT", _number(20, 1, 10000)],
                "cfg": ["FLOAT", _number(8.0, 0.0, 100.0) | {"step": 0.1, "round": 0.01}],
                "sampler_name": [list(dialect.samplers), {}],
                "scheduler": [list(sampling.SCHEDULERS), {}],
                "positive": ["CONDITIONING", {}],
                "negative": ["CONDITIONING", {}],
                "latent_image": ["LATENT", {}],
                "denoise": ["FLOAT", _number(1.0, 0.0, 1.0) | {"step": 0.01}],
            },
            ("LATENT",),
            _sample,
        ),
        Node(
            "CheckpointLoaderSimple",
            "Load Checkpoint",
            "loaders",
            {"ckpt_name": [list(checkpoints), {}]},
            ("MODEL", "CLIP", "VAE"),
            lambda run, ckpt_name: Result((ckpt_name, ckpt_name, ckpt_name)),
        ),
        Node(
            "CLIPTextEncode",
            "CLIP Text Encode (Prompt)",
            "conditioning",
            {"text": ["STRING", {"multiline": True, "dynamicPrompts": True}], "clip": ["CLIP", {}]},
            ("CONDITIONING",),
            lambda run, text, clip: Result((wording.encode(text, clip),)),
        ),
        Node(
            "EmptyLatentImage",
            "Empty Latent Image",
            "latent",
            {
                "width": ["INT", side | {"min": 16, "step": 8}],
                "height": ["INT", side | {"min": 16, "step": 8}],
                "batch_size": ["INT", _number(1, 1, 4096)],
            },
            ("LATENT",),
            _empty_latent,
        ),
        Node(
            "VAEDecode",
            "VAE Decode",
            "latent",
            {"samples": ["LATENT", {}], "vae": ["VAE", {}]},
            ("IMAGE",),
            lambda run, samples, vae: Result((np.stack([painter.decode(x) for x in samples]),)),
        ),
        Node(
            "VAEEncode",
            "VAE Encode",
            "latent",
            {"pixels": ["IMAGE"], "vae": ["VAE"]},
            ("LATENT",),
            lambda run, pixels, vae: Result((np.stack([painter.encode(x) for x in pixels]),)),
        ),
        Node(
            "LoadImage",
            "Load Image",
            "image",
            {"image": [folders.inputs(), {"image_upload": True}]},
            ("IMAGE", "MASK"),
            _load_image,
            check={"image": lambda name: _image_problem(folders, name)},
            depends_on=lambda inputs: digest(folders.path(*_place(inputs["image"]))),
        ),
        Node(
            "SaveImage",
            "Save Image",
            "image",
            {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
            images,
            _save_image,
            output_node=True,
            hidden={"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
            output_names=("images",) if images else None,
        ),
        Node(
            "PreviewImage",
            "Preview Image",
            "image",
            {"images": ["IMAGE"]},
            images,
            _preview_image,
            output_node=True,
            hidden={"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
            output_names=("images",) if images else None,
        ),
        Node(
            "EmptyImage",
            "Empty Image" if dialect.modern else "EmptyImage",
            "image",
            {
                "width": ["INT", {"default": 512, "min": 1, "max": MAX_SIDE, "step": 1}],
                "height": ["INT", {"default": 512, "min": 1, "max": MAX_SIDE, "step": 1}],
                "batch_size": ["INT", _number(1, 1, 4096)],
                "color": ["INT", _number(0, 0, 0xFFFFFF) | {"step": 1, "display": "color"}],
            },
            ("IMAGE",),
            _empty_image,
        ),
        Node(
            "ImageScale",
            "Upscale Image",
            "image/upscaling",
            {
                "image": ["IMAGE"],
                "upscale_method": [list(_RESAMPLING)],
                "width": ["INT", {"default": 512, "min": 0, "max": MAX_SIDE, "step": 1}],
                "height": ["INT", {"default": 512, "min": 0, "max": MAX_SIDE, "step": 1}],
                "crop": [["disabled", "center"]],
            },
            ("IMAGE",),
            _scale,
        ),
    ]
    return {node.name: node for node in nodes}


def _number(default: float, low: float, high: float) -> dict[str, JSON]:
    return {"default": default, "min": low, "max": high}


def _sample(
    run: Run,
    *,
    model: str,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: wording.Conditioning,
    negative: wording.Conditioning,
    latent_image: wording.Floats,
    denoise: float,
) -> Result:
    request = sampling.Request(
        positive, negative, seed, steps, cfg, sampler_name, scheduler, denoise
    )
    # A batch is painted one after another, so its progress runs over all of them.
    total = len(latent_image) * steps
    painted = []
    for index, latent in enumerate(latent_image):

        def on_step(done: int, believed: wording.Floats, before: int = index * steps) -> None:
            run.step(before + done, total, believed)

        painted.append(sampling.sample(request, latent, batch=index, on_step=on_step))
    return Result((np.stack(painted),))


def _empty_latent(run: Run, *, width: int, height: int, batch_size: int) -> Result:
    _check_size(width, height, batch_size)
    shape = (batch_size, painter.CHANNELS, height // painter.SCALE, width // painter.SCALE)
    return Result((np.zeros(shape, np.float32),))


def _empty_image(run: Run, *, width: int, height: int, batch_size: int, color: int) -> Result:
    _check_size(width, height, batch_size)
    pixels = np.empty((batch_size, height, width, 3), np.uint8)
    pixels[:] = (color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF)
    return Result((pixels,))


def _check_size(width: int, height: int, batch: int) -> None:
    if width * height * batch > MAX_PIXELS:
        raise MemoryError(
            f"The embedded engine paints at most {MAX_PIXELS // 1_000_000} megapixels in one prompt; "
            f"{width}×{height}×{batch} is more. Ask for a smaller size or batch."
        )


def _load_image(run: Run, *, image: str) -> Result:
    with Image.open(run.folders.path(*_place(image))) as opened:
        upright = ImageOps.exif_transpose(opened)
        rgb = np.asarray(upright.convert("RGB"))
        mask = 255 - np.asarray(upright.convert("RGBA"))[:, :, 3]
    return Result((rgb[None], mask[None]))


def _place(name: str) -> tuple[str, str, str]:
    """Type, subfolder and name of a value such as `photo.png [output]`."""
    for type_ in ("output", "input", "temp"):
        if name.endswith(f"[{type_}]"):
            return type_, "", name.removesuffix(f"[{type_}]").strip()
    return "input", "", name


def _image_problem(folders: Folders, name: Any) -> str | None:
    try:
        found = folders.path(*_place(str(name))).is_file()
    except PathRefused:
        found = False
    return None if found else f"Invalid image file: {name}"


def _save_image(run: Run, *, images: Pixels, filename_prefix: str) -> Result:
    return _saved(run, images, prefix=filename_prefix, type_="output")


def _preview_image(run: Run, *, images: Pixels) -> Result:
    suffix = "".join(choices(string.ascii_lowercase, k=5))
    return _saved(run, images, prefix=f"ComfyUI_temp_{suffix}", type_="temp")


def _saved(run: Run, images: Pixels, *, prefix: str, type_: str) -> Result:
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", json.dumps(run.prompt))
    for key, value in (run.extra_data.get("extra_pnginfo") or {}).items():
        info.add_text(key, json.dumps(value))
    files = []
    for index, pixels in enumerate(images):
        image = Image.fromarray(pixels)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", pnginfo=info, compress_level=1)
        named = prefix.replace("%batch_num%", str(index))
        files.append(
            run.folders.save(buffer.getvalue(), prefix=named, type_=type_, size=image.size)
        )
    return Result((images,), ui={"images": files})


_RESAMPLING = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def _scale(
    run: Run, *, image: Pixels, upscale_method: str, width: int, height: int, crop: str
) -> Result:
    old_height, old_width = image.shape[1:3]
    if not width and not height:
        return Result((image,))
    # A side of 0 means: keep the proportions.
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    _check_size(width, height, len(image))
    if crop == "center":
        across = min(old_width, round(old_height * width / height))
        down = min(old_height, round(old_width * height / width))
        x, y = (old_width - across) // 2, (old_height - down) // 2
        image = image[:, y : y + max(1, down), x : x + max(1, across)]
    method = _RESAMPLING[upscale_method]
    scaled = [np.asarray(Image.fromarray(p).resize((width, height), method)) for p in image]
    return Result((np.stack(scaled),))
