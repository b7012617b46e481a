"""What stands for weights files: their names, and what a name does to a picture.

There are no weights. A checkpoint, a LoRA or a VAE acts through the hash of its name, so that each choice matters,
and the same choice always matters in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from orchestrator.engine.wording import SIZE, Floats, generator, noise_of

CHECKPOINTS = (
    "embedded-sd15-no-model.safetensors",
    "embedded-sdxl-no-model.safetensors",
    "embedded-sdxl-refiner-no-model.safetensors",
    "embedded-sd35-no-model.safetensors",
    "embedded-svd-no-model.safetensors",
)
PIXEL_SPACE = "pixel_space"  # the one VAE that a real server has without any file

#: What the server has, by ComfyUI's names of the model folders.
FILES: dict[str, tuple[str, ...]] = {
    "checkpoints": CHECKPOINTS,
    "diffusion_models": ("embedded-sd35-diffusion-no-model.safetensors",),
    "loras": ("embedded-lora-no-model.safetensors",),
    "text_encoders": (
        "embedded-clip-g-no-model.safetensors",
        "embedded-clip-l-no-model.safetensors",
        "embedded-t5xxl-no-model.safetensors",
    ),
    "upscale_models": (
        "embedded-2x-upscale-no-model.safetensors",
        "embedded-4x-upscale-no-model.safetensors",
    ),
    "vae": ("embedded-vae-no-model.safetensors",),
    "clip": (),
    "controlnet": (),
    "embeddings": (),
}

Loras = tuple[tuple[str, float], ...]  # name and strength, in the order they were applied


@dataclass(frozen=True)
class Model:
    """The part of a checkpoint that denoises."""

    name: str
    loras: Loras = ()
    shift: float = 1.0  # of the noise schedule; above 1 more steps are spent on much noise
    min_cfg: float | None = None  # of a video's first frame; the last has the sampler's own

    @property
    def style(self) -> Floats:
        """How this model paints what others paint too: SIZE numbers, zero for a plain checkpoint."""
        refined = 0.5 * noise_of("refiner") if "refiner" in self.name else np.zeros(SIZE)
        return (refined + _styled(self.loras)).astype(np.float32)

    @property
    def usual_cfg(self) -> float:
        """The guidance its family is made for."""
        return 2.5 if "svd" in self.name else 4.5 if "sd35" in self.name else 7.0

    def with_lora(self, name: str, strength: float) -> Model:
        return replace(self, loras=(*self.loras, (name, strength)))


@dataclass(frozen=True)
class Clip:
    """The part of a checkpoint, or the files, that read a prompt."""

    name: str
    loras: Loras = ()
    layer: int = -1  # the last that is used, counted from the end

    @property
    def style(self) -> Floats:
        skipped = 0.4 * noise_of(f"layer/{self.layer}") if self.layer != -1 else np.zeros(SIZE)
        return (skipped + _styled(self.loras)).astype(np.float32)

    @property
    def lineage(self) -> str:
        """The name that decides how words are understood: a refiner has learned from its base's pictures."""
        return self.name.replace("-refiner", "")

    def with_lora(self, name: str, strength: float) -> Clip:
        return replace(self, loras=(*self.loras, (name, strength)))


@dataclass(frozen=True)
class Vae:
    """What turns pictures into latents and back. One from a file of its own has a taste in colours."""

    name: str
    apart: bool = False  # loaded by itself, not with a checkpoint

    def tinted(self, samples: Floats) -> Floats:
        """Samples (channels, height, width) as this VAE sees them."""
        if not self.apart or self.name == PIXEL_SPACE:
            return samples
        light, chroma = generator("vae", self.name).uniform(0.04, 0.12, 2)
        gain = np.array([1 + light, 1 + 2 * chroma, 1 + 2 * chroma, 1 + light], np.float32)
        tinted: Floats = samples * gain[:, None, None]
        return tinted


def _styled(loras: Loras) -> Floats:
    """The sum of what the LoRAs do, each as strongly as asked."""
    style = np.zeros(SIZE, np.float32)
    for name, strength in loras:
        style += np.float32(0.8 * min(4.0, max(-4.0, strength))) * noise_of(f"lora/{name}")
    return style
