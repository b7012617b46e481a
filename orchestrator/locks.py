"""Locks of the kernel on files: a process that dies lets go of them at once, and nothing is broken by age.

Measured in the design notes: a lock file that others remove when it looks old loses acknowledged updates
whenever its owner was only asleep.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from weakref import WeakSet

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


def acquire(lock: KernelLock, *, deadline: float) -> bool:
    """Take a lock, waiting for it until `deadline` of the monotonic clock; returns whether it was got."""
    pause = POLL_S
    while not lock.try_acquire():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, POLL_MAX_S)
    return True
