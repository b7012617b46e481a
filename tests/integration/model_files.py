"""Model files as small as they can be, and as large as they look."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable
from pathlib import Path

Shapes = dict[str, tuple[int, ...]]
BYTES = {"F32": 4, "F16": 2, "U8": 1}


def safetensors(shapes: Shapes, *, dtype: str = "F16", fill: int = 0) -> bytes:
    """A whole file with these tensors; `fill` tells files of the same shapes apart."""
    header, size = laid_out(shapes, dtype)
    return header + bytes([fill]) * size


def laid_out(shapes: Shapes, dtype: str = "F16") -> tuple[bytes, int]:
    """The length and header of such a file, and how many bytes follow."""
    at, entries = 0, {}
    for name, shape in shapes.items():
        size = BYTES[dtype]
        for number in shape:
            size *= number
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(entries).encode()
    return struct.pack("<Q", len(raw)) + raw, at


def sparse(paths: Iterable[Path], shapes: Shapes) -> None:
    """Such files, all alike, that take no space."""
    header, size = laid_out(shapes)
    for path in paths:
        path.write_bytes(header)
        os.truncate(path, len(header) + size)


def unet(context: int, *, small: int = 1) -> Shapes:
    """The tensors that a checkpoint of this context cannot do without, `small` numbers wide."""
    p = "model.diffusion_model."
    shapes: Shapes = {
        f"{p}input_blocks.0.0.weight": (small, 4, 1, 1),
        f"{p}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (1, context),
        f"{p}time_embed.0.weight": (small,),
        f"{p}time_embed.2.weight": (small,),
        f"{p}out.0.weight": (small,),
        f"{p}out.2.weight": (small,),
        f"{p}output_blocks.0.0.in_layers.0.weight": (small,),
        f"{p}output_blocks.1.0.in_layers.0.weight": (small,),
        "first_stage_model.decoder.conv_in.weight": (small,),
        "first_stage_model.decoder.conv_out.weight": (small,),
        "cond_stage_model.transformer.text_model.final_layer_norm.weight": (small,),
    }
    if context == 2048:
        shapes[f"{p}label_emb.0.0.weight"] = (small, 2816)
    return shapes


SD15 = unet(768)
SDXL = unet(2048)
VAE: Shapes = {"decoder.conv_in.weight": (4, 4, 3, 3), "decoder.conv_out.weight": (3, 4, 3, 3)}
