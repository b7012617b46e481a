"""The ComfyUI client against the embedded engine, a real server that speaks both dialects."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orchestrator.connectors.comfyui import ComfyUI, Timing
from orchestrator.engine import CHECKPOINTS, Engine, Faults, PromptError
from orchestrator.errors import (
    Interrupted,
    MissingCheckpoint,
    MissingNode,
    OutOfMemory,
    UnknownSampler,
)
from orchestrator.jobs import Progress

DIALECTS = pytest.mark.parametrize("dialect", ["0.27", "0.3.64"])
TIMING = Timing(poll_interval_s=0.1, lively_interval_s=0.5, vanish_s=0.1)


def graph(
    *, seed: int = 1, steps: int = 3, sampler: str = "euler", ckpt: str = ""
) -> dict[str, Any]:
    sampling = {"sampler_name": sampler, "scheduler": "normal", "cfg": 7.0, "denoise": 1.0}
    links = {
        "model": ["4", 0],
        "positive": ["6", 0],
        "negative": ["6", 0],
        "latent_image": ["5", 0],
    }
    loader = {"ckpt_name": ckpt or CHECKPOINTS[0]}
    return {
        "3": {
            "class_type": "KSampler",
            "inputs": {"seed": seed, "steps": steps} | sampling | links,
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": loader},
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 2},
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "an eagle", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "lab", "images": ["8", 0]}},
    }


@asynccontextmanager
async def lab(dialect: str, faults: Faults | None = None) -> AsyncIterator[ComfyUI]:
    async with Engine(dialect=dialect, faults=faults) as engine, asyncio.timeout(20):
        comfy = ComfyUI(engine.url, timing=TIMING)
        try:
            yield comfy
        finally:
            await comfy.close()


@DIALECTS
def test_a_picture_comes_out_with_previews_and_rising_progress(dialect: str) -> None:
    seen: list[Progress] = []

    async def main() -> list[bytes]:
        async with lab(dialect, Faults(step_delay_s=0.03)) as comfy:  # each step is seen
            id = str(uuid.uuid4())
            await comfy.submit(graph(), prompt_id=id, png_info={"lab": {"job": "mine"}})
            files = await comfy.wait(id, on_progress=seen.append)
            return [await comfy.fetch(file) for file in files]

    first, second = asyncio.run(main())
    assert first.startswith(b"\x89PNG")
    assert second.startswith(b"\x89PNG")
    assert b"mine" in first
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert any(progress.preview for progress in seen)
    assert any(progress.step for progress in seen)


@DIALECTS
@pytest.mark.parametrize("fault", ["silent_sockets", "drop_prompt_answer"])
def test_a_picture_comes_out_in_spite_of_a_fault(dialect: str, fault: str) -> None:
    faults = Faults()
    setattr(faults, fault, 1)

    async def main() -> bytes:
        async with lab(dialect, faults) as comfy:
            id = str(uuid.uuid4())
            await comfy.submit(graph(), prompt_id=id)
            files = await comfy.wait(id, on_progress=lambda p: None)
            return await comfy.fetch(files[0])

    assert asyncio.run(main()).endswith(b"IEND\xaeB`\x82")


@DIALECTS
def test_what_runs_out_of_memory_says_so(dialect: str) -> None:
    async def main() -> None:
        async with lab(dialect, Faults(prompt_error=PromptError(node="KSampler"))) as comfy:
            id = str(uuid.uuid4())
            await comfy.submit(graph(), prompt_id=id)
            await comfy.wait(id, on_progress=lambda p: None)

    with pytest.raises(OutOfMemory, match=r"KSampler \(node 3\)"):
        asyncio.run(main())


@DIALECTS
@pytest.mark.parametrize("stage", ["running", "pending"])
def test_cancel_takes_exactly_the_one_prompt_off(dialect: str, stage: str) -> None:
    async def main() -> None:
        faults = Faults(step_delay_s=0.03)
        async with lab(dialect, faults) as comfy:
            first, second = str(uuid.uuid4()), str(uuid.uuid4())
            started = asyncio.Event()
            await comfy.submit(graph(seed=1, steps=60), prompt_id=first)
            await comfy.submit(graph(seed=2, steps=60), prompt_id=second)
            waits = {
                first: asyncio.create_task(
                    comfy.wait(first, on_progress=lambda p: started.set() if p.step else None)
                ),
                second: asyncio.create_task(comfy.wait(second, on_progress=lambda p: None)),
            }
            await started.wait()
            cancelled, kept = (first, second) if stage == "running" else (second, first)
            assert await comfy.cancel(cancelled)
            faults.step_delay_s = 0
            with pytest.raises(Interrupted):
                await waits[cancelled]
            assert await waits[kept]

    asyncio.run(main())


@DIALECTS
def test_refusals_name_what_is_wrong_and_what_is_near(dialect: str) -> None:
    async def main() -> None:
        async with lab(dialect) as comfy:
            with pytest.raises(UnknownSampler, match="euler_ancestral"):
                await comfy.submit(graph(sampler="euler_a"), prompt_id=str(uuid.uuid4()))
            with pytest.raises(MissingCheckpoint, match=CHECKPOINTS[0]):
                await comfy.submit(graph(ckpt="sd15.safetensors"), prompt_id=str(uuid.uuid4()))
            strange = graph() | {"10": {"class_type": "NoSuch", "inputs": {}}}
            with pytest.raises(MissingNode, match="NoSuch"):
                await comfy.submit(strange, prompt_id=str(uuid.uuid4()))

    asyncio.run(main())


@DIALECTS
def test_the_engine_says_what_it_is(dialect: str) -> None:
    async def main() -> None:
        async with lab(dialect) as comfy:
            stats = await comfy.system_stats()
            assert stats.embedded_engine
            assert stats.version.startswith(dialect)
            assert await comfy.checkpoints() == list(CHECKPOINTS)
            assert "normal" in (await comfy.object_info()).options("KSampler", "scheduler")

    asyncio.run(main())
