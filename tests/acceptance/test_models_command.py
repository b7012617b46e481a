"""`orchestrator models` as its users and their scripts meet it: processes, exit codes, standard output."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import command

P = "model.diffusion_model."
SD15 = {
    f"{P}input_blocks.0.0.weight": [1, 4, 1, 1],
    f"{P}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": [1, 768],
    f"{P}output_blocks.0.0.in_layers.0.weight": [1],
    f"{P}output_blocks.1.0.in_layers.0.weight": [1],
    f"{P}time_embed.0.weight": [1],
    f"{P}time_embed.2.weight": [1],
    f"{P}out.0.weight": [1],
    f"{P}out.2.weight": [1],
    "first_stage_model.decoder.conv_in.weight": [1],
    "first_stage_model.decoder.conv_out.weight": [1],
    "cond_stage_model.x.weight": [1],
}


def safetensors(shapes: dict[str, list[int]]) -> bytes:
    at, header = 0, {}
    for name, shape in shapes.items():
        size = 1
        for number in shape:
            size *= number
        header[name] = {"dtype": "U8", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(at)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "paths.json").write_text('{"comfyRoot": "comfy"}')
    checkpoints = tmp_path / "comfy" / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "good.safetensors").write_bytes(safetensors(SD15))
    loras = tmp_path / "models" / "loras"
    loras.mkdir(parents=True)
    (loras / "fine [bold].safetensors").write_bytes(
        safetensors(
            {
                "lora_unet_double_blocks_0.lora_down.weight": [1],
                "lora_unet_double_blocks_0.lora_up.weight": [1],
            }
        )
    )
    return tmp_path


def call(lab: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    unset = {"COMFY_URL", "BFL_API_KEY", "HF_TOKEN", "HF_ENDPOINT"}
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    environment |= {"ORCHESTRATOR_PATHS": str(lab / "paths.json")}
    return command(lab, "models", *arguments, environment=environment)


def document(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)  # all of standard output, or this fails


def test_the_models_are_listed_with_folder_name_and_family(lab: Path) -> None:
    done = call(lab, "list")
    assert done.returncode == 0, done.stderr
    assert "good.safetensors" in done.stdout
    assert "fine [bold].safetensors" in done.stdout
    listed = document(call(lab, "list", "--json"))
    assert [
        (m["folder"], m["name"], m["family"], m["seenByComfyUI"]) for m in listed["models"]
    ] == [
        ("checkpoints", "good.safetensors", "sd15", True),
        ("loras", "fine [bold].safetensors", "flux", False),
    ]
    assert document(call(lab, "list", "--family", "flux", "--json"))["total"] == 2
    assert len(document(call(lab, "list", "--family", "flux", "--json"))["models"]) == 1


def test_verify_ends_with_0_where_all_is_well(lab: Path) -> None:
    done = call(lab, "verify")
    assert done.returncode == 0, done.stderr
    assert "2 verified" in done.stdout
    assert "0 damaged" in done.stdout


def test_verify_ends_with_1_and_tells_each_fault_with_its_remedy(lab: Path) -> None:
    bad = lab / "comfy" / "models" / "checkpoints" / "bad.safetensors"
    bad.write_bytes(safetensors(SD15)[:-1])
    done = call(lab, "verify")
    assert done.returncode == 1
    assert str(bad) in done.stdout
    assert "The file is cut off: 1 of" in done.stdout
    assert "Download it again" in done.stdout
    told = document(call(lab, "verify", str(bad), "--json"))
    assert told["damaged"] == 1
    assert told["files"][0]["fault"] == "truncated"
    assert told["files"][0]["remedy"]


def test_verify_takes_files_and_folders(lab: Path) -> None:
    assert document(call(lab, "verify", str(lab / "models"), "--json"))["verified"] == 1
    done = call(lab, "verify", str(lab / "nothing.safetensors"))
    assert done.returncode == 2
    assert "does not exist" in done.stderr


def test_a_hash_that_is_not_the_published_one_is_a_fault(lab: Path) -> None:
    good = lab / "comfy" / "models" / "checkpoints" / "good.safetensors"
    digest = hashlib.sha256(good.read_bytes()).hexdigest()
    beside = good.with_name("good.safetensors.sha256")
    beside.write_text(f"{digest} *good.safetensors\n")
    done = call(lab, "verify", "--hash", "--json")
    assert done.returncode == 0, done.stdout
    file = next(file for file in document(done)["files"] if file["path"] == str(good))
    assert (file["sha256"], file["published"]) == (digest, digest)
    beside.write_text("0" * 64)
    done = call(lab, "verify", "--hash")
    assert done.returncode == 1
    assert "not the one that was published" in done.stdout


def test_pull_without_a_name_lists_the_known_models_with_licence_and_size(lab: Path) -> None:
    done = call(lab, "pull")
    assert done.returncode == 0, done.stderr
    for word in ("sdxl-refiner", "svd-xt", "6.94 GB", "CreativeML Open RAIL++-M", "upscaler"):
        assert word in done.stdout
    known = document(call(lab, "pull", "--json"))["models"]
    assert {"sd15", "sdxl", "sd35-medium", "svd", "vae"} <= {model["name"] for model in known}


def test_pull_of_a_name_that_nobody_knows_is_wrong_usage(lab: Path) -> None:
    done = call(lab, "pull", "sdxxl")
    assert done.returncode == 2
    assert "OWNER/REPO:FILE" in done.stderr
    assert "Traceback" not in done.stderr
