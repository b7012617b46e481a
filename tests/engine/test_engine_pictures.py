"""The pictures: the same for the same request, different for any other, quick, and where they ought to be."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_talk import painting, talking
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.engine import CHECKPOINTS, latent, painter, sampling, wording
from orchestrator.engine.dialects import DIALECTS
from orchestrator.engine.latent import Latent
from orchestrator.engine.weights import Vae

JSON = Any
BASE: dict[str, JSON] = {
    "text": "a majestic eagle", "negative": "blurry", "seed": 1, "steps": 4, "cfg": 7.0, "sampler": "euler",
    "scheduler": "normal", "checkpoint": CHECKPOINTS[0], "width": 64, "height": 64, "denoise": 1.0,
}  # fmt: skip


def paint(given: Latent | None = None, **changes: JSON) -> np.ndarray:
    asked = BASE | changes
    positive, negative = (
        (wording.encode(asked[k], asked["checkpoint"]),) for k in ("text", "negative")
    )
    request = sampling.Request(
        positive, negative, asked["seed"], asked["steps"], asked["cfg"], asked["sampler"], asked["scheduler"],
        asked["denoise"],
    )  # fmt: skip
    start = given or latent.empty(asked["width"], asked["height"], 1)
    painted = sampling.sample(request, start, on_step=lambda done, of, believed: None)
    pictures: np.ndarray = latent.decoded(painted, Vae(asked["checkpoint"]))
    return np.asarray(pictures[0])


def test_the_same_request_gives_the_same_pixels_in_another_process() -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import hashlib, test_engine_pictures as t;"
        "print(hashlib.sha256(t.paint(width=128).tobytes()).hexdigest())"
    )
    run = [sys.executable, "-c", code, *map(str, Path(__file__).parents[:2])]
    there = subprocess.run(
        run, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()
    assert there == hashlib.sha256(paint(width=128).tobytes()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"text": "a quiet harbour"},
        {"negative": "purple"},
        {"seed": 2},
        {"seed": 2**64 - 1},
        {"steps": 5},
        {"cfg": 4.0},
        {"checkpoint": CHECKPOINTS[1]},
        {"scheduler": "karras"},
        {"denoise": 0.5},
    ],
    ids=str,
)
def test_each_parameter_changes_the_picture(change: dict[str, JSON]) -> None:
    assert np.abs(paint().astype(int) - paint(**change)).mean() > 0.5


def test_every_sampler_and_scheduler_paints_its_own_picture() -> None:
    painted = {paint(sampler=name).tobytes() for name in DIALECTS["0.27"].samplers}
    assert len(painted) == len(DIALECTS["0.27"].samplers)
    assert len({paint(scheduler=name, steps=8).tobytes() for name in sampling.SCHEDULERS}) == len(
        sampling.SCHEDULERS
    )


@pytest.mark.parametrize(
    ("text", "channel"),
    [("red", 0), ("красный", 0), ("green", 1), ("зелёный лес", 1), ("blue", 2), ("синее море", 2)],
)
def test_a_named_colour_leads_the_palette(text: str, channel: int) -> None:
    means = paint(text=text, width=128, height=128, steps=10).mean((0, 1))
    assert means.argmax() == channel


def test_more_steps_bring_the_picture_nearer_to_its_end() -> None:
    end = paint(steps=60, width=128, height=128).astype(int)
    far = [np.abs(paint(steps=steps, width=128, height=128) - end).mean() for steps in (1, 4, 20)]
    assert far[0] > far[1] > far[2]


def test_less_denoise_stays_nearer_to_the_given_picture() -> None:
    before = paint(text="red mountains", width=128, height=128, steps=10)
    given = latent.encoded(before[None])
    far = [
        np.abs(paint(given, text="blue sea", denoise=d, steps=8).astype(int) - before).mean()
        for d in (0.0, 0.05, 0.15, 0.3, 0.5, 0.7, 0.9, 1.0)
    ]
    assert far == sorted(far)
    assert far[0] == 0
    assert far[3] < 0.35 * far[-1]


def test_one_of_a_batch_is_what_it_would_be_in_a_larger_one() -> None:
    request = sampling.Request(
        (wording.encode("an owl", CHECKPOINTS[0]),), (), 7, 4, 7.0, "euler_ancestral", "karras"
    )
    few, many = (
        sampling.sample(request, latent.empty(64, 64, count), on_step=lambda *told: None)
        for count in (1, 3)
    )
    assert np.array_equal(few.samples[0], many.samples[0])
    assert not np.array_equal(many.samples[0], many.samples[1])


def test_a_picture_survives_encoding_and_decoding_in_its_large_shapes() -> None:
    picture = paint(width=256, height=256, steps=10)
    back = painter.decode(painter.encode(picture))
    assert back.shape == picture.shape
    assert np.abs(back.astype(int) - picture).mean() < 25


@given(
    text=st.text(max_size=60),
    seed=st.integers(0, 2**64 - 1),
    cfg=st.floats(0, 100),
    steps=st.integers(1, 3),
)
def test_any_text_can_be_painted(text: str, seed: int, cfg: float, steps: int) -> None:
    assert paint(
        text=text, negative=text, seed=seed, cfg=cfg, steps=steps, width=24, height=16
    ).shape == (16, 24, 3)


@given(st.sampled_from(sampling.SCHEDULERS), st.integers(1, 60), st.floats(0.01, 1.0))
def test_a_schedule_falls_to_zero_in_as_many_steps_as_asked(
    name: str, steps: int, denoise: float
) -> None:
    levels = sampling.schedule(name, steps, denoise)
    assert len(levels) == steps + 1
    assert levels[-1] == 0
    assert levels == sorted(levels, reverse=True)


def test_painting_takes_no_longer_than_a_test_can_bear() -> None:
    paint(width=512, height=512, steps=20)
    begin = time.perf_counter()
    paint(width=512, height=512, steps=20)
    assert time.perf_counter() - begin < 1.5  # about 0.07 s alone on a core


def test_a_saved_picture_carries_its_prompt_and_whatever_was_sent_along() -> None:
    async def ask() -> bytes:
        async with talking() as talk:
            extra = {"extra_pnginfo": {"workflow": {"id": "w1"}, "job": "7"}}
            prompt_id, _ = await talk.run(painting(steps=1), extra_data=extra)
            job = (await talk.http.get(f"/api/jobs/{prompt_id}")).json()
            assert job["workflow_id"] == "w1"
            return (await talk.http.get("/api/view?filename=test_00001_.png")).content

    image = Image.open(io.BytesIO(asyncio.run(ask())))
    assert image.size == (64, 64)
    assert json.loads(image.info["prompt"]) == painting(steps=1)
    assert json.loads(image.info["workflow"]) == {"id": "w1"}
    assert json.loads(image.info["job"]) == "7"


def test_pictures_are_numbered_past_those_already_there_and_never_replace_one(
    tmp_path: Path,
) -> None:
    async def run() -> list[str]:
        async with talking(output=tmp_path) as talk:
            names = []
            for seed in (1, 2):
                graph = painting(steps=1, seed=seed)
                graph["9"]["inputs"]["filename_prefix"] = "night/sky"
                prompt_id, _ = await talk.run(graph)
                file = (await talk.history(prompt_id))["outputs"]["9"]["images"][0]
                names.append(f"{file['subfolder']}/{file['filename']}")
            return names

    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "sky_00041_.png").write_bytes(b"another's")
    assert asyncio.run(run()) == ["night/sky_00042_.png", "night/sky_00043_.png"]
    assert (tmp_path / "night" / "sky_00041_.png").read_bytes() == b"another's"


def test_a_prefix_that_leads_out_fails_the_prompt_and_writes_nothing(tmp_path: Path) -> None:
    async def run() -> JSON:
        async with talking(output=tmp_path / "output") as talk:
            graph = painting(steps=1)
            graph["9"]["inputs"]["filename_prefix"] = "../escaped"
            prompt_id, _ = await talk.run(graph)
            return await talk.history(prompt_id)

    assert asyncio.run(run())["status"]["status_str"] == "error"
    assert list(tmp_path.rglob("*.png")) == []


def test_files_are_seen_only_inside_their_folders() -> None:
    async def ask() -> list[int]:
        async with talking() as talk:
            await talk.pixels(painting(steps=1))
            asked: list[dict[str, str]] = [
                {},
                {"filename": "../secret"},
                {"filename": "/etc/passwd"},
                {"filename": "passwd", "subfolder": "../../../etc"},
                {"filename": "test_00001_.png", "type": "models"},
                {"filename": "none.png"},
                {"filename": "test_00001_.png"},
            ]
            return [(await talk.http.get("/view", params=p)).status_code for p in asked]

    assert asyncio.run(ask()) == [404, 400, 400, 403, 400, 404, 200]


@pytest.mark.parametrize("asked", ["webp;90", "jpeg;80", "jpeg"])
def test_a_view_is_reencoded_but_not_resized(asked: str) -> None:
    async def ask() -> tuple[str, bytes]:
        async with talking() as talk:
            await talk.pixels(painting(steps=1))
            answer = await talk.http.get(
                "/view", params={"filename": "test_00001_.png", "preview": asked}
            )
            return answer.headers["Content-Type"], answer.content

    kind, data = asyncio.run(ask())
    assert kind == f"image/{asked.partition(';')[0]}"
    assert Image.open(io.BytesIO(data)).size == (64, 64)


def test_an_uploaded_picture_is_kept_offered_and_painted_over() -> None:
    async def ask() -> tuple[list[JSON], list[str], JSON, int]:
        async with talking() as talk:
            pictures = [await talk.pixels(painting(steps=1, seed=seed)) for seed in (1, 2)]
            stored = []
            for data in (pictures[0], pictures[0], pictures[1]):
                sent = {"image": ("../photo.png", data, "image/png")}
                stored.append((await talk.http.post("/upload/image", files=sent)).json())
            bad = {"image": ("p.png", pictures[0], "image/png")}
            refused = await talk.http.post("/upload/image", files=bad, data={"subfolder": "../.."})
            info = (await talk.http.get("/object_info/LoadImage")).json()
            graph = painting(steps=2)
            graph["3"]["inputs"] |= {"denoise": 0.4, "latent_image": ["11", 0]}
            graph["10"] = {"class_type": "LoadImage", "inputs": {"image": "photo.png"}}
            graph["11"] = {
                "class_type": "VAEEncode",
                "inputs": {"pixels": ["10", 0], "vae": ["4", 2]},
            }
            prompt_id, _ = await talk.run(graph)
            offered = info["LoadImage"]["input"]["required"]["image"][0]
            return stored, offered, await talk.history(prompt_id), refused.status_code

    stored, offered, entry, refused = asyncio.run(ask())
    assert [s["name"] for s in stored] == ["photo.png", "photo.png", "photo (1).png"]
    assert offered == ["photo (1).png", "photo.png"]
    assert entry["status"]["completed"] is True
    assert refused == 400
