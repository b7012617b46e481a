"""A workflow saved into `workflows/` is a backend at once: asked for by its name, and run as it was then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.errors import CorruptFile, ParamsInvalid, SavedWorkflowInvalid, UnknownBackend
from orchestrator.jobs import Status
from orchestrator.lab import Lab
from orchestrator.store.blobs import Blobs
from orchestrator.testing import CHECKPOINTS, Engine, make_lab


def graph(*, size: int = 64, steps: int = 1) -> dict[str, Any]:
    """A small picture, as ComfyUI exports it in API format."""
    return {
        "4": {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": CHECKPOINTS[0]},
        },
        "6": {
            "class_type": "CLIPTextEncode",
            "inputs": {"text": "a placeholder", "clip": ["4", 1]},
        },
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly", "clip": ["4", 1]}},
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": size, "height": size, "batch_size": 1},
        },
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 5,
                "steps": steps,
                "cfg": 7.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
    }


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with make_lab(tmp_path) as lab:
        yield lab


def save(lab: Lab, name: str, document: object) -> Path:
    path = lab.paths.workflows / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_saved_workflow_runs_with_what_the_request_says(tmp_path: Path) -> None:
    async def run() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                save(lab, "мой портрет", graph())
                async with lab.worker():
                    job = await lab.generate("a red fox", backend="мой портрет", width=96, seed=11)
                    await job.wait(timeout_s=30)
                assert job.status is Status.DONE
                with Image.open(job.pictures[0].path) as image:
                    assert image.size == (96, 64)
                    sent = json.loads(image.text["prompt"])  # type: ignore[attr-defined]
                assert sent["6"]["inputs"]["text"] == "a red fox"
                assert sent["3"]["inputs"]["seed"] == 11

    asyncio.run(run())


def test_a_job_runs_the_workflow_as_it_was_when_it_was_asked_for(tmp_path: Path) -> None:
    async def run() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                file = save(lab, "mine", graph(size=64))
                changed = await lab.generate("a fox", backend="mine")
                save(lab, "mine", graph(size=128))
                fresh = await lab.generate("a fox", backend="mine")
                file.unlink()
                async with lab.worker():
                    for job in (changed, fresh):
                        await job.wait(timeout_s=30)
                sizes = []
                for job in (changed, fresh):
                    with Image.open(job.pictures[0].path) as image:
                        sizes.append(image.size)
                assert sizes == [(64, 64), (128, 128)]

    asyncio.run(run())


def test_a_job_whose_workflow_is_lost_fails_and_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                save(lab, "mine", graph())
                job = await lab.generate("a fox", backend="mine")
                for blob in lab.store.layout.blobs.iterdir():
                    blob.unlink()
                async with lab.worker():
                    await job.wait(timeout_s=30)
                assert job.job.failure is not None
                assert "lost" in job.job.failure.message
                assert "Ask again" in job.job.failure.remedy

    asyncio.run(run())


def test_the_catalogue_lists_what_can_be_run_and_says_what_cannot(lab: Lab) -> None:
    save(lab, "good", graph())
    save(lab, "sd15", graph())  # a built-in name wins
    save(lab, "broken", {"nodes": [], "links": []})
    (lab.paths.workflows / "garbage.json").write_text("{", encoding="utf-8")
    names = [backend.name for backend in lab.catalogue.all()]
    assert names[-1] == "good"
    assert names.count("sd15") == 1
    assert set(lab.catalogue.problems()) == {"broken", "garbage"}
    with pytest.raises(SavedWorkflowInvalid):
        lab.submit("a fox", backend="garbage")


def test_a_file_that_changed_is_read_again(lab: Lab) -> None:
    save(lab, "mine", graph(steps=1))
    assert lab.catalogue.get("mine").defaults["steps"] == 1
    save(lab, "mine", graph(steps=12))
    assert lab.catalogue.get("mine").defaults["steps"] == 12


@pytest.mark.parametrize("name", ["../paths", "no such", "a/../../paths", "", "C:\\paths", "a\0b"])
def test_a_name_that_is_none_is_an_unknown_backend(lab: Lab, name: str) -> None:
    with pytest.raises(UnknownBackend):
        lab.submit("a fox", backend=name)


def test_a_name_that_is_nearly_right_is_told(lab: Lab) -> None:
    save(lab, "portrait", graph())
    with pytest.raises(UnknownBackend) as caught:
        lab.submit("a fox", backend="portait")
    assert "portrait" in caught.value.remedy


def test_what_the_workflow_does_not_take_is_refused(lab: Lab) -> None:
    save(lab, "mine", graph())
    with pytest.raises(ParamsInvalid, match="upscaler"):
        lab.submit("a fox", backend="mine", params={"upscaler": "x"})


def test_a_blob_is_kept_once_and_damage_is_noticed(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "_blobs", temp=tmp_path)
    name = blobs.put(b'{"a": 1}')
    assert blobs.put(b'{"a": 1}') == name
    assert [file.name for file in (tmp_path / "_blobs").iterdir()] == [f"{name}.json"]
    assert blobs.get(name) == b'{"a": 1}'
    (tmp_path / "_blobs" / f"{name}.json").write_bytes(b'{"a": 2}')
    for wrong in (name, "0" * 64, "../../secret"):
        with pytest.raises(CorruptFile):
            blobs.get(wrong)
