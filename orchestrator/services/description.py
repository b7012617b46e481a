"""The five services, described once for every manager."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator import logs
from orchestrator.errors import ServiceUnknown
from orchestrator.paths import VARIABLE, Paths
from orchestrator.settings import DEFAULT_COMFY_URL, Settings

NAMES = ("panel", "worker", "monitor", "guardian", "comfyui")
# `up` brings a worker and a monitor, and the guardian restarts them and a ComfyUI it was told of
DEFAULT = ("panel", "guardian")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class RestartPolicy:
    """How a service that ended comes back: always, later each time, never given up. Seconds."""

    delay_s: int = 1
    longest_s: int = 120
    steps: int = 5


@dataclass(frozen=True)
class Service:
    """What a manager has to know of a service. No key is in it: programs read them from .env.local."""

    name: str
    title: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    folder: Path
    log: Path
    restart: RestartPolicy = RestartPolicy()
    after: tuple[str, ...] = ()  # services that start before it where both are installed
    leaves_children: bool = False  # what it started goes on when it ends
    stop_s: int = 30  # to hand back its jobs

    @property
    def label(self) -> str:
        """The lab it belongs to, as a manager is told: services of other labs are left alone."""
        return dict(self.environment)[VARIABLE]


def describe(paths: Paths, settings: Settings, *, python: str = sys.executable) -> list[Service]:
    """The services of a lab; comfyui only where comfyRoot says where it lies."""
    parts = [
        (
            "panel",
            "Orchestrator: pages, JupyterLab and a worker",
            ("up", "--no-browser"),
            "comfyui",
        ),
        ("worker", "Orchestrator: one more worker, without pages", ("worker",), "comfyui"),
        ("monitor", "Orchestrator: follows the jobs", ("monitor",), ""),
        ("guardian", "Orchestrator: restarts what ended", ("guardian",), "panel"),
    ]
    found = [
        Service(
            name=name,
            title=title,
            command=(python, "-m", "orchestrator", *arguments),
            environment=_environment(paths, name),
            folder=paths.file.parent,
            log=paths.logs / f"service-{name}.log",
            after=(after,) if after else (),
            leaves_children=name == "guardian",
        )
        for name, title, arguments, after in parts
    ]
    if paths.comfy_root is not None:
        found.append(
            Service(
                name="comfyui",
                title="Orchestrator: ComfyUI",
                command=comfyui_command(paths.comfy_root, settings),
                environment=_environment(paths, "comfyui"),
                folder=paths.comfy_root,
                log=paths.logs / "service-comfyui.log",
            )
        )
    return found


def comfyui_command(root: Path, settings: Settings) -> tuple[str, ...]:
    """How the ComfyUI of a folder is started: its own Python where it has one, and the port that COMFY_URL names."""
    pythons = [
        root / "venv" / "bin" / "python",
        root / ".venv" / "bin" / "python",
        root / "venv" / "Scripts" / "python.exe",
        root / ".venv" / "Scripts" / "python.exe",
        root.parent / "python_embeded" / "python.exe",  # so spelt in the portable ComfyUI
    ]
    python = next((str(each) for each in pythons if each.is_file()), sys.executable)
    urls = [urlsplit(url) for url in (*settings.comfy_urls, DEFAULT_COMFY_URL)]
    port = next(url.port or 80 for url in urls if url.hostname in LOOPBACK)
    return (python, str(root / "main.py"), "--port", str(port))


def name_of(said: str) -> str:
    """The name of a service, also as a manager calls it. Raises ServiceUnknown."""
    name = said.strip().lower().removesuffix(".service")
    for prefix in ("orchestrator-", "lab.orchestrator.", "orchestrator"):
        name = name.removeprefix(prefix)
    if name not in NAMES:
        raise ServiceUnknown(f"There is no service {said[:80]!r}: they are {', '.join(NAMES)}")
    return name


def chosen(services: Sequence[Service], names: Sequence[str]) -> list[Service]:
    """The services of these names, in the order they start. Raises ServiceUnknown."""
    wanted = {name_of(name) for name in names}
    if missing := wanted - {service.name for service in services}:
        raise ServiceUnknown(
            f"{missing.pop()} cannot be a service here: comfyRoot is not set",
            remedy="Set comfyRoot in paths.json to the folder of ComfyUI.",
        )
    order = {"comfyui": 0, "panel": 1}
    found = [service for service in services if service.name in wanted]
    return sorted(found, key=lambda service: order.get(service.name, 2))


def _environment(paths: Paths, name: str) -> tuple[tuple[str, str], ...]:
    return ((VARIABLE, str(paths.file)), (logs.SERVICE, name), ("PYTHONUNBUFFERED", "1"))
