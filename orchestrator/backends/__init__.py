"""What a user may pick to make pictures with, and the parameters each one takes."""

from __future__ import annotations

from orchestrator.backends.backend import SAVED, Backend
from orchestrator.backends.comfyui import (
    MAX_BATCH,
    MAX_CFG,
    MAX_STEPS,
    ImageParams,
    SdxlParams,
    VideoParams,
)
from orchestrator.backends.fields import (
    MAX_BFL_SEED,
    MAX_CHOSEN_SEED,
    MAX_COMFYUI_SEED,
    MAX_SIDE,
    MIN_SIDE,
    SIDE_STEP,
    Need,
    Params,
)
from orchestrator.backends.flux import RATIOS, FluxParams, flux_body, nearest_ratio
from orchestrator.backends.loras import Lora, loras_text
from orchestrator.backends.models import models_named
from orchestrator.backends.parsing import parse, with_seed
from orchestrator.backends.registry import BACKENDS, get

__all__ = [
    "BACKENDS",
    "MAX_BATCH",
    "MAX_BFL_SEED",
    "MAX_CFG",
    "MAX_CHOSEN_SEED",
    "MAX_COMFYUI_SEED",
    "MAX_SIDE",
    "MAX_STEPS",
    "MIN_SIDE",
    "RATIOS",
    "SAVED",
    "SIDE_STEP",
    "Backend",
    "FluxParams",
    "ImageParams",
    "Lora",
    "Need",
    "Params",
    "SdxlParams",
    "VideoParams",
    "flux_body",
    "get",
    "loras_text",
    "models_named",
    "nearest_ratio",
    "parse",
    "with_seed",
]
