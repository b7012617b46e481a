"""What can be measured of a picture without a model: how sharp, how varied, how colourful it is, and how like another.

Pure functions of a picture or an array of it. On one core of a small server a picture of 512 × 512 pixels takes about
70 ms for all of them (tests/benchmarks/bench_measures.py); time grows with the number of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_SIDE = 8  # 64 bits
HASH_SAMPLE = 32  # pixels a side that the hash looks at
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue; ITU-R BT.601
Pixels = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Of one picture. `phash` is 16 hexadecimal digits."""

    sharpness: float
    entropy: float
    colourfulness: float
    phash: str


def measured(picture: Image.Image) -> Measures:
    """Everything at once. Raises OSError for a picture that cannot be decoded."""
    colours = np.asarray(picture.convert("RGB"))
    grey = luminance(colours)
    return Measures(
        sharpness=sharpness(grey),
        entropy=entropy(grey),
        colourfulness=colourfulness(colours),
        phash=phash(picture),
    )


def luminance(pixels: Pixels) -> NDArray[np.float32]:
    """How bright each pixel is, 0 to 255: ITU-R BT.601's luma of RGB; what has one channel is taken as it is."""
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    grey: NDArray[np.float32] = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return grey


def sharpness(pixels: Pixels) -> float:
    """The variance of the Laplacian of the luminance: 0 for an even surface, thousands for fine texture and noise.

    The measure LAPV of Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000, with the
    four-neighbour kernel. It compares pictures of one size and subject. 0 for a picture less than 3 pixels wide.
    """
    grey = luminance(pixels)
    if min(grey.shape) < 3:
        return 0.0
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    laplacian -= 4 * grey[1:-1, 1:-1]
    return _moments(laplacian.ravel())[1] ** 2


def entropy(pixels: Pixels) -> float:
    """How varied the luminance is, in bits a pixel, from 0 to 8.

    Shannon's entropy of the histogram of 256 levels ("A Mathematical Theory of Communication", 1948).
    """
    levels = np.clip(np.rint(luminance(pixels)), 0, 255).astype(np.uint8)
    counts = np.bincount(levels.ravel(), minlength=256)
    shares = counts[counts > 0] / levels.size
    return max(0.0, float(-(shares * np.log2(shares)).sum()))  # -0.0 is no amount


def colourfulness(pixels: Pixels) -> float:
    """How colourful it looks: 0 for grey, about 15 slightly, 45 fairly, 80 and more highly.

    The measure M3 of Hasler & Süsstrunk, "Measuring colourfulness in natural images", Human Vision and Electronic
    Imaging 2003.
    """
    if pixels.ndim == 2:
        return 0.0
    red, green, blue = (pixels[..., channel].astype(np.float32).ravel() for channel in range(3))
    (mean_1, spread_1), (mean_2, spread_2) = (
        _moments(red - green),
        _moments((red + green) / 2 - blue),
    )
    return float(np.hypot(spread_1, spread_2) + 0.3 * np.hypot(mean_1, mean_2))


def phash(picture: Image.Image) -> str:
    """A hash of what the picture shows, as 16 hexadecimal digits: pictures that look alike differ in few bits.

    The hash of the discrete cosine transform of Zauner, "Implementation and Benchmarking of Perceptual Image Hash
    Functions", 2010: of 32 × 32 pixels' luminance the 8 × 8 lowest frequencies but the constant ones, each compared
    with their median.
    """
    small = picture.convert("L").resize((HASH_SAMPLE, HASH_SAMPLE), Image.Resampling.BOX)
    waves = _cosines()
    frequencies = waves @ np.asarray(small, dtype=np.float64) @ waves.T
    # what rounding leaves of an even surface is not a pattern
    low = np.round(frequencies[1 : HASH_SIDE + 1, 1 : HASH_SIDE + 1], 6)
    bits = (low > np.median(low)).ravel()
    return np.packbits(bits).tobytes().hex()


def distance(one: str, other: str) -> int:
    """In how many of 64 bits two hashes differ (Hamming): 0 alike, up to 10 much alike, about 32 unlike."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def told(measures: Measures) -> Mapping[str, Any]:
    """As JSON has it, without digits that mean nothing."""
    return {
        "sharpness": round(measures.sharpness, 3),
        "entropy": round(measures.entropy, 4),
        "colourfulness": round(measures.colourfulness, 3),
        "phash": measures.phash,
    }


def _moments(values: Pixels) -> tuple[float, float]:
    """Mean and standard deviation, summed in double precision."""
    mean = float(values.mean(dtype=np.float64))
    # of what is left after the mean: the difference of two large squares would lose its digits
    left = (values - np.float32(mean)).astype(np.float64)
    return mean, float(np.sqrt(np.dot(left, left) / left.size))


@cache
def _cosines() -> NDArray[np.float64]:
    """The matrix of the orthonormal DCT-II (Ahmed, Natarajan & Rao 1974)."""
    n = HASH_SAMPLE
    k, x = np.mgrid[0:n, 0:n]
    waves: NDArray[np.float64] = np.cos(np.pi * (2 * x + 1) * k / (2 * n)) * np.sqrt(2 / n)
    waves[0] /= np.sqrt(2)
    return waves
