"""A worker that is stopped at any moment, or whose disk is full or gone, loses nothing and burns nothing."""

from __future__ import annotations

import asyncio
import errno
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from workshop import Workshop, attempt_of, in_loop, until, workshop

from orchestrator.files import Disk
from orchestrator.jobs import Phase, Status
from orchestrator.testing import Fault
from orchestrator.worker import Worker

Act = Callable[[Worker, "asyncio.Task[None]"], object]


async def stopped_at_every_moment(shop: Workshop, act: Act) -> None:
    """Start and end workers at moments a few milliseconds apart, while they claim."""
    for n in range(8):
        async with shop.worker() as worker:
            # the task in which the worker runs is the only one that is named so
            running = next(t for t in asyncio.all_tasks() if t.get_coro().__name__ == "run")
            await asyncio.sleep(0.006 * n)
            act(worker, running)
            await asyncio.wait([running])
        shop.lab.store.refresh()
        left = shop.lab.store.snapshot()
        assert not [job.id for job in left if job.status is Status.RUNNING]


@pytest.mark.parametrize("ending", ["stop", "cancel"])
@in_loop
async def test_a_worker_that_ends_while_it_claims_hands_every_job_back(
    tmp_path: Path, ending: str
) -> None:
    async with workshop(tmp_path) as shop:
        shop.bfl.picture_s = 0.5
        handles = [await shop.submit(f"fox {n}") for n in range(10)]
        handles += [await shop.paid(f"paid fox {n}") for n in range(6)]
        await stopped_at_every_moment(
            shop, lambda worker, task: worker.stop() if ending == "stop" else task.cancel()
        )
        async with shop.worker():
            jobs = await shop.ended(*handles)
        assert [job.status for job in jobs] == [Status.DONE] * 16
        assert {job.crashes for job in jobs} == {0}
        assert [shop.runs(handle) for handle in handles[:10]] == [1] * 10
    assert len(shop.bfl.charges) == 6


# ------------------------------------------------------------------------------ disks


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system that is full soon."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the space there is, to the last byte."""
    ballast = folder / "fill"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 512, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
    return ballast


@in_loop
async def test_a_picture_that_finds_the_disk_full_is_saved_when_there_is_space(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        async with workshop(disk) as shop, shop.worker() as worker:
            shop.engine.faults.step_delay_s = 0.1
            handle = await shop.submit(steps=10)
            await until(lambda: shop.lab.store.progress.read(handle.id))
            in_the_way = fill(disk)
            await until(lambda: shop.outcomes(handle) == ["success"])
            await asyncio.sleep(1)  # it has tried by now
            assert shop.now(handle).status is Status.RUNNING
            in_the_way.unlink()
            worker.wake()
            job = await shop.end(handle)
            assert job.status is Status.DONE
            assert Path(job.result.file).stat().st_size > 0
            assert (shop.runs(handle), len(job.attempts), job.retried_count) == (1, 1, 1)
            assert job.crashes == 0


@in_loop
async def test_a_receipt_is_kept_on_a_full_disk_and_the_picture_paid_once(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        async with workshop(disk) as shop, shop.worker():
            shop.bfl.fail(Fault.HELD)
            handle = await shop.paid()
            await until(lambda: shop.bfl.charges)
            in_the_way = fill(disk)
            shop.bfl.resume()
            name = attempt_of(shop.now(handle)).receipt
            await until(lambda: shop.lab.store.receipts.read(name))
            assert attempt_of(shop.now(handle)).phase is Phase.INTENT
            in_the_way.unlink()
            job = await shop.end(handle)
        assert (job.status, len(job.attempts)) == (Status.DONE, 1)
        assert len(shop.bfl.charges) == 1


class CrampedDisk(Disk):
    """Has no space for the first receipt."""

    def __init__(self) -> None:
        self.refused = 0

    def reserve(self, path: Path | str, size: int) -> None:
        if "receipts" in str(path) and not self.refused:
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        super().reserve(path, size)


@in_loop
async def test_nothing_is_bought_while_there_is_no_space_for_the_receipt(tmp_path: Path) -> None:
    disk = CrampedDisk()
    async with workshop(tmp_path) as shop, shop.worker(disk=disk):
        handle = await shop.paid()
        await until(lambda: disk.refused and shop.now(handle).not_before)
        assert shop.now(handle).attempts == []
        assert shop.bfl.charges == []
        assert (await shop.end(handle)).status is Status.DONE
        assert not list(shop.lab.store.layout.receipts.iterdir())
    assert len(shop.bfl.charges) == 1


class FullDisk(Disk):
    """Has no space for a file of a folder until it is made."""

    def __init__(self, folder: Path) -> None:
        self.refused = 0
        self.is_full = True
        self._folder = folder

    def replace(self, source: Path | str, target: Path | str) -> None:
        if self.is_full and Path(target).parent == self._folder:
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        super().replace(source, target)


@in_loop
async def test_a_worker_that_is_started_on_a_full_disk_waits_for_room_and_works(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop:
        disk = FullDisk(shop.lab.store.layout.workers)
        async with shop.worker(disk=disk):
            handle = await shop.submit()
            await until(lambda: disk.refused > 1)
            assert shop.lab.store.observer.workers() == []
            disk.is_full = False
            assert (await shop.end(handle)).status is Status.DONE


@in_loop
async def test_a_worker_that_waits_for_room_ends_when_it_is_told_to(tmp_path: Path) -> None:
    async with workshop(tmp_path) as shop:
        disk = FullDisk(shop.lab.store.layout.workers)
        async with shop.worker(disk=disk):
            await until(lambda: disk.refused)
        assert shop.lab.store.observer.workers() == []


@in_loop
async def test_a_worker_whose_folder_is_gone_waits_quietly_and_goes_on_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with workshop(tmp_path) as shop, shop.worker():
        await shop.end(await shop.submit())
        jobs = shop.lab.paths.jobs
        shutil.rmtree(jobs)
        busy_s, began = time.process_time(), time.monotonic()
        await asyncio.sleep(1)
        share = (time.process_time() - busy_s) / (time.monotonic() - began)
        shop.lab.store.layout.create()
        shop.lab.store._locks.create()
        job = await shop.end(await shop.submit("after"))
    assert share < 0.3
    assert job.status is Status.DONE
