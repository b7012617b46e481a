"""A picture, step by step: from weights and a prompt to pixels. Each step is left out where nothing asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.backends import MAX_STEPS, ImageParams, SdxlParams
from orchestrator.workflows.graph import (
    Checkpoint,
    Clip,
    Conditioning,
    Graph,
    Image,
    Latent,
    Mask,
    Model,
    Vae,
)
from orchestrator.workflows.offered import Inputs
from orchestrator.workflows.samplers import sampler_and_scheduler
from orchestrator.workflows.weights import Weights


@dataclass(frozen=True)
class Plan:
    """All that a picture is made of. Everything random is decided before: a seed of None counts as 0."""

    family: str
    params: ImageParams
    prompt: str
    weights: Weights
    inputs: Inputs
    masks_from_pixels: bool  # the server has ImageToMask


@dataclass(frozen=True)
class Painter:
    """A model, and the prompts as its own text encoder understands them."""

    model: Model
    positive: Conditioning
    negative: Conditioning


def paint(graph: Graph, plan: Plan) -> Image:
    """Add what makes the picture."""
    loaded = _load(graph, plan)
    painter = _instructed(graph, plan, loaded.model, loaded.clip)
    canvas = _canvas(graph, plan, loaded.vae)
    latent = _first_pass(graph, plan, painter, canvas)
    latent = _second_pass(graph, plan, painter, latent)
    return _enlarged(graph, plan, graph.vae_decode(samples=latent, vae=loaded.vae))


def fitted_image(graph: Graph, name: str, *, width: int, height: int) -> Image:
    """An uploaded picture, scaled to a size; what sticks out at two sides is cut off."""
    return graph.image_scale(
        image=graph.load_image(image=name),
        upscale_method="lanczos",
        width=width,
        height=height,
        crop="center",
    )


def _load(graph: Graph, plan: Plan) -> Checkpoint:
    """The model with its text encoder and VAE, with the LoRAs on."""
    weights = plan.weights
    loaded = graph.checkpoint_loader_simple(ckpt_name=weights.checkpoint)
    model, clip, vae = loaded.model, loaded.clip, loaded.vae
    if weights.encoders:
        one, two, three = weights.encoders
        clip = graph.triple_clip_loader(clip_name1=one, clip_name2=two, clip_name3=three)
    if weights.vae is not None:
        vae = graph.vae_loader(vae_name=weights.vae)
    for lora in weights.loras:
        model, clip = graph.lora_loader(
            model=model,
            clip=clip,
            lora_name=lora.name,
            strength_model=lora.strength,
            strength_clip=lora.strength,
        )
    if plan.params.clip_skip > 1:
        clip = graph.clip_set_last_layer(clip=clip, stop_at_clip_layer=-plan.params.clip_skip)
    return Checkpoint(model=model, clip=clip, vae=vae)


def _instructed(graph: Graph, plan: Plan, model: Model, clip: Clip) -> Painter:
    return Painter(
        model=model,
        positive=graph.clip_text_encode(clip=clip, text=plan.prompt),
        negative=graph.clip_text_encode(clip=clip, text=plan.params.negative_prompt),
    )


def _canvas(graph: Graph, plan: Plan, vae: Vae) -> Latent:
    """What is painted on: nothing, or the picture that was given, as often as the batch is large."""
    params, image = plan.params, plan.inputs.image
    if image is None:
        empty = graph.empty_sd3_latent_image if plan.family == "sd35" else graph.empty_latent_image
        return empty(width=params.width, height=params.height, batch_size=params.batch_size)
    pixels = fitted_image(graph, image, width=params.width, height=params.height)
    canvas = graph.vae_encode(pixels=pixels, vae=vae)
    if params.batch_size > 1:
        canvas = graph.repeat_latent_batch(samples=canvas, amount=params.batch_size)
    if plan.inputs.mask is not None:
        canvas = graph.set_latent_noise_mask(
            samples=canvas, mask=_mask(graph, plan, plan.inputs.mask)
        )
    return canvas


def _mask(graph: Graph, plan: Plan, name: str) -> Mask:
    """White is repainted, so any of red, green and blue tells."""
    if not plan.masks_from_pixels:
        return graph.load_image_mask(image=name, channel="red")
    # cut like the picture it lies on: the sampler would stretch a mask of another shape
    pixels = fitted_image(graph, name, width=plan.params.width, height=plan.params.height)
    return graph.image_to_mask(image=pixels, channel="red")


def _first_pass(graph: Graph, plan: Plan, painter: Painter, canvas: Latent) -> Latent:
    params = plan.params
    if plan.weights.refiner is None or not isinstance(params, SdxlParams):
        return _sample(graph, plan, painter, canvas, steps=params.steps, denoise=params.strength)
    start, switch, end = _shifts(params.steps, params.strength, params.refiner_at)
    if switch == end:
        return _sample(graph, plan, painter, canvas, steps=params.steps, denoise=params.strength)
    loaded = graph.checkpoint_loader_simple(ckpt_name=plan.weights.refiner)
    refiner = _instructed(graph, plan, loaded.model, loaded.clip)
    if switch == start:
        return _sample(graph, plan, refiner, canvas, steps=params.steps, denoise=params.strength)
    half = _sample_part(graph, plan, painter, canvas, steps=end, start=start, stop=switch)
    return _sample_part(graph, plan, refiner, half, steps=end, start=switch, stop=end)


def _shifts(steps: int, denoise: float, refiner_at: float) -> tuple[int, int, int]:
    """Where the first model begins, where the refiner takes over, and the end.

    A KSampler that denoises in part counts out more steps and does the last of them; so do we.
    """
    if denoise == 0:
        return steps, steps, steps
    end = int(steps / max(denoise, steps / MAX_STEPS))
    start = end - steps
    return start, max(start, min(end, round(end * refiner_at))), end


def _second_pass(graph: Graph, plan: Plan, painter: Painter, latent: Latent) -> Latent:
    """The same again, larger: what was painted small gains detail."""
    params = plan.params
    if params.hires_scale <= 1:
        return latent
    larger = graph.latent_upscale_by(
        samples=latent, upscale_method="nearest-exact", scale_by=params.hires_scale
    )
    steps = params.hires_steps or params.steps
    return _sample(graph, plan, painter, larger, steps=steps, denoise=params.hires_denoise)


def _enlarged(graph: Graph, plan: Plan, images: Image) -> Image:
    if plan.weights.upscaler is None:
        return images
    upscaler = graph.upscale_model_loader(model_name=plan.weights.upscaler)
    return graph.image_upscale_with_model(upscale_model=upscaler, image=images)


def _sample(
    graph: Graph, plan: Plan, painter: Painter, latent: Latent, *, steps: int, denoise: float
) -> Latent:
    sampler, scheduler = sampler_and_scheduler(plan.params.sampler, plan.params.scheduler)
    return graph.ksampler(
        model=painter.model,
        positive=painter.positive,
        negative=painter.negative,
        latent_image=latent,
        seed=plan.params.seed or 0,
        steps=steps,
        cfg=plan.params.cfg,
        sampler_name=sampler,
        scheduler=scheduler,
        denoise=denoise,
    )


def _sample_part(
    graph: Graph, plan: Plan, painter: Painter, latent: Latent, *, steps: int, start: int, stop: int
) -> Latent:
    """Some of the steps; a part that is not the last leaves its noise to the next one, which adds none."""
    sampler, scheduler = sampler_and_scheduler(plan.params.sampler, plan.params.scheduler)
    return graph.ksampler_advanced(
        model=painter.model,
        positive=painter.positive,
        negative=painter.negative,
        latent_image=latent,
        add_noise=stop < steps,
        noise_seed=plan.params.seed or 0,
        steps=steps,
        cfg=plan.params.cfg,
        sampler_name=sampler,
        scheduler=scheduler,
        start_at_step=start,
        end_at_step=stop,
        return_with_leftover_noise=stop < steps,
    )
