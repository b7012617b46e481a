"""Money: whatever happens, the ledger says what the service charged, to the cent, and no budget is passed."""

from __future__ import annotations

import asyncio
import io
import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image
from workshop import Workshop, failure_of, in_loop, until, workshop

from orchestrator.backends import BACKENDS
from orchestrator.errors import ConfirmationNeeded, JobFailed
from orchestrator.jobs import Job, Status
from orchestrator.ledger import Purchase
from orchestrator.spending import Budget
from orchestrator.testing import KEY, Fault

PAID = [backend.name for backend in BACKENDS.values() if backend.paid]
SIX = Decimal("0.06")


def billed(shop: Workshop) -> Decimal:
    """What the service has charged, USD."""
    return sum((Decimal(str(charge.credits)) for charge in shop.bfl.charges), Decimal(0)) / 100


def is_square(shop: Workshop) -> bool:
    """Whether the ledger says what the service charged, and nothing is undecided."""
    said = shop.ledger().totals()
    return (said.spent_in_all(), dict(said.reserved), said.damaged) == (billed(shop), {}, 0)


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def held(job: Job) -> str:
    """Why a job is held; it must say so in full."""
    assert job.is_held, job
    assert (job.status, job.lease, job.attempts) == (Status.CREATED, None, [])
    assert job.failure is not None
    assert job.failure.message
    assert "orchestrator run" in job.failure.remedy or "run the job" in job.failure.remedy
    assert any("held" in line for line in job.logs)
    return job.failure.kind


# ------------------------------------------------------------------------------ every answer of the service


@pytest.mark.parametrize(
    ("fault", "times", "kind", "charged", "remedy"),
    [
        (Fault.NO_CREDITS, 1, "no_credits", 0, "Buy credits"),
        (Fault.INVALID, 1, "invalid", 0, "Correct the parameter"),
        (Fault.FORBIDDEN, 1, "invalid_key", 0, "valid BFL_API_KEY"),
        (Fault.RATE_LIMITED, 3, "rate_limited", 0, "tried again"),
        (Fault.REQUEST_MODERATED, 1, "moderated", 1, "Change the prompt"),
        (Fault.CONTENT_MODERATED, 1, "moderated", 1, "Change the prompt"),
        (Fault.TASK_ERROR, 1, "execution_failed", 1, "Read the message"),
        (Fault.FORGOTTEN, 1, "execution_failed", 1, "account's usage"),
        (Fault.SAMPLE_EXPIRED, 3, "service_broken", 1, "fresh address"),
        (Fault.SAMPLE_WRONG_TYPE, 3, "service_broken", 1, "Run the job again"),
        (Fault.SAMPLE_LARGER, 3, "service_broken", 1, "Run the job again"),
        (Fault.RATE_LIMITED, 1, "", 1, ""),
        (Fault.POLL_BROKEN, 2, "", 1, ""),
        (Fault.SAMPLE_EXPIRED, 1, "", 1, ""),
        (Fault.SAMPLE_WRONG_TYPE, 1, "", 1, ""),
        (Fault.SAMPLE_LARGER, 1, "", 1, ""),
        (Fault.SAMPLE_TRUNCATED, 1, "", 1, ""),
    ],
)
@in_loop
async def test_a_job_ends_as_the_service_says_and_the_ledger_knows_what_it_charged(
    tmp_path: Path, fault: Fault, times: int, kind: str, charged: int, remedy: str
) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop, shop.worker():
        shop.bfl.fail(fault, times)
        job = await shop.end(await shop.paid())
        if kind:
            assert failure_of(job).kind == kind
            assert remedy in failure_of(job).remedy
        else:
            assert job.status is Status.DONE
        assert len(shop.bfl.charges) == charged
        assert is_square(shop)


@in_loop
async def test_a_poll_that_hangs_is_given_up_in_time_and_asked_again_without_paying(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop, shop.worker():
        shop.bfl.fail(Fault.POLL_HANGS)
        job = await shop.end(await shop.paid())
        assert job.status is Status.DONE
        assert len(shop.bfl.charges) == 1
        assert is_square(shop)


@in_loop
async def test_a_pause_that_the_service_asks_for_is_waited(tmp_path: Path) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop, shop.worker():
        shop.bfl.fail(Fault.RATE_LIMITED)
        shop.bfl.retry_after_s = 1.0
        began = time.monotonic()
        assert (await shop.end(await shop.paid())).status is Status.DONE
        assert time.monotonic() - began >= 1.0
        assert is_square(shop)


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.BROKEN_AFTER, Fault.BROKEN_BEFORE])
@in_loop
async def test_what_nobody_knows_stays_reserved_until_the_user_says_what_it_cost(
    tmp_path: Path, fault: Fault
) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop, shop.worker():
        shop.bfl.fail(fault)
        job = await shop.end(await shop.paid())
        assert failure_of(job).kind == "ambiguous"
        said = await shop.lab.spending()
        assert (said.spent_today, said.reserved_today) == (0, SIX)
        assert [each.job for each in said.undecided] == [job.id]
        # as the account's usage shows it
        shop.lab.correct_spending(said.undecided[0].key, billed(shop))
        assert is_square(shop)


