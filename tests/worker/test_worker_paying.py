"""The paid service: what was bought is fetched, however often that takes, and nothing is bought twice by itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from workshop import Workshop, attempt_of, failure_of, in_loop, until, workshop

from orchestrator.jobs import Job, Phase, Status
from orchestrator.testing import Fault


def receipts(shop: Workshop) -> list[Path]:
    return list(shop.lab.store.layout.receipts.iterdir())


@in_loop
async def test_a_paid_picture_is_fetched_and_its_price_written_down(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        job = await shop.end(await shop.paid("a fox", seed=3, aspect_ratio="16:9"))
        assert receipts(shop) == []
    assert job.status is Status.DONE
    with Image.open(job.result.file) as picture:
        assert picture.size == (96, 54)
    assert job.result.cost.amount == "0.06"
    assert shop.bfl.credits == 994
    assert [charge.prompt for charge in shop.bfl.charges] == ["a fox"]
    assert attempt_of(job).remote_id == shop.bfl.charges[0].task_id
    assert shop.bfl.leaks == 0  # the key went to no picture's address


@pytest.mark.parametrize(
    "fault",
    [Fault.SAMPLE_EXPIRED, Fault.SAMPLE_TRUNCATED, Fault.POLL_BROKEN],
)
@in_loop
async def test_trouble_after_the_purchase_is_got_over_without_paying_again(
    tmp_path: Path, fault: Fault
) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.bfl.fail(fault, 2)
        job = await shop.end(await shop.paid())
    assert job.status is Status.DONE
    assert len(shop.bfl.charges) == 1
    assert len(job.attempts) == 1


@in_loop
async def test_a_picture_that_never_arrives_can_be_asked_for_again_without_paying(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.bfl.fail(Fault.SAMPLE_TRUNCATED, 3)
        handle = await shop.paid()
        failed = await shop.end(handle)
        assert failure_of(failed).kind == "service_broken"
        assert failed.result.cost.credits == 6
        await handle.retry()
        assert (await shop.end(handle)).status is Status.DONE
    assert len(shop.bfl.charges) == 1


@in_loop
async def test_a_paid_picture_that_cannot_be_saved_is_not_bought_again(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shutil.rmtree(shop.images)
        shop.images.write_text("in the way")
        handle = await shop.paid()
        failed = await shop.end(handle)
        assert failed.status is Status.FAILED
        shop.images.unlink()
        await handle.retry()
        assert (await shop.end(handle)).status is Status.DONE
    assert len(shop.bfl.charges) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "charged"),
    [
        (Fault.REQUEST_MODERATED, "moderated", 1),
        (Fault.CONTENT_MODERATED, "moderated", 1),
        (Fault.TASK_ERROR, "execution_failed", 1),
        (Fault.FORGOTTEN, "execution_failed", 1),
        (Fault.INVALID, "invalid", 0),
        (Fault.NO_CREDITS, "no_credits", 0),
        (Fault.FORBIDDEN, "invalid_key", 0),
    ],
)
@in_loop
async def test_a_verdict_of_the_service_is_told_and_never_tried_again(
    tmp_path: Path, fault: Fault, kind: str, charged: int
) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.bfl.fail(fault)
        job = await shop.end(await shop.paid())
        assert receipts(shop) == []
    assert failure_of(job).kind == kind
    assert len(job.attempts) == 1
    assert shop.bfl.requests["submit"] == 1
    assert len(shop.bfl.charges) == charged
    assert (job.result.cost is not None) == bool(charged)


@in_loop
async def test_being_turned_away_is_tried_three_times_at_most_and_leaves_no_receipts(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.bfl.fail(Fault.RATE_LIMITED, 10)
        job = await shop.end(await shop.paid())
        assert receipts(shop) == []
    assert failure_of(job).kind == "rate_limited"
    assert shop.bfl.requests["submit"] == 3
    assert shop.bfl.charges == []


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.BROKEN_AFTER, Fault.BROKEN_BEFORE])
@in_loop
async def test_a_lost_answer_is_shown_and_only_the_user_has_it_paid_again(
    tmp_path: Path, fault: Fault
) -> None:
    lost = 0 if fault is Fault.BROKEN_BEFORE else 1
    async with workshop(tmp_path) as shop, shop.worker():
        shop.bfl.fail(fault)
        handle = await shop.paid()
        ambiguous = await shop.end(handle)
        assert failure_of(ambiguous).kind == "ambiguous"
        assert attempt_of(ambiguous).phase is Phase.AMBIGUOUS
        assert "usage" in failure_of(ambiguous).remedy
        await shop.end(await shop.submit())  # the worker goes on; this one is let alone
        assert shop.bfl.requests["submit"] == 1
        await handle.retry()
        job = await shop.end(handle)
        assert job.status is Status.DONE
    assert shop.bfl.requests["submit"] == 2
    assert len(shop.bfl.charges) == lost + 1
    assert [attempt.phase for attempt in job.attempts] == [Phase.AMBIGUOUS, Phase.PUBLISHED]


@in_loop
async def test_a_service_that_cannot_be_reached_is_tried_again_since_nothing_was_sent(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop:
        await shop.bfl.__aexit__(None, None, None)
        async with shop.worker():
            job: Job = await shop.end(await shop.paid())
    assert failure_of(job).kind == "unreachable"
    assert len(job.attempts) == 3
    assert "BFL_BASE_URL" in failure_of(job).remedy


@in_loop
async def test_a_receipt_that_turns_up_late_is_honoured(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.bfl.fail(Fault.DROPPED)
        handle = await shop.paid()
        job = await shop.end(handle)
        # as a worker writes it that wakes up after its job was given up
        task = shop.bfl.charges[0].task_id
        url = f"{shop.bfl.url}/v1/get_result?id={task}"
        said = {"id": task, "polling_url": url, "credits": 6.0}
        shop.lab.store.receipts.write(attempt_of(job).receipt, said)
        await until(lambda: shop.now(handle).status is Status.DONE)
    assert len(shop.bfl.charges) == 1
