"""The health report: every probe once, side by side, and what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from orchestrator.health import services, surroundings
from orchestrator.health.models import (
    ClockHealth,
    HealthReport,
    PlaceHealth,
    QueueHealth,
    ServiceHealth,
    low_mark,
)
from orchestrator.health.notes import Note
from orchestrator.health.processes import age_s
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.store import Store
from orchestrator.store.workers import HOST

UP_GRACE_S = 30.0  # a server that has just started is still starting its helpers
SKEW_S = 30.0  # jobs are sorted by time; more than this is seen
MAX_REPORTS, MAX_HEAD = 50, 200  # files looked at for a service's, characters of their first lines
WAIT_TOO_LONG_S = 900.0  # for a job that nothing holds up, while nothing is being made


async def report(
    paths: Paths,
    settings: Settings,
    store: Store,
    *,
    hosts: Sequence[str],
    cluster: Callable[[], Awaitable[ServiceHealth]] | None = None,
) -> HealthReport:
    """Ask every part once, side by side. Takes at most some seconds.

    `cluster` looks at who paints the ComfyUI jobs, where that is not the servers at `hosts`.
    """
    up_s = await asyncio.to_thread(served_s, store)
    should_run = up_s is not None and up_s > UP_GRACE_S
    (comfyui, skew_s), bfl, panel, worker, (queue, places, files_s) = await asyncio.gather(
        services.comfyui(hosts) if cluster is None else _without_clock(cluster()),
        services.bfl(settings),
        services.panel(settings.admin_url),
        services.worker(store),
        asyncio.to_thread(
            lambda: (
                surroundings.queue(store),
                surroundings.look_at(paths),
                surroundings.files_skew_s(store),
            )
        ),
    )
    circuits = await asyncio.to_thread(_circuits, paths, store.now())
    if cluster is None:
        wanted = not settings.comfy_urls and bool(hosts)
        engine = services.engine(paths.data / "engine.json", comfyui, wanted=wanted)
    else:
        engine = ServiceHealth(status="unknown", message="Not needed: the jobs run on a cluster")
    found = {
        "comfyui": _told(comfyui, circuits.get("comfyui") or circuits.get("engine")),
        "engine": _told(engine, circuits.get("engine")),
        "bfl": bfl,
        "worker": _told(worker, circuits.get("worker")),
        "monitor": _told(
            services.noted(monitor_file(paths), store, name="monitor", expected=should_run),
            circuits.get("monitor"),
        ),
        "guardian": services.noted(
            guardian_file(paths), store, name="guardian", expected=should_run
        ),
    }
    helpers = ("monitor", "guardian") if should_run else ()
    clock = ClockHealth(files_s=files_s, comfyui_s=skew_s)
    problems = [
        *(_problem(found[name]) for name in ("comfyui", "bfl", "worker", *helpers)),
        *_open_circuits(found),
        *_place_problems(places),
        *_queue_problems(queue, paths, is_working=found["worker"].is_running),
        *_clock_problems(clock),
    ]
    problems = [problem for problem in problems if problem]
    return HealthReport(
        well=not problems,
        problems=problems,
        panel=panel,
        queue=queue,
        places=places,
        clock=clock,
        **found,
    )


async def _without_clock(asked: Awaitable[ServiceHealth]) -> tuple[ServiceHealth, None]:
    return await asked, None  # its machines tell the lab no time


def monitor_file(paths: Paths) -> Path:
    """Where the monitor shows that it lives."""
    return paths.data / "monitor.json"


def guardian_file(paths: Paths, *, in_charge: bool = True) -> Path:
    """Where the guardian that is in charge, or one that stands by, shows that it lives and what it knows."""
    return paths.data / ("guardian.json" if in_charge else "guardian-standby.json")


def guarded(paths: Paths, now: datetime, part: str) -> dict[str, Any]:
    """What the living guardians know: `part` is circuits, by service, or hosts, by address. Blocks on the disk."""
    notes = (Note.read(guardian_file(paths, in_charge=which)) for which in (False, True))
    known: dict[str, Any] = {}
    for note in notes:
        if note is not None and note.is_alive(now):
            known |= note.part(part)
    return known


def _circuits(paths: Paths, now: datetime) -> dict[str, Any]:
    """What the guardians do about each service, and where one was given up, its bug report."""
    known = guarded(paths, now, "circuits")
    for service, said in known.items():
        if isinstance(said, dict) and said.get("state") != "closed":
            said["report"] = bug_report(paths.logs / "reports", service)
    return known


def bug_report(folder: Path, service: str) -> str | None:
    """The name of the newest report about a service; None when there is none. Blocks on the disk."""
    try:
        for path in sorted(folder.glob("BUG-*.md"), reverse=True)[:MAX_REPORTS]:
            with path.open(encoding="utf-8", errors="replace") as file:
                # as `guardian.bugs` heads it
                if file.readline(MAX_HEAD).strip() == f"# {service} cannot be kept running":
                    return path.name
    except OSError:  # the folder comes with the first report
        pass
    return None


def served_s(store: Store) -> float | None:
    """How long `orchestrator up` has had these jobs on this machine; None when it has not. Blocks on the disk."""
    try:
        said = orjson.loads((store.layout.lab / "server.json").read_bytes())
        pid, host = int(said["pid"]), str(said["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return age_s(pid) if host == HOST else None


def _told(service: ServiceHealth, circuit: Any) -> ServiceHealth:
    """A service with what its guardian has done about it."""
    if not isinstance(circuit, Mapping):
        return service
    known: dict[str, Any] = {"circuit": str(circuit.get("state", ""))}
    if known["circuit"] != "closed":
        wait_s, report_name = circuit.get("nextTryS"), circuit.get("report")
        known["next_try_s"] = wait_s if isinstance(wait_s, int | float) else None
        known["bug_report"] = report_name
    restarts = circuit.get("restarts")
    if isinstance(restarts, int):
        known["restarts"] = restarts
    recent = circuit.get("recent")
    if known["circuit"] != "closed" and not service.is_running:
        why = str(circuit.get("why") or "")
        known["message"] = (
            f"{service.message}; restarting it did not help ({why})" if why else service.message
        )
        known["remedy"] = str(circuit.get("remedy") or service.remedy or "")
    elif isinstance(recent, int) and recent > 1:
        known["message"] = f"{service.message}, restarted {recent} times in 10 minutes".lstrip(", ")
    return service.model_copy(update=known)


def _problem(service: ServiceHealth) -> str:
    return f"{service.message}. {service.remedy}" if service.status == "stopped" else ""


def _open_circuits(found: Mapping[str, ServiceHealth]) -> list[str]:
    """What is red although its own probe is not among the problems."""
    return [
        f"{name}: {service.message}. {service.remedy}"
        for name, service in found.items()
        if name in {"engine", "monitor"} and service.is_given_up
    ]


def _place_problems(places: Sequence[PlaceHealth]) -> list[str]:
    problems = []
    for place in places:
        if place.key == "comfyRoot":
            continue  # somebody else's installation: read, not written
        if not place.writable:
            problems.append(f"{place.key} ({place.path}) cannot be written: {place.problem}")
        elif place.free is not None and place.free < low_mark(place.total or 0):
            megabytes = place.free // 1_000_000
            problems.append(f"{place.key} has {megabytes} MB left. Free some space on its disk")
    return problems


def _queue_problems(queue: QueueHealth, paths: Paths, *, is_working: bool) -> list[str]:
    problems = []
    if queue.corrupt_files:
        problems.append(
            f"{queue.corrupt_files} files in {paths.jobs / '_corrupt'} hold no job. "
            "Read the notes beside them; repair the files and move them back, or delete them"
        )
    waited = queue.oldest_waiting_s or 0.0
    idle = not queue.counts.get("running") and not queue.paused
    if is_working and idle and waited > WAIT_TOO_LONG_S:
        problems.append(
            f"A job has waited for {waited / 60:.0f} minutes although a worker runs and makes nothing. "
            "Read its log: `orchestrator jobs` names it"
        )
    return problems


def _clock_problems(clock: ClockHealth) -> list[str]:
    others = {"the disk of the jobs": clock.files_s, "a ComfyUI server": clock.comfyui_s}
    return [
        f"The clock of this machine and that of {who} differ by {abs(skew):.0f} s. "
        "Have both set by NTP: jobs are sorted by time"
        for who, skew in others.items()
        if skew is not None and abs(skew) > SKEW_S
    ]
