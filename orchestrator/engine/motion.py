"""How a still picture moves: a slow drift of the camera and a swaying of what is in it.

Stands for what a video model makes of a picture. The motion bucket says how much moves in a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orchestrator.engine.wording import generator

Picture = NDArray[np.uint8]  # (height, width, 3)

USUAL_BUCKET = 127
ZOOM_PER_S, MOST_ZOOM = 0.03, 0.5
SWAY = 0.006  # of the short side, at the usual motion
MOST_SWAY = 0.02
COLUMNS, ROWS = 12, 8  # of the mesh that sways


@dataclass(frozen=True)
class Video:
    """What SVD_img2vid_Conditioning asks for."""

    picture: Picture
    bucket: int  # how much motion, 1 to 1023
    fps: int  # how many of the frames make a second
    augmentation: float  # how freely the picture is taken


def frames(video: Video, count: int, *, seed: int) -> list[Picture]:
    """So many pictures; the first is the given one."""
    height, width = video.picture.shape[:2]
    random = generator("motion", seed)
    direction, phase = random.uniform(0, 2 * math.pi, 2).tolist()
    still = Image.fromarray(video.picture)
    made = [video.picture]
    for index in range(1, count):
        seconds = index / video.fps
        mesh = _mesh(
            width, height, seconds, video.bucket / USUAL_BUCKET, direction=direction, phase=phase
        )
        moved = still.transform(
            (width, height), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR
        )
        made.append(np.asarray(moved))
    return made


def _mesh(
    width: int, height: int, seconds: float, motion: float, *, direction: float, phase: float
) -> list[tuple[tuple[int, int, int, int], tuple[float, ...]]]:
    """Boxes of the frame, and where in the picture the corners of each come from, as Pillow takes them."""
    zoom = 1 + MOST_ZOOM * math.tanh(ZOOM_PER_S * motion * seconds / MOST_ZOOM)
    xs = [round(width * i / COLUMNS) for i in range(COLUMNS + 1)]
    ys = [round(height * i / ROWS) for i in range(ROWS + 1)]
    # What the zoom leaves outside is the room to pan in; the rest keeps every corner inside the picture.
    room_x, room_y = width * (1 - 1 / zoom) / 2, height * (1 - 1 / zoom) / 2
    pan_x, pan_y = 0.7 * room_x * math.cos(direction), 0.7 * room_y * math.sin(direction)
    sway = min(width, height) * min(MOST_SWAY, SWAY * motion * min(1.0, seconds))

    def corner(i: int, j: int) -> tuple[float, float]:
        u, v = xs[i] / width, ys[j] / height
        edge = math.sin(math.pi * u) * math.sin(math.pi * v)  # the border does not sway
        wave = 2 * math.pi * (0.4 * seconds + v) + phase
        x = width / 2 + (xs[i] - width / 2) / zoom + pan_x + sway * edge * math.sin(wave)
        y = height / 2 + (ys[j] - height / 2) / zoom + pan_y + sway * edge * math.cos(wave + 3 * u)
        return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))

    return [
        (
            (xs[i], ys[j], xs[i + 1], ys[j + 1]),
            (*corner(i, j), *corner(i, j + 1), *corner(i + 1, j + 1), *corner(i + 1, j)),
        )
        for i in range(COLUMNS)
        for j in range(ROWS)
        if xs[i] < xs[i + 1] and ys[j] < ys[j + 1]
    ]
