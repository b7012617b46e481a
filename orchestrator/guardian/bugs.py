"""A report for whoever mends it, written when restarting did not help: `logs/reports/BUG-YYYYMMDD-HHMM.md`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import orjson

from orchestrator import logs
from orchestrator.files import write_whole
from orchestrator.guardian.journal import Event
from orchestrator.health import HealthReport
from orchestrator.jobs import Job, Status, one_line
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.store import Store

EVERY = timedelta(hours=1)  # at most, for a service
LINES = 50
MAX_JOBS = 3
LOGS = {
    "worker": ("worker.log", "kernels.log"),
    "monitor": ("worker.log", "monitor.log"),
    "engine": ("engine.log", "worker.log"),
    "comfyui": ("comfyui.log", "worker.log"),
    "panel-service": ("service-panel.log", "server.log"),
    "worker-service": ("service-worker.log", "worker.log"),
    "monitor-service": ("service-monitor.log", "monitor.log"),
}
PACKAGES = ("orchestrator", "jupyter_server", "ipykernel", "tornado", "httpx", "psutil", "torch")


class BugReports:
    """Writes them, not too often."""

    def __init__(
        self, paths: Paths, settings: Settings, store: Store, *, now: Callable[[], datetime]
    ) -> None:
        self._paths = paths
        self._settings = settings
        self._store = store
        self._now = now
        self._newest: dict[str, datetime] = {}

    def write(self, event: Event, health: HealthReport | None) -> Path | None:
        """Write a report of a service that cannot be kept running. None when it had one within the hour.

        Blocks on the disk. Raises OSError, DiskFull.
        """
        now = self._now()
        before = self._newest.get(event.service)
        if before is not None and abs(now - before) < EVERY:  # the clock may have been put back
            return None
        folder = self._paths.logs / "reports"
        folder.mkdir(parents=True, exist_ok=True)
        path = _free(folder, f"BUG-{now.astimezone():%Y%m%d-%H%M}")
        text = logs.Redactor(self._settings).values(self._text(event, health, now))
        write_whole(path, text.encode(), durable=False)
        self._newest[event.service] = now
        return path

    def _text(self, event: Event, health: HealthReport | None, now: datetime) -> str:
        service, why = one_line(event.service), logs.masked(one_line(event.why))
        parts = [
            f"# {service} cannot be kept running\n",
            f"{now.astimezone():%Y-%m-%d %H:%M:%S %z}: {_plain(why)}\n",
            "The guardian tries again once a minute. Keys have been masked; read it before sending it.\n",
            "## Versions\n",
            _block(_versions()),
            "## Health\n",
            _block(_health(health)),
            "## Jobs at work\n",
            _block(self._jobs()),
        ]
        for name in LOGS.get(event.service, ("server.log",)):
            lines = logs.newest(self._paths, LINES, file=name, settings=self._settings)
            parts += [
                f"## The end of {name}\n",
                _block([line.text for line in lines] or ["(empty)"]),
            ]
        return "\n".join(parts)

    def _jobs(self) -> list[str]:
        self._store.refresh()
        running = [job for job in self._store.snapshot() if job.status is Status.RUNNING]
        failed, _ = self._store.page(status=Status.FAILED, limit=1)
        return [_job(job) for job in (*running[:MAX_JOBS], *failed)] or ["(none)"]


def _job(job: Job) -> str:
    said = job.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"logs"})
    text = orjson.dumps(said, option=orjson.OPT_INDENT_2).decode()
    return logs.masked(text)


def _health(health: HealthReport | None) -> list[str]:
    if health is None:
        return ["(could not be looked at)"]
    said = health.model_dump(mode="json", by_alias=True, exclude_none=True)
    return logs.masked(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode()).splitlines()


def _versions() -> list[str]:
    found = [f"Python {sys.version.split()[0]} on {platform.platform()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return found


def _block(lines: list[str]) -> str:
    """A fenced block; a fence inside a line cannot end it."""
    text = "\n".join(lines).replace("````", "` ` ` `")
    return f"````text\n{text}\n````\n"


def _plain(text: str) -> str:
    """A line that is no Markdown: nobody's words become a heading or a link."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>#!|" else c for c in text)


def _free(folder: Path, name: str) -> Path:
    path, n = folder / f"{name}.md", 2
    while path.exists():  # another service within the same minute
        path, n = folder / f"{name}-{n}.md", n + 1
    return path
