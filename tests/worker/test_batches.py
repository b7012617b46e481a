"""A grid as a batch of jobs: planned, run, run again, paused, cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.errors import BudgetExceeded, ConfirmationNeeded, JobNotFound, RequestInvalid
from orchestrator.jobs import Status
from tests.worker.workshop import until, workshop

SMALL = {"width": 64, "height": 64, "steps": 2}


def test_a_plan_says_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            plan = shop.lab.grid(["cat", "dog"], cfg=[4, 7], seed=range(3), **SMALL)
            assert len(plan) == 12
            assert "12 jobs (2 prompt × 2 cfg × 3 seed)" in str(plan)
            assert "not known yet" in str(plan)
            assert "costs nothing" in str(plan)
            assert shop.lab.store.counts() == {}
            assert shop.lab.batches() == []

    asyncio.run(story())


def test_the_same_grid_again_makes_only_what_is_missing(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            lab = shop.lab
            async with lab.worker():
                batch = await lab.grid(["cat", "dog"], seed=range(3), **SMALL)
                await batch.wait(progress=False)
            jobs = batch.jobs()
            assert [job.status for job in jobs] == [Status.DONE] * 6
            assert [(job.prompt, job.params["seed"]) for job in jobs] == [
                (prompt, seed) for prompt in ("cat", "dog") for seed in range(3)
            ]
            lab.delete(jobs[4].id)
            again = lab.grid(["cat", "dog"], seed=range(3), **SMALL)
            assert [row.id for row in again.missing] == [jobs[4].id]
            assert again.seconds is not None
            assert "1 to make, 5 done" in str(again)
            await again.run()
            assert batch.progress().counts == {Status.DONE: 5, Status.QUEUED: 1}
            more = await lab.grid(["cat", "dog"], seed=range(4), name=batch.name, **SMALL)
            assert len(more) == 8
            assert batch.axes["seed"] == [0, 1, 2]
            assert lab.batch(batch.name).axes["seed"] == [0, 1, 2, 3]

    asyncio.run(story())


def test_two_runs_at_once_double_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            plans = [shop.lab.grid("cat", seed=range(20), **SMALL) for _ in range(3)]
            batches = await asyncio.gather(*(plan.run() for plan in plans))
            assert shop.lab.store.counts() == {Status.QUEUED: 20}
            assert {len(batch) for batch in batches} == {20}

    asyncio.run(story())


def test_a_grid_without_a_seed_varies_nothing_but_its_axes(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            batch = await shop.lab.grid("cat", cfg=[1, 2, 3], **SMALL)
            assert len({job.params["seed"] for job in batch.jobs()}) == 1
            other = await shop.lab.grid("cat", cfg=[1, 2, 3, 4], **SMALL)
            assert other.jobs()[0].params["seed"] != batch.jobs()[0].params["seed"]

    asyncio.run(story())


def test_wildcards_are_chosen_by_the_seed_of_each_row(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            batch = await shop.lab.grid("a {red|green|blue|grey} cat", seed=range(12), **SMALL)
            texts = [job.text for job in batch.jobs()]
            assert 1 < len(set(texts)) <= 4
            assert all("{" not in text for text in texts)

    asyncio.run(story())


def test_a_row_that_can_never_work_stops_the_batch_before_it_begins(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            with pytest.raises(RequestInvalid, match=r"in the row cfg=-3") as caught:
                shop.lab.grid("cat", cfg=[4, -3], **SMALL)
            assert caught.value.remedy
            assert shop.lab.store.counts() == {}

    asyncio.run(story())


def test_a_paid_batch_is_one_sum_that_is_confirmed_and_kept_to_its_budget(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            plan = shop.lab.grid("cat", backend="flux", seed=range(30))
            assert plan.usd > 1
            with pytest.raises(ConfirmationNeeded, match="30 requests"):
                await plan.run()
            with pytest.raises(BudgetExceeded):
                await plan.run(confirm=True, budget="0.50")
            assert shop.lab.store.counts() == {}
            assert shop.lab.batches() == []
            await plan.run(confirm=True, budget="5")
            assert shop.lab.store.counts() == {Status.QUEUED: 30}

    asyncio.run(story())


def test_a_paused_batch_waits_while_others_go_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            lab = shop.lab
            held = await lab.grid("cat", seed=range(3), name="held", **SMALL)
            held.pause()
            assert held.progress().paused_since is not None
            async with lab.worker():
                free = await lab.grid("dog", seed=range(3), name="free", **SMALL)
                await free.wait(progress=False)
                assert held.progress().counts == {Status.QUEUED: 3}
                held.resume()
                await held.wait(progress=False, timeout_s=20)
            assert held.progress().counts == {Status.DONE: 3}

    asyncio.run(story())


def test_a_cancelled_batch_goes_on_where_it_was_when_it_is_run_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            lab = shop.lab
            batch = await lab.grid("cat", seed=range(4), **SMALL)
            assert batch.cancel() == 4
            assert batch.progress().is_over
            assert lab.grid("cat", seed=range(4), **SMALL).counts == {"cancelled": 4}
            await lab.grid("cat", seed=range(4), **SMALL)
            async with lab.worker():
                await batch.wait(progress=False)
            assert batch.progress().counts == {Status.DONE: 4}

    asyncio.run(story())


def test_failed_jobs_of_a_batch_are_retried_together(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            lab = shop.lab
            batch = await lab.grid("cat", seed=range(2), checkpoint="no-such.safetensors", **SMALL)
            async with lab.worker():
                await batch.wait(progress=False)
                assert batch.progress().counts == {Status.FAILED: 2}
                assert batch.progress().failed_share == 1
                assert batch.retry_failed() == 2
                await until(lambda: batch.progress().is_over)
            assert [job.retried_count for job in batch.jobs()] == [1, 1]

    asyncio.run(story())


def test_the_frame_begins_with_the_axes(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            rows = [{"prompt": "cat", "steps": 3}, {"prompt": "dog", "steps": 4}]
            batch = await shop.lab.grid(rows_from=rows, cfg=[4, 7], width=64, height=64)
            frame = batch.frame()
            assert list(frame.columns[:3]) == ["prompt", "steps", "cfg"]
            assert frame["steps"].tolist() == [3, 3, 4, 4]
            assert frame["status"].tolist() == ["queued"] * 4
            shop.lab.delete(shop.lab.cancel(batch.jobs()[0].id).id)
            assert len(batch.frame()) == 3
            assert batch.progress().removed == 1

    asyncio.run(story())


def test_a_batch_that_is_not_there_or_makes_no_sense_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(tmp_path) as shop:
            with pytest.raises(JobNotFound, match="no batch 'nope'"):
                shop.lab.batch("nope")
            await shop.lab.grid("cat", name="good", **SMALL)
            (shop.lab.paths.data / "batches" / "bad.json").write_text("{")
            assert [batch.name for batch in shop.lab.batches()] == ["good"]

    asyncio.run(story())
