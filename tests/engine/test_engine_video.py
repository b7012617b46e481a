"""Videos of pictures: frames that move gently, in a file that any program opens."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from itertools import pairwise
from typing import Any

import numpy as np
import psutil
import pytest
from engine_graphs import Graph, apart, node, png, put, scene, still_and_video, video
from engine_talk import painting, talking
from lengths import LONG
from PIL import Image

from orchestrator.engine import CHECKPOINTS, latent, motion, sampling, wording
from orchestrator.engine.weights import Model, Vae

JSON = Any
dialects = pytest.mark.parametrize("dialect", ["0.3.64", "0.27"])


def photo(height: int = 80, width: int = 128) -> np.ndarray:
    """Soft shapes and a few edges, as a picture has."""
    y, x = np.mgrid[:height, :width] / np.float32(width)
    waves = [np.sin(9 * x + 4 * y), np.sin(5 * y - 3 * x), np.cos(12 * x * y)]
    return np.stack([(110 + 100 * w) for w in waves], -1).astype(np.uint8)


def filmed(
    graph: Graph, *, extra: JSON = None, dialect: str = "0.27"
) -> tuple[bytes, dict[str, JSON]]:
    """The file that a graph's SaveAnimatedWEBP made, and what the history says of the prompt."""

    async def main() -> tuple[bytes, dict[str, JSON]]:
        async with talking(dialect=dialect) as talk:
            if "20" in graph:
                await put(talk, "photo.png", png(photo()))
            body = {"extra_data": {"extra_pnginfo": extra}} if extra else {}
            prompt_id, _ = await talk.run(graph, **body)
            entry = await talk.history(prompt_id)
            assert entry["status"]["completed"], entry["status"]["messages"][-1]
            file = entry["outputs"]["35"]["images"][0]
            answer = await talk.http.get("/view", params=file)
            assert answer.headers["Content-Type"] == "image/webp"
            return answer.content, entry

    return asyncio.run(main())


def of_photo(**changes: JSON) -> Graph:
    return {"20": node("LoadImage", image="orchestrator/photo.png")} | video(["20", 0], **changes)


