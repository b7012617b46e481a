"""A prompt to pictures, on any checkpoint that holds its own text encoder and VAE (SD 1.5, SDXL)."""

from __future__ import annotations

from typing import Any, Protocol

from orchestrator.workflows.graph import Graph
from orchestrator.workflows.samplers import (
    normalise_sampler,
    normalise_scheduler,
    scheduler_in,
)


class TextToImage(Protocol):
    """What the workflow needs to know; `backends.ImageParams` has it."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def cfg(self) -> float: ...
    @property
    def sampler(self) -> str: ...
    @property
    def scheduler(self) -> str: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def negative_prompt(self) -> str: ...


def text_to_image(
    params: TextToImage, prompt: str, *, checkpoint: str, filename_prefix: str
) -> dict[str, dict[str, Any]]:
    """The workflow, in API format: equal arguments make equal workflows.

    Everything random is decided before: a seed of None counts as 0. A scheduler in the sampler's name
    ("DPM++ 2M Karras") wins over `params.scheduler`, which is mostly just the default.
    """
    graph = Graph()
    loaded = graph.checkpoint_loader_simple(ckpt_name=checkpoint)
    positive = graph.clip_text_encode(clip=loaded.clip, text=prompt)
    negative = graph.clip_text_encode(clip=loaded.clip, text=params.negative_prompt)
    canvas = graph.empty_latent_image(
        width=params.width, height=params.height, batch_size=params.batch_size
    )
    latent = graph.ksampler(
        model=loaded.model,
        positive=positive,
        negative=negative,
        latent_image=canvas,
        seed=params.seed or 0,
        steps=params.steps,
        cfg=params.cfg,
        sampler_name=normalise_sampler(params.sampler),
        scheduler=scheduler_in(params.sampler) or normalise_scheduler(params.scheduler),
        denoise=1.0,
    )
    images = graph.vae_decode(samples=latent, vae=loaded.vae)
    graph.save_image(images=images, filename_prefix=filename_prefix)
    return graph.to_api()
