"""Nodes that make and change latents: the canvas of a sampler."""

from __future__ import annotations

from orchestrator.workflows.graph.sockets import Image, Latent, Mask, Nodes, Vae


class LatentNodes(Nodes):
    """Sizes are in pixels of the picture."""

    def empty_latent_image(self, *, width: int, height: int, batch_size: int) -> Latent:
        """A canvas of `width` by `height` pixels, `batch_size` times."""
        node = self._add("EmptyLatentImage", width=width, height=height, batch_size=batch_size)
        return Latent(node, 0)

    def empty_sd3_latent_image(self, *, width: int, height: int, batch_size: int) -> Latent:
        """A canvas for SD 3, whose latents have more channels."""
        node = self._add("EmptySD3LatentImage", width=width, height=height, batch_size=batch_size)
        return Latent(node, 0)

    def vae_encode(self, *, pixels: Image, vae: Vae) -> Latent:
        """Pixels to latents."""
        return Latent(self._add("VAEEncode", pixels=pixels, vae=vae), 0)

    def vae_decode(self, *, samples: Latent, vae: Vae) -> Image:
        """Latents to pixels."""
        return Image(self._add("VAEDecode", samples=samples, vae=vae), 0)

    def set_latent_noise_mask(self, *, samples: Latent, mask: Mask) -> Latent:
        """Only where the mask is 1 will a sampler change anything."""
        return Latent(self._add("SetLatentNoiseMask", samples=samples, mask=mask), 0)

    def repeat_latent_batch(self, *, samples: Latent, amount: int) -> Latent:
        """The same canvas several times."""
        return Latent(self._add("RepeatLatentBatch", samples=samples, amount=amount), 0)

    def latent_upscale_by(self, *, samples: Latent, upscale_method: str, scale_by: float) -> Latent:
        """A larger canvas with the same on it."""
        node = self._add(
            "LatentUpscaleBy", samples=samples, upscale_method=upscale_method, scale_by=scale_by
        )
        return Latent(node, 0)
