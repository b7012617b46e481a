"""Nodes between pictures and latents, and those that change a latent without a sampler."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.engine import latent
from orchestrator.engine.latent import Latent, Resampling
from orchestrator.engine.nodes.node import Node, Result, Run, Server, batch, number, side
from orchestrator.engine.wording import Floats

METHODS = {
    "nearest-exact": Resampling.NEAREST,
    "bilinear": Resampling.BILINEAR,
    "area": Resampling.BOX,
    "bicubic": Resampling.BICUBIC,
    "bislerp": Resampling.BICUBIC,  # turns directions instead of mixing values: the same to us
}


def nodes(server: Server) -> list[Node]:
    said = server.said
    plain = said("latent", "model/latent")
    return [
        Node(
            "EmptyLatentImage",
            "Empty Latent Image",
            plain,
            {"width": side(512, 16, 8), "height": side(512, 16, 8), "batch_size": batch()},
            ("LATENT",),
            _empty,
        ),
        Node(
            "EmptySD3LatentImage",
            None,
            said("latent/sd3", "model/latent/stable diffusion"),
            {"width": side(1024, 16, 16), "height": side(1024, 16, 16), "batch_size": batch()},
            ("LATENT",),
            _empty,
            module="comfy_extras.nodes_sd3",
        ),
        Node(
            "VAEEncode",
            "VAE Encode",
            plain,
            {"pixels": ["IMAGE"], "vae": ["VAE"]},
            ("LATENT",),
            lambda run, pixels, vae: Result((latent.encoded(pixels),)),
        ),
        Node(
            "VAEDecode",
            "VAE Decode",
            plain,
            {"samples": ["LATENT", {}], "vae": ["VAE", {}]},
            ("IMAGE",),
            lambda run, samples, vae: Result((latent.decoded(samples, vae),)),
        ),
        Node(
            "SetLatentNoiseMask",
            "Set Latent Noise Mask",
            said("latent/inpaint", "model/latent"),
            {"samples": ["LATENT"], "mask": ["MASK"]},
            ("LATENT",),
            _set_mask,
        ),
        Node(
            "RepeatLatentBatch",
            "Repeat Latent Batch",
            said("latent/batch", "model/latent/batch"),
            {"samples": ["LATENT"], "amount": batch(64)},
            ("LATENT",),
            lambda run, samples, amount: Result((latent.repeated(samples, amount),)),
        ),
        Node(
            "LatentUpscaleBy",
            "Upscale Latent By",
            plain,
            {
                "samples": ["LATENT"],
                "upscale_method": [list(METHODS)],
                "scale_by": ["FLOAT", number(1.5, 0.01, 8.0, step=0.01)],
            },
            ("LATENT",),
            _upscale_by,
        ),
    ]


def _empty(run: Run, *, width: int, height: int, batch_size: int) -> Result:
    return Result((latent.empty(width, height, batch_size),))


def _set_mask(run: Run, *, samples: Latent, mask: Floats) -> Result:
    # a mask of another number than the batch: its first is everybody's
    fits = len(mask) in (1, len(samples))
    return Result((replace(samples, mask=mask if fits else mask[:1]),))


def _upscale_by(run: Run, *, samples: Latent, upscale_method: str, scale_by: float) -> Result:
    return Result((latent.upscaled(samples, scale_by, METHODS[upscale_method]),))
