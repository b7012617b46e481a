"""What a file is, by the names and shapes of its tensors. Key names as ComfyUI, kohya and diffusers write them."""

from __future__ import annotations

import pytest

from orchestrator.models.families import Kind, identify

Shapes = dict[str, tuple[int, ...]]
P = "model.diffusion_model."


def unet(
    *,
    blocks: int = 12,
    context: int = 768,
    at: str = "1.1",
    channels: int = 4,
    label: int | None = None,
) -> Shapes:
    shapes: Shapes = {
        "input_blocks.0.0.weight": (320, channels, 3, 3),
        "time_embed.0.weight": (1280, 320),
        "time_embed.2.weight": (1280, 1280),
        "out.0.weight": (320,),
        "out.2.weight": (4, 320, 3, 3),
        "middle_block.0.in_layers.0.weight": (1280,),
        f"input_blocks.{at}.transformer_blocks.0.attn2.to_k.weight": (320, context),
    }
    for number in range(1, blocks):
        shapes[f"input_blocks.{number}.0.in_layers.0.weight"] = (320,)
    for number in range(blocks):
        shapes[f"output_blocks.{number}.0.in_layers.0.weight"] = (320,)
    if label is not None:
        shapes["label_emb.0.0.weight"] = (1280, label)
    return shapes


VAE: Shapes = {
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "decoder.conv_in.weight": (512, 4, 3, 3),
    "decoder.conv_out.weight": (3, 128, 3, 3),
    "quant_conv.weight": (8, 8, 1, 1),
}


