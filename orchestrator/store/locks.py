"""The locks of the jobs: one per job, thinned to 256 files."""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from orchestrator.errors import StoreBusy
from orchestrator.locks import KernelLock, acquire

SHARDS = tuple(f"{number:02x}" for number in range(256))
ARCHIVE = "archive"  # held by whoever moves jobs to `_old`
WAIT_S = 10.0  # a healthy holder needs milliseconds; longer means it is stopped


class ShardLocks:
    """One lock per job, thinned to 256 files, against other threads, other processes and forked children."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start()

    def _start(self) -> None:
        # a thread lock that was held while the process forked would stay held in the child for ever
        self._mutexes = {name: threading.Lock() for name in (*SHARDS, ARCHIVE)}
        self._kernel: dict[str, KernelLock] = {}
        self._process = os.getpid()

    def create(self) -> None:
        """Make the lock files, so that a full disk cannot stop a job from being locked."""
        if not (self._folder / SHARDS[-1]).exists():
            folder = str(self._folder)
            for name in (ARCHIVE, *SHARDS):
                os.close(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT, 0o666))

    def close(self) -> None:
        """Close the lock files."""
        for lock in self._kernel.values():
            lock.release()
        self._kernel = {}

    def hold(self, job_id: str, *, wait_s: float = WAIT_S) -> AbstractContextManager[bool]:
        """Hold a job's lock; yields whether it was got. With `wait_s` 0 it is only tried.

        Raises StoreBusy when it was waited for in vain.
        """
        # a name that is not UTF-8 can lie in the folder; it is locked to be set aside
        number = zlib.crc32(job_id.encode(errors="surrogateescape")) % len(SHARDS)
        return self._hold(SHARDS[number], wait_s)

    def hold_archive(self) -> AbstractContextManager[bool]:
        """Hold the lock of the archive. A job's lock may be taken inside, never the other way round."""
        return self._hold(ARCHIVE, WAIT_S)

    @contextmanager
    def _hold(self, name: str, wait_s: float) -> Iterator[bool]:
        if self._process != os.getpid():
            self._start()
        mutex = self._mutexes[name]
        deadline = time.monotonic() + wait_s
        # flock does not tell threads apart, hence a mutex around it
        if not mutex.acquire(timeout=wait_s):
            if wait_s:
                raise StoreBusy
            yield False
            return
        try:
            lock = self._kernel.get(name)
            if lock is None:
                lock = self._kernel[name] = KernelLock(self._folder / name)
            if not acquire(lock, deadline=deadline):
                if wait_s:
                    raise StoreBusy
                yield False
                return
            try:
                yield True
            finally:
                lock.unlock()
        finally:
            mutex.release()
