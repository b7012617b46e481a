"""Nodes that load weights from the server's folders of models."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.workflows.graph.sockets import (
    Clip,
    ClipVision,
    Model,
    Nodes,
    UpscaleModel,
    Vae,
)


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint loader gives out."""

    model: Model
    clip: Clip
    vae: Vae


@dataclass(frozen=True)
class ImageCheckpoint:
    """What the loader of a checkpoint that begins with a picture gives out."""

    model: Model
    clip_vision: ClipVision
    vae: Vae


class LoaderNodes(Nodes):
    """Each takes a file by the name the server lists it under."""

    def checkpoint_loader_simple(self, *, ckpt_name: str) -> Checkpoint:
        """Load a checkpoint."""
        node = self._add("CheckpointLoaderSimple", ckpt_name=ckpt_name)
        return Checkpoint(model=Model(node, 0), clip=Clip(node, 1), vae=Vae(node, 2))

    def image_only_checkpoint_loader(self, *, ckpt_name: str) -> ImageCheckpoint:
        """Load a checkpoint whose prompt is a picture (SVD)."""
        node = self._add("ImageOnlyCheckpointLoader", ckpt_name=ckpt_name)
        return ImageCheckpoint(
            model=Model(node, 0), clip_vision=ClipVision(node, 1), vae=Vae(node, 2)
        )

    def triple_clip_loader(self, *, clip_name1: str, clip_name2: str, clip_name3: str) -> Clip:
        """Load the three text encoders of SD 3, in any order."""
        node = self._add(
            "TripleCLIPLoader", clip_name1=clip_name1, clip_name2=clip_name2, clip_name3=clip_name3
        )
        return Clip(node, 0)

    def vae_loader(self, *, vae_name: str) -> Vae:
        """Load a VAE."""
        return Vae(self._add("VAELoader", vae_name=vae_name), 0)

    def lora_loader(
        self,
        *,
        model: Model,
        clip: Clip,
        lora_name: str,
        strength_model: float,
        strength_clip: float,
    ) -> tuple[Model, Clip]:
        """Change a model and its text encoder by a LoRA."""
        node = self._add(
            "LoraLoader",
            lora_name=lora_name,
            strength_model=strength_model,
            strength_clip=strength_clip,
            model=model,
            clip=clip,
        )
        return Model(node, 0), Clip(node, 1)

    def upscale_model_loader(self, *, model_name: str) -> UpscaleModel:
        """Load a model that enlarges pixels."""
        return UpscaleModel(self._add("UpscaleModelLoader", model_name=model_name), 0)
