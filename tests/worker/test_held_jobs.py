"""A claimed job in a worker's hands: what of it is on the disk, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from workshop import in_loop

from orchestrator.attempts.held import Held
from orchestrator.errors import DiskFull
from orchestrator.jobs import Job, Phase, Status
from orchestrator.store import Lane, Store
from orchestrator.testing import make_job


@asynccontextmanager
async def held(folder: Path) -> AsyncIterator[tuple[Store, Held]]:
    """A job that is claimed, with its first attempt begun."""
    store = Store(folder)
    presence = store.presence()
    store.create(make_job("a fox", id="fox"))
    claim = store.claim(
        presence.id,
        lanes=lambda kind: [Lane("comfyui", "tcp://cluster", 1)],
        prepare=lambda job, lane: job.begin_attempt(
            service=lane.service, host=lane.host, now=store.now(), remote_id="a prompt"
        ),
    )
    assert claim is not None
    with ThreadPoolExecutor(1) as threads:
        job = Held(store, claim, presence=presence, threads=threads, on_room=lambda: None)
        yield store, job
        await job.close()
    await asyncio.to_thread(presence.end)
    store.close()


def noted(job: Job) -> Job:
    return job.with_attempt(phase=Phase.SUBMITTED, host="http://gpu")


@in_loop
async def test_what_is_written_soon_is_written_with_the_next_change_and_in_one_write(
    tmp_path: Path,
) -> None:
    async with held(tmp_path) as (store, job):
        before = store.get("fox").revision
        job.soon(noted)
        assert job.job.attempts[0].host == "http://gpu"
        assert store.get("fox").attempts[0].host == "tcp://cluster"
        await job.update(lambda now: now.finish(["fox.png"], now=store.now()))
        written = store.get("fox")
    assert (written.status, written.attempts[0].host) == (Status.DONE, "http://gpu")
    assert written.revision == before + 1


@in_loop
async def test_what_is_written_soon_outlives_a_write_that_failed(tmp_path: Path) -> None:
    def full(job: Job) -> Job:
        raise DiskFull

    async with held(tmp_path) as (store, job):
        job.soon(noted)
        with pytest.raises(DiskFull):
            await job.update(full)
        await job.update(lambda now: now.hand_back())
        written = store.get("fox")
    assert (written.status, written.attempts[0].phase) == (Status.QUEUED, Phase.SUBMITTED)
