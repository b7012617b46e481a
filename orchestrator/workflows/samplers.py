"""Samplers and schedulers by the names that other tools give them, as ComfyUI's KSampler spells them."""

from __future__ import annotations

import re

# what every ComfyUI of the last years has, for when none can be asked
USUAL_SAMPLERS = (
    "euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpmpp_2s_ancestral", "dpmpp_sde",
    "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "ddim", "uni_pc", "uni_pc_bh2", "lcm",
)  # fmt: skip
USUAL_SCHEDULERS = (
    "normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "beta",
)  # fmt: skip
SCHEDULERS = ("karras", "exponential", "sgm uniform")  # that other tools append to a sampler's name
# Other tools' names (AUTOMATIC1111, diffusers, k-diffusion, old job files), letters and digits only.
ALIASES = {
    "eulera": "euler_ancestral",
    "eulerancestral": "euler_ancestral",
    "eulerdiscrete": "euler",
    "eulerancestraldiscrete": "euler_ancestral",
    "heundiscrete": "heun",
    "lmsdiscrete": "lms",
    "dpm2": "dpm_2",
    "dpm2a": "dpm_2_ancestral",
    "dpm2ancestral": "dpm_2_ancestral",
    "dpmfast": "dpm_fast",
    "dpmadaptive": "dpm_adaptive",
    "dpmpp2m": "dpmpp_2m",
    "dpmsolvermultistep": "dpmpp_2m",
    "dpmpp2sa": "dpmpp_2s_ancestral",
    "dpmpp2sancestral": "dpmpp_2s_ancestral",
    "dpmppsde": "dpmpp_sde",
    "dpmpp2msde": "dpmpp_2m_sde",
    "dpmpp2msdeheun": "dpmpp_2m_sde_heun",
    "dpmpp3msde": "dpmpp_3m_sde",
    "unipc": "uni_pc",
    "unipcbh2": "uni_pc_bh2",
}


def normalise_sampler(name: str) -> str:
    """ComfyUI's name of a sampler: "Euler a" is euler_ancestral, "DPM++ 2M Karras" is dpmpp_2m.

    A name that is not known is only tidied; whether there is such a one, the server says.
    """
    spelt = _spelt(name)
    plain = spelt.removesuffix(scheduler_in(name) or "").strip("_")
    for word in (plain, plain.removeprefix("k_").removeprefix("sample_")):
        if (known := ALIASES.get(word.replace("_", ""))) is not None:
            return known
    return plain.removeprefix("k_").removeprefix("sample_")


def scheduler_in(name: str) -> str | None:
    """The scheduler that a sampler's name carries ("DPM++ 2M Karras"), as ComfyUI spells it."""
    spelt = _spelt(name)
    for each in SCHEDULERS:
        scheduler = each.replace(" ", "_")
        if spelt.endswith("_" + scheduler):
            return scheduler
    return None


def sampler_and_scheduler(sampler: str, scheduler: str) -> tuple[str, str]:
    """Both as ComfyUI spells them. A scheduler in the sampler's name ("DPM++ 2M Karras") wins over the other,
    which is mostly just the default."""
    return normalise_sampler(sampler), scheduler_in(sampler) or normalise_scheduler(scheduler)


def normalise_scheduler(name: str) -> str:
    """ComfyUI's spelling of a scheduler: "SGM Uniform" is sgm_uniform."""
    return _spelt(name)


def _spelt(name: str) -> str:
    """Lower case, `++` as `pp`, underscores between words."""
    return re.sub(r"[\W_]+", "_", name.strip().casefold().replace("++", "pp")).strip("_")
