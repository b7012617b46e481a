"""What a model file is, by the names and shapes of its tensors. Pure: the header is all it looks at.

Names of families are those of `workflows.checkpoints`; a LoRA, ControlNet or embedding has the family it was made for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.models.essentials import missing_tensors

Shapes = Mapping[str, tuple[int, ...]]
UNET = "model.diffusion_model."
CLIP = ("cond_stage_model.", "conditioner.embedders.", "text_encoders.")
VAE = ("first_stage_model.", "vae.")
CONTEXT = {768: "sd15", 1024: "sd2", 1280: "refiner", 2048: "sdxl"}  # width of the text embedding
EMBEDDING = {768: "sd15", 1024: "sd2"}
IN_CHANNELS = {5: "depth", 8: "edit", 9: "inpaint"}
LORA = (
    *("lora_down.weight", "lora_up.weight", "lora.down.weight", "lora.up.weight"),
    *("lora_A.weight", "lora_B.weight", "lora_A.default.weight", "lora_B.default.weight"),
    *(".hada_w1_a", ".lokr_w1", ".lokr_w2", ".lokr_w1_a", ".lokr_w2_a", ".oft_blocks", ".diff"),
)
DOWN = re.compile(r"lora_down\.weight$|lora_A(\.default)?\.weight$|lora\.down\.weight$|hada_w1_b$")
CROSS = re.compile(r"attn2[._]to_[kv][._]")  # where the text comes in
# Of diffusion models the lab has no graph for; the first that is found wins.
OTHERS = (
    ("clf.1.weight", "cascade"),
    ("transformer.rotary_pos_emb.inv_freq", "audio"),
    ("double_layers.0.attn.w1q.weight", "transformer"),  # AuraFlow
    ("mlp_t5.0.weight", "transformer"),  # HunyuanDiT
    ("noise_refiner.0.attention.k_norm.weight", "transformer"),  # Lumina 2, Z-Image
    ("transformer_blocks.0.img_mod.1.weight", "transformer"),  # Qwen-Image
    ("txt_in.individual_token_refiner.blocks.0.norm1.weight", "video"),  # HunyuanVideo
    ("t5_yproj.weight", "video"),  # Mochi
    ("head.modulation", "video"),  # Wan
    ("blocks.block0.blocks.0.block.attn.to_q.0.weight", "video"),  # Cosmos
    ("adaln_single.emb.timestep_embedder.linear_1.bias", "video"),  # LTX
)
ARCHITECTURES = (  # of modelspec.architecture and kohya's ss_base_model_version
    (r"xl.*refiner", "refiner"),
    (r"xl", "sdxl"),
    (r"diffusion[-_]v?3|sd[-_]?v?3", "sd35"),
    (r"flux", "flux"),
    (r"diffusion[-_]v?2|sd[-_]v?2", "sd2"),
    (r"diffusion[-_]v?1|sd[-_]v?1", "sd15"),
)


class Kind(StrEnum):
    """What a file is for."""

    CHECKPOINT = "checkpoint"
    DIFFUSION_MODEL = "diffusion_model"
    LORA = "lora"
    VAE = "vae"
    TEXT_ENCODER = "text_encoder"
    CLIP_VISION = "clip_vision"
    UPSCALER = "upscaler"
    CONTROLNET = "controlnet"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the tensors say: `kind` None is a file of some other use. `missing` are tensors it should have."""

    kind: Kind | None = None
    family: str | None = None
    variant: str | None = None
    has_text_encoder: bool = False
    has_vae: bool = False
    missing: tuple[str, ...] = ()


def identify(shapes: Shapes, metadata: Mapping[str, str] | None = None) -> Identity:
    """What a file is whose tensors have these names and shapes."""
    for look in (_embedding, _lora, _controlnet, _diffusion, _vae, _encoder, _upscaler):
        if found := look(shapes, metadata or {}):
            return found
    return Identity()


# ---------------------------------------------------------------- diffusion models and checkpoints


def _diffusion(shapes: Shapes, _: Mapping[str, str]) -> Identity | None:
    below = _without(UNET, shapes)
    own = below or shapes
    prefixed = bool(below)
    found = _of_unet(own) or _of_transformer(own) or _of_diffusers(own)
    if found is None:
        if not prefixed:
            return None
        found = ("", None)
    family, variant = found
    has_text_encoder = prefixed and _any(shapes, CLIP)
    has_vae = prefixed and _any(shapes, VAE)
    whole = has_text_encoder or has_vae
    missing = missing_tensors(family, own)
    if has_vae:
        missing += missing_tensors("vae", _vae_part(shapes))
    return Identity(
        kind=Kind.CHECKPOINT if whole else Kind.DIFFUSION_MODEL,
        family=family or None,
        variant=variant,
        has_text_encoder=has_text_encoder,
        has_vae=has_vae,
        missing=missing,
    )


