"""A worker makes what was asked for: pictures that know how they were made, in the right order."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
from PIL import Image
from workshop import in_loop, workshop

from orchestrator.images import sidecar
from orchestrator.jobs import Phase, Status, prompt_id


def pixels(path: Path) -> bytes:
    with Image.open(path) as picture:
        return picture.tobytes()


@in_loop
async def test_a_picture_carries_its_recipe_inside_and_beside_it(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        job = await shop.end(await shop.submit("a fox in the snow", seed=7))
    assert job.status is Status.DONE
    assert [attempt.phase for attempt in job.attempts] == [Phase.PUBLISHED]
    path = Path(job.result.file)
    assert path.parent == shop.images
    with Image.open(path) as picture:
        assert picture.size == (64, 64)
        inside = json.loads(picture.text["orchestrator"])
        workflow = json.loads(picture.text["prompt"])
    beside = orjson.loads(sidecar(path).read_bytes())
    for recipe in (inside, beside):
        assert recipe["jobId"] == job.id
        assert recipe["prompt"] == "a fox in the snow"
        assert recipe["seed"] == 7
        assert recipe["host"] == shop.engine.url
    texts = [node["inputs"].get("text") for node in workflow.values()]
    assert "a fox in the snow" in texts


@in_loop
async def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        handles = [await shop.submit(seed=seed) for seed in (5, 5, 6)]
        first, again, other = await shop.ended(*handles)
    assert pixels(Path(first.result.file)) == pixels(Path(again.result.file))
    assert pixels(Path(first.result.file)) != pixels(Path(other.result.file))


@in_loop
async def test_a_batch_gives_a_picture_for_each_of_its_places(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        job = await shop.end(await shop.submit(batch_size=3))
    assert len(set(job.result.files)) == 3
    assert all(Path(file).is_file() for file in job.result.files)
    assert job.result.file == job.result.files[0]


@in_loop
async def test_the_most_urgent_job_is_taken_first_then_the_oldest(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        priorities = {"first": 0, "second": 0, "urgent": 5, "rather": 1}
        handles = [await shop.submit(name, priority=p) for name, p in priorities.items()]
        async with shop.worker():
            jobs = await shop.ended(*handles)
    begun = [job.prompt for job in sorted(jobs, key=lambda job: job.started_at)]
    assert begun == ["urgent", "rather", "first", "second"]


@in_loop
async def test_a_draft_is_left_alone_until_it_is_run(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        draft = await shop.submit("a draft", hold=True)
        await shop.end(await shop.submit("another"))  # the worker has looked at the queue
        assert shop.now(draft).status is Status.CREATED
        shop.lab.run(draft.id)
        assert (await shop.end(draft)).status is Status.DONE


def old_file(shop: object, name: str, **fields: object) -> None:
    """A job file as the old system's panel wrote it."""
    document = {
        "id": name,
        "status": "created",
        "backend": "sd15",
        "prompt": "a majestic eagle",
        "params": {"width": 64, "height": 64, "steps": 1},
        "createdAt": "2025-10-20T13:25:19.540Z",
        "logs": [],
        **fields,
    }
    path = shop.lab.paths.jobs / f"{name}.json"  # type: ignore[attr-defined]
    path.write_text(json.dumps(document, indent=2))


@in_loop
async def test_a_file_of_the_old_system_dropped_into_the_folder_is_run(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        old_file(shop, "d888cd70-fda8-4a29-98b1-a316c3e8307b", requestedBy="the old panel")
        job = await shop.end(shop.lab.job("d888cd70"))
        file = shop.lab.paths.jobs / f"{job.id}.json"
        assert orjson.loads(file.read_bytes())["requestedBy"] == "the old panel"
    assert job.status is Status.DONE
    assert Path(job.result.file).is_file()
    assert shop.engine.ledger.count(prompt_id(job.id, 1)) == 1


@in_loop
async def test_a_file_with_an_unknown_backend_is_told_so(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        old_file(shop, "0000aaaa", backend="dalle")
        job = await shop.end(shop.lab.job("0000aaaa"))
    assert job.status is Status.FAILED
    assert job.failure.message == "Invalid backend"
    assert "sd15" in job.failure.remedy
    assert job.result.error == "Invalid backend"


@in_loop
async def test_a_file_with_parameters_that_cannot_be_is_told_which(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        old_file(shop, "0000bbbb", params={"width": 63, "stepps": 3})
        job = await shop.end(shop.lab.job("0000bbbb"))
    assert job.status is Status.FAILED
    assert "63" in job.failure.message
    assert "stepps" in job.failure.message
    assert shop.engine.ledger.entries == []
