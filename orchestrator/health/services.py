"""The probes of the services, each with a limit in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
from pydantic import SecretStr

from orchestrator.connectors.bfl import BFL
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.errors import OrchestratorError, ServiceUnreachable
from orchestrator.health.models import ServiceHealth
from orchestrator.health.notes import Note
from orchestrator.health.processes import halted, listener, port_of, process
from orchestrator.settings import Settings
from orchestrator.store import Store
from orchestrator.store.workers import HOST, WorkerInfo

PROBE_S = 3.0  # a service that needs longer to say that it is there is not well
BEAT_YOUNG_S = 4.0  # a worker gives a sign of life every second
# to see whether an old sign moves: the machine may have slept, or its clock been changed
BEAT_LOOK_S = 2.5
FROM_UP = "Run `orchestrator up`, which starts it."


async def comfyui(hosts: Sequence[str]) -> tuple[ServiceHealth, float | None]:
    """Every ComfyUI, and how far our clock is ahead of that of the one it differs most from, in seconds."""
    asked = await asyncio.gather(*(comfyui_host(host) for host in hosts))
    each = [health for health, _ in asked]
    skews = [skew for _, skew in asked if skew is not None]
    worst = max(skews, key=abs, default=None)
    if len(each) == 1:
        return each[0], worst
    down = [host for host in each if not host.is_running]
    whole = ServiceHealth(
        status="stopped" if len(down) == len(each) else "running",
        message="; ".join(host.message for host in down) or f"{len(each)} servers answer",
        remedy=down[0].remedy if down else None,
        queue_depth=sum(host.queue_depth or 0 for host in each),
        hosts=each,
    )
    return whole, worst


async def comfyui_host(url: str) -> tuple[ServiceHealth, float | None]:
    """One ComfyUI, and how far our clock is ahead of its."""
    client = ComfyUI(url)
    where: dict[str, Any] = {"url": client.host, "port": port_of(url)}
    try:
        async with asyncio.timeout(PROBE_S):
            stats = await client.system_stats()
    except (OrchestratorError, TimeoutError) as error:
        away = error if isinstance(error, OrchestratorError) else ServiceUnreachable()
        message = f"ComfyUI at {client.host} does not answer"
        return ServiceHealth(status="stopped", message=message, remedy=away.remedy, **where), None
    finally:
        await client.close()
    kind = "embedded engine, no model" if stats.embedded_engine else f"ComfyUI {stats.version}"
    health = ServiceHealth(
        status="running",
        message=kind,
        version=stats.version,
        embedded_engine=stats.embedded_engine,
        queue_depth=stats.queue_remaining,
        **where,
        **await asyncio.to_thread(listener, url),
    )
    return health, client.clock_skew_s


def engine(file: Path, asked: ServiceHealth, *, wanted: bool) -> ServiceHealth:
    """The embedded engine: what its note says, the operating system, and the probe of the ComfyUI servers.

    `wanted`: the lab has no ComfyUI of its own.
    """
    if not wanted:
        return ServiceHealth(status="unknown", message="Not needed: COMFY_URL names a ComfyUI")
    try:
        said = orjson.loads(file.read_bytes())
        url, pid = str(said["url"]), int(said["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        if asked.is_running:
            return ServiceHealth(status="unknown", message="Not needed: a ComfyUI answers")
        return ServiceHealth(status="stopped", message="No engine runs", remedy=FROM_UP)
    where = {"url": url, "port": port_of(url)}
    if not psutil.pid_exists(pid):
        gone = "The embedded engine has ended"
        return ServiceHealth(status="stopped", message=gone, remedy=FROM_UP, **where)
    if not asked.is_running:
        state = halted(pid) or "it is busy, or hangs"
        return ServiceHealth(
            status="stopped",
            message=f"The embedded engine (process {pid}) does not answer: {state}",
            remedy="The guardian of `orchestrator up` restarts it within seconds.",
            **where,
            **process(pid),
        )
    return ServiceHealth(status="running", message="no model", **where, **process(pid))


async def bfl(settings: Settings) -> ServiceHealth:
    """The FLUX API, by the one question that costs nothing."""
    if settings.bfl_api_key is None:
        return ServiceHealth(
            status="unknown",
            message="No BFL_API_KEY: the backend flux cannot be used",
            remedy="Put a key from https://api.bfl.ai into .env.local if you want FLUX.",
        )
    client = BFL(settings.bfl_base_url, SecretStr(settings.bfl_api_key.get_secret_value()))
    try:
        async with asyncio.timeout(PROBE_S):
            credits = await client.credits()
    except TimeoutError:
        return ServiceHealth(
            status="stopped", message=f"{client.host} does not answer", remedy="Try again later."
        )
    except OrchestratorError as error:
        return ServiceHealth(status="stopped", message=error.message, remedy=error.remedy)
    finally:
        await client.close()
    return ServiceHealth(status="running", message=f"{credits:g} credits left", url=client.host)


async def panel(admin_url: str) -> ServiceHealth:
    """Whether somebody listens where the pages are."""
    port = port_of(admin_url)
    host = urlsplit(admin_url).hostname
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return ServiceHealth(
            status="stopped",
            message=f"Nothing answers at {host}:{port}",
            remedy="Run `orchestrator up`.",
            port=port,
        )
    writer.close()
    found = await asyncio.to_thread(listener, admin_url)
    if state := halted(found["pid"]) if found else None:
        # its socket still takes connections: the system does that
        return ServiceHealth(
            status="stopped",
            message=f"The server (process {found['pid']}) is {state}",
            remedy=f"Continue it with `kill -CONT {found['pid']}`, or end it and run `orchestrator up`.",
            port=port,
            **found,
        )
    return ServiceHealth(status="running", port=port, **found)


async def worker(store: Store) -> ServiceHealth:
    """The workers: a process that is there and whose loop turns."""
    there = [info for info in await asyncio.to_thread(store.observer.workers) if info.alive]
    if not there:
        return ServiceHealth(
            status="stopped",
            message="No worker runs",
            remedy="Run `orchestrator up`, or `orchestrator worker` for a worker alone.",
        )
    moving = await _moving(store, there)
    first = (moving or there)[0]
    about = process(first.pid) if first.host == HOST else {"pid": first.pid}
    if not moving:
        state = (halted(first.pid) if first.host == HOST else None) or "its loop does not turn"
        return ServiceHealth(
            status="stopped",
            message=f"The worker hangs: {state}",
            remedy="`orchestrator up` replaces it within seconds; end a worker that runs alone, "
            "and start it again.",
            **about,
        )
    message = f"{len(moving)} running" if len(moving) > 1 else first.name
    return ServiceHealth(status="running", message=message, **about)


async def _moving(store: Store, there: Sequence[WorkerInfo]) -> list[WorkerInfo]:
    """The workers whose sign of life is young, or moves while we look."""
    before = {info.id: store.observer.beat(info.id) for info in there}
    now_ns = store.now().timestamp() * 1e9
    young = [
        info
        for info in there
        if (beat := before[info.id]) is not None and 0 <= (now_ns - beat) / 1e9 < BEAT_YOUNG_S
    ]
    if young:
        return young
    await asyncio.sleep(BEAT_LOOK_S)
    return [info for info in there if store.observer.beat(info.id) != before[info.id]]


def noted(file: Path, store: Store, *, name: str, expected: bool) -> ServiceHealth:
    """The monitor or the guardian, by its note and its process. `expected`: it should run, since `up` does."""
    note = Note.read(file)
    command = f"`orchestrator {name}`"
    remedy = f"Run `orchestrator up`, or {command} for one alone."
    if expected:
        remedy = f"`orchestrator up` brings it back by itself; see logs/{name}.log if it does not."
    if note is None or not note.has_process:
        return ServiceHealth(status="stopped", message=f"No {name} runs", remedy=remedy)
    about = process(note.pid) if note.host == HOST else {"pid": note.pid}
    now = store.now()
    if note.is_alive(now):
        since_s = max(0.0, (now - note.started_at).total_seconds())
        return ServiceHealth(status="running", **{**about, "uptime_s": round(since_s, 1)})
    age = (now - note.at).total_seconds()
    return ServiceHealth(
        status="stopped",
        message=f"The {name} hangs: no sign of life for {age:.0f} s",
        remedy=remedy,
        **about,
    )
