"""What is around a job that failed: its service's queue, the room on the disks, proxies, workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import psutil

from orchestrator.backends import BACKENDS
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.diagnosis import Context
from orchestrator.errors import OrchestratorError
from orchestrator.jobs import Job
from orchestrator.paths import Paths
from orchestrator.store import Store

PROBE_S = 2.0
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


async def look_around(job: Job, *, paths: Paths, store: Store) -> Context:
    """What is around a job now. Its ComfyUI server is asked once, for at most two seconds. Raises nothing."""
    host = job.attempt.host if job.attempt else None
    length, (places, free, workers, pause) = await asyncio.gather(
        _queue_length(job, host),
        asyncio.to_thread(_of_this_machine, paths, store),
    )
    return Context(
        host=host,
        queue_length=length,
        places=places,
        free=free,
        proxies=tuple(name for name in PROXIES if _is_set(name)),
        workers=workers,
        pause=pause,
    )


async def _queue_length(job: Job, host: str | None) -> int | None:
    known = BACKENDS.get(job.backend)
    if host is None or not host.startswith("http") or (known and known.paid):
        return None
    client = ComfyUI(host)
    try:
        async with asyncio.timeout(PROBE_S):
            return (await client.system_stats()).queue_remaining
    except (OrchestratorError, TimeoutError):
        return None
    finally:
        await client.close()


def _of_this_machine(
    paths: Paths, store: Store
) -> tuple[Mapping[str, str], Mapping[str, int], int | None, str | None]:
    places = {place.key: str(place.path) for place in paths.places()}
    free = {}
    for key, path in places.items():
        try:
            free[key] = psutil.disk_usage(path).free
        except OSError:  # the place is away: that is what somebody wants to be told
            continue
    try:
        workers = sum(worker.alive for worker in store.observer.workers())
        note = store.pause_note()
    except (OSError, OrchestratorError):
        return places, free, None, None
    return places, free, workers, note.reason if note else None


def _is_set(name: str) -> bool:
    return bool(os.environ.get(name) or os.environ.get(name.lower()))
