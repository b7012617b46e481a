"""The two versions of the protocol the engine can speak, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_UPLOAD = 100 * 1024 * 1024

# fmt: off
_SAMPLERS = (
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2",
    "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "ipndm",
    "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde", "seeds_2",
    "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc", "uni_pc_bh2",
)
# fmt: on
_AFTER_HEUNPP2 = _SAMPLERS.index("heunpp2") + 1


@dataclass(frozen=True)
class Dialect:
    """One version of ComfyUI as a client meets it."""

    version: str
    # the differences come together: jobs routes, canonical ids, preview method per prompt
    modern: bool
    samplers: tuple[str, ...]
    features: dict[str, Any]


DIALECTS = {
    "0.3.64": Dialect(
        version="0.3.64",
        modern=False,
        samplers=_SAMPLERS,
        features={"supports_preview_metadata": True, "max_upload_size": MAX_UPLOAD},
    ),
    "0.27": Dialect(
        version="0.27.0",
        modern=True,
        samplers=(
            *_SAMPLERS[:_AFTER_HEUNPP2],
            "exp_heun_2_x0",
            "exp_heun_2_x0_sde",
            *_SAMPLERS[_AFTER_HEUNPP2:],
        ),
        features={
            "supports_preview_metadata": True,
            "supports_model_type_tags": True,
            "max_upload_size": MAX_UPLOAD,
            "node_replacements": True,
            "assets": False,
        },
    ),
}
