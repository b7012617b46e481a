"""The tensors without which a model of a family cannot be loaded. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_NAMED = 8
# The ends of each network, and the series of numbered blocks between them, which must have no gap. Distilled
# models have fewer blocks than the original, so that only a gap or a missing end is certain to be damage.
_UNET = (
    "input_blocks.0.0.weight",
    "time_embed.0.weight",
    "time_embed.2.weight",
    "out.0.weight",
    "out.2.weight",
)
_SERIES = r"^{}\.(\d+)\."
ENDS: dict[str, tuple[str, ...]] = {
    "sd15": _UNET,
    "sd2": _UNET,
    "sdxl": (*_UNET, "label_emb.0.0.weight"),
    "refiner": (*_UNET, "label_emb.0.0.weight"),
    "svd": (*_UNET, "label_emb.0.0.weight"),
    "sd35": (
        "x_embedder.proj.weight",
        "context_embedder.weight",
        "t_embedder.mlp.0.weight",
        "y_embedder.mlp.0.weight",
        "final_layer.linear.weight",
    ),
    "flux": (
        "img_in.weight",
        "txt_in.weight",
        "time_in.in_layer.weight",
        "final_layer.linear.weight",
    ),
    "vae": ("decoder.conv_in.weight", "decoder.conv_out.weight"),
    "upscaler": (),
    "encoder": (),
}
BLOCKS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("sd15", "sd2", "sdxl", "refiner", "svd"), ("input_blocks", "output_blocks")),
    "sd35": ("joint_blocks",),
    "flux": ("double_blocks", "single_blocks"),
    "vae": (),
    "upscaler": ("body",),
    "encoder": (r"encoder\.block", r"(?:.*\.)?text_model\.encoder\.layers", r"(?:.*\.)?resblocks"),
}
# How many blocks there are where the width of the network says so
SD35_WIDTH_OF_A_BLOCK = 64


def missing_tensors(family: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Names of tensors (or of `blocks.N`) that a network of the family has, and this one has not."""
    if family not in ENDS or _is_diffusers(family, shapes):
        return ()
    absent = [name for name in ENDS[family] if name not in shapes]
    for series in BLOCKS[family]:
        pattern = re.compile(_SERIES.format(series))
        numbers = {int(match[1]) for name in shapes if (match := pattern.match(name))}
        count = max(numbers, default=-1) + 1
        if series == "joint_blocks":
            count = max(
                count, shapes.get("x_embedder.proj.weight", (0,))[0] // SD35_WIDTH_OF_A_BLOCK
            )
        label = series.rpartition(r"\.")[2] if "\\" in series else series
        absent += [
            f"{label}.{number}" for number in range(min(count, 1000)) if number not in numbers
        ]
        if family in {"sd15", "sd2", "sdxl", "refiner", "svd", "flux"} and not numbers:
            absent.append(f"{label}.0")
    if family in {"sd15", "sd2", "sdxl", "refiner", "svd"}:
        absent += _unpaired(shapes)
    return tuple(absent[: MAX_NAMED + 1])


def _is_diffusers(family: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Another naming of the same networks, of which only the family is read."""
    return family != "vae" and any(
        name.startswith(("down_blocks.", "transformer_blocks.", "single_transformer_blocks."))
        for name in shapes
    )


def _unpaired(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """A UNet goes up as often as it goes down: each block has its other half."""
    down = {name.split(".", 2)[1] for name in shapes if name.startswith("input_blocks.")}
    up = {name.split(".", 2)[1] for name in shapes if name.startswith("output_blocks.")}
    return [f"output_blocks.{number}" for number in sorted(down - up, key=str)] if up else []
