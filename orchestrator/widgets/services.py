"""What runs and what does not: a card for each service, with what to do about those that have stopped."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import traitlets

from orchestrator.health import HealthReport, ServiceHealth
from orchestrator.jobs import one_line
from orchestrator.lab import Lab
from orchestrator.widgets.view import LOOK_S, LiveView, worker_banner

PROBE_S = 10.0  # between two health reports
TITLES = {
    "panel": "Panel",
    "comfyui": "ComfyUI",
    "engine": "Engine",
    "bfl": "FLUX API",
    "worker": "Worker",
    "monitor": "Monitor",
    "guardian": "Guardian",
}


class ServiceCards(LiveView):
    """The panel, each ComfyUI, the embedded engine where there is one, the FLUX API, the worker, the monitor and the
    guardian, as they were seconds ago."""

    script = "services"

    cards: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)  # as `card` makes them

    def __init__(self, lab: Lab) -> None:
        names = [name for name in TITLES if name != "engine" or has_engine(lab)]
        super().__init__(lab, cards=[waiting(name) for name in names])
        self._worker_alive: bool | None = None

    async def refresh(self) -> None:
        """Ask every service; those that are slow to answer take some seconds."""
        report = await self._lab.health()
        self._worker_alive = report.worker.is_running
        self.cards = cards(report)
        self.banner = {}

    async def follow(self) -> None:
        """Ask every ten seconds, and at once when a worker has come or gone."""
        probe: asyncio.Task[None] | None = None
        probed = -PROBE_S
        while self.is_seen:
            away = await asyncio.to_thread(worker_banner, self._lab)
            changed = self._worker_alive is not None and self._worker_alive is bool(away)
            if changed:
                # a service that does not answer must not hold up what is known of the worker
                self._worker_alive = not away
                self.cards = [
                    each if each["name"] != "worker" else worker_card(each, away)
                    for each in self.cards
                ]
            due = changed or time.monotonic() - probed >= PROBE_S
            if due and (probe is None or probe.done()):
                probed = time.monotonic()
                probe = self.start(self.redraw(), name="ServiceCards asks the services")
            await asyncio.sleep(LOOK_S)


def cards(report: HealthReport) -> list[dict[str, Any]]:
    """A report as cards, one for each ComfyUI."""
    waiting_jobs = report.queue.counts.get("queued", 0)
    made = []
    for name, title in TITLES.items():
        health: ServiceHealth = getattr(report, name)
        if name == "engine" and health.status == "unknown" and not health.is_given_up:
            continue  # the lab has a ComfyUI of its own
        if name == "worker" and health.queue_depth is None:
            health = health.model_copy(update={"queue_depth": waiting_jobs})
        hosts = health.hosts or [health]
        for host in hosts:
            its_name = f"{name} {host.url}" if len(hosts) > 1 else name
            made.append(card(its_name, title, host))
    return made


def has_engine(lab: Lab) -> bool:
    """Whether the lab is likely to have an embedded engine: a card that comes later moves all others."""
    settings = lab.settings
    has_others = settings.comfy_urls or settings.orchestrator_cluster is not None
    return not has_others and (lab.paths.data / "engine.json").exists()


def card(name: str, title: str, health: ServiceHealth) -> dict[str, Any]:
    """A service as a page shows it. Uptime and `next`, until its guardian tries again, in seconds, memory in bytes."""
    port = f"port {health.port}" if health.port else ""
    status = health.status if health.status in {"running", "stopped"} else "unknown"
    return {
        "name": name,
        "title": title,
        "status": "stopped" if health.is_given_up else status,
        "message": one_line(health.message),
        "remedy": one_line(health.remedy or ""),
        "where": one_line(health.url or "").removeprefix("http://") or port,
        "uptime": health.uptime_s,
        "memory": health.memory,
        "queue": "" if health.queue_depth is None else f"queue {health.queue_depth}",
        "next": health.next_try_s if health.is_given_up else None,
        "report": one_line(health.bug_report or "") if health.is_given_up else "",
    }


def waiting(name: str) -> dict[str, Any]:
    """The card of a service that has not been asked yet."""
    health = ServiceHealth(status="unknown")
    return {**card(name, TITLES[name], health), "status": "looking"}


def worker_card(before: dict[str, Any], away: dict[str, str]) -> dict[str, Any]:
    """The worker's card when one has come, or the last has gone, before the next report."""
    said = {"uptime": None, "memory": None, "next": None, "report": ""}
    if away:
        return {
            **before,
            **said,
            "status": "stopped",
            "message": "No worker runs",
            "remedy": away["remedy"],
        }
    return {**before, **said, "status": "running", "message": "", "remedy": ""}
