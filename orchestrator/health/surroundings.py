"""The probes of what the services stand on: the queue, the folders, the clock."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time

import psutil

from orchestrator.health.models import PlaceHealth, QueueHealth
from orchestrator.jobs import Status
from orchestrator.paths import Paths
from orchestrator.store import Store


def queue(store: Store) -> QueueHealth:
    """The jobs, counted. Blocks on the disk."""
    store.refresh()
    counts = store.counts()
    _, oldest = store.waiting()
    note = store.pause_note()
    return QueueHealth(
        counts={status.value: counts[status] for status in Status},
        oldest_waiting_s=round((store.now() - oldest).total_seconds(), 1) if oldest else None,
        corrupt_files=len(store.quarantine.files()),
        paused=(note.reason or "paused") if note else None,
    )


def look_at(paths: Paths) -> list[PlaceHealth]:
    """Every folder of paths.json: whether it can be written, and the room on its disk. Blocks on the disks."""
    return [
        PlaceHealth(
            key=place.key,
            path=str(place.path),
            exists=place.exists,
            writable=place.writable,
            problem=place.problem,
            **(_disk(place.path) if place.exists else {"free": None}),
        )
        for place in paths.places()
    ]


def files_skew_s(store: Store) -> float | None:
    """How far our clock is ahead of the clock that stamps the job files, in seconds: a share has its own.

    None when nothing can be written. Blocks on the disk.
    """
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=store.layout.temp) as file:
        file.write(b"x")
        file.flush()
        skew = time.time() - os.fstat(file.fileno()).st_mtime
        return round(skew, 2)
    return None


def _disk(path: os.PathLike[str]) -> dict[str, int | None]:
    try:
        usage = psutil.disk_usage(os.fspath(path))
    except OSError:
        return {"free": None}
    return {"free": usage.free, "total": usage.total}
