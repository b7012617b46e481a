"""Locks of the kernel on files: a process that dies lets go of them at once, and nothing is broken by age.

Measured in the design notes: a lock file that others remove when it looks old loses acknowledged updates
whenever its owner was only asleep.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from weakref import WeakSet

from orchestrator.errors import StoreBusy

SHARDS = tuple(f"{number:02x}" for number in range(256))
ARCHIVE = "archive"  # held by whoever moves jobs to `_old`
WAIT_S = 10.0  # a healthy holder needs milliseconds; longer means it is stopped
POLL_S = 0.0005
POLL_MAX_S = 0.01

if sys.platform == "win32":
    from filelock import FileLock as _Library
    from filelock import Timeout

    class KernelLock:
        """An exclusive lock on one file, held by this object."""

        def __init__(self, path: Path | str) -> None:
            # the defaults would fall back to a weaker lock in silence, and unlink the file
            self._lock = _Library(
                path,
                fallback_to_soft=False,
                preserve_lock_file=True,
                thread_local=False,
                poll_interval=0.005,
            )

        def try_acquire(self) -> bool:
            """Take the lock if it is free."""
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                return False
            return True

        def release(self) -> None:
            """Give the lock up and close the file."""
            self._lock.release()

        def unlock(self) -> None:
            """Give the lock up, ready to be taken again."""
            self._lock.release()

else:
    import fcntl

    class KernelLock:
        """An exclusive lock on one file, held by this object."""

        def __init__(self, path: Path | str) -> None:
            self._path = path
            self._descriptor: int | None = None
            _alive.add(self)

        def try_acquire(self) -> bool:
            """Take the lock if it is free."""
            if self._descriptor is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o644)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        def unlock(self) -> None:
            """Give the lock up, ready to be taken again."""
            if self._descriptor is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

        def release(self) -> None:
            """Give the lock up and close the file."""
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

        __del__ = release

        def forget(self) -> None:
            """In a forked child: let go of the parent's descriptor without unlocking it for the parent.

            The child would otherwise share the parent's lock, and keep it after the parent's death.
            """
            self.release()

    _alive: WeakSet[KernelLock] = WeakSet()

    def _forget_inherited() -> None:
        for lock in list(_alive):
            lock.forget()

    os.register_at_fork(after_in_child=_forget_inherited)


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
            for name in (ARCHIVE, *SHARDS):
                (self._folder / name).touch()

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
            if not _acquire(lock, deadline):
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


def _acquire(lock: KernelLock, deadline: float) -> bool:
    pause = POLL_S
    while not lock.try_acquire():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, POLL_MAX_S)
    return True