def _of_unet(own: Shapes) -> tuple[str, str | None] | None:
    """A UNet in the original naming."""
    first = own.get("input_blocks.0.0.weight")
    middle = "middle_block.0.in_layers.0.weight" in own or "time_embed.0.weight" in own
    if first is None and not middle:
        return None
    channels = first[1] if first is not None and len(first) == 4 else 4
    if any(".time_stack." in name or ".time_mix_blocks." in name for name in own):
        return "svd", None
    context = _context(own, "input_blocks.1.1.", "input_blocks.4.1.", "input_blocks.5.1.")
    label = own.get("label_emb.0.0.weight", (0, 0))[-1]
    family = CONTEXT.get(context or 0) or {2816: "sdxl", 2560: "refiner"}.get(label, "")
    return family, IN_CHANNELS.get(channels)


def _of_transformer(own: Shapes) -> tuple[str, str | None] | None:
    """A diffusion transformer in its makers' naming."""
    if "joint_blocks.0.context_block.attn.qkv.weight" in own:
        width = own.get("x_embedder.proj.weight", (0,))[0]
        if "joint_blocks.0.context_block.attn.ln_q.weight" not in own:
            return "sd35", "sd3-medium" if width == 1536 else "sd3"
        return "sd35", {1536: "medium", 2432: "large"}.get(width)
    for name, family in OTHERS:
        if name in own:
            return family, None
    if any(name.startswith("double_blocks.0.img_attn.") for name in own):
        if any(name.startswith("distilled_guidance_layer.") for name in own):
            return "transformer", "chroma"
        if "double_stream_modulation_img.lin.weight" in own:
            return "flux", "flux2"
        return "flux", "dev" if "guidance_in.in_layer.weight" in own else "schnell"
    return None


def _of_diffusers(own: Shapes) -> tuple[str, str | None] | None:
    """A diffusion model as the diffusers library names its parts."""
    if "transformer_blocks.0.attn.add_q_proj.weight" in own:
        if any(name.startswith("single_transformer_blocks.0.") for name in own):
            return "flux", None
        return "sd35", None
    if "time_embedding.linear_1.weight" not in own or "conv_in.weight" not in own:
        return None
    if any("temporal_transformer_blocks" in name for name in own):
        return "svd", None
    context = _context(own, "down_blocks.0.attentions.0.", "down_blocks.1.attentions.0.")
    channels = own["conv_in.weight"][1] if len(own["conv_in.weight"]) == 4 else 4
    return CONTEXT.get(context or 0, ""), IN_CHANNELS.get(channels)


def _context(own: Shapes, *blocks: str) -> int | None:
    for block in blocks:
        shape = own.get(block + "transformer_blocks.0.attn2.to_k.weight")
        if shape is not None and len(shape) == 2:
            return shape[1]
    return None


# ---------------------------------------------------------------- what is used beside a checkpoint


def _embedding(shapes: Shapes, _: Mapping[str, str]) -> Identity | None:
    if len(shapes) > 3 or not shapes.keys() <= {"emb_params", "clip_l", "clip_g", "t5xxl"}:
        return None
    if "clip_g" in shapes:
        return Identity(Kind.EMBEDDING, "sd35" if "t5xxl" in shapes else "sdxl")
    width = next(iter(shapes.values()), (0,))[-1:] or (0,)
    return Identity(Kind.EMBEDDING, EMBEDDING.get(width[0]))


def _lora(shapes: Shapes, metadata: Mapping[str, str]) -> Identity | None:
    if not any(name.endswith(LORA) for name in shapes):
        return None
    family = _lora_family(shapes) or _stated_family(metadata)
    return Identity(Kind.LORA, family, missing=_halves(shapes))


def _lora_family(shapes: Shapes) -> str | None:
    text = None
    for name, shape in shapes.items():
        if "double_blocks" in name or "single_transformer_blocks" in name:
            return "flux"
        if "joint_blocks" in name or "add_q_proj" in name:
            return "sd35"
        if "time_stack" in name or "temporal_transformer" in name:
            return "svd"
        if name.startswith(("lora_te2_", "text_encoder_2.")):
            text = "sdxl"
        if len(shape) in {2, 4} and DOWN.search(name):
            if CROSS.search(name) and shape[1] in CONTEXT:
                return CONTEXT[shape[1]]
            if name.startswith(("lora_te_", "text_encoder.")) and "fc1" in name:
                text = text or EMBEDDING.get(shape[1])
    return text


def _stated_family(metadata: Mapping[str, str]) -> str | None:
    for key in ("modelspec.architecture", "ss_base_model_version"):
        for pattern, family in ARCHITECTURES:
            if re.search(pattern, metadata.get(key, ""), re.IGNORECASE):
                return family
    return None


