"""What the backends that run on ComfyUI take beside the prompt."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from orchestrator.backends.backend import Backend
from orchestrator.backends.fields import (
    MAX_COMFYUI_SEED,
    Params,
    ShortText,
    Side,
    choose_marker,
    not_a_bool,
)
from orchestrator.jobs import MAX_PROMPT

MAX_STEPS = 10_000  # KSampler's own limit, as for cfg
MAX_CFG = 100.0
MAX_BATCH = 64


class ImageParams(Params):
    """What a ComfyUI backend takes beside the prompt; the words are KSampler's."""

    width: Side
    height: Side
    steps: Annotated[
        int,
        BeforeValidator(not_a_bool),
        Field(ge=1, le=MAX_STEPS, description=f"a whole number from 1 to {MAX_STEPS}"),
    ]
    cfg: Annotated[
        float,
        BeforeValidator(not_a_bool),
        Field(
            ge=0,
            le=MAX_CFG,
            allow_inf_nan=False,
            description=f"a number from 0 to {MAX_CFG:g}",
        ),
    ]
    sampler: Annotated[ShortText, Field(description="the name of a sampler, such as euler")]
    scheduler: Annotated[ShortText, Field(description="the name of a scheduler, such as karras")]
    seed: Annotated[
        Annotated[int, Field(ge=0, le=MAX_COMFYUI_SEED)] | None,
        BeforeValidator(not_a_bool),
        BeforeValidator(choose_marker),
        Field(description="a whole number from 0 to 2^64-1, or -1 to have one chosen"),
    ] = None
    batch_size: Annotated[
        int,
        BeforeValidator(not_a_bool),
        Field(ge=1, le=MAX_BATCH, description=f"a whole number from 1 to {MAX_BATCH}"),
    ] = 1
    negative_prompt: Annotated[
        str, Field(max_length=MAX_PROMPT, description=f"text of up to {MAX_PROMPT:,} characters")
    ] = ""
    checkpoint: Annotated[
        ShortText | None, Field(description="the file name of a checkpoint on the server")
    ] = None


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
        params=ImageParams,
        defaults={
            "width": 1024,
            "height": 1024,
            "steps": 30,
            "cfg": 7.0,
            "sampler": "euler",
            "scheduler": "normal",
        },
    ),
)