@pytest.mark.parametrize("backend", PAID)
@in_loop
async def test_every_model_is_bought_fetched_and_written_down_for_its_own_price(
    tmp_path: Path, backend: str
) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop, shop.worker():
        (shop.lab.paths.drop_in / "photo.png").write_bytes(png(1500, 1000))
        plain = await shop.submit("a fox", backend=backend)
        edited = await shop.submit("a fox, painted", backend=backend, image="photo.png")
        jobs = await shop.ended(plain, edited)
        assert [job.status for job in jobs] == [Status.DONE] * 2
        said = shop.ledger().totals()
        assert is_square(shop)
        assert {name for _, name in said.spent} == {backend}
        # what was estimated is what it cost: the two tables of prices were written apart
        estimates = [
            shop.lab.estimate("x", backend=backend).usd,
            shop.lab.estimate("x", backend=backend, params={"image": "photo.png"}).usd,
        ]
        assert sum(estimates) == billed(shop)
        assert [Decimal(job.result.cost.amount) for job in jobs] == estimates


@in_loop
async def test_the_service_s_own_price_counts_whatever_was_estimated(tmp_path: Path) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop, shop.worker():
        shop.bfl.dearer = 0.7
        job = await shop.end(await shop.paid())
        assert job.result.cost.amount == "0.067"
        assert shop.ledger().totals().spent_in_all() == Decimal("0.067")


@in_loop
async def test_a_price_that_is_not_said_is_taken_to_be_the_estimate(tmp_path: Path) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop, shop.worker():
        shop.bfl.fail(Fault.COST_UNSAID)
        job = await shop.end(await shop.paid())
        assert job.result.cost is None
        assert is_square(shop)


@pytest.mark.parametrize(
    ("content", "kind"), [(b"not a picture", "ParamsInvalid"), (None, "internal")]
)
@in_loop
async def test_an_input_that_cannot_be_sent_costs_nothing(
    tmp_path: Path, content: bytes | None, kind: str
) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop:
        photo = shop.lab.paths.drop_in / "photo.png"
        photo.write_bytes(png(10, 10))
        handle = await shop.submit("a fox", backend="flux-kontext-pro", image="photo.png")
        photo.unlink()  # after it was looked at
        if content is not None:
            photo.write_bytes(content)
        async with shop.worker():
            job = await shop.end(handle)
        assert job.status is Status.FAILED
        assert shop.bfl.requests["submit"] == 0
        assert is_square(shop)


# ------------------------------------------------------------------------------ budgets


