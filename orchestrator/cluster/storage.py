"""Shared storage that pictures pass through on their way to the lab: any place fsspec knows."""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import fsspec

from orchestrator.errors import StorageFailed


def put(storage: str, key: str, files: Sequence[bytes]) -> list[str]:
    """Store the files of an attempt; returns their addresses. Blocks. Raises StorageFailed.

    Each has a name that nobody else uses: an attempt that Dask began twice writes over nothing.
    """
    with _told(storage):
        fs, root = fsspec.core.url_to_fs(storage)
        stored = []
        for data in files:
            path = posixpath.join(root, key, uuid.uuid4().hex)
            try:
                fs.pipe_file(path, data)
            except FileNotFoundError:
                _make_folder(fs, posixpath.dirname(path))
                fs.pipe_file(path, data)
            stored.append(fs.unstrip_protocol(path))
        return stored


def get(address: str, *, storage: str) -> bytes:
    """A stored file. Blocks. Raises StorageFailed, also for an address outside the storage."""
    with _told(storage):
        fs, root = fsspec.core.url_to_fs(storage)
        path = fs._strip_protocol(address)
        if not path.startswith(root.rstrip("/") + "/") or ".." in path.split("/"):
            raise StorageFailed("A worker named a file outside the cluster's storage")
        data = fs.cat_file(path)
        return bytes(data)


def clear(storage: str, key: str) -> None:
    """Remove what an attempt has stored, as far as it can be. Blocks."""
    with suppress(Exception):
        fs, root = fsspec.core.url_to_fs(storage)
        fs.rm(posixpath.join(root, key), recursive=True)


def _make_folder(fs: fsspec.AbstractFileSystem, path: str) -> None:
    """Make a folder and those above it, but not the first: of S3 that is a bucket, and one mistyped is not wanted."""
    missing = []
    while posixpath.dirname(path).strip("/") and not fs.exists(path):
        missing.append(path)
        path = posixpath.dirname(path)
    for folder in reversed(missing):
        with suppress(FileExistsError):
            fs.mkdir(folder, create_parents=False)


@contextmanager
def _told(storage: str) -> Iterator[None]:
    try:
        yield
    except StorageFailed:
        raise
    except Exception as error:  # every kind of storage has its own errors
        raise StorageFailed(
            f"{_public(storage)} cannot be used: {type(error).__name__}: {error}"
        ) from error


def _public(storage: str) -> str:
    """An address without what may be a password."""
    scheme, mark, rest = storage.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