def count(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def frames_of(data: bytes) -> tuple[list[np.ndarray], list[int]]:
    """Pictures and how long each is shown, in milliseconds."""
    with Image.open(io.BytesIO(data)) as image:
        pictures, shown = [], []
        for index in range(count(image)):
            image.seek(index)
            pictures.append(np.asarray(image.convert("RGB")).astype(int))
            shown.append(int(image.info["duration"]))
        return pictures, shown


@dialects
def test_a_video_is_told_as_an_animated_picture_and_opens(dialect: str) -> None:
    data, entry = filmed(of_photo(frames=5, fps=8.0), dialect=dialect)
    assert entry["outputs"]["35"] == {
        "images": [{"filename": "vid_00001_.webp", "subfolder": "", "type": "output"}],
        "animated": [True],
    }
    pictures, shown = frames_of(data)
    assert len(pictures) == 5
    assert {picture.shape for picture in pictures} == {(80, 128, 3)}
    assert shown == [125] * 5


def test_the_first_frame_is_the_picture_and_each_later_one_a_little_further() -> None:
    pictures, _ = frames_of(filmed(of_photo(frames=6))[0])
    far = [apart(picture, photo()) for picture in pictures]
    assert far[0] < 4
    assert far == sorted(far)
    assert all(apart(a, b) < 12 for a, b in pairwise(pictures))


def test_the_motion_bucket_says_how_much_moves() -> None:
    travelled = []
    for bucket in (1, 127, 600):
        pictures, _ = frames_of(filmed(of_photo(frames=4, motion=bucket))[0])
        travelled.append(apart(pictures[0], pictures[-1]))
    assert travelled == sorted(travelled)
    assert travelled[0] < 0.5 * travelled[1] < 0.5 * travelled[2]


def test_the_same_request_gives_the_same_file_and_another_seed_another_way() -> None:
    first, again, other = (filmed(of_photo(frames=3, seed=seed))[0] for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_still_painted_from_words_is_set_in_motion_in_one_prompt() -> None:
    data, _ = filmed(still_and_video(frames=3))
    pictures, _ = frames_of(data)
    assert len(pictures) == 3
    assert pictures[0].std() > 10


def test_one_frame_is_not_animated() -> None:
    _, entry = filmed(of_photo(frames=1))
    assert entry["outputs"]["35"]["animated"] == [False]


def test_lossy_is_smaller_than_lossless() -> None:
    sizes = [len(filmed(of_photo(frames=3, lossless=flag))[0]) for flag in (True, False)]
    assert sizes[1] < 0.7 * sizes[0]


def test_the_file_carries_its_workflow_as_a_real_server_writes_it() -> None:
    graph = of_photo(frames=2)
    data, _ = filmed(graph, extra={"workflow": {"id": "w1"}, "job": "7"})
    exif = Image.open(io.BytesIO(data)).getexif()
    name, _, text = exif[0x0110].partition(":")
    assert (name, json.loads(text)) == ("prompt", graph)
    assert exif[0x010F] == 'workflow:{"id": "w1"}'
    assert exif[0x010E] == 'job:"7"'


def test_no_frame_shows_what_is_outside_the_picture() -> None:
    white = np.full((80, 128, 3), 255, np.uint8)
    for bucket in (1, 127, 1023):
        for seed in range(6):
            film = motion.frames(motion.Video(white, bucket, 6, 0.0), 12, seed=seed)
            assert all((frame == 255).all() for frame in film)


def test_guidance_that_grows_along_the_frames_leaves_the_last_as_it_was() -> None:
    asked = motion.Video(photo(), 127, 6, 0.3)
    start = latent.empty(128, 80, 4)

    def frames(min_cfg: float | None) -> np.ndarray:
        model = Model(CHECKPOINTS[4], min_cfg=min_cfg)
        request = sampling.Request(
            (wording.nothing(asked),), (), 1, 3, 6.0, "euler", "karras", model=model
        )
        done = sampling.sample(request, start, on_step=lambda *told: None)
        return latent.decoded(done, Vae("")).astype(int)

    even, growing = frames(None), frames(1.0)
    assert apart(even[0], growing[0]) > 0.1
    assert np.array_equal(even[-1], growing[-1])


def test_augmentation_takes_the_picture_more_freely() -> None:
    graphs = [of_photo(frames=2), of_photo(frames=2)]
    graphs[1]["31"]["inputs"]["augmentation_level"] = 1.0
    near, far = (frames_of(filmed(graph)[0])[0][0] for graph in graphs)
    assert apart(near, photo()) < 0.5 * apart(far, photo())


def test_a_picture_of_other_proportions_is_cut_around_its_middle() -> None:
    async def main() -> np.ndarray:
        async with talking() as talk:
            tall = np.repeat(np.arange(200, dtype=np.uint8)[:, None, None], 128, 1).repeat(3, 2)
            name = await put(talk, "tall.png", png(tall))
            graph = {"20": node("LoadImage", image=name)} | video(["20", 0], frames=1)
            prompt_id, _ = await talk.run(graph)
            file = (await talk.history(prompt_id))["outputs"]["35"]["images"][0]
            data = (await talk.http.get("/view", params=file)).content
            return frames_of(data)[0][0]

    rows = asyncio.run(main()).mean((1, 2))
    assert abs(rows[0] - 60) < 8
    assert abs(rows[-1] - 139) < 8


def test_an_animated_picture_is_loaded_as_a_batch() -> None:
    async def main() -> int:
        async with talking() as talk:
            buffer = io.BytesIO()
            first, *others = (Image.fromarray(np.roll(scene(), 8 * i, 0)) for i in range(3))
            first.save(buffer, "WEBP", save_all=True, append_images=others, lossless=True)
            name = await put(talk, "film.webp", buffer.getvalue())
            graph = {
                "1": node("LoadImage", image=name),
                "2": node("PreviewImage", images=["1", 0]),
            }
            prompt_id, _ = await talk.run(graph)
            return len((await talk.history(prompt_id))["outputs"]["2"]["images"])

    assert asyncio.run(main()) == 3


def test_large_frames_take_neither_much_memory_nor_much_time() -> None:
    frames = 25 if LONG else 8
    process = psutil.Process()
    before, peak, done = process.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.perf_counter()
    try:
        graph = of_photo(frames=frames, width=1024, height=576, lossless=False)
        data, _ = filmed(graph)
    finally:
        done.set()
        watcher.join()
    taken_s = time.perf_counter() - begin
    with Image.open(io.BytesIO(data)) as image:
        assert (count(image), image.size) == (frames, (1024, 576))
    assert taken_s < frames  # a sixth of a second each, alone
    assert peak[0] - before < frames * 16 * 2**20


def test_a_painting_by_itself_is_not_a_video() -> None:
    async def main() -> JSON:
        async with talking() as talk:
            prompt_id, _ = await talk.run(painting(steps=1))
            return (await talk.history(prompt_id))["outputs"]["9"]

    assert list(asyncio.run(main())) == ["images"]
