"""What the engine says of its node classes is what real servers say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from engine_talk import painting, talking

from orchestrator.engine.dialects import DIALECTS
from orchestrator.engine.folders import Folders
from orchestrator.engine.nodes import Node, table
from orchestrator.engine.validation import validate
from orchestrator.engine.weights import FILES

JSON = Any
SHARED = Path(__file__).parents[2].parent / "shared" / "recordings"
RECORDED = {
    "0.3.64": SHARED / "comfyui" / "object_info.json",
    "0.27": SHARED / "builder" / "object_info_0.27.0.json",
}
SAID = (
    "input", "input_order", "output", "output_is_list", "output_name", "output_node", "name", "display_name",
    "category", "python_module",
)  # fmt: skip
FILE_INPUTS = {
    "ckpt_name", "unet_name", "lora_name", "vae_name", "model_name", "clip_name1", "clip_name2", "clip_name3",
    "image",
}  # fmt: skip
CLASSES = (
    "CheckpointLoaderSimple", "CLIPTextEncode", "KSampler", "KSamplerAdvanced", "EmptyLatentImage",
    "EmptySD3LatentImage", "LoadImage", "LoadImageMask", "ImageToMask", "VAEEncode", "SetLatentNoiseMask",
    "RepeatLatentBatch",
    "LoraLoader", "VAELoader", "CLIPSetLastLayer", "LatentUpscaleBy", "ImageScale", "UpscaleModelLoader",
    "ImageUpscaleWithModel", "TripleCLIPLoader", "UNETLoader", "ModelSamplingSD3", "ConditioningZeroOut",
    "ConditioningSetTimestepRange", "ConditioningCombine", "ImageOnlyCheckpointLoader", "SVD_img2vid_Conditioning",
    "VideoLinearCFGGuidance", "SaveAnimatedWEBP", "VAEDecode", "SaveImage", "PreviewImage", "EmptyImage",
)  # fmt: skip

dialects = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture(scope="module")
def folders() -> Iterator[Folders]:
    made = Folders()
    yield made
    made.close()


@cache
def recorded(dialect: str) -> dict[str, JSON]:
    document: dict[str, JSON] = json.loads(RECORDED[dialect].read_text("utf-8"))
    return document


def stripped(value: JSON) -> JSON:
    """Without ComfyUI's own prose, and with the files that a server happens to have left out."""
    if isinstance(value, dict):
        kept = {k: stripped(v) for k, v in value.items() if k != "tooltip"}
        return {k: files_out(v) if k in FILE_INPUTS else v for k, v in kept.items()}
    return [stripped(v) for v in value] if isinstance(value, list) else value


def files_out(declared: JSON) -> JSON:
    if not isinstance(declared, list) or not declared:
        return declared
    if isinstance(declared[0], list):
        return ["files", *declared[1:]]
    if declared[0] == "COMBO":
        return ["COMBO", {**declared[1], "options": "files"}]
    return declared


@dialects
def test_the_engine_has_exactly_the_classes_that_workflows_may_use(
    folders: Folders, dialect: str
) -> None:
    assert sorted(table(DIALECTS[dialect], folders)) == sorted(CLASSES)


@dialects
@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_defined_as_on_a_real_server(folders: Folders, dialect: str, name: str) -> None:
    if not RECORDED[dialect].is_file():
        pytest.skip("the recordings of a real server are not here")
    ours = table(DIALECTS[dialect], folders)[name].to_json(DIALECTS[dialect])
    real = recorded(dialect)[name]
    assert stripped({key: ours[key] for key in SAID}) == stripped({key: real[key] for key in SAID})
    # the order of the inputs is part of the definition: the page shows them in it
    assert list(ours["input"]["required"]) == list(real["input"]["required"])


@dialects
def test_every_loader_offers_what_the_model_folders_hold(dialect: str) -> None:
    async def ask() -> tuple[JSON, dict[str, JSON], int]:
        async with talking(dialect=dialect) as talk:
            info = (await talk.http.get("/object_info")).json()
            names = (await talk.http.get("/models")).json()
            held = {name: (await talk.http.get(f"/models/{name}")).json() for name in names}
            return info, held, (await talk.http.get("/models/passwords")).status_code

    info, held, unknown = asyncio.run(ask())
    assert held == {folder: list(names) for folder, names in FILES.items()}
    assert unknown == 404
    for class_type, name, folder in (
        ("CheckpointLoaderSimple", "ckpt_name", "checkpoints"),
        ("ImageOnlyCheckpointLoader", "ckpt_name", "checkpoints"),
        ("UNETLoader", "unet_name", "diffusion_models"),
        ("LoraLoader", "lora_name", "loras"),
        ("VAELoader", "vae_name", "vae"),
        ("UpscaleModelLoader", "model_name", "upscale_models"),
        ("TripleCLIPLoader", "clip_name3", "text_encoders"),
    ):
        declared = info[class_type]["input"]["required"][name]
        options = declared[0] if isinstance(declared[0], list) else declared[1]["options"]
        assert [o for o in options if o != "pixel_space"] == held[folder]
        assert all("no-model" in o for o in held[folder])


def upscaling(**inputs: JSON) -> dict[str, JSON]:
    graph = painting()
    graph["10"] = {
        "class_type": "UpscaleModelLoader",
        "inputs": {"model_name": "none.pth"} | inputs,
    }
    graph["11"] = {
        "class_type": "ImageUpscaleWithModel",
        "inputs": {"upscale_model": ["10", 0], "image": ["8", 0]},
    }
    graph["9"]["inputs"]["images"] = ["11", 0]
    return graph


def test_a_choice_in_the_newer_shape_is_checked_and_told_as_a_choice(folders: Folders) -> None:
    nodes: dict[str, Node] = table(DIALECTS["0.27"], folders)
    verdict = validate(upscaling(), nodes, DIALECTS["0.27"])
    (error,) = verdict.node_errors["10"]["errors"]
    options = list(FILES["upscale_models"])
    assert (error["type"], error["details"]) == (
        "value_not_in_list",
        f"model_name: 'none.pth' not in {options}",
    )
    assert error["extra_info"]["input_config"] == [
        "COMBO",
        {"multiselect": False, "options": options},
    ]
    good = validate(upscaling(model_name=options[0]), nodes, DIALECTS["0.27"])
    assert (good.error, good.outputs) == (None, ["9"])
