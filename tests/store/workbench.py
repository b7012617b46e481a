"""What the tests of the job store share: a clock to move, children to stop and kill, a job's life in few words."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from orchestrator.jobs import Attempt, Job
from orchestrator.store import Claim, Lane, LanesFor, Store

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
GPU = "http://gpu:8188"
OLD_S = 60.0  # the age of a file that nobody is writing any more

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and fork are POSIX")


class Clock:
    """A wall clock and a monotonic one, both moved by hand."""

    def __init__(self) -> None:
        self.wall = START
        self.seconds = 100.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.seconds += seconds
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.wall += timedelta(seconds=seconds)


@contextmanager
def opened(root: Path, **options: Any) -> Iterator[Store]:
    """A store that knows what is on the disk, closed at the end."""
    store = Store(root, **options)
    store.refresh()
    try:
        yield store
    finally:
        store.close()


def make_job(id: str, **fields: Any) -> Job:
    given = {"backend": "sd15", "prompt": "a fox", "params": {}, "now": START, **fields}
    return Job.new(id=id, **given)


def at_gpu(limit: int = 1000) -> LanesFor:
    """The lanes of a worker that sends everything to one server."""
    return lambda kind: [Lane("comfyui", kind.host or GPU, limit)]


def begin(job: Job, lane: Lane) -> Job:
    """What a worker adds to a job that it takes: the intent of an attempt."""
    return job.begin_attempt(service=lane.service, host=lane.host, now=START)


def take(store: Store, worker: str = "w", *, limit: int = 1000) -> Claim:
    """Claim what is most urgent; there must be something."""
    claim = take_any(store, worker, limit=limit)
    assert claim is not None, "nothing to claim"
    return claim


def take_any(store: Store, worker: str = "w", *, limit: int = 1000) -> Claim | None:
    store.refresh()
    return store.claim(worker, lanes=at_gpu(limit), prepare=begin)


def finish(store: Store, claim: Claim, file: str = "a.png") -> Job:
    done = store.update(
        claim.job.id, lambda job: job.finish([file], now=store.now()), fence=claim.fence
    )
    if claim.slot:
        claim.slot.release()
    return done


def the_attempt(job: Job) -> Attempt:
    assert job.attempt is not None
    return job.attempt


def put_file(root: Path, name: str, data: bytes, *, age_s: float = OLD_S) -> Path:
    """A file that somebody left in a folder a while ago."""
    path = root / name
    path.write_bytes(data)
    stamp = time.time() - age_s
    os.utime(path, (stamp, stamp))
    return path


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def until(true: Callable[[], object], *, within_s: float) -> float:
    """Wait for something that another process does; returns the seconds it took."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < within_s, f"it did not happen within {within_s} s"
        time.sleep(0.001)
    return time.monotonic() - start


class Child:
    """A forked process that does something, talks over a pipe, and can be stopped, woken and killed."""

    def __init__(self, act: Callable[[Connection], object]) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_run, args=(act, theirs, self.pipe), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._process.is_alive():
            self.kill()
        self._process.join()
        self.pipe.close()

    def hear(self, *, within_s: float = 20) -> Any:
        """The next thing it says."""
        assert self.pipe.poll(within_s), "the child says nothing"
        return self.pipe.recv()

    def stop(self) -> None:
        """As a laptop's lid, a debugger or a page fault that never ends would."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9; returns when the kernel has cleaned up."""
        self._signal(signal.SIGKILL)
        self._process.join()

    def send_kill(self) -> None:
        """kill -9 without waiting for its end."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


def _run(act: Callable[[Connection], object], pipe: Connection, parents: Connection) -> None:
    parents.close()
    act(pipe)
    pipe.close()
