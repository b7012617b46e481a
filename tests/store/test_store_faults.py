"""Disks that lie, fail in the middle, or take less than they are given."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from workbench import Child, finish, make_job, needs_posix, opened, take, take_any

from orchestrator.errors import DiskFull, Fenced, JobExists
from orchestrator.files import Disk, read_json, write_whole
from orchestrator.jobs import Status


class LyingDisk(Disk):
    """Fails one call, the next time it is made."""

    def __init__(self) -> None:
        self.fails: tuple[str, int] | None = None

    def _meets(self, call: str) -> OSError | None:
        if self.fails is None or self.fails[0] != call:
            return None
        number = self.fails[1]
        self.fails = None
        return OSError(number, os.strerror(number))

    def write(self, path: Path | str, data: bytes) -> None:
        if error := self._meets("fsync"):
            super().write(path, data)  # all written, and none of it safe
            raise error
        if error := self._meets("write"):
            Path(path).write_bytes(data[:50])
            raise error
        super().write(path, data)

    def replace(self, source: Path | str, target: Path | str) -> None:
        if error := self._meets("replace"):
            raise error
        super().replace(source, target)
        if error := self._meets("answer"):
            raise error

    def sync_folder(self, path: Path | str) -> None:
        if error := self._meets("folder"):
            raise error
        super().sync_folder(path)

    def read(self, path: Path | str) -> tuple[bytes, os.stat_result]:
        if error := self._meets("read"):
            raise error
        return super().read(path)


BEFORE_ANYTHING_SHOWS = [
    ("write", errno.EIO),
    ("write", errno.ENOSPC),
    ("fsync", errno.EIO),
    ("fsync", errno.ENOSPC),
    ("replace", errno.EIO),
    ("replace", errno.EACCES),
]


@pytest.mark.parametrize(("call", "number"), BEFORE_ANYTHING_SHOWS)
def test_a_create_that_fails_shows_nothing_leaves_nothing_and_can_be_repeated(
    tmp_path: Path, call: str, number: int
) -> None:
    disk = LyingDisk()
    with opened(tmp_path, disk=disk) as store, opened(tmp_path) as other:
        disk.fails = (call, number)
        with pytest.raises((OSError, DiskFull)):
            store.create(make_job("a"))
        assert not list(tmp_path.glob("*.json"))
        assert not list(store.layout.temp.iterdir())
        assert take_any(store) is None
        assert take_any(other) is None
        store.create(make_job("a"))
        assert take(other).job.id == "a"


@pytest.mark.parametrize(("call", "number"), BEFORE_ANYTHING_SHOWS)
def test_a_finish_that_fails_leaves_the_job_running_and_can_be_repeated(
    tmp_path: Path, call: str, number: int
) -> None:
    disk = LyingDisk()
    with opened(tmp_path, disk=disk) as store:
        store.create(make_job("a"))
        claim = take(store)
        store.layout.ballast.unlink()  # with it, a full disk would not stop a finish
        disk.fails = (call, number)
        with pytest.raises((OSError, DiskFull)):
            finish(store, claim)
        assert store.get("a") == claim.job
        assert finish(store, claim).status is Status.DONE


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOENT])
def test_a_rename_that_is_done_but_reports_failure_counts_as_done(
    tmp_path: Path, number: int
) -> None:
    disk = LyingDisk()
    with opened(tmp_path, disk=disk) as store:
        disk.fails = ("answer", number)
        assert store.create(make_job("a")).revision == 1
        claim = take(store)
        disk.fails = ("answer", number)
        assert finish(store, claim).status is Status.DONE
        assert disk.fails is None, "the fault was met"
        assert store.get("a").revision == 3
        assert [path.name for path in tmp_path.glob("*.json")] == ["a.json"]


def test_a_write_of_unknown_fate_is_repeated_without_a_second_job_or_a_second_end(
    tmp_path: Path,
) -> None:
    """When the folder's fsync fails the name is there, perhaps not for long: the caller is told, and asks again."""
    disk = LyingDisk()
    with opened(tmp_path, disk=disk) as store:
        disk.fails = ("folder", errno.EIO)
        with pytest.raises(OSError, match="Input/output"):
            store.create(make_job("a"))
        with pytest.raises(JobExists):
            store.create(make_job("a"))
        claim = take(store)
        disk.fails = ("folder", errno.EIO)
        with pytest.raises(OSError, match="Input/output"):
            finish(store, claim, "first.png")
        with pytest.raises(Fenced):
            finish(store, claim, "second.png")
        result = store.get("a").result
        assert result is not None
        assert result.file == "first.png"
        store.refresh()
        assert store.counts()[Status.DONE] == 1


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_share_that_cannot_sync_folders_is_good_enough(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112 - a path by descriptor
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        pytest.skip("tells folders by /proc")
    monkeypatch.setattr(os, "fsync", refuse_folders)
    with opened(tmp_path) as store:
        store.create(make_job("a"))
        assert finish(store, take(store)).status is Status.DONE


def test_a_read_that_finds_the_file_replaced_on_a_share_is_repeated(tmp_path: Path) -> None:
    disk = LyingDisk()
    with opened(tmp_path, disk=disk) as store:
        store.create(make_job("a"))
        disk.fails = ("read", errno.ESTALE)
        assert store.get("a").id == "a"
        assert disk.fails is None


def test_a_claim_that_fails_gives_its_place_back(tmp_path: Path) -> None:
    disk = LyingDisk()
    with opened(tmp_path, disk=disk) as store:
        store.create(make_job("a"))
        disk.fails = ("replace", errno.EIO)
        with pytest.raises(OSError, match="Input/output") as caught:
            take(store, limit=1)
        assert take(store, limit=1).job.id == "a", f"the place is lost while {caught} is kept"


@needs_posix
def test_a_system_that_takes_less_than_it_is_given_is_given_the_rest_or_told_of(
    tmp_path: Path,
) -> None:
    """A limit on the size of files makes the kernel itself write short, then fail."""
    resource = pytest.importorskip("resource")

    def write(pipe: Connection) -> None:

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        disk = Disk()
        disk.reserve(tmp_path / "receipt", 4096)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        errors = []
        acts: list[Callable[[], None]] = [
            lambda: write_whole(tmp_path / "job", b"x" * 3000),
            lambda: disk.overwrite(tmp_path / "receipt", b"y" * 3000),
        ]
        for act in acts:
            try:
                act()
            except OSError as error:
                errors.append(error.errno)
        pipe.send(errors)

    with Child(write) as child:
        assert child.hear() == [errno.EFBIG, errno.EFBIG]
    assert not (tmp_path / "job").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["receipt"]


def test_a_file_that_could_not_be_replaced_keeps_its_old_content(tmp_path: Path) -> None:
    disk = LyingDisk()
    path = tmp_path / "paths.json"
    write_whole(path, b"[1]", disk=disk)
    for call, number in BEFORE_ANYTHING_SHOWS:
        disk.fails = (call, number)
        with pytest.raises((OSError, DiskFull)):
            write_whole(path, b"[2]", disk=disk)
    assert read_json(path) == [1]
    assert [item.name for item in tmp_path.iterdir()] == ["paths.json"]


def test_receipts_are_written_in_place_and_half_of_one_is_none(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        receipts = store.receipts
        receipts.reserve("a.1")
        assert receipts.read("a.1") is None
        receipts.write("a.1", {"id": "a long one that is overwritten by a short one"})
        receipts.write("a.1", {"id": "T"})
        assert receipts.read("a.1") == {"id": "T"}
        path = store.layout.receipts / "a.1"
        path.write_bytes(b'{"id": "T')
        assert receipts.read("a.1") is None
        for name in (None, "", "..", "../a", "..\\a", "none"):
            assert receipts.read(name) is None, name
        receipts.remove("a.1")
        receipts.remove("a.1")
        assert not path.exists()
