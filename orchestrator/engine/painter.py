"""From a conditioning and a seed to a picture: the field a latent is denoised towards, and its decoding.

A latent is (4, height / 8, width / 8): lightness and two opponent colours (OKLab), and a height. Decoding smooths it
to full size and cuts the height into layers that cast shadows on each other, so edges are sharp although it is small.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.engine.wording import PALETTES, Conditioning, Floats, generator

Pixels = NDArray[np.uint8]  # (height, width, 3)

CHANNELS = 4
SCALE = 8  # pixels of the picture to one of the latent
LAYER = 0.42  # height between two layers of paper


def _array(values: list[Any]) -> Floats:
    return np.array(values, np.float32)


def target(cond: Conditioning, seed: int, height: int, width: int, *, batch: int = 0) -> Floats:
    """The latent this conditioning asks for: where the seed put things, in the colours the words named."""
    v = cond.vector
    character = generator("character", v.round(3).tolist())
    composition = cond.composition or tuple(_SHAPES)[int(character.integers(len(_SHAPES)))]
    layout = generator("layout", seed, batch, composition, v.round(3).tolist())
    u, w = _grid(height, width, layout)

    shape_of, stiffness = _SHAPES[composition]
    bend = stiffness * (0.30 + 0.10 * math.tanh(float(v[0])))
    first, second = _waves(u, w, layout, 1.1), _waves(u, w, layout, 1.3)
    u, w = u + bend * first, w + bend * second
    shape, glow = shape_of(u, w, layout, v)
    shape += 0.16 * _waves(u, w, layout, 3.1)

    drift = 0.5 + 0.5 * _waves(u, w, layout, 0.8)
    along = _unit(shape) * 0.72 + drift * 0.28
    colours = _gradient(_palette(cond, character), np.clip(along + 0.30 * glow, 0.0, 1.0))
    colours[0] += 0.16 * glow
    relief = (0.75 + 0.20 * math.tanh(float(v[2]))) * (shape - shape.mean()) / (shape.std() + 1e-6)
    return np.concatenate([_encode_colour(colours), relief[None]]).astype(np.float32)


def styled(field: Floats, style: Floats) -> Floats:
    """The same shapes in another manner, as a LoRA paints: other tones, a deeper relief, a finer texture."""
    turn, light, chroma, depth, fine = (math.tanh(float(s)) for s in style[:5])
    if not any((turn, light, chroma, depth, fine)):
        return field
    u, w = _grid(field.shape[1], field.shape[2], generator("texture"))
    texture = np.float32(0.30 * fine) * _waves(u, w, generator("texture", "waves"), 4.0)
    cos, sin = np.float32(math.cos(0.7 * turn)), np.float32(math.sin(0.7 * turn))
    rich = np.float32(1 + 0.35 * chroma)
    return np.stack(
        [
            field[0] * np.float32(1 + 0.15 * light)
            + np.float32(0.12 * light)
            + texture * np.float32(0.5),
            (cos * field[1] - sin * field[2]) * rich,
            (sin * field[1] + cos * field[2]) * rich,
            field[3] * np.float32(1 + 0.35 * depth) + texture,
        ]
    )


def _grid(height: int, width: int, layout: np.random.Generator) -> tuple[Floats, Floats]:
    """Coordinates from -1 to 1 along the short side, tilted a little and shifted by the seed."""
    short = min(height, width)
    y = (np.arange(height, dtype=np.float32) * 2 + 1 - height) / short
    x = (np.arange(width, dtype=np.float32) * 2 + 1 - width) / short
    tilt = float(layout.normal(0.0, 0.10))
    dx, dy = layout.normal(0.0, 0.12, 2).tolist()
    u = math.cos(tilt) * x[None, :] - math.sin(tilt) * y[:, None] + np.float32(dx)
    w = math.sin(tilt) * x[None, :] + math.cos(tilt) * y[:, None] + np.float32(dy)
    return u.astype(np.float32), w.astype(np.float32)


def _waves(u: Floats, w: Floats, layout: np.random.Generator, frequency: float) -> Floats:
    """A smooth random field about -1 to 1: a few plane waves, the weaker the finer they are."""
    octave = (2.0 ** layout.uniform(-0.6, 0.8, 6)).astype(np.float32)
    angle, phase = layout.uniform(0.0, 2 * math.pi, (2, 6)).astype(np.float32)
    k = octave * np.float32(math.pi * frequency)
    across, down = k * np.cos(angle), k * np.sin(angle)
    field = np.zeros_like(u)
    for i in range(6):
        field += np.cos(across[i] * u + down[i] * w + phase[i]) / octave[i]
    return field * np.float32(0.33)


def _layers(u: Floats, w: Floats, layout: np.random.Generator, v: Floats) -> tuple[Floats, Floats]:
    """Ranges of hills under a sun."""
    ridges = _waves(u, 0.25 * w, layout, 1.3) + 0.45 * _waves(u, 0.3 * w, layout, 3.0)
    sun_u, sun_w = float(layout.uniform(-0.6, 0.6)), float(layout.uniform(-0.75, -0.3))
    far = np.hypot(u - sun_u, w - sun_w)
    glow = np.exp(-((far / 0.30) ** 4)) + 0.45 * np.exp(-((far / 0.8) ** 2))
    return -1.15 * w + (0.30 + 0.1 * np.clip(w, -1, 1)) * ridges, glow.astype(np.float32)


def _flow(u: Floats, w: Floats, layout: np.random.Generator, v: Floats) -> tuple[Floats, Floats]:
    """Folded silk, or a sea."""
    turn = float(layout.uniform(-0.5, 0.5)) + 0.4 * math.tanh(float(v[3]))
    along = math.cos(turn) * w + math.sin(turn) * u
    across = math.cos(turn) * u - math.sin(turn) * w
    fold = _waves(0.5 * across, along, layout, 1.2)
    shape = np.sin(np.float32(2.6 + 0.5 * math.tanh(float(v[4]))) * along + 1.7 * fold) + 0.5 * fold
    glow = np.clip(_waves(u, w, layout, 0.7) - 0.25, 0.0, 1.0)
    return shape, glow


def _orbs(u: Floats, w: Floats, layout: np.random.Generator, v: Floats) -> tuple[Floats, Floats]:
    """Worlds of several sizes in a haze."""
    shape = 0.35 * _waves(u, w, layout, 0.9)
    glow = np.zeros_like(u)
    wide, tall = max(1.0, float(abs(u).max())), max(1.0, float(abs(w).max()))
    for _ in range(5 + int(3 * abs(math.tanh(float(v[5]))))):
        cu, cw = (
            float(layout.uniform(-wide, wide)) * 0.85,
            float(layout.uniform(-tall, tall)) * 0.85,
        )
        radius = 0.14 + 0.34 * float(layout.random()) ** 2
        far = np.hypot(u - cu, w - cw) / np.float32(radius)
        shape += np.float32(1.9 * radius**0.5) * np.exp(-(far**4))
        lit = np.hypot(u - cu + 0.35 * radius, w - cw + 0.4 * radius) / np.float32(0.7 * radius)
        glow += np.float32(0.7) * np.exp(-(lit**2)) * (far < 1.2)
    return shape, np.clip(glow, 0.0, 1.0)


def _bloom(u: Floats, w: Floats, layout: np.random.Generator, v: Floats) -> tuple[Floats, Floats]:
    """Petals, or feathers, around a heart."""
    cu, cw = layout.normal(0.0, 0.16, 2)
    far = np.hypot(u - np.float32(cu), w - np.float32(cw))
    angle = np.arctan2(w - np.float32(cw), u - np.float32(cu))
    petals = 5 + int(abs(float(v[6])) * 2.5) % 5
    twist = 1.6 * math.tanh(float(v[7]))
    phase = float(layout.uniform(0, 2 * math.pi))
    petal = np.cos(petals * angle + twist * far * 3 + phase)
    # Near the heart an angle means nothing: without this the petals would meet in a noisy point.
    petal *= np.clip(far * 3.2, 0.0, 1.0)
    shape = 1.25 * np.exp(-((far / 0.8) ** 2)) + 0.36 * petal * np.exp(-((far / 0.95) ** 2))
    shape += 0.18 * np.cos(9.0 * far + 1.4 * petal)
    return shape, np.exp(-((far / 0.26) ** 2)) * np.float32(0.9)


# How each composition is made, and how far its space may be bent: a sun must stay round, silk need not.
_SHAPES = {
    "layers": (_layers, 0.35),
    "flow": (_flow, 1.0),
    "orbs": (_orbs, 0.18),
    "bloom": (_bloom, 0.55),
}


def _unit(field: Floats) -> Floats:
    """The field spread over 0 to 1, its extremes softened."""
    spread: Floats = np.tanh(0.75 * (field - field.mean()) / (field.std() + 1e-6))
    return 0.5 + 0.5 * spread


def _palette(cond: Conditioning, character: np.random.Generator) -> Floats:
    """Stops of a gradient from dark to light, (stops, 3) in OKLab."""
    named = [_oklab(colour) for colour in cond.colours]
    if not named:
        stops = [_oklab(c) for c in PALETTES[int(character.integers(len(PALETTES)))]]
        turn = float(character.normal(0.0, 0.22))
        return np.stack([_turned(stop, turn) for stop in stops])
    shade, tint = named[0] * _array([0.36, 0.55, 0.55]), named[-1] * _array([1, 0.4, 0.4])
    tint[0] = 0.95
    if len(named) == 1:  # one colour alone looks like a filter: give it paler and deeper neighbours
        named = [
            _turned(named[0] * _array([0.78, 1, 1]), -0.30),
            named[0],
            _turned(named[0], 0.38),
        ]
        named[2][0] = min(0.88, named[2][0] + 0.14)
    named.sort(key=lambda lab: float(lab[0]))
    return np.stack([shade, *named, tint])


def _turned(lab: Floats, angle: float) -> Floats:
    cos, sin = math.cos(angle), math.sin(angle)
    return _array([lab[0], cos * lab[1] - sin * lab[2], sin * lab[1] + cos * lab[2]])


def _gradient(stops: Floats, at: Floats) -> Floats:
    """Colours (3, h, w) along the stops."""
    place = at * (len(stops) - 1)
    index = np.minimum(place.astype(np.int32), len(stops) - 2)
    part = place - index
    part = part * part * (3 - 2 * part)
    colours: Floats = stops[index] + part[..., None] * (stops[index + 1] - stops[index])
    return np.moveaxis(colours, -1, 0).copy()


# OKLab by Björn Ottosson (public domain): equal steps look equal, so gradients have no muddy middle.
_TO_LMS = _array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = _array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_LAB = np.linalg.inv(_TO_LAB).astype(np.float32)
_FROM_LMS = np.linalg.inv(_TO_LMS).astype(np.float32)


@lru_cache(maxsize=256)
def _oklab(colour: str) -> Floats:
    rgb = _array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return _lab_of(rgb[:, None])[:, 0]


def _lab_of(rgb: Floats) -> Floats:
    """sRGB in 0 to 1, (3, …), as OKLab."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )
    return _mixed(_TO_LAB, np.cbrt(_mixed(_TO_LMS, linear)))


