"""Many jobs stored together: one durable step, and no promise weaker than when each is stored by itself."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from test_store_power_cuts import Life, NoFileSync, NoFolderSync, RecordingDisk, violations
from workbench import make_job, opened

from orchestrator.errors import DiskFull
from orchestrator.files import Disk
from orchestrator.store import Store


def together(root: Path, disk: RecordingDisk) -> Life:
    """One job, then three together."""
    life = Life(disk)
    with opened(root, disk=disk) as store:
        life.at_least("a", store.create(make_job("a")).revision)
        for job in store.create_many([make_job("b"), make_job("c"), make_job("d")]):
            life.at_least(job.id, job.revision)
    assert len(life.promises) == 4
    return life


def test_no_power_cut_loses_one_of_many_that_were_acknowledged(tmp_path: Path) -> None:
    life = together(tmp_path / "was", RecordingDisk())
    states, wrong = violations(life, tmp_path / "was", tmp_path / "after")
    assert wrong == []
    assert states >= 8


@pytest.mark.parametrize("careless", [NoFileSync, NoFolderSync])
def test_a_disk_that_leaves_out_a_precaution_is_found_out(
    tmp_path: Path, careless: type[RecordingDisk]
) -> None:
    life = together(tmp_path / "was", careless())
    assert violations(life, tmp_path / "was", tmp_path / "after", enough=1)[1]


def test_the_folder_is_waited_for_once_for_all_of_them(tmp_path: Path) -> None:
    disk = RecordingDisk()
    with opened(tmp_path, disk=disk) as store:
        disk.ops.clear()
        store.create_many(make_job(f"job-{number}") for number in range(50))
    assert sum(op.kind == "sync" for op in disk.ops) == 1
    assert disk.ops[-1].kind == "sync"
    assert sum(op.kind == "fsync" for op in disk.ops) == 50


def test_a_job_whose_id_is_taken_stays_as_it_is_and_the_others_are_stored(tmp_path: Path) -> None:
    told: list[set[str]] = []
    with opened(tmp_path) as store:
        store.create(make_job("b", prompt="the first"))
        subscription = store.watch(told.append)
        jobs = [make_job("a"), make_job("b", prompt="another"), make_job("c"), make_job("c")]
        assert [job.id for job in store.create_many(jobs)] == ["a", "c"]
        subscription.end()
        assert store.get("b").prompt == "the first"
        assert {job.id for job in store.snapshot()} == {"a", "b", "c"}
        assert drafts(store) == []
    assert {"a", "c"} in told


class Full(Disk):
    """Has room for so many new files."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, path: Path | str, data: bytes) -> None:
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(path, data)


def drafts(store: Store) -> list[Path]:
    return list(store.layout.temp.iterdir())


def test_a_full_disk_refuses_the_rest_and_leaves_no_drafts(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        first.create(make_job("before"))
    with opened(tmp_path, disk=Full(room=105)) as store:
        jobs = (make_job(f"job-{number:03}") for number in range(200))
        with pytest.raises(DiskFull):
            store.create_many(jobs)
        store.refresh()
        # the first lot is there, of the second one nothing
        assert len(store.snapshot()) == 101
        assert drafts(store) == []


def test_others_find_what_was_stored_together(tmp_path: Path) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as other:
        one.create_many(make_job(f"job-{number:03}") for number in range(250))
        other.refresh()
        assert len(other.snapshot()) == 250
        assert sum(1 for _ in other.documents()) == 250
