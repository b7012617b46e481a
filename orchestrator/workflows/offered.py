"""What a server has: its node classes, and its folders of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.workflows.declarations import declared, options
from orchestrator.workflows.names import squashed


@dataclass(frozen=True)
class Shelf:
    """A folder of models: where its files go, and the input that lists them."""

    title: str
    folder: str
    class_type: str
    input: str
    pull: str = ""  # what `orchestrator models pull` fetches for it

    @property
    def remedy(self) -> str:
        """What to do when a file is not there."""
        pull = (
            f" (`orchestrator models pull {self.pull}` fetches a common one)" if self.pull else ""
        )
        return f"Put the file into the server's folder {self.folder}{pull}, or name one it has."


CHECKPOINTS = Shelf("checkpoint", "models/checkpoints", "CheckpointLoaderSimple", "ckpt_name")
IMAGE_CHECKPOINTS = Shelf(
    "checkpoint", "models/checkpoints", "ImageOnlyCheckpointLoader", "ckpt_name"
)
DIFFUSION_MODELS = Shelf("diffusion model", "models/diffusion_models", "UNETLoader", "unet_name")
LORAS = Shelf("LoRA", "models/loras", "LoraLoader", "lora_name")
VAES = Shelf("VAE", "models/vae", "VAELoader", "vae_name", "vae")
ENCODERS = Shelf("text encoder", "models/text_encoders", "TripleCLIPLoader", "clip_name1")
UPSCALERS = Shelf(
    "upscale model", "models/upscale_models", "UpscaleModelLoader", "model_name", "upscaler"
)
SHELVES = (
    CHECKPOINTS,
    IMAGE_CHECKPOINTS,
    DIFFUSION_MODELS,
    LORAS,
    VAES,
    ENCODERS,
    UPSCALERS,
    Shelf("text encoder", "models/text_encoders", "DualCLIPLoader", "clip_name2"),
    Shelf("text encoder", "models/text_encoders", "TripleCLIPLoader", "clip_name3"),
    Shelf("text encoder", "models/text_encoders", "CLIPLoader", "clip_name"),
    Shelf("encoder of pictures", "models/clip_vision", "CLIPVisionLoader", "clip_name"),
    Shelf("ControlNet", "models/controlnet", "ControlNetLoader", "control_net_name"),
    Shelf("style model", "models/style_models", "StyleModelLoader", "style_model_name"),
)


def shelf_of(class_type: str, input_name: str) -> Shelf | None:
    """The folder whose files an input names; by the class first, for a custom loader by the input's name."""
    for shelf in SHELVES:
        if (shelf.class_type, shelf.input) == (class_type, input_name):
            return shelf
    if input_name == "model_name":  # any node may call anything so
        return None
    return next((shelf for shelf in SHELVES if shelf.input == input_name), None)


@dataclass(frozen=True)
class Offered:
    """What a server has.

    `classes` is its answer to /object_info. Of checkpoints that can be looked into, `families` says what they
    are, by the name the server lists (None: it could not be told), and `corrupt` what is wrong with them.
    """

    classes: Mapping[str, Any]
    families: Mapping[str, str | None] = field(default_factory=dict)
    corrupt: Mapping[str, str] = field(default_factory=dict)

    def has(self, class_type: str) -> bool:
        """Whether the server knows a node class."""
        return class_type in self.classes

    def options(self, class_type: str, input_name: str) -> list[str]:
        """The choices of an input; empty when it has none, or is not known."""
        spec = declared(self.classes, class_type).get(input_name)
        return [
            each for each in (options(spec[1]) if spec else None) or [] if isinstance(each, str)
        ]

    def listed(self, shelf: Shelf) -> list[str]:
        """The files in a folder of models, by the names the server has for them."""
        return self.options(shelf.class_type, shelf.input)

    def has_model(self, name: str) -> bool:
        """Whether any folder of models has a file that people would call so."""
        wanted = squashed(name)
        return any(squashed(each) == wanted for shelf in SHELVES for each in self.listed(shelf))


@dataclass(frozen=True)
class Inputs:
    """What the uploaded pictures of a request are called on the server."""

    image: str | None = None
    mask: str | None = None
