"""Pictures that pass through a storage of fsspec's on their way to the lab, another one than a folder.

`memory://` has what S3 has and a folder has not: no folders that are made first, addresses with a scheme, errors of its
own. It is one process's, so the worker stands in this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from clusters import at_work, seen
from fsspec.implementations.memory import MemoryFileSystem
from inside import in_loop, scheduler, until, without_secrets, worker
from workshop import workshop

from orchestrator.cluster import storage
from orchestrator.errors import StorageFailed
from orchestrator.jobs import Status
from orchestrator.testing import Engine

__all__ = ["without_secrets"]
PLACE = "memory://bucket/lab"


@pytest.fixture(autouse=True)
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """The storage, empty."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()


@in_loop
async def test_pictures_pass_through_a_storage_that_is_no_folder_and_are_gone_from_it(
    tmp_path: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    kind = type(memory)  # each thread has an object of its own
    pipe = kind.pipe_file

    def noted(fs: object, path: str, data: bytes, **options: object) -> None:
        written.append(path)
        pipe(fs, path, data, **options)

    monkeypatch.setattr(kind, "pipe_file", noted)
    async with (
        scheduler() as at,
        Engine() as engine,
        worker(at, engine),
        workshop(tmp_path / "lab", comfy_url=engine.url) as shop,
        at_work(shop, at.address, storage=PLACE) as (_, service),
    ):
        await until(lambda: seen(service))
        jobs = await shop.ended(*[await shop.submit(seed=n, batch_size=2) for n in range(3)])
        assert [job.status for job in jobs] == [Status.DONE] * 3
        assert [len(job.result.files) for job in jobs] == [2, 2, 2]
        assert len(list(shop.images.glob("*.png"))) == 6
    assert len(written) == len(set(written)) == 6  # they went that way
    assert {path.split("/")[1] for path in written} == {"bucket"}
    assert memory.find("/bucket") == []


class Buckets(MemoryFileSystem):
    """A storage whose buckets somebody makes, as S3's: s3fs makes one that is missing along with its first folder."""

    protocol = "buckets"
    store: ClassVar[dict[str, Any]] = {}
    made: ClassVar[set[str]] = {"ours"}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("buckets://").strip("/")

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        bucket, _, key = self._strip_protocol(path).strip("/").partition("/")
        if create_parents or not key:
            self.made.add(bucket)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.mkdir(path)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        if self._strip_protocol(path).strip("/").split("/")[0] not in self.made:
            raise FileNotFoundError("The specified bucket does not exist")
        super().pipe_file(path, value, mode, **options)


def test_a_mistyped_bucket_is_said_and_not_made() -> None:
    fsspec.register_implementation("buckets", Buckets, clobber=True)
    (address,) = storage.put("buckets://ours/lab", "job/1", [b"picture"])
    assert storage.get(address, storage="buckets://ours/lab") == b"picture"
    with pytest.raises(StorageFailed, match="bucket does not exist"):
        storage.put("buckets://hours/lab", "job/1", [b"picture"])
    assert Buckets.made == {"ours"}


def test_the_folders_of_a_share_are_made(tmp_path: Path) -> None:
    share = (tmp_path / "new" / "lab").as_uri()
    (address,) = storage.put(share, "job/1", [b"picture"])
    assert storage.get(address, storage=share) == b"picture"
    storage.clear(share, "job/1")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@in_loop
async def test_a_storage_that_cannot_be_written_fails_the_job_and_says_so(
    tmp_path: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(fs: object, path: str, data: bytes, **options: object) -> None:
        raise PermissionError("AccessDenied: s3:PutObject")

    monkeypatch.setattr(type(memory), "pipe_file", refused)
    async with (
        scheduler() as at,
        Engine() as engine,
        worker(at, engine),
        workshop(tmp_path / "lab", comfy_url=engine.url) as shop,
        at_work(shop, at.address, storage=PLACE) as (_, service),
    ):
        await until(lambda: seen(service))
        (job,) = await shop.ended(await shop.submit())
    assert job.status is Status.FAILED
    assert job.failure is not None
    assert job.failure.kind == StorageFailed.kind
    assert "AccessDenied" in job.failure.message
    assert job.failure.remedy
