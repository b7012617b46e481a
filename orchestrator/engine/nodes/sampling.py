"""The samplers."""

from __future__ import annotations

from orchestrator.engine import sampling
from orchestrator.engine.latent import Latent
from orchestrator.engine.nodes.node import Input, Node, Result, Run, Server, number
from orchestrator.engine.weights import Model
from orchestrator.engine.wording import Conditionings, Floats

SWITCH = ("enable", "disable")
MAX_STEPS = 10000


def nodes(server: Server) -> list[Node]:
    category = server.said("sampling", "model/sampling")
    seed: Input = ["INT", number(0, 0, 2**64 - 1, control_after_generate=True)]
    steps: Input = ["INT", number(20, 1, MAX_STEPS)]
    cfg: Input = ["FLOAT", number(8.0, 0.0, 100.0, step=0.1, round=0.01)]
    samplers, schedulers = list(server.dialect.samplers), list(sampling.SCHEDULERS)
    mark = [server.advanced] if server.advanced else []
    return [
        Node(
            "KSampler",
            "KSampler",
            category,
            {
                "model": ["MODEL", {}],
                "seed": seed,
                "steps": steps,
                "cfg": cfg,
                "sampler_name": [samplers, {}],
                "scheduler": [schedulers, {}],
                "positive": ["CONDITIONING", {}],
                "negative": ["CONDITIONING", {}],
                "latent_image": ["LATENT", {}],
                "denoise": ["FLOAT", number(1.0, 0.0, 1.0, step=0.01)],
            },
            ("LATENT",),
            _sample,
        ),
        Node(
            "KSamplerAdvanced",
            "KSampler (Advanced)",
            category,
            {
                "model": ["MODEL"],
                "add_noise": [list(SWITCH), *mark],
                "noise_seed": seed,
                "steps": steps,
                "cfg": cfg,
                "sampler_name": [samplers],
                "scheduler": [schedulers],
                "positive": ["CONDITIONING"],
                "negative": ["CONDITIONING"],
                "latent_image": ["LATENT"],
                "start_at_step": ["INT", number(0, 0, MAX_STEPS, **server.advanced)],
                "end_at_step": ["INT", number(MAX_STEPS, 0, MAX_STEPS, **server.advanced)],
                "return_with_leftover_noise": [list(reversed(SWITCH)), *mark],
            },
            ("LATENT",),
            _sample_part,
        ),
    ]


def _sample(
    run: Run,
    *,
    model: Model,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditionings,
    negative: Conditionings,
    latent_image: Latent,
    denoise: float,
) -> Result:
    request = sampling.Request(
        positive, negative, seed, steps, cfg, sampler_name, scheduler, denoise, model=model
    )
    return _run(run, request, latent_image)


def _sample_part(
    run: Run,
    *,
    model: Model,
    add_noise: str,
    noise_seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditionings,
    negative: Conditionings,
    latent_image: Latent,
    start_at_step: int,
    end_at_step: int,
    return_with_leftover_noise: str,
) -> Result:
    request = sampling.Request(
        positive,
        negative,
        noise_seed,
        steps,
        cfg,
        sampler_name,
        scheduler,
        model=model,
        start=start_at_step,
        end=end_at_step,
        add_noise=add_noise == "enable",
        leave_noise=return_with_leftover_noise == "enable",
    )
    return _run(run, request, latent_image)


def _run(run: Run, request: sampling.Request, latent: Latent) -> Result:
    def on_step(done: int, of: int, believed: Floats) -> None:
        run.step(done, of, believed[0])  # the first of a batch stands for all, as on a real server

    return Result((sampling.sample(request, latent, on_step=on_step),))