def _mixed(matrix: Floats, planes: Floats) -> Floats:
    # Written out rather than `@`: BLAS may choose another order of adding on another day, and pixels must not change.
    return np.stack(
        [row[0] * planes[0] + row[1] * planes[1] + row[2] * planes[2] for row in matrix]
    )


def _encode_colour(lab: Floats) -> Floats:
    """OKLab scaled so that each plane is about -1 to 1, as sampling expects."""
    return np.stack(
        [
            (lab[0] - np.float32(0.55)) * np.float32(2.6),
            lab[1] * np.float32(7),
            lab[2] * np.float32(7),
        ]
    )


def _decode_colour(planes: Floats) -> Floats:
    light = np.tanh(planes[0] * np.float32(0.8)) * np.float32(0.48) + np.float32(0.55)
    return np.stack([light, planes[1] / np.float32(7), planes[2] / np.float32(7)])


def decode(latent: Floats) -> Pixels:
    """The picture of one latent: uint8 (height, width, 3), eight times its size."""
    fine = upsampled(latent)
    lab = _decode_colour(fine[:3])
    height = fine[3]
    lab[0] += _paper_light(height)
    lab[0] += _grain(*height.shape)
    lab[0] *= _vignette(*height.shape)
    return _rgb_bytes(lab)


