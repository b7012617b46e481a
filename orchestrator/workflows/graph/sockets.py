"""What goes from node to node, and the nodes themselves as ComfyUI takes them."""

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


class ClipVision(Socket):
    """CLIP_VISION: the encoder of pictures."""


class Vae(Socket):
    """VAE: between latents and pixels."""


class UpscaleModel(Socket):
    """UPSCALE_MODEL: weights that enlarge pixels."""


class Conditioning(Socket):
    """CONDITIONING: an encoded prompt."""


class Latent(Socket):
    """LATENT: pictures before decoding."""


class Image(Socket):
    """IMAGE: pixels."""


class Mask(Socket):
    """MASK: how much of each place, from 0 to 1."""


class Video(Socket):
    """VIDEO: pictures in a row, with their speed."""


class Nodes:
    """The nodes of a workflow, in the order they are added."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, Any]] = {}

    def to_api(self) -> dict[str, dict[str, Any]]:
        """The workflow in API format: node id -> class_type and inputs."""
        return {
            node: {**content, "inputs": {**content["inputs"]}}
            for node, content in self._nodes.items()
        }

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
