"""What the backends that run on ComfyUI take beside the prompt."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from orchestrator.backends.backend import Backend
from orchestrator.backends.fields import (
    MAX_COMFYUI_SEED,
    Need,
    Number,
    Params,
    ShortText,
    Side,
    Whole,
    choose_marker,
    not_a_bool,
    number,
    said,
    whole,
)
from orchestrator.backends.loras import Loras
from orchestrator.jobs import MAX_PROMPT

MAX_STEPS = 10_000  # KSampler's own limit, as for cfg
MAX_CFG = 100.0
MAX_BATCH = 64
MAX_HIRES = 4.0
MAX_FRAMES = 400
MAX_FPS = 120
OFF = (1, None)  # a scale that changes nothing
IMAGE_DENOISE = 0.75  # of an image that was given: its composition stays, its details change


class SamplingParams(Params):
    """What every backend on ComfyUI takes beside the prompt; the words are KSampler's."""

    width: Side
    height: Side
    steps: Annotated[Whole, whole(1, MAX_STEPS)]
    cfg: Annotated[Number, number(0, MAX_CFG)]
    sampler: Annotated[ShortText, said("the name of a sampler, such as euler")]
    scheduler: Annotated[ShortText, said("the name of a scheduler, such as karras")]
    seed: Annotated[
        Annotated[int, Field(ge=0, le=MAX_COMFYUI_SEED)] | None,
        BeforeValidator(not_a_bool),
        BeforeValidator(choose_marker),
        said("a whole number from 0 to 2^64-1, or -1 to have one chosen"),
    ] = None
    checkpoint: Annotated[ShortText | None, said("the file name of a checkpoint on the server")] = (
        None
    )
    image: Annotated[
        ShortText | None, said("the name of a picture in dropIn or dropOut to begin with")
    ] = None


class ImageParams(SamplingParams):
    """What a ComfyUI backend that makes pictures takes beside the prompt."""

    batch_size: Annotated[Whole, whole(1, MAX_BATCH)] = 1
    negative_prompt: Annotated[
        str, Field(max_length=MAX_PROMPT, description=f"text of up to {MAX_PROMPT:,} characters")
    ] = ""
    denoise: Annotated[
        Annotated[Number, Field(ge=0, le=1, allow_inf_nan=False)] | None,
        BeforeValidator(not_a_bool),
        said(f"a number from 0 to 1 (by itself {IMAGE_DENOISE} with an image, and 1 without)"),
    ] = None
    mask: Annotated[
        ShortText | None,
        said("the name of a picture in dropIn or dropOut; what is white in it is painted anew"),
    ] = None
    loras: Loras = ()
    vae: Annotated[ShortText | None, said("the file name of a VAE on the server")] = None
    clip_skip: Annotated[Whole, whole(1, 12)] = 1
    hires_scale: Annotated[Number, number(1, MAX_HIRES, "1 for no second pass")] = 1.0
    hires_denoise: Annotated[Number, number(0, 1)] = 0.5
    hires_steps: Annotated[
        Annotated[int, Field(ge=1, le=MAX_STEPS)] | None,
        BeforeValidator(not_a_bool),
        said(f"a whole number from 1 to {MAX_STEPS}"),
    ] = None
    upscaler: Annotated[
        ShortText | None, said("the file name of an upscale model on the server")
    ] = None

    needs: ClassVar[tuple[Need, ...]] = (
        Need("denoise", "image", idle=(None, 1)),
        Need("mask", "image", idle=(None,)),
        Need("hires_denoise", "hires_scale", idle=(0.5,), other_idle=OFF),
        Need("hires_steps", "hires_scale", idle=(None,), other_idle=OFF),
    )

    @property
    def strength(self) -> float:
        """How much is painted anew: 1.0 begins with noise alone."""
        if self.denoise is not None:
            return self.denoise
        return 1.0 if self.image is None else IMAGE_DENOISE


class SdxlParams(ImageParams):
    """What SDXL takes beside the prompt: a second model may paint the last steps."""

    refiner: Annotated[
        ShortText | None, said("the file name of a refiner's checkpoint on the server")
    ] = None
    refiner_at: Annotated[Number, number(0, 1, "the part of the steps before the refiner's")] = 0.8

    needs: ClassVar[tuple[Need, ...]] = (
        *ImageParams.needs,
        Need("refiner_at", "refiner", idle=(0.8,)),
    )


class VideoParams(SamplingParams):
    """What Stable Video Diffusion takes. It moves a picture: without an `image`, one painted from the prompt."""

    denoise: Annotated[Number, number(0, 1)] = 1.0
    still_checkpoint: Annotated[
        ShortText | None, said("the file name of the checkpoint that paints the first picture")
    ] = None
    frames: Annotated[Whole, whole(1, MAX_FRAMES)] = 14
    fps: Annotated[Whole, whole(1, MAX_FPS, "in frames a second")] = 6
    motion: Annotated[Whole, whole(1, 1023, "more for more motion")] = 127
    augmentation: Annotated[Number, number(0, 10, "noise added to the picture")] = 0.0
    min_cfg: Annotated[Number, number(0, MAX_CFG, "the cfg of the first frame")] = 1.0
    output_format: Annotated[Literal["webp", "mp4"], said("webp or mp4")] = "webp"


COMFYUI = (
    Backend(
        name="sd15",
        title="SD 1.5",
        service="comfyui",
        model="sd15",
        params=ImageParams,
        defaults={
            "width": 512,
            "height": 512,
            "steps": 20,
            "cfg": 7.0,
            "sampler": "euler",
            "scheduler": "normal",
        },
    ),
    Backend(
        name="sdxl",
        title="SDXL",
        service="comfyui",
        model="sdxl",
        params=SdxlParams,
        defaults={
            "width": 1024,
            "height": 1024,
            "steps": 30,
            "cfg": 7.0,
            "sampler": "euler",
            "scheduler": "normal",
        },
    ),
    Backend(
        name="sd35",
        title="SD 3.5",
        service="comfyui",
        model="sd35",
        params=ImageParams,
        # as in ComfyUI's own template sd3.5_simple_example
        defaults={
            "width": 1024,
            "height": 1024,
            "steps": 20,
            "cfg": 4.01,
            "sampler": "euler",
            "scheduler": "sgm_uniform",
        },
    ),
    Backend(
        name="svd",
        title="Stable Video",
        service="comfyui",
        model="svd",
        params=VideoParams,
        # as in ComfyUI's own template txt_to_image_to_video
        defaults={
            "width": 1024,
            "height": 576,
            "steps": 20,
            "cfg": 2.5,
            "sampler": "euler",
            "scheduler": "karras",
        },
    ),
)
