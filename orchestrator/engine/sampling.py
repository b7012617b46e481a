"""KSampler without a model: schedules, step rules and the loop that turns noise into latents."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from orchestrator.engine import motion, painter
from orchestrator.engine.latent import Latent
from orchestrator.engine.weights import Model
from orchestrator.engine.wording import Conditioning, Conditionings, Floats, generator

SIGMA_MAX, SIGMA_MIN = 14.6, 0.03  # the range of Stable Diffusion's noise
SPREAD = 0.06  # how far a picture may stand from what the words ask for: the noise decides the rest
# how strongly a picture is pushed away from its negative prompt, at the usual cfg of 7
NEGATIVE = 0.25
FADING = 1.5  # how fast the given picture's details go as more is denoised
FRAME_KEPT = 0.92  # of its picture's details that a frame of a video shows

SCHEDULERS = (
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic",
    "kl_optimal",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """The inputs of one KSampler or KSamplerAdvanced."""

    positive: Conditionings
    negative: Conditionings
    seed: int
    steps: int
    cfg: float
    sampler: str
    scheduler: str
    denoise: float = 1.0
    model: Model = field(default_factory=lambda: Model(""))
    start: int = 0  # the first step to do, counted from 0
    end: int | None = None  # the step not to do any more; None: all of them
    add_noise: bool = True
    leave_noise: bool = False

    @property
    def redone(self) -> float:
        """How much of what is given is made anew, 0 to 1."""
        return min(1.0, self.denoise) * (1 - min(self.start, self.steps) / self.steps)


OnStep = Callable[[int, int, Floats], None]  # steps done, of how many, the latents as believed


def sample(request: Request, latent: Latent, *, on_step: OnStep) -> Latent:
    """Denoise a batch of latents, all of them at each step; `on_step` may raise to stop."""
    sigmas = _span(request)
    if len(sigmas) < 2:  # denoise 0, or no step to do, leaves the latent alone
        return latent
    # A second sampler that goes on where a first one stopped works on the shapes of the first.
    goes_on = not request.add_noise and latent.seed is not None
    seed = latent.seed if goes_on and latent.seed is not None else request.seed
    latent = _set_in_motion(latent, request, seed)
    given = latent.samples if latent.believed is None else latent.believed
    mask = latent.mask_of_cells()
    rule = _Rule.of(request.sampler)
    believe = _Denoiser(request, latent, given=given, seed=seed, push=rule.push)
    randoms = [generator("noise", request.seed, index) for index in range(len(latent))]
    x = latent.samples
    if request.add_noise:
        x = x + np.float32(sigmas[0]) * _noise(randoms, x.shape)
    guess, previous = given, None
    steps = len(sigmas) - 1
    for step, (sigma, following) in enumerate(pairwise(sigmas), start=1):
        believe.reach(request.start + step - 1)
        clean = believe(x, sigma)
        guess = clean
        if rule.second_order and following > 0:
            trial = clean + np.float32(following / sigma) * (x - clean)
            guess = (clean + believe(trial, following)) * np.float32(0.5)
        if rule.multistep and previous is not None:
            guess = guess + np.float32(0.25) * (clean - previous)
        if mask is not None:
            guess = given + mask * (guess - given)
        x = guess + np.float32(following / sigma) * (x - guess)
        if rule.ancestral and following > 0:
            x = x + np.float32(0.35 * following) * (
                _noise(randoms, x.shape)
                - (x - guess) / np.float32(max(following, 1e-3)) * np.float32(0.3)
            )
        previous = clean
        on_step(step, steps, guess)
    if mask is not None:
        x = given + mask * (x - given)
    return replace(
        latent,
        samples=x,
        kept=_faded(latent, mask, request),
        believed=guess if sigmas[-1] > 0 else None,
        seed=seed,
    )


def _span(request: Request) -> list[float]:
    """The noise levels of the steps that are to be done."""
    shift = request.model.shift
    sigmas = schedule(request.scheduler, request.steps, request.denoise, shift=shift)
    if request.end is not None and request.end < len(sigmas) - 1:
        sigmas = sigmas[: request.end + 1]
        if not request.leave_noise and sigmas:
            sigmas[-1] = 0.0
    return sigmas[request.start :]


def _set_in_motion(latent: Latent, request: Request, seed: int) -> Latent:
    """With a video among what is asked for: the latent's frames are its picture's."""
    video = next((c.video for c in request.positive if c.video is not None), None)
    if video is None or latent.pictures is not None:
        return latent
    pictures = motion.frames(video, len(latent), seed=seed)
    height, width = latent.samples.shape[2:]
    kept = np.float32(FRAME_KEPT - min(0.6, 0.4 * video.augmentation))
    return replace(
        latent,
        pictures=tuple(pictures),
        kept=np.full((len(latent), height, width), kept, np.float32),
    )


def _faded(latent: Latent, mask: Floats | None, request: Request) -> Floats | None:
    """How much of its picture a latent still shows: less the more was made anew, all of it outside the mask."""
    if latent.kept is None or any(c.video is not None for c in request.positive):
        return latent.kept
    left = np.float32((1 - request.redone) ** FADING)
    if mask is None:
        return latent.kept * left
    kept: Floats = latent.kept * (1 - mask[:, 0] + mask[:, 0] * left)
    return kept


def schedule(name: str, steps: int, denoise: float, *, shift: float = 1.0) -> list[float]:
    """The noise levels of a run, falling to 0. With denoise < 1 only the last part of a longer schedule is taken."""
    if denoise <= 0:
        return []
    total = _length(steps, denoise)
    last = range(total - steps, total)
    levels = [_level(name, i / (total - 1)) if total > 1 else SIGMA_MAX for i in last]
    return [*(_shifted(level / SIGMA_MAX, shift) * SIGMA_MAX for level in levels), 0.0]


def _length(steps: int, denoise: float) -> int:
    """How long the whole schedule is of which these steps are the end."""
    return max(steps, int(steps / denoise)) if denoise < 0.9999 else steps


def _shifted(level: float, shift: float) -> float:
    """A level from 0 to 1 moved up as SD3 does; 1 leaves it."""
    below = 1 + (shift - 1) * level
    return shift * level / below if shift > 0 and shift != 1 and below > 0 else level


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
    """What latents would be without their noise: the words' fields, coarse at first, and what the latents show."""

    def __init__(
        self, request: Request, latent: Latent, *, given: Floats, seed: int, push: float
    ) -> None:
        self._request, self._latent, self._given = request, latent, given
        self._seed, self._push = seed, push
        self._fields: dict[tuple[bool, int], Floats] = {}
        self._of: list[bool] | None = None  # which conditionings the levels are made of
        self._levels: list[Floats] = []
        self._all = _length(request.steps, request.denoise)

    def reach(self, step: int) -> None:
        """Heed what is asked for at this step, counted from 0; a conditioning may hold for a part of the sampling."""
        at = (self._all - self._request.steps + step) / self._all
        held = [c.start <= at < c.end for c in (*self._request.positive, *self._request.negative)]
        if held == self._of:
            return
        self._of = held
        between = len(self._request.positive)
        guided = self._guided(_true(held[:between]), _true(held[between:]))
        self._levels = [guided, _blurred(guided, 2), _blurred(guided, 10)]

    def __call__(self, x: Floats, sigma: float) -> Floats:
        asked: Floats = self._asked(sigma)
        weight = np.float32(sigma**2 / (sigma**2 + SPREAD**2))
        # Through much noise only large shapes can be seen; as it clears, ever finer ones.
        haze = np.float32(min(1.0, sigma / 0.35))
        seen: Floats = x + haze * (_blurred(x, 6 if sigma > 0.8 else 3) - x)
        return seen + weight * (asked - seen)

    def _guided(self, positive: list[int], negative: list[int]) -> Floats:
        """What is asked for, with these of the conditionings."""
        request = self._request
        if not positive:
            return self._given
        wanted = self._mean(True, positive)
        cfg = self._cfg()
        # A real model bears a cfg of 7 to 12 because its two answers are close; ours are not, so cfg acts by its root.
        guided = wanted
        strong = [i for i in negative if request.negative[i].strength > 0]
        if strong:
            unwanted = self._mean(False, strong)
            strength = max(request.negative[i].strength for i in strong)
            away = NEGATIVE * strength * np.maximum(0, cfg - 1) / 6
            guided = wanted + np.minimum(np.float32(0.8), away) * (wanted - unwanted)
        usual = np.float32(request.model.usual_cfg)
        power = 0.05 if self._is_video else 0.35
        guided = (
            np.float32(1 + self._push) * (np.maximum(0, cfg) / usual) ** np.float32(power) * guided
        )
        # The less is made anew, the nearer to what is given stands what is asked for.
        return self._given + np.float32(request.redone) * (guided - self._given)

    def _cfg(self) -> Floats:
        """The guidance of each of the batch: a video's may grow from frame to frame."""
        first, last = self._request.model.min_cfg, self._request.cfg
        count = len(self._given)
        cfg = np.linspace(last if first is None else first, last, count, dtype=np.float32)
        return cfg[:, None, None, None]

    @property
    def _is_video(self) -> bool:
        return any(c.video is not None for c in self._request.positive)

    def _mean(self, is_positive: bool, indices: list[int]) -> Floats:
        """The mixture of what several conditionings ask for."""
        fields = [self._field(is_positive, index) for index in indices]
        total = fields[0]
        for one in fields[1:]:
            total = total + one
        return total / np.float32(len(fields))

    def _field(self, is_positive: bool, index: int) -> Floats:
        if (is_positive, index) not in self._fields:
            request = self._request
            asked = (request.positive if is_positive else request.negative)[index]
            batch = [self._target(asked, number) for number in range(len(self._given))]
            self._fields[is_positive, index] = np.stack(batch)
        return self._fields[is_positive, index]

    def _target(self, asked: Conditioning, number: int) -> Floats:
        if asked.video is not None and self._latent.pictures is not None:
            return painter.encode(self._latent.pictures[number])
        height, width = self._given.shape[2:]
        field = painter.target(asked, self._seed, height, width, batch=number)
        style = self._request.model.style
        return painter.styled(field, style if asked.style is None else style + asked.style)

    def _asked(self, sigma: float) -> Floats:
        """The fields in as much detail as this much noise lets through."""
        fine, middle, coarse = self._levels
        sharp, soft = (middle, coarse) if sigma > 4 else (fine, middle)
        part = math.log(sigma / 4) / math.log(SIGMA_MAX / 4) if sigma > 4 else sigma / 4
        asked: Floats = sharp + np.float32(min(1.0, part)) * (soft - sharp)
        return asked


def _true(flags: list[bool]) -> list[int]:
    return [index for index, flag in enumerate(flags) if flag]


def _blurred(field: Floats, times: int) -> Floats:
    """Smoothed along both axes."""
    for _ in range(times):
        field = painter.smoothed(painter.smoothed(field, -1), -2)
    return field


def _noise(randoms: list[np.random.Generator], shape: tuple[int, ...]) -> Floats:
    """Noise for a batch, from a generator for each: the same whatever else is in the batch."""
    return np.stack([r.standard_normal(shape[1:], dtype=np.float32) for r in randoms])
