"""Measures of pictures whose answer is known by construction."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from orchestrator import measures

RNG = np.random.default_rng(7)


def grey(levels: list[int], *, side: int = 64) -> NDArray[np.uint8]:
    """A picture that has each level equally often."""
    return np.tile(np.array(levels, dtype=np.uint8), (side, side // len(levels)))


def scene(seed: int = 1, *, side: int = 128) -> Image.Image:
    """Something with large shapes, as photographs have."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def test_an_even_surface_has_no_edges_no_information_and_no_colour() -> None:
    even = Image.new("RGB", (40, 30), (90, 90, 90))
    said = measures.measured(even)
    assert (said.sharpness, said.entropy, said.colourfulness) == (0, 0, 0)
    assert said.phash == "0" * 16


def test_the_sharpness_of_a_chequerboard_is_that_of_the_formula() -> None:
    rows, columns = np.indices((20, 20))
    board = ((rows + columns) % 2 * 10).astype(np.uint8)
    # each pixel's Laplacian is +40 or -40, half of each
    assert measures.sharpness(board) == pytest.approx(1600)


def test_a_slope_is_not_sharp_and_an_edge_is() -> None:
    slope = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    edge = np.where(np.arange(64) < 32, 0, 64).astype(np.uint8) * np.ones((64, 1), dtype=np.uint8)
    assert measures.sharpness(slope) == 0
    # two columns of 62 have a Laplacian of +64 and -64
    assert measures.sharpness(edge) == pytest.approx(2 / 62 * 64**2)


def test_the_more_a_picture_is_blurred_the_less_sharp_it_is() -> None:
    noise = Image.fromarray(RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8))
    blurred = [noise.filter(ImageFilter.GaussianBlur(radius)) for radius in (0, 1, 2, 4)]
    said = [measures.measured(picture).sharpness for picture in blurred]
    assert said == sorted(said, reverse=True)
    assert said[0] > 10 * said[1] > 20 * said[2]


@pytest.mark.parametrize(
    ("levels", "bits"),
    [([7], 0), ([0, 255], 1), ([0, 80, 160, 240], 2), (list(range(0, 256, 4)), 6)],
)
def test_the_entropy_is_the_logarithm_of_the_number_of_equal_levels(
    levels: list[int], bits: int
) -> None:
    assert measures.entropy(grey(levels)) == pytest.approx(bits)


def test_the_entropy_of_all_levels_is_eight_bits() -> None:
    everything = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert measures.entropy(everything) == pytest.approx(8)


def test_the_colourfulness_of_one_colour_is_three_tenths_of_its_distance_from_grey() -> None:
    red = np.zeros((8, 8, 3), dtype=np.uint8)
    red[..., 0] = 200
    # rg = 200, yb = 100, neither varies
    assert measures.colourfulness(red) == pytest.approx(0.3 * np.hypot(200, 100), rel=1e-6)


def test_the_colourfulness_of_two_opposite_colours_is_their_spread() -> None:
    picture = np.zeros((2, 8, 3), dtype=np.uint8)
    picture[0, :, 0] = 100
    picture[1, :, 1] = 100
    # rg = +100 and -100: spread 100, centre 0; yb = 50 everywhere
    assert measures.colourfulness(picture) == pytest.approx(100 + 0.3 * 50)
    assert measures.colourfulness(picture[..., 0]) == 0


def test_a_picture_that_was_shrunk_brightened_or_compressed_has_nearly_the_same_hash() -> None:
    picture = scene()
    own = measures.phash(picture)
    smaller = picture.resize((77, 77), Image.Resampling.LANCZOS)
    brighter = ImageEnhance.Brightness(picture).enhance(1.1)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=50)
    for other in (smaller, brighter, picture.convert("L"), Image.open(out)):
        assert measures.distance(own, measures.phash(other)) <= 6
    assert measures.distance(own, own) == 0


def test_different_pictures_differ_in_about_half_of_the_bits() -> None:
    hashes = [measures.phash(scene(seed)) for seed in range(12)]
    apart = [measures.distance(hashes[0], other) for other in hashes[1:]]
    assert 20 < sum(apart) / len(apart) < 44
    assert min(apart) > 12


def test_the_distance_is_the_number_of_bits() -> None:
    assert measures.distance("0" * 16, "f" * 16) == 64
    assert measures.distance("0" * 16, "8000000000000001") == 2
    assert measures.distance("00000000000000ff", "000000000000000f") == 4


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 200), (33, 31)])
def test_any_picture_can_be_measured(mode: str, size: tuple[int, int]) -> None:
    said = measures.measured(Image.new(mode, size))
    assert said.sharpness == said.entropy == 0
    assert len(said.phash) == 16
