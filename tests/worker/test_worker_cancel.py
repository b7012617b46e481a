"""A user's cancel works wherever the job is, and costs no more than was spent already."""

from __future__ import annotations

import threading
from pathlib import Path

from workshop import in_loop, until, workshop

from orchestrator.connectors.comfyui import Timing
from orchestrator.files import Disk
from orchestrator.jobs import Job, Status
from orchestrator.testing import Fault, HttpStatus

SLOW_STEPS = {"steps": 100}


@in_loop
async def test_a_job_that_waits_is_cancelled_without_a_trace_at_the_server(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        handle = await shop.submit()
        await handle.cancel()
        async with shop.worker():
            await shop.end(await shop.submit("another"))
        assert shop.now(handle).status is Status.CANCELLED
        assert shop.runs(handle) == 0


@in_loop
async def test_a_job_that_is_being_painted_is_stopped_at_the_server(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.step_delay_s = 0.05
        handle = await shop.submit(**SLOW_STEPS)
        await shop.painting(handle)
        await handle.cancel()
        job = await shop.end(handle)
        assert job.status is Status.CANCELLED
        assert not job.cancel_requested
        await until(lambda: shop.outcomes(handle) == ["interrupted"])
        assert not list(shop.images.iterdir())


@in_loop
async def test_a_job_that_waits_on_the_server_leaves_its_queue(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.step_delay_s = 0.05
        running = await shop.submit(**SLOW_STEPS)
        # both are sent as soon as they can be: the second may come first
        await shop.painting(running)
        waiting = await shop.submit("second")
        await until(lambda: shop.engine.queue.remaining() == 2)
        await waiting.cancel()
        assert (await shop.end(waiting)).status is Status.CANCELLED
        assert shop.runs(waiting) == 0
        await running.cancel()
        await shop.end(running)


@in_loop
async def test_another_process_can_cancel_a_job_that_a_worker_holds(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        shop.engine.faults.step_delay_s = 0.05
        handle = await shop.submit(**SLOW_STEPS)
        async with shop.worker(), shop.worker():
            await shop.painting(handle)
            async with shop.process("cancel", handle.id) as process:
                assert await process.gone() == 0, process.said()
            assert (await shop.end(handle)).status is Status.CANCELLED
        assert shop.outcomes(handle) == ["interrupted"]


@in_loop
async def test_a_cancel_stands_although_the_server_is_gone(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker(timing=Timing(grace_s=60)):
        shop.engine.faults.step_delay_s = 0.05
        handle = await shop.submit(**SLOW_STEPS)
        await shop.painting(handle)
        await shop.engine.stop()
        await handle.cancel()
        assert (await shop.end(handle)).status is Status.CANCELLED


@in_loop
async def test_what_was_cancelled_while_its_server_refused_leaves_it_later(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.step_delay_s = 0.05
        handle = await shop.submit(steps=2000)
        await shop.painting(handle)
        shop.engine.faults.http_status = HttpStatus(503, "/jobs", 1_000_000)
        await handle.cancel()
        assert (await shop.end(handle)).status is Status.CANCELLED
        shop.engine.faults.http_status = None
        await until(lambda: shop.outcomes(handle) == ["interrupted"])
        await until(lambda: shop.now(handle).open_attempt is None)


@in_loop
async def test_a_cancelled_paid_job_shows_what_it_cost(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.bfl.picture_s = 60
        handle = await shop.paid()
        await until(lambda: shop.bfl.requests["poll"])
        await handle.cancel()
        job = await shop.end(handle)
    assert job.status is Status.CANCELLED
    assert job.result is not None
    assert job.result.cost is not None
    assert (job.result.cost.credits, job.result.cost.amount) == (6, "0.06")
    assert len(shop.bfl.charges) == 1


@in_loop
async def test_a_retry_of_a_cancelled_paid_job_fetches_what_was_bought(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.bfl.picture_s = 3
        handle = await shop.paid()
        await until(lambda: shop.bfl.requests["poll"])
        await handle.cancel()
        assert (await shop.end(handle)).status is Status.CANCELLED
        await handle.retry()
        job = await shop.end(handle)
    assert job.status is Status.DONE
    assert len(job.attempts) == len(shop.bfl.charges) == 1


@in_loop
async def test_a_cancel_while_the_request_is_on_its_way_waits_for_the_bill(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.bfl.fail(Fault.HELD)
        handle = await shop.paid()
        await until(lambda: shop.bfl.charges)
        await handle.cancel()
        await until(lambda: shop.lab.store.wants_cancel(handle.id) or shop.lab.store.refresh())
        await shop.end(await shop.submit())  # the worker has had the time to notice
        shop.bfl.resume()
        job = await shop.end(handle)
    assert job.status is Status.CANCELLED
    assert job.result is not None
    assert job.result.cost is not None


class GatedDisk(Disk):
    """Stops before a receipt's space is taken, until told to go on: between the claim and the intent to pay."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def reserve(self, path: Path | str, size: int) -> None:
        if "receipts" in str(path):
            self.reached.set()
            assert self.go.wait(30)
        super().reserve(path, size)


@in_loop
async def test_a_cancel_that_comes_before_the_money_is_spent_spends_none(tmp_path: Path) -> None:
    disk = GatedDisk()
    async with workshop(tmp_path) as shop, shop.worker(disk=disk):
        handle = await shop.paid()
        await until(disk.reached.is_set)
        await handle.cancel()
        disk.go.set()
        job = await shop.end(handle)
        assert job.status is Status.CANCELLED
        assert not list(shop.lab.store.layout.receipts.iterdir())
        assert shop.bfl.charges == []
        await handle.retry()  # nothing was bought, so nothing is looked for
        assert (await shop.end(handle)).status is Status.DONE
    assert len(shop.bfl.charges) == 1


@in_loop
async def test_a_job_that_waits_for_its_next_try_is_cancelled_at_once(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.bfl.retry_after_s = 60
        shop.bfl.fail(Fault.RATE_LIMITED)
        handle = await shop.paid()
        await until(lambda: shop.now(handle).not_before is not None)
        await handle.cancel()
        job: Job = await shop.end(handle)
    assert job.status is Status.CANCELLED
    assert shop.bfl.charges == []
