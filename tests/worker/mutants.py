"""Deliberate faults of the lab, put by name into a worker process: a test that lets one live proves nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.attempts import BFLService
from orchestrator.jobs import Job
from orchestrator.store import Store
from orchestrator.store.locks import ShardLocks
from orchestrator.store.receipts import Receipts


def swap(owner: type, name: str, faulty: Any) -> None:
    """Put a faulty method in the place of a real one, which must be there: it may have been renamed."""
    getattr(owner, name)
    setattr(owner, name, faulty)


def no_lock() -> None:
    """Jobs are changed without their lock."""

    @contextlib.contextmanager
    def hold(*_: Any, **__: Any) -> Iterator[bool]:
        yield True

    swap(ShardLocks, "hold", hold)


def in_place() -> None:
    """Job files are written where they lie, in two pieces."""

    def write(self: Any, job_id: str, data: bytes) -> Any:
        path = Path(self._root, f"{job_id}.json")
        with path.open("wb", buffering=0) as file:
            file.write(data[:300])
            os.fsync(file.fileno())
            file.write(data[300:])
        return path.stat()

    swap(Store, "_write", write)


def pay_again() -> None:
    """An intent without a receipt is posted again."""
    swap(BFLService, "_await_receipt", BFLService._buy)


def no_recovery() -> None:
    """Nobody takes over what a lost worker held."""
    swap(Store, "recover", lambda self: [])


def no_fence() -> None:
    """Whoever lost a job may still write to it."""
    swap(Job, "owned", lambda self, fence: self)


def no_receipt() -> None:
    """What the service answered is not kept."""
    swap(Receipts, "write", lambda *_: None)


MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__: mutant
    for mutant in (no_lock, in_place, pay_again, no_recovery, no_fence, no_receipt)
}