def _paper_light(height: Floats) -> Floats:
    """Light on layers of paper cut along equal heights: each casts a shadow on the one below and has a bright rim."""
    level = height * np.float32(1 / LAYER)
    below = np.floor(level)
    part = level - below
    down, right = np.zeros_like(level), np.zeros_like(level)
    down[1:-1] = (level[2:] - level[:-2]) * np.float32(0.5)
    right[:, 1:-1] = (level[:, 2:] - level[:, :-2]) * np.float32(0.5)
    shadow = np.exp((1 - part) * np.float32(-4.5)) * np.float32(-0.14)
    shadow += np.exp(part * np.float32(-16)) * np.float32(0.06)
    # The step from shadow to rim is spread over one pixel, or the edge would look chewed.
    edge = np.minimum(part / (np.abs(down) + np.abs(right) + np.float32(1e-4)), 1)
    shadow = (shadow + np.float32(0.14)) * edge - np.float32(0.14)
    tint = ((below + edge) * np.float32(0.018)).clip(-0.08, 0.08)
    slope = np.tanh((down + right * np.float32(0.6)) * np.float32(6))
    light: Floats = shadow + tint - slope * np.float32(0.05)
    return light


def upsampled(latent: Floats) -> Floats:
    """Eight times the size by cubic B-spline subdivision: smooth to the second derivative, so light has no creases."""
    for _ in range(3):
        latent = _doubled(_doubled(latent, -1), -2)
    return latent