@in_loop
async def test_a_budget_of_one_dollar_lets_exactly_16_pictures_through_and_holds_the_rest(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9", budget_usd="1.00") as shop:
        handles = [await shop.paid(f"fox {n}") for n in range(24)]
        async with shop.worker(), shop.worker():  # as two processes
            jobs = await shop.ended(*handles)
        done = [job for job in jobs if job.status is Status.DONE]
        rest = [job for job in jobs if job.status is not Status.DONE]
        assert (len(done), len(rest)) == (16, 8)
        assert {held(job) for job in rest} == {"over_budget"}
        assert len(shop.bfl.charges) == shop.bfl.requests["submit"] == 16
        assert is_square(shop)
        said = await shop.lab.spending()
        assert (said.spent_today, said.left_today) == (Decimal("0.96"), Decimal("0.04"))
        assert said.credits == Decimal(904)


@in_loop
async def test_a_held_job_goes_on_when_it_is_run_with_more_to_spend(tmp_path: Path) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9", budget_usd="0.05") as shop:
        handle = await shop.paid()
        async with shop.worker():
            assert held(await shop.end(handle)) == "over_budget"
            with pytest.raises(JobFailed) as caught:
                await handle.picture(timeout_s=1)
            assert "$0.06" in caught.value.message
            shop.lab.run(handle.id)
            await until(lambda: sum("held" in line for line in shop.now(handle).logs) == 2)
        async with shop.worker(budget=Budget(per_day=SIX)):
            shop.lab.run(handle.id)
            job = await shop.end(handle)
        assert (job.status, job.failure, len(job.attempts)) == (Status.DONE, None, 1)
        assert is_square(shop)


@in_loop
async def test_a_held_job_can_be_cancelled(tmp_path: Path) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9", budget_usd="0") as shop:
        handle = await shop.paid()
        async with shop.worker():
            held(await shop.end(handle))
            await handle.cancel()
        assert handle.job.status is Status.CANCELLED
        assert shop.bfl.requests["submit"] == 0


@in_loop
async def test_without_a_key_nothing_is_sent_and_the_job_waits_for_one(tmp_path: Path) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop:
        handle = await shop.paid()
        async with shop.worker(key=""):
            job = await shop.end(handle)
            assert held(job) == "no_key"
            assert "BFL_API_KEY" in job.failure.remedy
        assert sum(shop.bfl.requests.values()) == 0
        async with shop.worker(key=KEY):
            shop.lab.run(handle.id)
            assert (await shop.end(handle)).status is Status.DONE
        assert is_square(shop)


@in_loop
async def test_an_empty_account_is_met_once_and_the_jobs_behind_it_are_held(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop, shop.worker():
        shop.bfl.credits = 6.0
        assert (await shop.end(await shop.paid("one"))).status is Status.DONE
        assert failure_of(await shop.end(await shop.paid("two"))).kind == "no_credits"
        handles = [await shop.paid(f"fox {n}") for n in range(3)]
        assert {held(job) for job in await shop.ended(*handles)} == {"no_credits"}
        assert shop.bfl.requests["submit"] == 2
        shop.bfl.credits = 6.0
        shop.lab.run(handles[0].id)
        assert (await shop.end(handles[0])).status is Status.DONE
        assert is_square(shop)


@in_loop
async def test_a_request_above_the_limit_has_to_be_confirmed(tmp_path: Path) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop:
        shop.lab.budget = Budget(confirm_above=Decimal("0.05"))
        with pytest.raises(ConfirmationNeeded):
            await shop.paid()
        assert shop.lab.page()[1] == 0
        await shop.paid(confirm=True)
        await shop.paid(hold=True)  # a draft sends nothing: to run it is the confirmation
        await shop.submit(backend="sd15")
        assert shop.lab.page()[1] == 3


# ------------------------------------------------------------------------------ crashes


# claimed · reserved · receipt's space · intent · receipt · charged · submitted · ready · done
@pytest.mark.parametrize("number", range(1, 10))
@in_loop
async def test_a_worker_killed_at_any_step_leaves_the_bill_and_the_ledger_equal(
    tmp_path: Path, number: int
) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop:
        async with shop.worker():
            await shop.end(await shop.paid("so that there is a ledger"))
        ambiguous = []
        for step in (-number, number):  # just before it, and just after
            handle = await shop.paid(f"killed at {step}")
            async with shop.process(die_at_step=step) as process:
                assert await process.gone() == -signal.SIGKILL, process.said()
            async with shop.worker():
                job = await shop.end(handle)
            times = shop.bfl.charged(job.prompt)
            undecided = shop.ledger().totals().reserved
            if job.status is Status.DONE:
                assert (times, undecided) == (1, {}), step
            else:
                assert failure_of(job).kind == "ambiguous", step
                ambiguous.append((step, times))
                assert [each.job for each in undecided.values()] == [job.id], step
                key = next(iter(undecided))
                shop.lab.correct_spending(key, times * SIX)
            assert is_square(shop), step
        # only between the intent and the receipt nobody can tell: before the POST, and after it
        assert ambiguous == {4: [(4, 0)], 5: [(-5, 1)]}.get(number, [])


@in_loop
async def test_a_ledger_that_was_lost_is_made_again_from_the_jobs(tmp_path: Path) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop:
        async with shop.worker():
            handles = [await shop.paid(f"fox {n}") for n in range(3)]
            shop.bfl.fail(Fault.CONTENT_MODERATED)
            await shop.ended(*handles, await shop.submit("a cat", backend="flux-2-klein-4b"))
        shop.lab.store.refresh()
        shop.lab.store.archive([handles[0].id])
        shop.lab.ledger.path.unlink()
        async with shop.worker():
            await until(lambda: is_square(shop))
        assert billed(shop) == Decimal("0.194")


@in_loop
async def test_money_set_aside_by_a_worker_that_died_is_free_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9", budget_usd="0.06") as shop:
        handle = await shop.paid()
        dead = Purchase(
            key=f"{handle.id}.1-7",
            job=handle.id,
            fence=7,
            backend="flux",
            model="flux-pro-1.1-ultra",
            usd=SIX,
        )
        shop.ledger().reserve(dead, budget=shop.lab.budget)
        async with shop.worker():
            assert (await shop.end(handle)).status is Status.DONE
        assert is_square(shop)


@in_loop
async def test_24_jobs_at_once_under_kills_cost_what_the_ledger_says(tmp_path: Path) -> None:
    async with workshop(tmp_path, comfy_url="http://127.0.0.1:9") as shop:
        shop.bfl.picture_s = 0.3
        handles = [await shop.paid(f"fox {n}") for n in range(24)]
        for _ in range(3):
            async with shop.process() as process:
                await asyncio.sleep(0.25)
                assert not process.has_ended(), process.said()
                await process.kill()
        async with shop.worker():
            jobs = await shop.ended(*handles)
        said = shop.ledger().totals()
        lost = [job for job in jobs if job.status is not Status.DONE]
        assert {failure_of(job).kind for job in lost} <= {"ambiguous"}
        assert {each.job for each in said.reserved.values()} == {job.id for job in lost}
        for each in said.reserved.values():
            prompt = next(job.prompt for job in lost if job.id == each.job)
            shop.lab.correct_spending(each.key, shop.bfl.charged(prompt) * SIX)
        assert is_square(shop)
        assert max(shop.bfl.charged(handle.job.prompt) for handle in handles) == 1
