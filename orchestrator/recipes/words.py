"""The words of AUTOMATIC1111's web UI for what the lab's parameters say, both ways. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.recipes.infotext import Infotext, compose, without_loras
from orchestrator.workflows import normalise_sampler, normalise_scheduler, scheduler_in

# ComfyUI's name -> the web UI's (modules/sd_samplers_kdiffusion.py, sd_samplers_timesteps.py, sd_schedulers.py)
SAMPLERS = {
    "euler": "Euler", "euler_ancestral": "Euler a", "heun": "Heun", "dpm_2": "DPM2", "dpm_2_ancestral": "DPM2 a",
    "lms": "LMS", "dpm_fast": "DPM fast", "dpm_adaptive": "DPM adaptive", "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE", "dpmpp_2m": "DPM++ 2M", "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun", "dpmpp_3m_sde": "DPM++ 3M SDE", "ddim": "DDIM", "uni_pc": "UniPC",
    "lcm": "LCM", "restart": "Restart",
}  # fmt: skip
SCHEDULERS = {
    "normal": "Normal", "karras": "Karras", "exponential": "Exponential", "sgm_uniform": "SGM Uniform",
    "simple": "Simple", "ddim_uniform": "DDIM", "beta": "Beta", "kl_optimal": "KL Optimal",
}  # fmt: skip
FROM_SCHEDULER = {name.lower(): ours for ours, name in SCHEDULERS.items()} | {"uniform": "normal"}
# what "Automatic" means there for these samplers; for the others it is the plain one
AUTOMATIC = {
    "dpmpp_2m": "karras", "dpmpp_sde": "karras", "dpmpp_2s_ancestral": "karras", "dpm_2": "karras",
    "dpm_2_ancestral": "karras", "dpmpp_2m_sde": "exponential", "dpmpp_2m_sde_heun": "exponential",
    "dpmpp_3m_sde": "exponential", "restart": "karras",
}  # fmt: skip
SIZE = re.compile(r"(\d{1,5})\s*x\s*(\d{1,5})")
NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,15})?")
# the web UI's own upscalers; the others are models
OWN_UPSCALERS = ("latent", "none", "lanczos", "nearest")


def infotext_of(prompt: str, params: Mapping[str, Any], *, model: str | None, software: str) -> str:
    """The `parameters` text of a picture.

    `params` by the names of the ComfyUI backends; what is missing is left out.
    """
    said = params.get
    sampler = str(said("sampler")) if said("sampler") else None
    plain = normalise_sampler(sampler) if sampler else None
    scheduler = (scheduler_in(sampler) if sampler else None) or said("scheduler")
    width, height = said("width"), said("height")
    hires = said("hiresScale") if (said("hiresScale") or 1) != 1 else None
    denoise = said("denoise") if said("image") else None
    checkpoint = said("checkpoint") or model
    settings = {
        "Steps": said("steps"),
        "Sampler": SAMPLERS.get(plain, plain) if plain else None,
        "Schedule type": SCHEDULERS.get(str(scheduler), scheduler) if scheduler else None,
        "CFG scale": said("cfg"),
        "Seed": said("seed"),
        "Size": f"{width}x{height}" if width and height else None,
        "Model": _stem(str(checkpoint)) if checkpoint else None,
        "VAE": said("vae"),
        "Denoising strength": said("hiresDenoise", denoise) if hires else denoise,
        "Clip skip": said("clipSkip"),
        "Hires upscale": hires,
        "Hires steps": said("hiresSteps") if hires else None,
        "Version": software,
    }
    loras = [
        (_stem(str(each["name"])), float(each.get("strength", 1.0)))
        for each in said("loras") or ()
        if isinstance(each, dict) and "name" in each
    ]
    negative = str(said("negativePrompt") or "")
    return compose(prompt, negative=negative, settings=settings, loras=loras)


def _stem(name: str) -> str:
    """A model's name as the web UI shows it: without folder and ending."""
    last = re.split(r"[\\/]", name)[-1]
    return re.sub(r"\.(safetensors|sft|ckpt|pt|pth|bin|gguf)$", "", last, flags=re.IGNORECASE)


def params_of(found: Infotext) -> tuple[str, dict[str, Any], list[str]]:
    """Prompt and parameters of a `parameters` text, and what it says that the lab cannot do."""
    prompt, loras = without_loras(found.prompt)
    settings = {name.lower(): value for name, value in found.settings.items()}
    params: dict[str, Any] = {}
    notes: list[str] = []

    def put(key: str, name: str, kind: Callable[[str], Any]) -> None:
        value = settings.get(name)
        if value is not None and NUMBER.fullmatch(value):
            params[key] = kind(value)

    put("steps", "steps", _whole)
    put("cfg", "cfg scale", float)
    put("seed", "seed", _whole)
    put("clipSkip", "clip skip", _whole)
    if sampler := settings.get("sampler"):
        params["sampler"] = normalise_sampler(sampler)
        params["scheduler"] = _scheduler(sampler, settings.get("schedule type"))
    if size := SIZE.fullmatch(settings.get("size", "")):
        params |= {"width": int(size[1]), "height": int(size[2])}
    if found.negative:
        params["negativePrompt"] = found.negative
    if loras:
        params["loras"] = [{"name": name, "strength": strength} for name, strength in loras]
    if model := settings.get("model"):
        params["checkpoint"] = model
    if (vae := settings.get("vae")) and vae.lower() not in {"automatic", "none"}:
        params["vae"] = vae
    put("hiresScale", "hires upscale", float)
    if "hiresScale" in params:
        put("hiresSteps", "hires steps", _whole)
        put("hiresDenoise", "denoising strength", float)
        if params.get("hiresSteps") == 0:  # as many as in the first pass
            del params["hiresSteps"]
        upscaler = settings.get("hires upscaler", "latent")
        if not upscaler.lower().startswith(OWN_UPSCALERS):
            notes.append(f"was enlarged by {upscaler} between its two passes; here the latent is")
    elif "denoising strength" in settings:
        put("denoise", "denoising strength", float)
        notes.append("was made from another picture, which the file does not hold")
    notes += [
        f"used {name}" for name in settings if name.startswith(("controlnet ", "adetailer model"))
    ]
    return prompt, params, notes


def _whole(value: str) -> int:
    return int(value.partition(".")[0])


def _scheduler(sampler: str, schedule: str | None) -> str:
    if schedule is None:  # before version 1.9 the sampler's name said it
        return scheduler_in(sampler) or "normal"
    if schedule.lower() == "automatic":
        return AUTOMATIC.get(normalise_sampler(sampler), "normal")
    return FROM_SCHEDULER.get(schedule.lower(), normalise_scheduler(schedule))