def below(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


def checkpoint(
    own: Shapes, *, clip: str | None = "cond_stage_model.transformer.x.weight"
) -> Shapes:
    return below(P, own) | below("first_stage_model.", VAE) | ({clip: (1,)} if clip else {})


SD15 = unet()
SD2 = unet(context=1024)
SDXL = unet(blocks=9, context=2048, at="4.1", label=2816)
REFINER = unet(context=1280, at="4.1", label=2560)
SVD = unet(context=1024, channels=8, label=768) | {
    "input_blocks.1.1.time_stack.0.attn1.to_q.weight": (320, 320)
}


def mmdit(*, width: int = 1536, norms: bool = True) -> Shapes:
    shapes: Shapes = {
        "x_embedder.proj.weight": (width, 16, 2, 2),
        "context_embedder.weight": (width, 4096),
        "t_embedder.mlp.0.weight": (width, 256),
        "y_embedder.mlp.0.weight": (width, 2048),
        "final_layer.linear.weight": (64, width),
    }
    for number in range(width // 64):
        shapes[f"joint_blocks.{number}.context_block.attn.qkv.weight"] = (3 * width, width)
        if norms:
            shapes[f"joint_blocks.{number}.context_block.attn.ln_q.weight"] = (64,)
    return shapes


def flux(*, guidance: bool = True) -> Shapes:
    shapes: Shapes = {
        "img_in.weight": (3072, 64),
        "txt_in.weight": (3072, 4096),
        "time_in.in_layer.weight": (3072, 256),
        "final_layer.linear.weight": (64, 3072),
    }
    for number in range(19):
        shapes[f"double_blocks.{number}.img_attn.norm.key_norm.scale"] = (128,)
    for number in range(38):
        shapes[f"single_blocks.{number}.linear1.weight"] = (21504, 3072)
    if guidance:
        shapes["guidance_in.in_layer.weight"] = (3072, 256)
    return shapes


@pytest.mark.parametrize(
    ("shapes", "kind", "family", "variant"),
    [
        (checkpoint(SD15), Kind.CHECKPOINT, "sd15", None),
        (checkpoint(unet(channels=9)), Kind.CHECKPOINT, "sd15", "inpaint"),
        (checkpoint(unet(channels=8)), Kind.CHECKPOINT, "sd15", "edit"),
        (checkpoint(SD2), Kind.CHECKPOINT, "sd2", None),
        (checkpoint(unet(context=1024, channels=5)), Kind.CHECKPOINT, "sd2", "depth"),
        (checkpoint(SDXL, clip="conditioner.embedders.0.x"), Kind.CHECKPOINT, "sdxl", None),
        (checkpoint(REFINER, clip="conditioner.embedders.0.x"), Kind.CHECKPOINT, "refiner", None),
        (checkpoint(SVD, clip="conditioner.embedders.0.x"), Kind.CHECKPOINT, "svd", None),
        (checkpoint(mmdit(), clip="text_encoders.clip_l.x"), Kind.CHECKPOINT, "sd35", "medium"),
        (checkpoint(mmdit(width=2432), clip=None), Kind.CHECKPOINT, "sd35", "large"),
        (checkpoint(mmdit(norms=False)), Kind.CHECKPOINT, "sd35", "sd3-medium"),
        (checkpoint(flux()), Kind.CHECKPOINT, "flux", "dev"),
        (flux(guidance=False), Kind.DIFFUSION_MODEL, "flux", "schnell"),
        (below(P, SDXL), Kind.DIFFUSION_MODEL, "sdxl", None),
        (SD15, Kind.DIFFUSION_MODEL, "sd15", None),
        (below(P, {"head.modulation": (1,)}), Kind.DIFFUSION_MODEL, "video", None),
        (below(P, {"something.new.weight": (1,)}), Kind.DIFFUSION_MODEL, None, None),
        # diffusers
        (
            {
                "time_embedding.linear_1.weight": (1280, 320),
                "conv_in.weight": (320, 4, 3, 3),
                "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
            },
            Kind.DIFFUSION_MODEL, "sdxl", None,
        ),
        (
            {"transformer_blocks.0.attn.add_q_proj.weight": (1,), "single_transformer_blocks.0.x": (1,)},
            Kind.DIFFUSION_MODEL, "flux", None,
        ),
        (VAE, Kind.VAE, None, "4 channels"),
        (below("first_stage_model.", VAE), Kind.VAE, None, "4 channels"),
        (
            {"text_model.embeddings.token_embedding.weight": (49408, 768)},
            Kind.TEXT_ENCODER, None, "clip_l",
        ),
        (
            {"text_model.embeddings.token_embedding.weight": (49408, 1280)},
            Kind.TEXT_ENCODER, None, "clip_g",
        ),
        (
            {f"encoder.block.{n}.layer.1.DenseReluDense.wi_1.weight": (10240, 4096) for n in range(24)}
            | {"encoder.block.0.layer.0.SelfAttention.k.weight": (4096, 4096)},
            Kind.TEXT_ENCODER, None, "t5xxl",
        ),
        (
            {"vision_model.embeddings.patch_embedding.weight": (1024, 3, 14, 14)},
            Kind.CLIP_VISION, None, None,
        ),
        ({"body.0.rdb1.conv1.weight": (32, 64, 3, 3)}, Kind.UPSCALER, None, "esrgan"),
        ({"model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)}, Kind.UPSCALER, None, "esrgan"),
        (
            {"control_model.input_hint_block.0.weight": (16, 3, 3, 3),
             "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)},
            Kind.CONTROLNET, "sd15", None,
        ),
        (
            {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
             "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048)},
            Kind.CONTROLNET, "sdxl", None,
        ),
        ({"emb_params": (4, 768)}, Kind.EMBEDDING, "sd15", None),
        ({"clip_l": (4, 768), "clip_g": (4, 1280)}, Kind.EMBEDDING, "sdxl", None),
        ({"some.weight": (5,)}, None, None, None),
    ],
)  # fmt: skip
def test_a_model_is_known_by_its_tensors(
    shapes: Shapes, kind: Kind | None, family: str | None, variant: str | None
) -> None:
    found = identify(shapes)
    assert (found.kind, found.family, found.variant) == (kind, family, variant)
    assert found.missing == ()


@pytest.mark.parametrize(
    ("names", "family"),
    [
        # kohya
        ({"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (8, 768)}, "sd15"),
        ({"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": (8, 2048)}, "sdxl"),
        ({"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_v.lora_down.weight": (8, 1024)}, "sd2"),
        ({"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (8, 1280)}, "sdxl"),
        ({"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (8, 768)}, "sd15"),
        ({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (8, 3072)}, "flux"),
        ({"lora_unet_joint_blocks_0_context_block_attn_qkv.lora_down.weight": (8, 1536)}, "sd35"),
        # LyCORIS
        ({"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.hada_w1_a": (320, 8),
          "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.hada_w1_b": (8, 768)}, "sd15"),
        # peft and diffusers
        ({"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (8, 2048)}, "sdxl"),
        ({"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora.down.weight": (8, 768)}, "sd15"),
        ({"transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (8, 3072)}, "flux"),
        ({"transformer.transformer_blocks.0.attn.add_q_proj.lora_A.weight": (8, 1536)}, "sd35"),
        ({"unet.mid_block.attentions.0.proj_in.lora_A.weight": (8, 1280)}, None),
    ],
)  # fmt: skip
def test_a_lora_is_known_by_what_it_was_made_for(names: Shapes, family: str | None) -> None:
    halves = {"lora_down": "lora_up", "lora_A": "lora_B", "lora.down": "lora.up"}
    shapes = dict(names)
    for name in names:
        for one, other in halves.items():
            if one in name:
                shapes[name.replace(one, other)] = (320, 8)
    found = identify(shapes)
    assert (found.kind, found.family, found.missing) == (Kind.LORA, family, ())


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "sdxl"),
        ({"modelspec.architecture": "flux-1-dev/lora"}, "flux"),
        ({"ss_base_model_version": "sd_v1"}, "sd15"),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "sdxl"),
        ({"ss_base_model_version": "sd3.5_medium"}, "sd35"),
        ({}, None),
    ],
)
def test_a_lora_that_shows_nothing_is_believed_its_metadata(
    metadata: dict[str, str], family: str | None
) -> None:
    assert identify({"lora_unet_x.lokr_w1": (4, 4)}, metadata).family == family


def test_a_lora_without_one_of_its_halves_lacks_it() -> None:
    found = identify({"lora_unet_x.lora_down.weight": (8, 768)})
    assert found.missing == ("lora_unet_x.lora_up.weight",)


@pytest.mark.parametrize(
    ("shapes", "gone", "missing"),
    [
        (SD15, "out.2.", "out.2.weight"),
        (SD15, "output_blocks.11.", "output_blocks.11"),
        (SDXL, "input_blocks.5.", "input_blocks.5"),
        (SDXL, "label_emb.", "label_emb.0.0.weight"),
        (SVD, "time_embed.0.", "time_embed.0.weight"),
        (mmdit(), "joint_blocks.23.", "joint_blocks.23"),
        (mmdit(), "final_layer.", "final_layer.linear.weight"),
        (flux(), "double_blocks.7.", "double_blocks.7"),
        (flux(), "img_in.", "img_in.weight"),
    ],
)
def test_what_every_model_of_a_family_has_is_missed(
    shapes: Shapes, gone: str, missing: str
) -> None:
    rest = {
        name: shape for name, shape in checkpoint(shapes).items() if not name.startswith(P + gone)
    }
    assert missing in identify(rest).missing


def test_a_checkpoint_with_half_a_vae_lacks_the_other() -> None:
    shapes = checkpoint(SD15)
    del shapes["first_stage_model.decoder.conv_out.weight"]
    assert identify(shapes).missing == ("decoder.conv_out.weight",)


def test_a_distilled_sdxl_with_fewer_blocks_is_whole() -> None:
    assert identify(checkpoint(unet(blocks=7, context=2048, at="4.1", label=2816))).missing == ()


def test_an_sd35_without_text_encoders_says_so() -> None:
    found = identify(checkpoint(mmdit(), clip=None))
    assert not found.has_text_encoder
    assert found.has_vae
