"""Nodes that say what shall be seen."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.workflows.graph.sockets import (
    Clip,
    ClipVision,
    Conditioning,
    Image,
    Latent,
    Nodes,
    Vae,
)


@dataclass(frozen=True)
class Motion:
    """What a picture to be moved gives out."""

    positive: Conditioning
    negative: Conditioning
    latent: Latent


class ConditioningNodes(Nodes):
    """From text or a picture to what a sampler follows."""

    def clip_text_encode(self, *, clip: Clip, text: str) -> Conditioning:
        """Encode a prompt."""
        return Conditioning(self._add("CLIPTextEncode", text=text, clip=clip), 0)

    def clip_set_last_layer(self, *, clip: Clip, stop_at_clip_layer: int) -> Clip:
        """Stop the encoder early; -1 is its last layer."""
        node = self._add("CLIPSetLastLayer", stop_at_clip_layer=stop_at_clip_layer, clip=clip)
        return Clip(node, 0)

    def svd_img2vid_conditioning(
        self,
        *,
        clip_vision: ClipVision,
        init_image: Image,
        vae: Vae,
        width: int,
        height: int,
        video_frames: int,
        motion_bucket_id: int,
        fps: int,
        augmentation_level: float,
    ) -> Motion:
        """A picture to be moved by SVD for `video_frames` frames."""
        node = self._add(
            "SVD_img2vid_Conditioning",
            width=width,
            height=height,
            video_frames=video_frames,
            motion_bucket_id=motion_bucket_id,
            fps=fps,
            augmentation_level=augmentation_level,
            clip_vision=clip_vision,
            init_image=init_image,
            vae=vae,
        )
        return Motion(
            positive=Conditioning(node, 0), negative=Conditioning(node, 1), latent=Latent(node, 2)
        )