def _halves(shapes: Shapes) -> tuple[str, ...]:
    """The other halves of pairs that lack one: a LoRA is the product of two matrices."""
    pairs = (
        ("lora_down.weight", "lora_up.weight"),
        ("lora_A.weight", "lora_B.weight"),
        ("lora.down.weight", "lora.up.weight"),
    )
    absent = []
    for name in shapes:
        for one, other in (*pairs, *((b, a) for a, b in pairs)):
            if name.endswith(one) and name.removesuffix(one) + other not in shapes:
                absent.append(name.removesuffix(one) + other)
    return tuple(absent)


def _controlnet(shapes: Shapes, _: Mapping[str, str]) -> Identity | None:
    own = _without("control_model.", shapes) or shapes
    if "input_hint_block.0.weight" in own or "zero_convs.0.0.weight" in own:
        context = _context(own, "input_blocks.1.1.", "input_blocks.4.1.")
    elif (
        "controlnet_cond_embedding.conv_in.weight" in own
        or "controlnet_down_blocks.0.weight" in own
    ):
        context = _context(own, "down_blocks.0.attentions.0.", "down_blocks.1.attentions.0.")
    elif any(name.startswith("controlnet_blocks.0.") for name in own):
        flux = any(name.startswith(("single_", "controlnet_x_embedder")) for name in own)
        return Identity(Kind.CONTROLNET, "flux" if flux else "sd35")
    elif "adapter.body.0.in_conv.weight" in own or "body.0.block1.weight" in own:
        return Identity(Kind.CONTROLNET, variant="t2i-adapter")
    else:
        return None
    return Identity(Kind.CONTROLNET, CONTEXT.get(context or 0))


def _vae(shapes: Shapes, _: Mapping[str, str]) -> Identity | None:
    own = _vae_part(shapes) or shapes
    if not any(name in own for name in ("decoder.conv_in.weight", "decoder.conv_out.weight")):
        return None
    channels = own.get("decoder.conv_in.weight", (0, 0))[1:2]
    variant = f"{channels[0]} channels" if channels and channels[0] else None
    return Identity(Kind.VAE, variant=variant, has_vae=True, missing=missing_tensors("vae", own))


def _vae_part(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    return _without(VAE[0], shapes) or _without(VAE[1], shapes)


def _encoder(shapes: Shapes, _: Mapping[str, str]) -> Identity | None:
    if any(name.endswith("vision_model.embeddings.patch_embedding.weight") for name in shapes):
        return Identity(Kind.CLIP_VISION, missing=missing_tensors("encoder", shapes))
    if "encoder.block.0.layer.0.SelfAttention.k.weight" in shapes:
        deep = "encoder.block.23.layer.1.DenseReluDense.wi_1.weight"
        size = "t5xxl" if shapes.get(deep, (0,))[-1] == 4096 else "t5"
        missing = missing_tensors("encoder", shapes)
        return Identity(Kind.TEXT_ENCODER, variant=size, missing=missing)
    for name, shape in shapes.items():
        if name.endswith(
            ("text_model.embeddings.token_embedding.weight", "token_embedding.weight")
        ):
            variant = {768: "clip_l", 1024: "clip_h", 1280: "clip_g"}.get(shape[-1] if shape else 0)
            missing = missing_tensors("encoder", shapes)
            return Identity(Kind.TEXT_ENCODER, variant=variant, missing=missing)
    return None


def _upscaler(shapes: Shapes, _: Mapping[str, str]) -> Identity | None:
    names = (
        "body.0.rdb1.conv1.weight",
        "model.1.sub.0.RDB1.conv1.0.weight",
        "RRDB_trunk.0.RDB1.conv1.weight",
    )
    if any(name in shapes for name in names):
        return Identity(
            Kind.UPSCALER, variant="esrgan", missing=missing_tensors("upscaler", shapes)
        )
    if "layers.0.residual_group.blocks.0.norm1.weight" in shapes:
        return Identity(Kind.UPSCALER, variant="swinir")
    flat = {name for name in shapes if re.fullmatch(r"body\.\d+\.weight", name)}
    if flat and len(flat) * 2 >= len(shapes) // 2 and "body.0.weight" in flat:
        return Identity(Kind.UPSCALER, variant="compact")
    return None


# ---------------------------------------------------------------- names


def _without(prefix: str, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The tensors below a prefix, without it."""
    cut = len(prefix)
    return {name[cut:]: shape for name, shape in shapes.items() if name.startswith(prefix)}


def _any(names: Iterable[str], prefixes: tuple[str, ...]) -> bool:
    return any(name.startswith(prefixes) for name in names)
