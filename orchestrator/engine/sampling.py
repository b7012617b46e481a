"""KSampler without a model: schedules, step rules and the loop that turns noise into a latent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from orchestrator.engine import painter
from orchestrator.engine.wording import Conditioning, Floats, generator

SIGMA_MAX, SIGMA_MIN = 14.6, 0.03  # the range of Stable Diffusion's noise
SPREAD = 0.06  # how far a picture may stand from what the words ask for: the noise decides the rest
NEGATIVE = (
    0.25  # how strongly a picture is pushed away from its negative prompt, at the usual cfg of 7
)

SCHEDULERS = (
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic",
    "kl_optimal",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """The inputs of one KSampler run on one latent."""

    positive: Conditioning
    negative: Conditioning
    seed: int
    steps: int
    cfg: float
    sampler: str
    scheduler: str
    denoise: float


OnStep = Callable[[int, Floats], None]  # steps done, and the latent as it is believed to end


def sample(request: Request, latent: Floats, *, batch: int = 0, on_step: OnStep) -> Floats:
    """Denoise a latent; `on_step` may raise to stop."""
    sigmas = schedule(request.scheduler, request.steps, request.denoise)
    if len(sigmas) < 2:  # denoise 0 leaves the latent alone
        return latent
    rule = _Rule.of(request.sampler)
    random = generator("noise", request.seed, batch)
    believe = _Denoiser(request, latent, rule.push, batch)
    x = latent + np.float32(sigmas[0]) * _noise(random, latent.shape)
    previous: Floats | None = None
    for step, (sigma, following) in enumerate(pairwise(sigmas), start=1):
        clean = believe(x, sigma)
        guess = clean
        if rule.second_order and following > 0:
            trial = clean + np.float32(following / sigma) * (x - clean)
            guess = (clean + believe(trial, following)) * np.float32(0.5)
        if rule.multistep and previous is not None:
            guess = guess + np.float32(0.25) * (clean - previous)
        x = guess + np.float32(following / sigma) * (x - guess)
        if rule.ancestral and following > 0:
            x = x + np.float32(0.35 * following) * (
                _noise(random, x.shape)
                - (x - guess) / np.float32(max(following, 1e-3)) * np.float32(0.3)
            )
        previous = clean
        on_step(step, guess)
    return x


def schedule(name: str, steps: int, denoise: float) -> list[float]:
    """The noise levels of a run, falling to 0. With denoise < 1 only the last part of a longer schedule is taken."""
    if denoise <= 0:
        return []
    total = max(steps, int(steps / denoise)) if denoise < 0.9999 else steps
    last = range(total - steps, total)
    levels = [_level(name, i / (total - 1)) if total > 1 else SIGMA_MAX for i in last]
    return [*levels, 0.0]


def _level(name: str, t: float) -> float:
    low, high = SIGMA_MIN, SIGMA_MAX
    if name == "karras":
        return float((high ** (1 / 7) + t * (low ** (1 / 7) - high ** (1 / 7))) ** 7)
    if name == "exponential":
        return float(math.exp(math.log(high) + t * (math.log(low) - math.log(high))))
    if name == "kl_optimal":
        return math.tan((1 - t) * math.atan(high) + t * math.atan(low))
    if name == "linear_quadratic":
        return (
            high * (1 - 1.6 * t * 0.5) if t < 0.5 else high * 0.6 * (1 - (t - 0.5) * 2) ** 2 + low
        )
    if name == "beta":
        t = t * t * (3 - 2 * t) * 0.6 + t * 0.4
    elif name == "sgm_uniform":
        t *= 0.97
    elif name == "ddim_uniform":
        t = 0.015 + t * 0.985
    elif name == "simple":
        t = 0.005 + t * 0.99
    # Stable Diffusion's own levels: the logarithm of the noise falls slowly at first and fast at the end.
    return float(low + (high - low) * ((math.exp(3.2 * (1 - t)) - 1) / (math.exp(3.2) - 1)) ** 1.25)


@dataclass(frozen=True)
class _Rule:
    """How a sampler steps. The families are true to their names, the members of one differ by a small push."""

    second_order: bool
    multistep: bool
    ancestral: bool
    push: float

    @staticmethod
    def of(name: str) -> _Rule:
        def has(*parts: str) -> bool:
            return any(part in name for part in parts)

        return _Rule(
            second_order=has("heun", "dpm_2", "2s", "seeds", "pece"),
            multistep=has("2m", "3m", "lms", "ipndm", "deis", "multistep", "uni_pc", "sa_solver"),
            ancestral=has("ancestral", "sde", "ddpm", "lcm", "seeds"),
            push=0.04 * float(generator("sampler", name).uniform(-1, 1))
            if name != "euler"
            else 0.0,
        )


class _Denoiser:
    """What a latent would be without its noise: the words' field, coarse at first, and what the latent shows."""

    def __init__(self, request: Request, given: Floats, push: float, batch: int) -> None:
        height, width = given.shape[1:]
        wanted = painter.target(request.positive, request.seed, height, width, batch=batch)
        # A real model bears a cfg of 7 to 12 because its two answers are close; ours are not, so cfg acts by its root.
        guided = wanted
        if request.negative.strength > 0:
            unwanted = painter.target(request.negative, request.seed, height, width, batch=batch)
            away = NEGATIVE * request.negative.strength * max(0.0, request.cfg - 1) / 6
            guided = wanted + np.float32(min(0.8, away)) * (wanted - unwanted)
        guided = np.float32((1 + push) * (max(0.0, request.cfg) / 7) ** 0.35) * guided
        # The less is denoised, the nearer to the given picture what is asked for stands.
        guided = given + np.float32(min(1.0, request.denoise)) * (guided - given)
        self._levels = [guided, _blurred(guided, 2), _blurred(guided, 10)]

    def __call__(self, x: Floats, sigma: float) -> Floats:
        asked: Floats = self._asked(sigma)
        weight = np.float32(sigma**2 / (sigma**2 + SPREAD**2))
        # Through much noise only large shapes can be seen; as it clears, ever finer ones.
        haze = np.float32(min(1.0, sigma / 0.35))
        seen: Floats = x + haze * (_blurred(x, 6 if sigma > 0.8 else 3) - x)
        return seen + weight * (asked - seen)

    def _asked(self, sigma: float) -> Floats:
        """The field in as much detail as this much noise lets through."""
        fine, middle, coarse = self._levels
        sharp, soft = (middle, coarse) if sigma > 4 else (fine, middle)
        part = math.log(sigma / 4) / math.log(SIGMA_MAX / 4) if sigma > 4 else sigma / 4
        asked: Floats = sharp + np.float32(min(1.0, part)) * (soft - sharp)
        return asked


def _blurred(field: Floats, times: int) -> Floats:
    """Smoothed along both axes."""
    for _ in range(times):
        field = painter.smoothed(painter.smoothed(field, -1), -2)
    return field


def _noise(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return random.standard_normal(shape, dtype=np.float32)
