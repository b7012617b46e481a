"""A ComfyUI workflow built from typed nodes: an output fits only where its type belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Socket:
    """One output of a node: the node's id and the output's place, from 0."""

    node: str
    output: int


class Model(Socket):
    """MODEL: the weights that denoise."""


class Clip(Socket):
    """CLIP: the text encoder."""


class Vae(Socket):
    """VAE: between latents and pixels."""


class Conditioning(Socket):
    """CONDITIONING: an encoded prompt."""


class Latent(Socket):
    """LATENT: pictures before decoding."""


class Image(Socket):
    """IMAGE: pixels."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint loader gives out."""

    model: Model
    clip: Clip
    vae: Vae


class Graph:
    """Nodes in the order they are added; ids are "1", "2", …, so that equal calls make equal workflows.

    A method per node class, named for it; inputs have the node's own names.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, Any]] = {}

    def to_api(self) -> dict[str, dict[str, Any]]:
        """The workflow in API format: node id -> class_type and inputs."""
        return {
            node: {**content, "inputs": {**content["inputs"]}}
            for node, content in self._nodes.items()
        }

    def checkpoint_loader_simple(self, *, ckpt_name: str) -> Checkpoint:
        """Load a checkpoint by the name the server lists it under."""
        node = self._add("CheckpointLoaderSimple", ckpt_name=ckpt_name)
        return Checkpoint(model=Model(node, 0), clip=Clip(node, 1), vae=Vae(node, 2))

    def clip_text_encode(self, *, clip: Clip, text: str) -> Conditioning:
        """Encode a prompt."""
        return Conditioning(self._add("CLIPTextEncode", text=text, clip=clip), 0)

    def empty_latent_image(self, *, width: int, height: int, batch_size: int) -> Latent:
        """A canvas of `width` by `height` pixels, `batch_size` times."""
        node = self._add("EmptyLatentImage", width=width, height=height, batch_size=batch_size)
        return Latent(node, 0)

    def ksampler(
        self,
        *,
        model: Model,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        denoise: float,
    ) -> Latent:
        """Denoise; `denoise` 1.0 starts from noise alone."""
        node = self._add(
            "KSampler",
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            denoise=denoise,
            model=model,
            positive=positive,
            negative=negative,
            latent_image=latent_image,
        )
        return Latent(node, 0)

    def vae_decode(self, *, samples: Latent, vae: Vae) -> Image:
        """Latents to pixels."""
        return Image(self._add("VAEDecode", samples=samples, vae=vae), 0)

    def save_image(self, *, images: Image, filename_prefix: str) -> None:
        """Write the pictures into the server's output folder."""
        self._add("SaveImage", images=images, filename_prefix=filename_prefix)

    def _add(self, class_type: str, **inputs: str | int | float | Socket) -> str:
        node = str(len(self._nodes) + 1)
        self._nodes[node] = {
            "class_type": class_type,
            "inputs": {
                name: [value.node, value.output] if isinstance(value, Socket) else value
                for name, value in inputs.items()
            },
        }
        return node
