"""A disk that is really full: a small tmpfs, eight writers, and then every last byte."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from workbench import START, Child, finish, make_job, needs_posix, opened, take, take_any

from orchestrator.errors import DiskFull
from orchestrator.jobs import Status

pytestmark = [
    needs_posix,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a tmpfs"),
]
MOUNT = ["mount", "-t", "tmpfs", "-o", "size=3m,nr_inodes=4000", "tmpfs"]
WRITERS = 8


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run([*MOUNT, str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def write_until_full(root: Path, number: int, pipe: Connection) -> None:
    acknowledged: list[str] = []
    refused = 0
    with opened(root) as store:
        while refused < 20:
            job_id = f"w{number}-{len(acknowledged)}-{refused}"
            try:
                store.create(make_job(job_id))
            except DiskFull:
                refused += 1
            else:
                acknowledged.append(job_id)
    pipe.send(acknowledged)


def fill(folder: Path) -> None:
    with (folder / "fill").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass


def test_a_full_disk_loses_nothing_shows_nothing_unsaid_and_lets_running_jobs_finish(
    small_disk: Path,
) -> None:
    with opened(small_disk) as store:
        store.create(make_job("paid"))
        claim = take(store)
        store.receipts.reserve("paid.1")
        children = [
            Child(lambda pipe, number=number: write_until_full(small_disk, number, pipe))  # type: ignore[misc]
            for number in range(WRITERS)
        ]
        acknowledged = {"paid"}
        for child in children:
            with child:
                acknowledged |= set(child.hear(within_s=60))
        fill(small_disk)

        assert len(acknowledged) > 100
        assert {path.stem for path in small_disk.glob("*.json")} == acknowledged
        for job_id in acknowledged:
            store.get(job_id)  # raises if it cannot be read
        assert not list(store.layout.temp.iterdir())
        with pytest.raises(DiskFull):
            store.create(make_job("another"))
        with pytest.raises(DiskFull):
            take_any(store)

        store.receipts.write("paid.1", {"id": "T", "pollingUrl": "https://bfl.test/T"})
        assert store.receipts.read("paid.1") == {"id": "T", "pollingUrl": "https://bfl.test/T"}
        assert finish(store, claim).status is Status.DONE
        assert store.get("paid").status is Status.DONE


def test_on_a_full_disk_jobs_are_still_listed_counted_and_archived(small_disk: Path) -> None:
    with opened(small_disk) as store:
        for number in range(20):
            store.create(make_job(f"j{number}", now=START + timedelta(seconds=number)))
        for _ in range(10):
            finish(store, take(store))
        store.archive(["j0", "j1"])
        fill(small_disk)
        store.layout.ballast.unlink()
        fill(small_disk)
        store.archive([f"j{number}" for number in range(2, 10)])
        jobs, _ = store.page(limit=10)
        assert [job.id for job in jobs] == [f"j{number}" for number in range(19, 9, -1)]
        assert store.counts()[Status.QUEUED] == 10
        (small_disk / "fill").unlink()
        assert +store.counts() == {Status.QUEUED: 10, Status.DONE: 10}
