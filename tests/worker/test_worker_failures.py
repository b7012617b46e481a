"""What goes wrong at a ComfyUI server ends in a picture after all, or in a failure that says what to do."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from workshop import FAST, attempt_of, failure_of, in_loop, until, workshop

from orchestrator.connectors.comfyui import Timing
from orchestrator.jobs import Status
from orchestrator.retry import RetryPolicy
from orchestrator.testing import Engine, Fault, HttpStatus, PromptError

SLOW_STEPS = {"steps": 20}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


# ------------------------------------------------------------------------------ tried again


@in_loop
async def test_a_server_that_is_broken_for_two_tries_paints_at_the_third(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.http_status = HttpStatus(500, "/prompt", 2)
        job = await shop.end(handle := await shop.submit())
        assert job.status is Status.DONE
        assert [a.failure and a.failure.kind for a in job.attempts] == ["service_broken"] * 2 + [
            None
        ]
        assert shop.runs(handle) == 1


@in_loop
async def test_a_server_that_stays_broken_is_asked_three_times_and_no_more(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.http_status = HttpStatus(500, "/prompt", 100)
        job = await shop.end(await shop.submit())
    assert failure_of(job).kind == "service_broken"
    assert len(job.attempts) == 3
    assert shop.engine.faults.http_status.count == 97


@in_loop
async def test_a_pause_that_the_server_asks_for_is_kept(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker(policy=RetryPolicy(base_s=0.01)):
        shop.bfl.retry_after_s = 1
        shop.bfl.fail(Fault.RATE_LIMITED)
        began = time.monotonic()
        job = await shop.end(await shop.paid())
        assert time.monotonic() - began >= 1.0
    assert job.status is Status.DONE
    assert shop.bfl.requests["submit"] == 2


@in_loop
async def test_a_prompt_that_the_server_forgot_is_made_by_a_second_attempt(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.step_delay_s = 0.1
        handle = await shop.submit(**SLOW_STEPS)
        await shop.painting(handle)
        shop.engine.faults.step_delay_s = 0
        shop.engine.forget()
        job = await shop.end(handle)
    assert job.status is Status.DONE
    assert [a.failure and a.failure.kind for a in job.attempts] == ["vanished", None]


@in_loop
async def test_a_server_that_is_restarted_paints_by_a_second_attempt(tmp_path: Path) -> None:
    port = free_port()
    async with workshop(tmp_path, comfy_url=f"http://127.0.0.1:{port}") as shop:
        first = Engine(port=port)
        first.faults.step_delay_s = 0.1
        await first.start()
        shop.engines.append(first)
        async with shop.worker(timing=Timing(poll_interval_s=0.1, vanish_s=0.2, grace_s=20)):
            handle = await shop.submit(**SLOW_STEPS)
            await shop.painting(handle)
            await first.stop()
            async with Engine(port=port) as second:
                shop.engines.append(second)
                job = await shop.end(handle)
    assert job.status is Status.DONE
    assert [a.failure and a.failure.kind for a in job.attempts] == ["vanished", None]
    assert second.ledger.count(attempt_of(job).remote_id or "") == 1


@in_loop
async def test_an_answer_that_is_lost_does_not_make_the_prompt_run_twice(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.drop_prompt_answer = 1
        handle = await shop.submit()
        job = await shop.end(handle)
        assert job.status is Status.DONE
        assert shop.runs(handle) == 1


@in_loop
async def test_a_picture_that_arrives_broken_is_fetched_again_not_painted_again(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.corrupt_view = 2
        handle = await shop.submit()
        job = await shop.end(handle)
        assert job.status is Status.DONE
        assert shop.runs(handle) == 1


@in_loop
async def test_a_server_that_does_not_move_is_given_up_with_a_remedy(tmp_path: Path) -> None:
    stalling = Timing(poll_interval_s=0.05, stall_s=0.3, grace_s=1)
    async with workshop(tmp_path) as shop, shop.worker(timing=stalling):
        shop.engine.faults.step_delay_s = 60
        handle = await shop.submit()
        job = await shop.end(handle)
        # none of its prompts is left there, to run beside the next
        await until(lambda: shop.outcomes(handle) == ["interrupted"] * 3)
        assert shop.engine.queue.remaining() == 0
    assert failure_of(job).kind == "timeout"
    assert len(job.attempts) == 3


# ------------------------------------------------------------------------------ without the socket


@in_loop
async def test_a_socket_that_is_dropped_while_painting_costs_no_picture(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.step_delay_s = 0.05
        handle = await shop.submit(**SLOW_STEPS)
        await shop.painting(handle)
        shop.engine.drop_sockets()
        job = await shop.end(handle)
        assert (job.status, len(job.attempts), shop.runs(handle)) == (Status.DONE, 1, 1)


@in_loop
async def test_a_socket_that_says_nothing_is_made_up_for_by_asking(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.silent_sockets = True
        handle = await shop.submit()
        job = await shop.end(handle)
        assert (job.status, len(job.attempts), shop.runs(handle)) == (Status.DONE, 1, 1)


# ------------------------------------------------------------------------------ not tried again


@in_loop
async def test_an_unknown_sampler_is_refused_with_the_names_that_are_near(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        job = await shop.end(await shop.submit(sampler="eulr_ancestral"))
    assert failure_of(job).kind == "unknown_sampler"
    assert "euler_ancestral" in failure_of(job).message
    assert len(job.attempts) == 1


@in_loop
async def test_an_unknown_checkpoint_is_refused_with_the_names_that_are_near(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        job = await shop.end(await shop.submit(checkpoint="embeded-sd15-no-model"))
    assert failure_of(job).kind == "missing_checkpoint"
    assert "embedded-sd15-no-model.safetensors" in failure_of(job).message
    assert len(job.attempts) == 1


@pytest.mark.parametrize(
    ("exception", "message", "kind"),
    [
        ("torch.OutOfMemoryError", "Allocation on device", "out_of_memory"),
        (
            "safetensors_rust.SafetensorError",
            "Error while deserializing header: HeaderTooLarge",
            "corrupt_model",
        ),
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied", "execution_failed"),
    ],
)
@in_loop
async def test_an_error_of_a_node_is_told_by_its_kind_and_not_repeated(
    tmp_path: Path, exception: str, message: str, kind: str
) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.prompt_error = PromptError(exception, message)
        handle = await shop.submit()
        job = await shop.end(handle)
        assert failure_of(job).kind == kind
        assert (len(job.attempts), shop.runs(handle)) == (1, 1)


@in_loop
async def test_a_failed_job_can_be_run_again_by_the_user(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        shop.engine.faults.prompt_error = PromptError()
        handle = await shop.submit()
        assert (await shop.end(handle)).status is Status.FAILED
        await handle.retry()
        job = await shop.end(handle)
    assert job.status is Status.DONE
    assert job.failure is None
    assert len(job.attempts) == 2


# ------------------------------------------------------------------------------ nothing answers


@in_loop
async def test_a_dead_server_fails_a_job_within_20_s_and_does_not_burn_the_others(
    tmp_path: Path,
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with workshop(tmp_path, comfy_url=nowhere) as shop:
        first, *others = [await shop.submit(f"fox {n}") for n in range(8)]
        began = time.monotonic()
        async with shop.worker(timing=FAST):
            job = await shop.end(first)
            took_s = time.monotonic() - began
            untouched = [h for h in others if shop.now(h).attempts == []]
    assert failure_of(job).kind == "unreachable"
    assert "COMFY_URL" in failure_of(job).remedy
    assert took_s <= 20
    assert len(untouched) >= 6  # one other was on its way beside it


@in_loop
async def test_jobs_that_waited_for_a_dead_server_run_when_it_comes_back(tmp_path: Path) -> None:
    port = free_port()
    async with workshop(tmp_path, comfy_url=f"http://127.0.0.1:{port}") as shop:
        handles = [await shop.submit(f"fox {n}") for n in range(5)]
        async with shop.worker():
            await until(lambda: any(shop.now(h).attempts for h in handles))
            async with Engine(port=port):
                jobs = await shop.ended(*handles)
    assert [job.status for job in jobs] == [Status.DONE] * 5


@in_loop
async def test_a_server_that_dies_leaves_its_jobs_to_the_other_one(tmp_path: Path) -> None:
    async with workshop(tmp_path, engines=2) as shop, shop.worker():
        for engine in shop.engines:
            engine.faults.step_delay_s = 0.5
        handles = [await shop.submit(f"fox {n}", steps=40) for n in range(2)]
        for handle in handles:
            await shop.painting(handle)
        shop.engines[1].faults.step_delay_s = 0
        await shop.engines[0].stop()
        jobs = await shop.ended(*handles)
    assert [job.status for job in jobs] == [Status.DONE] * 2
    assert {attempt_of(job).host for job in jobs} == {shop.engines[1].url}
