"""The lab's programs as services of the operating system: one description, three managers.

`Services(paths, settings)` finds the manager of this machine. Each verb takes names (none: the usual ones), and says in
words which steps it took, or with `dry_run` would take. Services of another lab, or of somebody else, are left alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.errors import (
    ServiceManagerFailed,
    ServiceManagerMissing,
    ServiceRefused,
    ServiceUnknown,
)
from orchestrator.paths import Paths
from orchestrator.services.description import (
    DEFAULT,
    NAMES,
    RestartPolicy,
    Service,
    chosen,
    comfyui_command,
    describe,
    name_of,
)
from orchestrator.services.launchd import Launchd
from orchestrator.services.manager import Answer, Manager, Runner, Running, Status, Step, Write
from orchestrator.services.nssm import Nssm
from orchestrator.services.systemd import Systemd
from orchestrator.settings import Settings

__all__ = [
    "DEFAULT",
    "NAMES",
    "Answer",
    "Launchd",
    "Manager",
    "Nssm",
    "Report",
    "RestartPolicy",
    "Runner",
    "Running",
    "Service",
    "Services",
    "Status",
    "Systemd",
    "comfyui_command",
    "describe",
    "manager_here",
    "name_of",
]
PAUSE_S = 1.0  # between tries of a step


@dataclass(frozen=True)
class Report:
    """What a verb did. `steps` in words; `files` that were, or would be, written: path and text."""

    services: list[str]
    steps: list[str]
    files: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)


def manager_here(platform: str = sys.platform) -> Manager:
    """The service manager of this kind of machine. Raises ServiceManagerMissing."""
    if platform == "win32":
        return Nssm()
    if platform == "darwin":
        return Launchd()
    if platform.startswith("linux"):
        return Systemd()
    raise ServiceManagerMissing(f"No service manager is known for {platform}")


class Services:
    """The services of one lab, and what can be done with them."""

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        *,
        manager: Manager | None = None,
        pause: Callable[[], object] = lambda: time.sleep(PAUSE_S),
    ) -> None:
        self._paths = paths
        self._manager = manager or manager_here()
        self._pause = pause
        self.all = describe(paths, settings)

    @property
    def manager(self) -> str:
        """The name of the manager."""
        return self._manager.name

    def install(self, names: Sequence[str] = (), *, dry_run: bool = False) -> Report:
        """Register services, by default panel and guardian, to start with the machine or the session.

        Installing again brings the description up to date. They do not start yet.
        """
        services = chosen(self.all, names or DEFAULT)
        try:
            self._refuse_others([self._status(each) for each in services])
            hints = self._manager.hints()
        except (ServiceManagerMissing, ServiceManagerFailed):
            if not dry_run:
                raise
            hints = [f"{self._manager.name} does not answer here. {self._manager.remedy}"]
        if not dry_run:
            self._paths.create()
        return self._do(services, lambda: self._manager.install(services), dry_run, hints)

    def uninstall(self, names: Sequence[str] = (), *, dry_run: bool = False) -> Report:
        """Stop services and forget them; by default all of this lab."""
        services = self._installed(names)
        act = self._manager.uninstall
        return self._do(services, lambda: act(services) if services else [], dry_run)

    def start(self, names: Sequence[str] = (), *, dry_run: bool = False) -> Report:
        """Start services; by default all that are installed."""
        return self._each(self._installed(names), self._manager.start, dry_run)

    def stop(self, names: Sequence[str] = (), *, dry_run: bool = False) -> Report:
        """Stop services, the last started first; by default all that are installed."""
        return self._each(self._installed(names)[::-1], self._manager.stop, dry_run)

    def restart(self, names: Sequence[str] = (), *, dry_run: bool = False) -> Report:
        """Restart services; by default all that are installed."""
        return self._each(self._installed(names), self._manager.restart, dry_run)

    def status(self, names: Sequence[str] = ()) -> list[Status]:
        """The manager's own word on services; by default on all five."""
        wanted = [name_of(name) for name in names] or list(NAMES)
        known = {service.name: service for service in self.all}
        return [
            self._status(known[name]) if name in known else Status(name, Running.NOT_INSTALLED)
            for name in NAMES
            if name in wanted
        ]

    def _status(self, service: Service) -> Status:
        return self._manager.status(service)

    def _installed(self, names: Sequence[str]) -> list[Service]:
        """The installed ones of this lab. Raises ServiceUnknown for a name that is not, ServiceRefused."""
        candidates = chosen(self.all, names or [service.name for service in self.all])
        found = {service.name: self._status(service) for service in candidates}
        installed = [each for each in found.values() if each.installed]
        if names:
            self._refuse_others(installed)
            if missing := [name for name, status in found.items() if not status.installed]:
                raise ServiceUnknown(
                    f"The service {missing[0]} is not installed",
                    remedy=f"orchestrator services install {missing[0]}",
                )
        ours = {status.name for status in installed if status.ours}
        return [service for service in candidates if service.name in ours]

    def _refuse_others(self, found: Sequence[Status]) -> None:
        for status in found:
            if status.installed and not status.ours:
                raise ServiceRefused(
                    f"The service {status.name} of {self._manager.name} belongs to another lab",
                    remedy="Uninstall it there first: ORCHESTRATOR_PATHS=… orchestrator services uninstall.",
                )

    def _each(
        self, services: list[Service], act: Callable[[Service], list[Step]], dry_run: bool
    ) -> Report:
        return self._do(services, lambda: [s for each in services for s in act(each)], dry_run)

    def _do(
        self,
        services: list[Service],
        plan: Callable[[], list[Step]],
        dry_run: bool,
        hints: Sequence[str] = (),
    ) -> Report:
        try:
            steps = plan()
        except ServiceManagerMissing as error:
            raise ServiceManagerMissing(error.message, remedy=self._manager.remedy) from error
        for step in steps if not dry_run else ():
            self._manager.take(step, pause=self._pause)
        return Report(
            [service.name for service in services],
            [str(step) for step in steps],
            {str(s.path): s.data.decode() for s in steps if isinstance(s, Write)},
            list(hints),
        )
