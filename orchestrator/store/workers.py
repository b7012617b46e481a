"""A worker's lease is its presence: a lock it holds for life, and a heartbeat in case it hangs."""

from __future__ import annotations

import os
import socket
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from orchestrator.errors import StoreBusy
from orchestrator.files import DISK, Disk, write_whole
from orchestrator.locks import KernelLock

LEASE_S = 15.0  # a heartbeat that has not moved for this long, seen by the observer's own clock, is a hang
# Windows counts in 100 ns, some shares in microseconds; a beat comes every second
LEAST_NS = 1_000_000
HOST = socket.gethostname()


def monotonic() -> float:
    """Seconds that no change of the wall clock moves, and that go on while the machine sleeps."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker says of itself."""

    id: str
    name: str
    pid: int
    host: str
    alive: bool


class Presence:
    """This process's own sign of life as a worker. Its id is new at each start: a reused one would make
    the jobs of a dead worker look cared for."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "worker",
        clock: Callable[[], float] = monotonic,
        lease_s: float = LEASE_S,
        disk: Disk = DISK,
    ) -> None:
        """Raises DiskFull, StoreBusy."""
        self.id = f"{name}-{uuid.uuid4().hex[:12]}"
        self._path = folder / self.id
        self._clock = clock
        self._lease_s = lease_s
        self._process = os.getpid()
        said = {"name": name, "pid": self._process, "host": HOST}
        # its draft lies outside: whoever looks for workers would see it
        write_whole(self._path, orjson.dumps(said), temp=folder.parent, disk=disk)
        self._lock = KernelLock(_lock_file(self._path))
        self._take_lock()
        self._beat_ns = 0
        self.beat()

    def _take_lock(self) -> None:
        deadline = time.monotonic() + 5
        while not self._lock.try_acquire():  # an observer that probes it holds it for microseconds
            if time.monotonic() > deadline:
                raise StoreBusy(f"The presence file {self._path.name} is locked by another process")
            time.sleep(0.001)

    def beat(self) -> None:
        """Show that the worker's loop still turns."""
        # the mtime must move even when the wall clock stands still or goes back, and by as much as a drive notes down
        self._beat_ns = max(self._beat_ns + LEAST_NS, time.time_ns())
        try:
            os.utime(self._path, ns=(self._beat_ns, self._beat_ns))
        except FileNotFoundError:  # somebody emptied .lab: be seen again
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.release()  # the file it was on is gone with the rest
            self._take_lock()
            self._path.write_bytes(
                orjson.dumps({"name": "worker", "pid": self._process, "host": HOST})
            )
        self._beat_at = self._clock()

    @property
    def is_fresh(self) -> bool:
        """Whether the last beat is young enough to spend money on: nobody can have taken the jobs over."""
        return self._clock() - self._beat_at < self._lease_s / 2

    def end(self) -> None:
        """Go: the jobs are free for others."""
        self._lock.release()
        self._path.unlink(missing_ok=True)
        _lock_file(self._path).unlink(missing_ok=True)


class Observer:
    """Judges which workers live."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = monotonic,
        lease_s: float = LEASE_S,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._lease_s = lease_s
        self._seen: dict[str, tuple[int, float]] = {}

    def is_alive(self, worker: str, *, host: str = HOST) -> bool:
        """Whether a worker may still act on its jobs.

        On this host the kernel knows: nobody holds the lock of a dead worker. A worker that holds its lock, or
        lives on another host, is judged by whether its heartbeat moves, on this process's own clock.
        """
        path = self._folder / worker
        try:
            beat = path.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if host == HOST and _is_free(_lock_file(path)):
            return False
        now = self._clock()
        seen = self._seen.get(worker)
        if seen is None or seen[0] != beat:
            self._seen[worker] = (beat, now)
            return True
        return now - seen[1] < self._lease_s

    def beat(self, worker: str) -> int | None:
        """When a worker last gave a sign of life, by the clock of the file system, in ns."""
        try:
            return (self._folder / worker).stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def workers(self) -> list[WorkerInfo]:
        """Every worker that left a sign, living or not."""
        found = []
        for path in sorted(self._folder.iterdir()):
            if path.suffix == ".lock":
                continue
            try:
                said = orjson.loads(path.read_bytes())
                name, pid, host = str(said["name"]), int(said["pid"]), str(said["host"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            alive = self.is_alive(path.name, host=host)
            found.append(WorkerInfo(path.name, name, pid, host, alive))
        return found

    def forget_dead(self, *, older_than_s: float = 86_400) -> None:
        """Remove the signs of workers that died long ago."""
        for worker in self.workers():
            path = self._folder / worker.id
            try:
                if not worker.alive and time.time() - path.stat().st_mtime > older_than_s:
                    path.unlink(missing_ok=True)
                    _lock_file(path).unlink(missing_ok=True)
            except OSError:
                continue


def _lock_file(path: Path) -> Path:
    # beside the heartbeat, not the same file: Windows would refuse to read a locked one
    return path.with_name(path.name + ".lock")


def _is_free(path: Path) -> bool:
    if not path.exists():
        return True
    lock = KernelLock(path)
    try:
        return lock.try_acquire()
    finally:
        lock.release()
