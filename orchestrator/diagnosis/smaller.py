"""The next smaller picture to ask for when a GPU has too little memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.backends import BACKENDS
from orchestrator.backends.words import OTHER_NAMES, squashed
from orchestrator.jobs import Job

FINE, COARSE = 8, 64  # latents are eighths; the models were trained on sizes of whole sixty-fourths
LEAST = 256  # pixels of a side: below it no model makes a picture worth having
MOST = 100_000  # a larger side is a slip of the keyboard
HALF = math.sqrt(0.5)


def value_of(job: Job, name: str) -> Any:
    """A parameter of a job whatever it was called, else what its backend takes by itself."""
    for key, value in job.params.items():
        if _field(key) == squashed(name) and value not in (None, ""):
            return value
    known = BACKENDS.get(job.backend)
    return known.defaults.get(name) if known else None


def with_values(params: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Parameters with some of them set anew, and without those set to None, whatever they were called."""
    named = {squashed(name) for name in values}
    kept = {key: value for key, value in params.items() if _field(key) not in named}
    return kept | {name: value for name, value in values.items() if value is not None}


def smaller(job: Job) -> dict[str, Any] | None:
    """What to change so that a job takes about half the memory: its batch, else its second pass, else its frames
    (of a video), else its area. None when it is as small as makes sense. A value of None takes the parameter out."""
    batch = _number(value_of(job, "batch_size"))
    if batch > 1:
        return {"batch_size": math.ceil(batch / 2)}
    if _number(value_of(job, "hires_scale")) > 1:
        return {"hires_scale": None, "hires_denoise": None, "hires_steps": None}
    if (size := smaller_size(value_of(job, "width"), value_of(job, "height"))) is not None:
        return {"width": size[0], "height": size[1]}
    frames = _number(value_of(job, "frames"))
    return {"frames": math.ceil(frames / 2)} if frames > 1 else None


def smaller_size(width: Any, height: Any) -> tuple[int, int] | None:
    """Half the area in nearly the same shape, in steps of 64 pixels where the shape allows it, else of 8."""
    wide, high = _number(width), _number(height)
    if not 0 < wide <= MOST or not 0 < high <= MOST or (wide <= LEAST and high <= LEAST):
        return None
    target = wide * high / 2
    for step in (COARSE, FINE):
        sides = (_down(wide, step), _down(high, step))
        shape = (sides[0] / sides[1]) / (wide / high)
        if 0.8 < shape < 1.25 and 0.5 * target <= sides[0] * sides[1] <= 1.15 * target:
            return sides
    return (_down(wide, FINE), _down(high, FINE))


def _down(side: float, step: int) -> int:
    return max(step, round(side * HALF / step - 0.01) * step)


def _number(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return 0.0
    return found if math.isfinite(found) and found > 0 else 0.0


def _field(key: str) -> str:
    plain = squashed(key)
    return squashed(OTHER_NAMES.get(plain, plain))