def _doubled(field: Floats, axis: int) -> Floats:
    """Twice as long. Samples stand at the middle of pixels, so each half leans towards its own neighbour."""
    before, after = _neighbours(field, axis)
    shape = list(field.shape)
    shape[axis] *= 2
    out = np.empty(shape, np.float32)
    middle = field * np.float32(0.71875)
    out[_along(axis, slice(0, None, 2))] = (
        middle + before * np.float32(0.2578125) + after * np.float32(0.0234375)
    )
    out[_along(axis, slice(1, None, 2))] = (
        middle + after * np.float32(0.2578125) + before * np.float32(0.0234375)
    )
    return out


def smoothed(field: Floats, axis: int) -> Floats:
    """Each value mixed with its neighbours as 1, 2, 1."""
    before, after = _neighbours(field, axis)
    mixed: Floats = (before + after + field + field) * np.float32(0.25)
    return mixed


def _neighbours(field: Floats, axis: int) -> tuple[Floats, Floats]:
    """The values before and after each; beyond an edge its own value goes on."""
    first, last = _along(axis, slice(0, 1)), _along(axis, slice(-1, None))
    body, tail = _along(axis, slice(None, -1)), _along(axis, slice(1, None))
    before, after = np.empty_like(field), np.empty_like(field)
    before[tail], before[first] = field[body], field[first]
    after[body], after[last] = field[tail], field[last]
    return before, after


def _along(axis: int, part: slice) -> tuple[Any, ...]:
    return (..., part) if axis == -1 else (..., part, slice(None))


@lru_cache(maxsize=4)
def _grain(height: int, width: int) -> Floats:
    """The tooth of the paper, the same for every picture of a size."""
    rough = generator("paper", height, width).standard_normal((height, width), dtype=np.float32)
    soft = (
        rough + np.roll(rough, 1, 0) + np.roll(rough, 1, 1) + np.roll(rough, (1, 1), (0, 1))
    ) / 4
    return soft * np.float32(0.012)


@lru_cache(maxsize=4)
def _vignette(height: int, width: int) -> Floats:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return (1 - 0.10 * np.clip(x * x + y * y - 0.5, 0, None) ** 1.5).astype(np.float32)


def _rgb_bytes(lab: Floats) -> Pixels:
    lms = _mixed(_FROM_LAB, lab)
    linear = _mixed(_FROM_LMS, lms * lms * lms)
    index = np.clip(linear * np.float32(4095) + np.float32(0.5), 0, 4095).astype(np.uint16)
    return np.ascontiguousarray(np.moveaxis(_gamma()[index], 0, -1))


@lru_cache(maxsize=1)
def _gamma() -> Pixels:
    linear = np.arange(4096) / 4095
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (srgb * 255 + 0.5).astype(np.uint8)


def encode(picture: Pixels) -> Floats:
    """The latent of a picture, uint8 (height, width, 3); sides are cut to whole latent pixels as a VAE does."""
    height, width = picture.shape[0] // SCALE, picture.shape[1] // SCALE
    cells = picture[: height * SCALE, : width * SCALE].reshape(height, SCALE, width, SCALE, 3)
    lab = _lab_of(np.moveaxis(cells.mean((1, 3), dtype=np.float32), -1, 0) / np.float32(255))
    light = np.arctanh(np.clip((lab[0] - 0.55) / 0.48, -0.97, 0.97)) / np.float32(0.8)
    relief = (lab[0] - lab[0].mean()) / (lab[0].std() + np.float32(0.05))
    return np.stack([light, lab[1] * 7, lab[2] * 7, relief]).astype(np.float32)


def glance(latent: Floats) -> Pixels:
    """A quick look at a latent, uint8 (height, width, 3) at the latent's own size, for previews."""
    return _rgb_bytes(_decode_colour(latent[:3]))
