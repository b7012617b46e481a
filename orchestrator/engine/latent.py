"""A batch of latents, and the pictures behind it.

Eight pixels to one leave no room for a picture's details, which a real VAE would keep. So a latent that was made from
a picture remembers it, and how much of it is still to be seen: all of it at first, less the more was denoised.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orchestrator.engine import painter
from orchestrator.engine.weights import Vae
from orchestrator.engine.wording import Floats

Pixels = NDArray[np.uint8]  # (batch, height, width, 3)
Resampling = Image.Resampling

MAX_SIDE = 16384
HIDING = 0.85  # of a picture kept: more of it hides what was painted with care
MAX_PIXELS = 64_000_000  # of one prompt's batch: more would take gigabytes to paint


@dataclass(frozen=True)
class Latent:
    """What ComfyUI calls LATENT: samples (batch, channels, height, width) and what belongs to them."""

    samples: Floats
    mask: Floats | None = None  # (1 or batch, any height, any width); 1 is repainted, 0 stays
    pictures: tuple[Pixels, ...] | None = None  # one for each of the batch, of any size
    kept: Floats | None = None  # (batch, height, width), 0 to 1: how much of its picture is seen
    believed: Floats | None = None  # where noise is left: what the samples would be without it
    seed: int | None = None  # that its large shapes came from

    def __len__(self) -> int:
        return len(self.samples)

    def mask_of_cells(self) -> Floats | None:
        """The mask at the latent's own size, (1 or batch, 1, height, width)."""
        if self.mask is None:
            return None
        height, width = self.samples.shape[2:]
        return np.stack([_resized(m, width, height, Resampling.BOX)[None] for m in self.mask])


def check_size(width: int, height: int, batch: int) -> None:
    """Raises MemoryError, which the server tells as any other, for more than a prompt may take."""
    if width * height * batch > MAX_PIXELS:
        raise MemoryError(
            f"The embedded engine paints at most {MAX_PIXELS // 1_000_000} megapixels in one prompt; "
            f"{width}×{height}×{batch} is more. Ask for a smaller size or batch."
        )


def empty(width: int, height: int, batch: int) -> Latent:
    """A latent with nothing in it. Sides in pixels."""
    check_size(width, height, batch)
    shape = (batch, painter.CHANNELS, height // painter.SCALE, width // painter.SCALE)
    return Latent(np.zeros(shape, np.float32))


def encoded(pictures: Pixels) -> Latent:
    """The latent of pictures, cut around their middle to whole cells, as a VAE does."""
    height, width = (side - side % painter.SCALE for side in pictures.shape[1:3])
    top, left = (pictures.shape[1] - height) // 2, (pictures.shape[2] - width) // 2
    cut = pictures[:, top : top + height, left : left + width]
    if not height or not width:
        raise ValueError(f"A picture needs at least {painter.SCALE} pixels on each side")
    samples = np.stack([painter.encode(picture) for picture in cut])
    kept = np.ones((len(cut), *samples.shape[2:]), np.float32)
    return Latent(samples, pictures=tuple(cut), kept=kept)


def decoded(latent: Latent, vae: Vae) -> Pixels:
    """The pictures of a latent, eight times its size."""
    batch, _, height, width = latent.samples.shape
    size = (height * painter.SCALE, width * painter.SCALE)
    check_size(size[1], size[0], batch)
    out = np.empty((batch, *size, 3), np.uint8)
    for index, samples in enumerate(latent.samples):
        out[index] = _decoded(latent, index, samples, vae)
    return out


def _decoded(latent: Latent, index: int, samples: Floats, vae: Vae) -> Pixels:
    samples = vae.tinted(samples)
    if latent.pictures is None or latent.kept is None or not latent.kept[index].any():
        return painter.decode(samples)
    height, width = (cells * painter.SCALE for cells in samples.shape[1:])
    picture = resized(latent.pictures[index], width, height, Resampling.BICUBIC)
    share = painter.upsampled(latent.kept[index][None])[0][..., None]
    if latent.kept[index].min() > HIDING:
        painted = resized(painter.glance(samples), width, height, Resampling.BILINEAR)
    else:
        painted = painter.decode(samples)
    below = painted.astype(np.float32)
    mixed = np.clip(np.rint(below + share * (picture - below)), 0, 255)
    return np.asarray(mixed, np.uint8)


def upscaled(latent: Latent, factor: float, method: Image.Resampling) -> Latent:
    """A latent of another size. The mask and the pictures stay as they are: they are fitted where they are used."""
    height, width = (max(1, round(side * factor)) for side in latent.samples.shape[2:])
    check_size(width * painter.SCALE, height * painter.SCALE, len(latent))

    def scaled(fields: Floats, how: Image.Resampling) -> Floats:
        flat = fields.reshape(-1, *fields.shape[-2:])
        out = np.stack([_resized(field, width, height, how) for field in flat])
        return out.reshape(*fields.shape[:-2], height, width)

    return replace(
        latent,
        samples=scaled(latent.samples, method),
        believed=None if latent.believed is None else scaled(latent.believed, method),
        kept=None if latent.kept is None else scaled(latent.kept, Resampling.BILINEAR),
    )


def repeated(latent: Latent, amount: int) -> Latent:
    """The batch several times over."""
    height, width = latent.samples.shape[2:]
    check_size(width * painter.SCALE, height * painter.SCALE, len(latent) * amount)

    def again(fields: Floats | None) -> Floats | None:
        return None if fields is None else np.concatenate([fields] * amount)

    many = latent.mask is not None and len(latent.mask) > 1
    return replace(
        latent,
        samples=np.concatenate([latent.samples] * amount),
        mask=again(latent.mask) if many else latent.mask,
        pictures=None if latent.pictures is None else latent.pictures * amount,
        kept=again(latent.kept),
        believed=again(latent.believed),
    )


def resized(picture: Any, width: int, height: int, method: Image.Resampling) -> Any:
    """One picture (height, width, 3) at another size; itself when it has it."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), method))


def _resized(field: Floats, width: int, height: int, method: Image.Resampling) -> Floats:
    if field.shape == (height, width):
        return field
    image = Image.fromarray(np.ascontiguousarray(field, np.float32))
    return np.asarray(image.resize((width, height), method), np.float32)
