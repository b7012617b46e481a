"""What of the lab runs, what does not, and what to do about it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import psutil
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

from orchestrator.connectors.bfl import BFL
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.errors import OrchestratorError, ServiceUnreachable
from orchestrator.jobs import Status
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.store import Store

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
PROBE_S = 3.0  # a service that needs longer to say that it is there is not well
LOW_DISK = 500_000_000  # bytes: some hundred pictures


class Said(BaseModel):
    """Base of what a report is made of: camelCase in JSON."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class ServiceHealth(Said):
    """One service. `status` is running, stopped or unknown; `remedy` says what to do when it is not running."""

    status: str
    message: str = ""
    remedy: str | None = None
    url: str | None = None
    port: int | None = None
    version: str | None = None
    embedded_engine: bool | None = None
    queue_depth: int | None = None
    pid: int | None = None
    uptime_s: float | None = None
    memory: int | None = Field(default=None, description="resident bytes")
    hosts: list[ServiceHealth] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is known to run."""
        return self.status == "running"


NO_MONITOR = ServiceHealth(status="unknown", message="This version has no monitor yet")
NO_GUARDIAN = ServiceHealth(status="unknown", message="This version has no guardian yet")


class PlaceHealth(Said):
    """A folder of paths.json. `free` and `total` are bytes of its disk."""

    key: str
    path: str
    exists: bool
    writable: bool
    free: int | None
    total: int | None = Field(default=None, description="bytes of its disk")
    problem: str | None = None


class QueueHealth(Said):
    """The jobs, counted; `oldest_waiting_s` is the age of the job that has waited longest."""

    counts: dict[str, int]
    oldest_waiting_s: float | None
    corrupt_files: int


class HealthReport(Said):
    """Everything, with the problems and their remedies in one list."""

    well: bool
    problems: list[str]
    panel: ServiceHealth
    comfyui: ServiceHealth
    bfl: ServiceHealth
    worker: ServiceHealth
    monitor: ServiceHealth
    guardian: ServiceHealth
    queue: QueueHealth
    places: list[PlaceHealth]


async def report(
    paths: Paths, settings: Settings, store: Store, *, hosts: Sequence[str]
) -> HealthReport:
    """Ask every part once, side by side. Takes at most some seconds; raises nothing."""
    comfyui, bfl, panel, (worker, queue, places) = await asyncio.gather(
        _comfyui(hosts),
        _bfl(settings),
        _panel(settings.admin_url),
        asyncio.to_thread(lambda: (_worker(store), _queue(store), look_at(paths))),
    )
    problems = [*_service_problems(comfyui, bfl, worker), *_other_problems(queue, places, paths)]
    return HealthReport(
        well=not problems,
        problems=problems,
        panel=panel,
        comfyui=comfyui,
        bfl=bfl,
        worker=worker,
        monitor=NO_MONITOR,
        guardian=NO_GUARDIAN,
        queue=queue,
        places=places,
    )


def _service_problems(*services: ServiceHealth) -> list[str]:
    return [f"{s.message}. {s.remedy}" for s in services if s.status == "stopped"]


def _other_problems(queue: QueueHealth, places: Sequence[PlaceHealth], paths: Paths) -> list[str]:
    problems = []
    for place in places:
        if place.key == "comfyRoot":
            continue  # somebody else's installation: read, not written
        if not place.writable:
            problems.append(f"{place.key} ({place.path}) cannot be written: {place.problem}")
        elif place.free is not None and place.free < LOW_DISK:
            megabytes = place.free // 1_000_000
            problems.append(f"{place.key} has {megabytes} MB left. Free some space on its disk")
    if queue.corrupt_files:
        problems.append(
            f"{queue.corrupt_files} files in {paths.jobs / '_corrupt'} hold no job. "
            "Read the notes beside them; repair the files and move them back, or delete them"
        )
    return problems


async def _comfyui(hosts: Sequence[str]) -> ServiceHealth:
    each = await asyncio.gather(*(_comfyui_host(host) for host in hosts))
    if len(each) == 1:
        return each[0]
    down = [host for host in each if not host.is_running]
    return ServiceHealth(
        status="stopped" if len(down) == len(each) else "running",
        message="; ".join(host.message for host in down) or f"{len(each)} servers answer",
        remedy=down[0].remedy if down else None,
        queue_depth=sum(host.queue_depth or 0 for host in each),
        hosts=list(each),
    )


async def _comfyui_host(url: str) -> ServiceHealth:
    client = ComfyUI(url)
    try:
        async with asyncio.timeout(PROBE_S):
            stats = await client.system_stats()
    except (OrchestratorError, TimeoutError) as error:
        away = error if isinstance(error, OrchestratorError) else ServiceUnreachable()
        return ServiceHealth(
            status="stopped",
            message=f"ComfyUI at {client.host} does not answer",
            remedy=away.remedy,
            url=client.host,
            port=_port(url),
        )
    finally:
        await client.close()
    kind = "embedded engine, no model" if stats.embedded_engine else f"ComfyUI {stats.version}"
    return ServiceHealth(
        status="running",
        message=kind,
        url=client.host,
        port=_port(url),
        version=stats.version,
        embedded_engine=stats.embedded_engine,
        queue_depth=stats.queue_remaining,
        **await asyncio.to_thread(_listener, url),
    )


async def _bfl(settings: Settings) -> ServiceHealth:
    if settings.bfl_api_key is None:
        return ServiceHealth(
            status="unknown",
            message="No BFL_API_KEY: the backend flux cannot be used",
            remedy="Put a key from https://api.bfl.ai into .env.local if you want FLUX.",
        )
    client = BFL(settings.bfl_base_url, SecretStr(settings.bfl_api_key.get_secret_value()))
    try:
        async with asyncio.timeout(PROBE_S):
            credits = await client.credits()  # costs nothing
    except TimeoutError:
        return ServiceHealth(
            status="stopped", message=f"{client.host} does not answer", remedy="Try again later."
        )
    except OrchestratorError as error:
        return ServiceHealth(status="stopped", message=error.message, remedy=error.remedy)
    finally:
        await client.close()
    return ServiceHealth(status="running", message=f"{credits:g} credits left", url=client.host)


async def _panel(admin_url: str) -> ServiceHealth:
    parts = urlsplit(admin_url)
    port = _port(admin_url)
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError):
        return ServiceHealth(
            status="stopped",
            message=f"Nothing answers at {parts.hostname}:{port}",
            remedy="Run `orchestrator up`.",
            port=port,
        )
    writer.close()
    listener = await asyncio.to_thread(_listener, admin_url)
    return ServiceHealth(status="running", port=port, **listener)


def _port(url: str) -> int | None:
    parts = urlsplit(url)
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _worker(store: Store) -> ServiceHealth:
    alive = [worker for worker in store.observer.workers() if worker.alive]
    if not alive:
        return ServiceHealth(
            status="stopped",
            message="No worker runs",
            remedy="Run `orchestrator up`, or `orchestrator worker` for a worker alone.",
        )
    first = alive[0]
    return ServiceHealth(
        status="running",
        message=f"{len(alive)} running" if len(alive) > 1 else first.name,
        **(_process(first.pid) if first.host == socket.gethostname() else {"pid": first.pid}),
    )


_LISTENERS: dict[int, psutil.Process] = {}  # port -> who listens there, for as long as that lives


def _listener(url: str) -> dict[str, Any]:
    """Process id, age and memory of the program that serves an address of this machine, if this user may know."""
    port = _port(url)
    if port is None or urlsplit(url).hostname not in LOOPBACK:
        return {}
    known = _LISTENERS.get(port)
    if known is None or not known.is_running():  # asking the system costs 5-80 ms
        known = _who_listens(port)
        if known is None:
            return {}
        _LISTENERS[port] = known
    return _process(known.pid)


def _who_listens(port: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,):
                return psutil.Process(connection.pid) if connection.pid else None
    return None


def _process(pid: int) -> dict[str, Any]:
    """Id, age and memory of a process of this machine."""
    try:
        process = psutil.Process(pid)
        started = datetime.fromtimestamp(process.create_time()).astimezone()
        uptime_s = (datetime.now().astimezone() - started).total_seconds()
        memory = process.memory_info().rss
        return {"pid": pid, "uptime_s": round(max(0.0, uptime_s), 1), "memory": memory}
    except psutil.Error:  # gone by now, or nobody may ask
        return {"pid": pid}


def _queue(store: Store) -> QueueHealth:
    store.refresh()
    counts = store.counts()
    _, oldest = store.waiting()
    return QueueHealth(
        counts={status.value: counts[status] for status in Status},
        oldest_waiting_s=round((store.now() - oldest).total_seconds(), 1) if oldest else None,
        corrupt_files=len(store.quarantine.files()),
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


def _disk(path: os.PathLike[str]) -> dict[str, int | None]:
    try:
        usage = psutil.disk_usage(os.fspath(path))
    except OSError:
        return {"free": None}
    return {"free": usage.free, "total": usage.total}
