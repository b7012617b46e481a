"""A lab on a cluster: what is told, what is not there, who is killed, and what no worker ever sees."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from clusters import TOKEN, Ground, at_work, seen
from contract import EXPECTED, PLACES, scenarios, stage
from lengths import LONG
from PIL import Image
from workshop import KEY, QUICK_JOB, in_loop, until, workshop

from orchestrator.cluster import storage as shared
from orchestrator.cluster.admin import listed, retire
from orchestrator.errors import SettingsInvalid, StorageFailed
from orchestrator.jobs import Phase, Status, prompt_id
from orchestrator.lab import Lab
from orchestrator.store import Kind
from orchestrator.testing import make_lab

PROMPT = "an unmistakable okapi on a trampoline"
STEP_S = 0.1


def begun(ground: Ground, job_id: str) -> int:
    """How often engines began to paint a job."""
    ids = {prompt_id(job_id, number) for number in range(1, 10)}
    return sum(e.prompt_id in ids for engine in ground.engines for e in engine.ledger.entries)


@in_loop
async def test_progress_and_previews_come_from_the_worker(tmp_path: Path, ground: Ground) -> None:
    async with ground.lab(tmp_path) as shop:
        ground.faults.step_delay_s = STEP_S
        handle = await shop.submit(steps=20)
        said = shop.lab.store.progress
        await until(lambda: (now := said.read(handle.id)) is not None and now.preview)
        now = said.read(handle.id)
        ground.faults.step_delay_s = 0.0
        assert now is not None
        assert (now.steps, now.text) == (20, "sampling")
        assert 0.0 < now.fraction < 1.0
        job = await shop.end(handle)
        places = {each.place for each in seen(shop.service)}
    assert job.status is Status.DONE
    assert job.attempts[0].host in places
    assert job.attempts[0].phase is Phase.PUBLISHED
    assert str(KEY) not in job.to_json().decode()


@in_loop
async def test_a_lab_opened_on_a_cluster_makes_its_pictures_there(
    tmp_path: Path, ground: Ground
) -> None:
    make_lab(tmp_path / "lab").close()
    with Lab.open(tmp_path / "lab", cluster=ground.here.address) as lab:
        async with lab.worker():
            job = (await (await lab.generate("a fox", **QUICK_JOB)).wait(timeout_s=30)).job
    assert job.status is Status.DONE
    assert job.attempts[0].host.rpartition(":")[2] in {
        url.rpartition(":")[2] for url in ground.urls
    }


def test_an_address_that_is_no_scheduler_is_refused(tmp_path: Path) -> None:
    make_lab(tmp_path / "lab").close()
    with pytest.raises(SettingsInvalid, match="not the address of a Dask scheduler"):
        Lab.open(tmp_path / "lab", cluster="http://127.0.0.1:8188")


@in_loop
async def test_input_pictures_travel_to_the_worker(tmp_path: Path, ground: Ground) -> None:
    async with ground.lab(tmp_path) as shop:
        for name, colour in (("fox.png", "red"), ("mask.png", "white")):
            Image.new("RGB", (64, 64), colour).save(shop.lab.paths.drop_in / name)
        plain, changed = await shop.ended(
            await shop.submit(image="fox.png", denoise=0.3),
            await shop.submit(image="fox.png", mask="mask.png", denoise=0.3),
        )
    assert plain.status is changed.status is Status.DONE


@in_loop
async def test_what_no_worker_has_is_told_at_once_and_runs_when_one_has(
    tmp_path: Path, ground: Ground
) -> None:
    async with ground.lab(tmp_path) as shop:
        handle = await shop.submit(checkpoint="nobody-has-this.safetensors")
        await until(lambda: shop.now(handle).is_held)
        job = shop.now(handle)
        assert job.failure is not None
        assert job.failure.kind == "no_worker"
        assert "model:nobodyhasthis" in job.failure.message
        assert "orchestrator cluster worker" in job.failure.remedy
        assert job.attempts == []
        assert (await shop.end(await shop.submit())).status is Status.DONE  # the others go on
        limits = [lane.limit for lane in shop.service.lanes(Kind("sd15"))]
    assert limits == [2 * len(ground.engines)]


@pytest.mark.skipif(
    not LONG, reason="what is killed in test_every_job_ends_the_same_... shows most of it"
)
@in_loop
async def test_jobs_of_killed_workers_are_all_done_and_published_once(
    tmp_path: Path, ground: Ground
) -> None:
    async with ground.lab(tmp_path) as shop:
        ground.faults.step_delay_s = 0.03
        handles = [await shop.submit(seed=seed, steps=4) for seed in range(24)]
        for number in range(2):
            await until(lambda: any(shop.now(h).status is Status.RUNNING for h in handles))
            await asyncio.sleep(0.15)
            ground.kill(number)
            await asyncio.to_thread(ground.revive, number)
        jobs = await shop.ended(*handles)
        ground.faults.step_delay_s = 0.0
        names = Counter(path.name for path in shop.images.glob("*.png"))
    assert [job.status for job in jobs] == [Status.DONE] * 24
    assert [len(job.attempts) for job in jobs] == [1] * 24  # a death is no attempt
    assert len(names) == 24
    assert sum(begun(ground, job.id) for job in jobs) <= 24 + 2 * 2  # what ran, or was fetched


@in_loop
async def test_the_lab_carries_on_when_the_scheduler_is_back(
    tmp_path: Path, ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    async with ground.lab(tmp_path) as shop:
        ground.faults.step_delay_s = STEP_S
        handles = [await shop.submit(seed=seed, steps=20) for seed in range(5)]
        await asyncio.gather(*(shop.painting(handle) for handle in handles[:3]))
        ground.here.scheduler.kill()
        await until(lambda: "orchestrator cluster scheduler --port" in caplog.text)
        late = await shop.submit(seed=9)
        assert shop.now(late).attempts == []
        await asyncio.to_thread(ground.start_scheduler)
        ground.faults.step_delay_s = 0.0
        jobs = await shop.ended(*handles, late)
    assert [job.status for job in jobs] == [Status.DONE] * 6
    assert [len(job.attempts) for job in jobs] == [1] * 6
    # found at the servers, not painted again
    assert [begun(ground, job.id) for job in jobs] == [1] * 6
    assert len(list(shop.images.glob("*.png"))) == 6


@in_loop
async def test_a_new_worker_of_the_lab_adopts_what_the_one_before_left_on_the_cluster(
    tmp_path: Path, ground: Ground
) -> None:
    async with ground.lab(tmp_path) as shop:
        ground.faults.step_delay_s = STEP_S
        handle = await shop.submit(steps=30)
        await shop.painting(handle)
        await until(lambda: shop.now(handle).attempts[0].phase is Phase.SUBMITTED)
    job = shop.now(handle)
    assert job.status is Status.QUEUED
    assert job.open_attempt is not None
    async with ground.lab(tmp_path) as shop:
        await until(lambda: shop.now(handle).status is Status.RUNNING)
        ground.faults.step_delay_s = 0.0
        await until(lambda: shop.now(handle).is_terminal)
        job = shop.now(handle)
    assert job.status is Status.DONE
    assert begun(ground, job.id) == 1


@in_loop
async def test_prompts_whose_servers_nobody_had_noted_are_found_there_and_not_painted_again(
    tmp_path: Path, ground: Ground
) -> None:
    async with ground.lab(tmp_path) as shop:
        ground.faults.step_delay_s = STEP_S
        handles = [await shop.submit(seed=seed, steps=30) for seed in range(3)]
        await until(lambda: all(begun(ground, handle.id) for handle in handles))
    hosts = []
    # as if the lab had died in the quarter of a second before it was told; and the last comes first now
    unknown = {"phase": Phase.INTENT, "host": ground.here.address}
    for number, handle in enumerate(handles):
        hosts.append(shop.now(handle).attempts[0].host)
        last = {"priority": number}
        shop.lab.store.update(
            handle.id, lambda job, last=last: job.with_attempt(**unknown).having(**last)
        )
    async with ground.lab(tmp_path) as shop:
        await until(lambda: all(shop.now(h).status is Status.RUNNING for h in handles))
        ground.faults.step_delay_s = 0.0
        await until(lambda: all(shop.now(handle).is_terminal for handle in handles))
        jobs = [shop.now(handle) for handle in handles]
    assert [job.status for job in jobs] == [Status.DONE] * 3
    assert [begun(ground, job.id) for job in jobs] == [1] * 3
    assert [job.attempts[0].host for job in jobs] == hosts


@in_loop
async def test_which_server_a_picture_came_from_is_noted_however_soon_it_was_done(
    tmp_path: Path, ground: Ground
) -> None:
    ports = {url.rpartition(":")[2] for url in ground.urls}
    async with ground.lab(tmp_path) as shop:
        jobs = await shop.ended(*[await shop.submit(seed=seed) for seed in range(12)])
    assert {job.attempts[0].host.rpartition(":")[2] for job in jobs} <= ports
    assert all(f"promptId: {job.attempts[0].remote_id} at " in "".join(job.logs) for job in jobs)


@in_loop
async def test_pictures_pass_through_the_shared_storage_and_are_gone_from_it(
    tmp_path: Path, ground: Ground
) -> None:
    place = tmp_path / "shared"
    async with ground.lab(tmp_path, storage=place.as_uri()) as shop:
        jobs = await shop.ended(*[await shop.submit(seed=n, batch_size=2) for n in range(3)])
    assert [len(job.result.files) for job in jobs] == [2, 2, 2]
    assert len(list(shop.images.glob("*.png"))) == 6
    assert place.is_dir()  # it was used
    assert [path for path in place.rglob("*") if path.is_file()] == []


def test_storage_in_memory_keeps_each_file_under_a_name_of_its_own() -> None:
    storage = "memory://lab-pictures"
    first, second = shared.put(storage, "job-1", [b"one", b"two"])
    (again,) = shared.put(storage, "job-1", [b"one, once more"])
    assert [shared.get(each, storage=storage) for each in (first, second, again)] == [
        b"one",
        b"two",
        b"one, once more",
    ]
    shared.clear(storage, "job-1")
    with pytest.raises(StorageFailed):
        shared.get(first, storage=storage)


def test_a_worker_cannot_name_a_file_outside_the_storage(tmp_path: Path) -> None:
    secret = tmp_path / "paths.json"
    secret.write_text("{}")
    storage = (tmp_path / "shared").as_uri()
    for address in (secret.as_uri(), f"{storage}/../paths.json"):
        with pytest.raises(StorageFailed, match="outside"):
            shared.get(address, storage=storage)


@in_loop
async def test_no_key_reaches_a_worker_nor_its_log(
    tmp_path: Path, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BFL_API_KEY", KEY)
    monkeypatch.setenv("ORCHESTRATOR_TOKEN", TOKEN)
    async with ground.lab(tmp_path) as shop:
        await shop.ended(*[await shop.submit(PROMPT, seed=seed) for seed in range(6)])
        seen_there = 0
        for process in [*ground.here.workers, ground.here.scheduler]:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            memory = _memory(process.pid)
            for secret in (KEY.encode(), TOKEN.encode()):
                assert secret not in environment
                assert secret not in memory
            seen_there += PROMPT.encode() in memory
        assert seen_there >= 2  # what they are sent is found
    logs = b"".join(path.read_bytes() for path in ground.here.folder.iterdir())
    assert KEY.encode() not in logs
    assert TOKEN.encode() not in logs


def _memory(pid: int) -> bytes:
    """All that a process has on its heap: what it was ever sent may lie there."""
    found = []
    process = Path(f"/proc/{pid}")
    with (process / "mem").open("rb", 0) as memory:
        for line in (process / "maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if "rw" not in rights or "[v" in line:
                continue
            begin, end = (int(each, 16) for each in span.split("-"))
            if end - begin > 64_000_000:
                continue
            try:
                memory.seek(begin)
                found.append(memory.read(end - begin))
            except OSError:
                continue
    return b"".join(found)


@pytest.mark.parametrize("place", PLACES)
def test_every_job_ends_the_same_wherever_its_attempts_run(
    tmp_path: Path, place: str, ground: Ground
) -> None:
    found: dict[str, list[tuple[Status, int, str | None]]] = {}

    @in_loop
    async def run() -> None:
        async with stage(tmp_path, place, ground) as on:
            for scenario in scenarios(place):
                jobs = await scenario(on)
                found[scenario.__name__] = [
                    (job.status, len(job.attempts), job.failure.kind if job.failure else None)
                    for job in jobs
                ]
                pictures = [file for job in jobs if job.result for file in job.result.files]
                done = [job for job in jobs if job.status is Status.DONE]
                assert len(set(pictures)) == len(pictures) == len(done)
            there = list(on.shop.images.glob("*.png"))
            assert len(there) == sum(
                status is Status.DONE for told in found.values() for status, _, _ in told
            )

    run()
    assert found == {
        scenario.__name__: said for scenario, said in EXPECTED.items() if scenario.__name__ in found
    }


@in_loop
async def test_retired_workers_finish_what_they_have_and_a_killed_ones_prompt_is_adopted_by_the_next(
    tmp_path: Path, ground: Ground
) -> None:
    async with ground.lab(tmp_path) as shop:
        ground.faults.step_delay_s = STEP_S
        handles = [await shop.submit(seed=seed, steps=8) for seed in range(9)]
        await until(lambda: all(engine.ledger.entries for engine in ground.engines))
        await until(lambda: sum(shop.now(h).attempts != [] for h in handles) == 6)
        first, second = ground.here.workers[0], ground.here.workers[1]
        first.signal(signal.SIGTERM)
        place = next(
            each.place
            for each in await listed(ground.here.address)
            if each.place.endswith(ground.urls[1].rpartition(":")[2])
        )
        assert await retire(ground.here.address, place) == 1
        jobs = await shop.ended(*handles)
        await until(lambda: not first.is_alive and not second.is_alive)
        # one worker only is left: its successor gets the task
        await until(lambda: len(seen(shop.service)) == 1)
        handle = await shop.submit(steps=60)
        await shop.painting(handle)
        ground.kill(2)
        await until(lambda: not seen(shop.service))
        await asyncio.to_thread(ground.revive, 2)
        await until(lambda: bool(seen(shop.service)))
        ground.faults.step_delay_s = 0.0
        adopted = await shop.end(handle)
    assert [job.status for job in jobs] == [Status.DONE] * 9
    assert [len(job.attempts) for job in jobs] == [1] * 9
    assert [begun(ground, job.id) for job in jobs] == [1] * 9  # nothing was cut off and begun again
    assert (first.stop(), second.stop()) == (0, 0)
    assert (adopted.status, len(adopted.attempts)) == (Status.DONE, 1)
    assert begun(ground, adopted.id) == 1


@in_loop
async def test_a_worker_with_an_engine_of_its_own_and_one_that_is_unplugged(
    tmp_path: Path, left: Ground
) -> None:
    there = [worker for worker in left.here.workers if worker.is_alive]
    own, unplugged = left.here.add(step_ms=100), there[0]
    try:
        await asyncio.to_thread(own.said)
        async with (
            workshop(tmp_path / "lab", comfy_url="http://127.0.0.1:9") as shop,
            at_work(shop, left.here.address) as (_, service),
        ):
            await until(lambda: len(seen(service)) == len(there) + 1)
            left.faults.step_delay_s = STEP_S
            handles = [await shop.submit(seed=seed, steps=5) for seed in range(12)]
            places = 2 * (len(there) + 1)
            await until(lambda: sum(shop.now(h).attempts != [] for h in handles) >= places)
            unplugged.signal(signal.SIGSTOP)  # its connections stay open, and nothing comes
            began = time.monotonic()
            jobs = await shop.ended(*handles)
            took_s = time.monotonic() - began
        assert [job.status for job in jobs] == [Status.DONE] * 12
        assert len(list(shop.images.glob("*.png"))) == 12
        hosts = {job.attempts[-1].host.rpartition(":")[2] for job in jobs}
        assert hosts - {url.rpartition(":")[2] for url in left.urls}, "its own engine painted"
        assert took_s < 25
    finally:
        unplugged.kill()
        left.here.workers.remove(own)
        code = await asyncio.to_thread(own.stop)
    assert code == 0
