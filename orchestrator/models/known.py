"""The models that `orchestrator models pull` knows by a short name.

Digests were read in public repositories in November 2026 (SwarmUI's CommonModels.cs and others), each in two or more
of them that agree; a size (shown, and to tell versions of one name apart) at times in one.
Where no digest was found it is None; what the server itself announces is what a download is checked against. None
of it was asked of huggingface.co itself.
"""

from __future__ import annotations

from dataclasses import dataclass

OPENRAIL = "CreativeML Open RAIL-M"
OPENRAIL_XL = "CreativeML Open RAIL++-M"
STABILITY = "Stability AI Community License"


@dataclass(frozen=True, slots=True)
class Known:
    """One file of a repository on Hugging Face. `needs` are other short names without which it is of no use."""

    title: str
    repo: str
    file: str
    folder: str
    licence: str
    size: int | None = None
    sha256: str | None = None
    gated: bool = False  # its licence has to be accepted on its page, with an account
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the file in its folder."""
        return self.file.rpartition("/")[2]

    @property
    def page(self) -> str:
        """Where its licence is read and accepted."""
        return f"https://huggingface.co/{self.repo}"


ENCODERS = ("clip-l", "clip-g", "t5xxl-fp8")
KNOWN: dict[str, Known] = {
    "sd15": Known(
        "Stable Diffusion 1.5",
        repo="stable-diffusion-v1-5/stable-diffusion-v1-5",
        file="v1-5-pruned-emaonly.safetensors",
        folder="checkpoints",
        licence=OPENRAIL,
        size=4_265_146_304,
        sha256="6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",
    ),
    "sdxl": Known(
        "Stable Diffusion XL 1.0, base",
        repo="stabilityai/stable-diffusion-xl-base-1.0",
        file="sd_xl_base_1.0.safetensors",
        folder="checkpoints",
        licence=OPENRAIL_XL,
        size=6_938_078_334,
        sha256="31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b",
    ),
    "sdxl-refiner": Known(
        "Stable Diffusion XL 1.0, refiner",
        repo="stabilityai/stable-diffusion-xl-refiner-1.0",
        file="sd_xl_refiner_1.0.safetensors",
        folder="checkpoints",
        licence=OPENRAIL_XL,
        size=6_075_981_930,
        sha256="7440042bbdc8a24813002c09b6b69b64dc90fded4472613437b7f55f9b7d9c5f",
    ),
    "sd35-medium": Known(
        "Stable Diffusion 3.5 Medium",
        repo="stabilityai/stable-diffusion-3.5-medium",
        file="sd3.5_medium.safetensors",
        folder="checkpoints",
        licence=STABILITY,
        size=5_107_104_286,
        sha256="11fe06e22364b823dfeedc275912336b932b32a293a0b2f35ffac071990cc4de",
        gated=True,
        needs=ENCODERS,
    ),
    "sd35-large": Known(
        "Stable Diffusion 3.5 Large",
        repo="stabilityai/stable-diffusion-3.5-large",
        file="sd3.5_large.safetensors",
        folder="checkpoints",
        licence=STABILITY,
        size=16_460_379_262,
        sha256="ffef7a279d9134626e6ce0d494fba84fc1c7e720b3c7df2d19a09dc3796d8f93",
        gated=True,
        needs=ENCODERS,
    ),
    "sd35-large-fp8": Known(
        "Stable Diffusion 3.5 Large in 8 bits, text encoders included",
        repo="Comfy-Org/stable-diffusion-3.5-fp8",
        file="sd3.5_large_fp8_scaled.safetensors",
        folder="checkpoints",
        licence=STABILITY,
        sha256="5ad94d6f951556b1ab6b75930fd4effbafaf3130fe9df440e7f2d05a220dd1be",
    ),
    "svd": Known(
        "Stable Video Diffusion, 14 frames",
        repo="stabilityai/stable-video-diffusion-img2vid",
        file="svd.safetensors",
        folder="checkpoints",
        licence=STABILITY,
    ),
    "svd-xt": Known(
        "Stable Video Diffusion XT, 25 frames",
        repo="stabilityai/stable-video-diffusion-img2vid-xt",
        file="svd_xt.safetensors",
        folder="checkpoints",
        licence=STABILITY,
        size=9_559_625_980,
        sha256="b2652c23d64a1da5f14d55011b9b6dce55f2e72e395719f1cd1f8a079b00a451",
    ),
    "vae": Known(
        "VAE for Stable Diffusion 1.5 (ft-MSE)",
        repo="stabilityai/sd-vae-ft-mse-original",
        file="vae-ft-mse-840000-ema-pruned.safetensors",
        folder="vae",
        licence="MIT",
        size=334_641_190,
        sha256="735e4c3a447a3255760d7f86845f09f937809baa529c17370d83e4c3758f3c75",
    ),
    "sdxl-vae": Known(
        "VAE for Stable Diffusion XL that works in 16 bits",
        repo="madebyollin/sdxl-vae-fp16-fix",
        file="sdxl_vae.safetensors",
        folder="vae",
        licence="MIT",
        size=334_641_162,
        sha256="235745af8d86bf4a4c1b5b4f529868b37019a10f7c0b2e79ad0abca3a22bc6e1",
    ),
    "upscaler": Known(
        "Real-ESRGAN, four times as wide",
        repo="Comfy-Org/Real-ESRGAN_repackaged",
        file="RealESRGAN_x4plus.safetensors",
        folder="upscale_models",
        licence="BSD-3-Clause",
        size=66_857_836,
        sha256="37f9a931c215f040aa6d50f711f2cb115f713c46df1d0d6469a8bd7bfe9a60bb",
    ),
    "clip-l": Known(
        "CLIP-L, a text encoder of SD 3.5",
        repo="comfyanonymous/flux_text_encoders",
        file="clip_l.safetensors",
        folder="text_encoders",
        licence="Apache-2.0",
        size=246_144_152,
        sha256="660c6f5b1abae9dc498ac2d21e1347d2abdb0cf6c0c0c8576cd796491d9a6cdd",
    ),
    "clip-g": Known(
        "CLIP-G, a text encoder of SD 3.5",
        repo="Comfy-Org/stable-diffusion-3.5-fp8",
        file="text_encoders/clip_g.safetensors",
        folder="text_encoders",
        licence=STABILITY,
        size=1_389_382_176,
        sha256="ec310df2af79c318e24d20511b601a591ca8cd4f1fce1d8dff822a356bcdb1f4",
    ),
    "t5xxl-fp8": Known(
        "T5-XXL in 8 bits, a text encoder of SD 3.5",
        repo="comfyanonymous/flux_text_encoders",
        file="t5xxl_fp8_e4m3fn.safetensors",
        folder="text_encoders",
        licence="Apache-2.0",
        size=4_893_934_904,
        sha256="7d330da4816157540d6bb7838bf63a0f02f573fc48ca4d8de34bb0cbfd514f09",
    ),
}
