"""Which pack of custom nodes has a node class, for the best known ones."""

from __future__ import annotations

import re

PACKS = (
    (r"^VHS_", "ComfyUI-VideoHelperSuite"),
    (r"IPAdapter", "ComfyUI_IPAdapter_plus"),
    (r"\(rgthree\)$", "rgthree-comfy"),
    (r"GGUF", "ComfyUI-GGUF"),
    (r"UltimateSDUpscale", "ComfyUI_UltimateSDUpscale"),
    (r"FaceDetailer|^Impact|^Sam|UltralyticsDetector", "ComfyUI-Impact-Pack"),
    (r"Preprocessor$|^AIO_", "comfyui_controlnet_aux"),
    (r"\(Efficient\)|^Eff\.|Efficient Loader", "efficiency-nodes-comfyui"),
    (r"^easy ", "ComfyUI-Easy-Use"),
    (r"^CR ", "ComfyUI_Comfyroll_CustomNodes"),
    (r"\|pysssss$", "ComfyUI-Custom-Scripts"),
    (r"^ADE_", "ComfyUI-AnimateDiff-Evolved"),
    (r"KJ$|KJ ", "ComfyUI-KJNodes"),
    (r"^ReActor", "ComfyUI-ReActor"),
    (r"\+$", "ComfyUI_essentials"),
)
# of every ComfyUI: where one is missing, the program is too old
CORE = frozenset(
    {"TripleCLIPLoader", "EmptySD3LatentImage", "ImageOnlyCheckpointLoader", "CreateVideo"}
    | {"SVD_img2vid_Conditioning", "VideoLinearCFGGuidance", "SaveAnimatedWEBP", "SaveVideo"}
    | {"CheckpointLoaderSimple", "CLIPTextEncode", "KSampler", "KSamplerAdvanced", "SaveImage"}
    | {"EmptyLatentImage", "LoadImage", "LoadImageMask", "VAEEncode", "VAEDecode", "LoraLoader"}
    | {"SetLatentNoiseMask", "RepeatLatentBatch", "VAELoader", "CLIPSetLastLayer", "ImageScale"}
    | {"LatentUpscaleBy", "UpscaleModelLoader", "ImageUpscaleWithModel", "UNETLoader"}
)


def pack_of(class_type: str) -> str:
    """How to get a node class that a server lacks."""
    if class_type in CORE:
        note = ", or ask for webp" if class_type in {"CreateVideo", "SaveVideo"} else ""
        return f"Update ComfyUI: newer ones have {class_type}{note}."
    for pattern, pack in PACKS:
        if re.search(pattern, class_type):
            return f"Install the node pack {pack} on the server (ComfyUI-Manager has it)."
    return (
        "Install the node pack that has it (ComfyUI-Manager > Install Missing Custom Nodes), "
        "or update ComfyUI."
    )
