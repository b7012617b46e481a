"""What one sends along when asking for help: versions, health, figures and the newest log lines, as Markdown.

No keys, no prompts, and no name of the user where a folder's path would tell it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from orchestrator.health import HealthReport, PlaceHealth, ServiceHealth
from orchestrator.jobs import one_line
from orchestrator.logs import LogLine, masked
from orchestrator.settings import Settings
from orchestrator.statistics import BackendFigures, Statistics

PACKAGES = (
    "orchestrator-lab", "ipykernel", "jupyter-server", "jupyterlab", "voila", "ipywidgets", "anywidget", "httpx",
    "websockets", "pydantic", "pillow", "watchfiles", "matplotlib",
)  # fmt: skip
SERVICES = ("panel", "comfyui", "engine", "bfl", "worker", "monitor", "guardian")


def report(
    health: HealthReport,
    figures: Statistics,
    lines: Sequence[LogLine],
    *,
    diagnoses: Mapping[str, Mapping[str, Any]],
    settings: Settings,
    now: datetime,
) -> str:
    """The whole report. `diagnoses`: by the kind of the failures, as `advice.shown` makes them.

    Text from outside stands in indented blocks, out of which no line can break.
    """
    sections = [
        f"# Orchestrator: diagnostics of {now.astimezone():%Y-%m-%d %H:%M:%S %z}",
        "## Versions",
        _block(_versions()),
        "## Health",
        _block(_health(health)),
        "## Places",
        _block(_place(place) for place in health.places),
        f"## Jobs ({figures.window.value})",
        _block(_figures(figures)),
        "## Failures",
        _block(_failures(figures, diagnoses)),
        f"## Newest {len(lines)} log lines",
        _block(f"{line.file}: {line.text}" for line in lines),
    ]
    home = str(Path.home())
    text = "\n\n".join(sections) + "\n"
    if len(home) > 1:
        text = text.replace(home, "~")
    return masked(settings.redact(text))


def _block(lines: Iterable[str]) -> str:
    rows = [f"    {line}" for line in lines]
    return "\n".join(rows) or "    none"


def _versions() -> list[str]:
    memory = psutil.virtual_memory().total
    said = [
        f"Python {platform.python_version()} on {platform.platform()}",
        f"{os.cpu_count()} processors, {_bytes(memory)} of memory",
    ]
    for name in PACKAGES:
        try:
            said.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            said.append(f"{name} is not installed")
    return said


def _health(health: HealthReport) -> list[str]:
    said = []
    for name in SERVICES:
        service: ServiceHealth = getattr(health, name)
        if name == "engine" and service.status == "unknown":
            continue  # the lab has a ComfyUI of its own
        said.append(_service(name, service))
        said += [_service(f"  {host.url}", host) for host in service.hosts or []]
    counts = ", ".join(f"{n} {status}" for status, n in health.queue.counts.items() if n)
    said.append(f"jobs: {counts or 'none'}; {health.queue.corrupt_files} files that hold none")
    return said + [f"problem: {one_line(problem)}" for problem in health.problems]


def _service(name: str, service: ServiceHealth) -> str:
    facts = [
        service.message,
        f"up {service.uptime_s:.0f} s" if service.uptime_s is not None else "",
        _bytes(service.memory) if service.memory is not None else "",
        f"queue {service.queue_depth}" if service.queue_depth is not None else "",
        f"restarted {service.restarts} times" if service.restarts else "",
        f"given up, see logs/reports/{service.bug_report}" if service.bug_report else "",
    ]
    said = "; ".join(fact for fact in facts if fact)
    return one_line(f"{name}: {service.status}{f' ({said})' if said else ''}")


def _place(place: PlaceHealth) -> str:
    free = "" if place.free is None else f", {_bytes(place.free)} free"
    trouble = f", {place.problem}" if place.problem else ""
    return one_line(
        f"{place.key}: {place.path}{free}, {'' if place.writable else 'not '}writable{trouble}"
    )


def _figures(figures: Statistics) -> list[str]:
    counts = ", ".join(f"{n} {status}" for status, n in figures.counts.items() if n)
    said = [f"{figures.total} jobs: {counts or 'none'}"]
    if figures.cut:
        said.append(f"of the {figures.considered} newest of {figures.known} jobs")
    said.append(f"success rate {_share(figures.success_rate)}, goal {_share(figures.goal)}")
    return said + [_backend(each) for each in figures.backends]


def _backend(each: BackendFigures) -> str:
    target = f"{each.target_s:g} s" if each.target_s is not None else "none"
    return (
        f"{each.backend}: {each.counts['done']} done, {each.counts['failed']} failed; "
        f"median {_seconds(each.median_s)}, p95 {_seconds(each.p95_s)}, target {target}"
    )


def _failures(figures: Statistics, diagnoses: Mapping[str, Mapping[str, Any]]) -> list[str]:
    said = []
    for each in figures.failures:
        said.append(f"{each.count} × {each.kind} on {', '.join(each.backends)}: {each.message}")
        said.append(f"    newest: job {each.job_id}, {each.at.isoformat()}; remedy: {each.remedy}")
        if known := diagnoses.get(each.kind):
            actions = ", ".join(action["name"] for action in known["actions"]) or "none"
            said.append(f"    diagnosis: {known['cause']} {known['remedy']} Actions: {actions}")
    return said


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"


def _seconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds:.1f} s"


def _bytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
