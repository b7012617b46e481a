"""Workers that are killed, stopped or told to end: another carries their jobs on, and nothing is done or paid twice."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest
from lengths import LONG
from worker_process import POISON
from workshop import Workshop, attempt_of, failure_of, in_loop, until, workshop

from orchestrator.handles import JobHandle
from orchestrator.jobs import Job, Phase, Status
from orchestrator.testing import Fault, Hang, HttpStatus

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
# tests of the tests below: nothing of the lab would break without their being noticed
mutant = pytest.mark.skipif(not LONG, reason="a mutant: in the long form")

CLI = ("worker",)
LEASE_S = 1.0  # short: the tests wait for its end
SLOW = {"steps": 60}


async def held_by_another(shop: Workshop, handle: JobHandle, former: str) -> None:
    await until(lambda: (lease := shop.now(handle).lease) and lease.worker != former)


def worker_of(job: Job) -> str:
    assert job.lease is not None
    return job.lease.worker


# ------------------------------------------------------------------------------ told to end


@in_loop
async def test_a_worker_that_is_told_to_end_hands_its_jobs_to_the_next(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        shop.engine.faults.step_delay_s = 0.02
        handle = await shop.submit(**SLOW)
        async with shop.process(*CLI) as process:
            await shop.painting(handle)
            process.signal(signal.SIGTERM)
            assert await process.gone() == 0, process.said()
        handed = shop.now(handle)
        assert (handed.status, handed.lease) == (Status.QUEUED, None)
        assert shop.engine.queue.remaining() == 1  # the server goes on
        async with shop.worker():
            job = await shop.end(handle)
        assert (job.status, job.crashes, len(job.attempts)) == (Status.DONE, 0, 1)
        assert shop.runs(handle) == 1


# ------------------------------------------------------------------------------ killed


@in_loop
async def test_a_killed_workers_prompt_is_adopted_without_waiting_for_the_lease(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop:
        shop.engine.faults.step_delay_s = 0.03
        handle = await shop.submit(**SLOW)
        async with shop.process(lease_s=60) as process:
            await shop.painting(handle)
            former = worker_of(shop.now(handle))
            async with shop.worker(lease_s=60):
                await process.kill()
                began = time.monotonic()
                await held_by_another(shop, handle, former)
                assert time.monotonic() - began < 5
                job = await shop.end(handle)
        assert (job.status, job.crashes, len(job.attempts)) == (Status.DONE, 1, 1)
        assert shop.runs(handle) == 1


@in_loop
async def test_a_picture_that_was_published_is_the_jobs_even_if_the_server_forgot_it(
    tmp_path: Path,
) -> None:
    def as_before(job: Job) -> Job:
        """As a worker leaves it that is killed between its last two writes."""
        (attempt,) = job.attempts
        is_open = attempt.having(phase=Phase.SUBMITTED, finished_at=None)
        return job.having(
            status=Status.QUEUED, attempts=[is_open], result=None, finished_at=None, progress=None
        )

    async with workshop(tmp_path) as shop:
        for batch_size, attempts in ((2, 1), (3, 2)):
            handle = await shop.submit(batch_size=2)
            async with shop.worker():
                first = await shop.end(handle)
            shop.lab.store.update(
                handle.id,
                lambda job, n=batch_size: as_before(job).having(
                    params=job.params | {"batch_size": n}
                ),
            )
            shop.engine.forget()
            async with shop.worker():
                job = await shop.end(handle)
            assert (job.status, len(job.attempts)) == (Status.DONE, attempts)
            assert first.result is not None
            assert job.result is not None
            assert (job.result.files == first.result.files) is (attempts == 1)


@in_loop
async def test_a_picture_that_was_finished_but_not_fetched_is_not_painted_again(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop:
        shop.engine.faults.hang = Hang("/view", 1)
        handle = await shop.submit()
        async with shop.process() as process:
            await until(lambda: shop.engine.faults.hang.count == 0)
            await process.kill()
        assert shop.outcomes(handle) == ["success"]
        async with shop.worker():
            job = await shop.end(handle)
        assert job.status is Status.DONE
        assert Path(job.result.file).is_file()
        assert shop.runs(handle) == 1


@in_loop
async def test_a_task_whose_receipt_was_written_is_adopted_and_paid_once(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        handle = await shop.paid()
        async with shop.process(die_at_receipt=True) as process:
            assert await process.gone() == -signal.SIGKILL
        assert attempt_of(shop.now(handle)).phase is Phase.INTENT
        async with shop.worker():
            job = await shop.end(handle)
        assert job.status is Status.DONE
        assert job.result.cost.credits == 6
        assert not list(shop.lab.store.layout.receipts.iterdir())
    assert len(shop.bfl.charges) == 1


@in_loop
async def test_a_task_whose_receipt_is_missing_is_shown_and_paid_again_only_on_demand(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop:
        shop.bfl.fail(Fault.HELD)
        handle = await shop.paid()
        async with shop.process() as process:
            await until(lambda: shop.bfl.charges)
            await process.kill()
        shop.bfl.resume()
        async with shop.worker():
            ambiguous = await shop.end(handle)
            assert failure_of(ambiguous).kind == "ambiguous"
            assert len(shop.bfl.charges) == 1
            await handle.retry()
            job = await shop.end(handle)
    assert job.status is Status.DONE
    assert [attempt.phase for attempt in job.attempts] == [Phase.AMBIGUOUS, Phase.PUBLISHED]
    assert len(shop.bfl.charges) == 2


@pytest.mark.parametrize("dies_at", ["receipt", "answer"])
@in_loop
async def test_a_job_cancelled_after_its_worker_died_paying_is_not_paid_again_by_a_retry(
    tmp_path: Path, dies_at: str
) -> None:
    async with workshop(tmp_path) as shop:
        handle = await shop.paid()
        if dies_at == "answer":
            shop.bfl.fail(Fault.HELD)
        async with shop.process(die_at_receipt=True) as process:
            await until(lambda: shop.bfl.charges)
            if dies_at == "answer":
                await process.kill()
            await process.gone()
        shop.bfl.resume()
        await handle.cancel()
        async with shop.worker():
            assert (await shop.end(handle)).status is Status.CANCELLED
            await handle.retry()
            job = await shop.end(handle)
            if dies_at == "answer":  # nobody knows the task: shown, and bought only if asked again
                assert failure_of(job).kind == "ambiguous"
            else:
                assert job.status is Status.DONE
    assert len(shop.bfl.charges) == 1


@in_loop
async def test_a_job_that_kills_every_worker_is_given_up_and_its_neighbours_are_not(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop:
        shop.engine.faults.step_delay_s = 0.1
        # it is still being painted when the poison is given up
        neighbour = await shop.submit("a neighbour", steps=60)
        poison, other = await shop.submit(POISON), await shop.submit("another")
        deaths = 0
        while not shop.now(poison).is_terminal:
            async with shop.process(poison=True, max_crashes=2) as process:
                await until(lambda p=process: p.has_ended() or shop.now(poison).is_terminal)
                deaths += process.has_ended()
                if not process.has_ended():
                    shop.engine.faults.step_delay_s = 0
                    jobs = await shop.ended(neighbour, other)
    assert failure_of(shop.now(poison)).kind == "poison"
    assert deaths == 3
    assert [job.status for job in jobs] == [Status.DONE] * 2


async def left_painting(shop: Workshop, *, crashes: int) -> JobHandle:
    """A job that is being painted, and whose worker is dead."""
    shop.engine.faults.step_delay_s = 0.02
    handle = await shop.submit(steps=1000)
    async with shop.process() as process:
        await shop.painting(handle)
        await process.kill()
    shop.lab.store.update(handle.id, lambda job: job.having(crashes=crashes))
    return handle


@in_loop
async def test_a_poisons_prompt_is_taken_off_its_server_and_no_other(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        poison = await left_painting(shop, crashes=5)
        next_ones = [await shop.submit(f"number {n}") for n in range(3)]
        async with shop.worker():
            assert failure_of(await shop.end(poison)).kind == "poison"
            jobs = await shop.ended(*next_ones)
            await until(lambda: shop.now(poison).open_attempt is None)
            assert shop.outcomes(poison) == ["interrupted"]
            assert [(job.status, len(job.attempts)) for job in jobs] == [(Status.DONE, 1)] * 3
            shop.engine.faults.step_delay_s = 0
            await poison.retry()  # it begins anew
            assert (await shop.end(poison)).status is Status.DONE
        assert shop.outcomes(poison) == ["interrupted", "success"]


@in_loop
async def test_a_poisons_prompt_is_taken_off_by_the_worker_that_comes_after_it_was_put_away(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop:
        poison = await left_painting(shop, crashes=5)
        (given_up,) = shop.lab.store.recover()
        assert failure_of(given_up).kind == "poison"
        async with shop.worker():
            await until(lambda: shop.outcomes(poison) == ["interrupted"])


@in_loop
async def test_a_poisons_prompt_is_taken_off_when_its_server_answers_again_also_if_the_job_is_deleted(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop:
        poison = await left_painting(shop, crashes=5)
        shop.engine.faults.http_status = HttpStatus(503, "/jobs", 2)
        async with shop.worker():
            await shop.end(poison)
            await until(lambda: shop.engine.faults.http_status.count < 2)
            shop.lab.store.delete(poison.id)
            await until(lambda: shop.outcomes(poison) == ["interrupted"])


@in_loop
async def test_a_poison_that_is_run_again_before_its_server_answers_is_not_cut_off(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop:
        poison = await left_painting(shop, crashes=5)
        shop.engine.faults.http_status = HttpStatus(503, "/jobs", 1_000_000)
        async with shop.worker() as worker:
            await shop.end(poison)
            await until(lambda: poison.id in worker._left)
            await poison.retry()
            await shop.seen(poison, Status.RUNNING)
            shop.engine.faults.http_status = None
            await worker._call_all_back()
            shop.engine.faults.step_delay_s = 0
            assert (await shop.end(poison)).status is Status.DONE
        assert "interrupted" not in shop.outcomes(poison)


@in_loop
async def test_what_a_poison_may_have_bought_is_kept(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        poison = await shop.paid()
        async with shop.process(die_at_receipt=True) as process:
            await process.gone()
        shop.lab.store.update(poison.id, lambda job: job.having(crashes=5))
        shop.lab.store.recover()
        async with shop.worker() as worker:
            await worker._call_all_back()
            assert shop.now(poison).open_attempt is not None
            await poison.retry()
            assert (await shop.end(poison)).status is Status.DONE
    assert len(shop.bfl.charges) == 1


@in_loop
async def test_a_job_cancelled_after_its_worker_died_leaves_its_server(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        handle = await left_painting(shop, crashes=0)
        await handle.cancel()
        async with shop.worker():
            assert (await shop.end(handle)).status is Status.CANCELLED
            await until(lambda: shop.outcomes(handle) == ["interrupted"])


# ------------------------------------------------------------------------------ asleep, and awake too late


async def zombie_ends(folder: Path, mutant: str = "") -> tuple[Job, Job, int]:
    """A worker sleeps past its lease, wakes and is told to end, while another has its job.

    Returns the job as the other held it afterwards, as it ended, and how often it was painted.
    """
    async with workshop(folder) as shop:
        shop.engine.faults.step_delay_s = 0.05
        handle = await shop.submit(steps=1000)
        async with shop.process(lease_s=LEASE_S, mutant=mutant) as zombie:
            # not before it has written that: stopped with the job's lock in its hand, it would keep the job
            await until(lambda: (now := shop.now(handle).attempt) and now.phase is Phase.SUBMITTED)
            shop.lab.store.update(handle.id, lambda job: job)  # a slow disk: the lock is free again
            former = worker_of(shop.now(handle))
            async with shop.worker(lease_s=LEASE_S):
                zombie.signal(signal.SIGSTOP)
                began = time.monotonic()
                await held_by_another(shop, handle, former)
                assert time.monotonic() - began < LEASE_S + 3
                zombie.signal(signal.SIGCONT)
                zombie.signal(signal.SIGTERM)
                await zombie.gone()
                meanwhile = shop.now(handle)
                shop.engine.faults.step_delay_s = 0
                return meanwhile, await shop.end(handle), shop.runs(handle)


@in_loop
async def test_a_worker_that_slept_past_its_lease_cannot_write_to_its_job_any_more(
    tmp_path: Path,
) -> None:
    meanwhile, job, runs = await zombie_ends(tmp_path)
    assert meanwhile.status is Status.RUNNING
    assert not any("handed back" in line for line in meanwhile.logs)
    assert (job.status, len(job.attempts), runs) == (Status.DONE, 1, 1)


@mutant
@in_loop
async def test_without_the_fence_that_test_fails(tmp_path: Path) -> None:
    meanwhile, _, _ = await zombie_ends(tmp_path, "no_fence")
    assert any("handed back" in line for line in meanwhile.logs)


async def zombie_pays(folder: Path, mutant: str = "") -> tuple[Job, int, str]:
    """A worker falls asleep while its request is answered, and wakes when another has its job.

    Returns the job at its end, how often it was paid, and what the sleeper said.
    """
    async with workshop(folder) as shop:
        shop.bfl.fail(Fault.HELD)
        handle = await shop.paid()
        async with shop.process(lease_s=LEASE_S, mutant=mutant) as zombie:
            await until(lambda: shop.bfl.charges)
            zombie.signal(signal.SIGSTOP)
            shop.bfl.resume()
            former = worker_of(shop.now(handle))
            async with shop.worker(lease_s=LEASE_S, late_receipt_s=1.5 if mutant else 20.0):
                await held_by_another(shop, handle, former)
                zombie.signal(signal.SIGCONT)
                job = await shop.end(handle)
                # `end` kills: what it says of the fence must be out before
                await until(lambda: mutant or "taken over" in zombie.said())
                return job, len(shop.bfl.charges), zombie.said()


@in_loop
async def test_a_sleepers_payment_is_adopted_by_the_one_who_took_over(tmp_path: Path) -> None:
    job, paid, said = await zombie_pays(tmp_path)
    assert (job.status, paid) == (Status.DONE, 1)
    assert len(job.attempts) == 1
    assert "was taken over by another worker" in said


@mutant
@in_loop
async def test_without_receipts_that_test_fails(tmp_path: Path) -> None:
    job, paid, _ = await zombie_pays(tmp_path, "no_receipt")
    assert (job.status, paid) == (Status.FAILED, 1)
