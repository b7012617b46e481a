"""How many jobs a service has at once, across workers; and what a watcher sees meanwhile."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from workshop import Workshop, in_loop, until, workshop

from orchestrator.engine import Engine
from orchestrator.jobs import Progress, Status


@asynccontextmanager
async def watching_queues(engines: list[Engine]) -> AsyncIterator[list[int]]:
    """The longest queue each engine has had so far, running prompt included."""
    longest = [0 for _ in engines]

    async def look() -> None:
        while True:
            for n, engine in enumerate(engines):
                longest[n] = max(longest[n], engine.queue.remaining())
            await asyncio.sleep(0.002)

    task = asyncio.create_task(look())
    try:
        yield longest
    finally:
        task.cancel()


@in_loop
async def test_a_server_never_has_more_than_two_jobs_of_all_workers(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        shop.engine.faults.step_delay_s = 0.02
        handles = [await shop.submit(f"fox {n}") for n in range(16)]
        async with watching_queues(shop.engines) as longest, shop.worker(), shop.worker():
            jobs = await shop.ended(*handles)
    assert [job.status for job in jobs] == [Status.DONE] * 16
    assert longest == [2]


@in_loop
async def test_jobs_spread_over_the_servers_there_are(tmp_path: Path) -> None:
    async with workshop(tmp_path, engines=2) as shop:
        for engine in shop.engines:
            engine.faults.step_delay_s = 0.02
        handles = [await shop.submit(f"fox {n}") for n in range(16)]
        async with watching_queues(shop.engines) as longest, shop.worker():
            await shop.ended(*handles)
    assert max(longest) <= 2
    shares = [len(engine.ledger.entries) for engine in shop.engines]
    assert sum(shares) == 16
    assert min(shares) >= 4


@in_loop
async def test_an_account_never_has_more_than_24_tasks_of_all_workers(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        shop.bfl.picture_s = 2.5
        handles = [await shop.paid(f"fox {n}") for n in range(30)]
        async with shop.worker(bfl_poll_s=0.6), shop.worker(bfl_poll_s=0.6):
            jobs = await shop.ended(*handles)
    assert [job.status for job in jobs] == [Status.DONE] * 30
    assert shop.bfl.most_active == 24
    assert shop.bfl.requests["submit"] == 30  # nobody was turned away


async def follow(shop: Workshop, job_id: str) -> list[tuple[float, Progress]]:
    """Every progress of a job that a reader sees, with its time, until the job has ended."""
    seen: list[tuple[float, Progress]] = []
    with shop.lab.changes(job_id) as changed:
        while not shop.lab.store.get(job_id).is_terminal:
            changed.clear()
            progress = shop.lab.store.progress.read(job_id)
            if progress and (not seen or progress != seen[-1][1]):
                seen.append((time.monotonic(), progress))
            try:
                await asyncio.wait_for(changed.wait(), 0.02)
            except TimeoutError:
                continue
    return seen


@in_loop
async def test_progress_and_previews_are_seen_while_it_runs_four_times_a_second_at_most(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.step_delay_s = 0.02
        handle = await shop.submit(steps=80)
        seen = await follow(shop, handle.id)
        revision = shop.now(handle).revision
        # nothing is left of it
        await until(lambda: shop.lab.store.progress.read(handle.id) is None)
    fractions = [progress.fraction for _, progress in seen]
    assert len(seen) >= 3
    assert fractions == sorted(fractions)
    assert any(0 < fraction < 1 for fraction in fractions)
    assert any(progress.preview for _, progress in seen)
    assert any(progress.steps == 80 for _, progress in seen)
    took_s = seen[-1][0] - seen[0][0]
    assert len(seen) <= 4 * took_s + 2
    assert revision <= 5  # progress is not written into the job's file


@in_loop
async def test_a_worker_keeps_the_loop_free_for_others(tmp_path: Path) -> None:
    # the services run elsewhere, as they do in life: only the worker's own work is in this loop
    async with workshop(tmp_path) as shop:
        process = await asyncio.to_thread(shop.lab.start_engine)
        try:
            lab = shop.lab
            lab.settings = lab.settings.model_copy(update={"comfy_url": process.url})
            handles = [await shop.submit(f"fox {n}", width=512, height=512) for n in range(6)]
            async with shop.worker():
                await until(lambda: shop.now(handles[0]).status is Status.DONE)
                longest_s: dict[int, float] = {}  # while so many had ended
                while (ended := sum(shop.now(handle).is_terminal for handle in handles)) < 6:
                    began = time.monotonic()
                    await asyncio.sleep(0.005)
                    held_s = time.monotonic() - began - 0.005
                    longest_s[ended] = max(longest_s.get(ended, 0.0), held_s)
        finally:
            await asyncio.to_thread(lab.stop_engine, process)
    # what it does for a job it does for each; what others do on this machine comes and goes
    assert statistics.median(longest_s.values()) < 0.1
