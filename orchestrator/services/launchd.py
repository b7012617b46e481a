"""macOS: launch agents of a user. Sources: launchd.plist(5), launchctl(1)."""

from __future__ import annotations

import os
import plistlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.paths import VARIABLE
from orchestrator.services.description import Service
from orchestrator.services.manager import (
    Manager,
    Remove,
    Run,
    Runner,
    Running,
    Status,
    Step,
    Write,
    run,
)

NO_SUCH_SERVICE = 113  # what `launchctl print` ends with
TRIES = 5  # bootstrap says "in progress" while what was booted out is still ending
FIELD = re.compile(r"^\t(state|pid|last exit code) = (.+)$", re.MULTILINE)


class Launchd(Manager):
    """The launchd of a user's graphical session."""

    name = "launchd"
    remedy = (
        "The services need the launchd of a graphical login of this user: log in at the screen, not only by ssh, and "
        "try `launchctl print gui/$UID`. Or run `orchestrator up` in a terminal."
    )

    def __init__(
        self, *, run: Runner = run, folder: Path | None = None, user_id: int | None = None
    ) -> None:
        super().__init__(run=run)
        self._folder = folder or Path.home() / "Library" / "LaunchAgents"
        self._domain = f"gui/{os.getuid() if user_id is None else user_id}"

    def install(self, services: Sequence[Service]) -> list[Step]:
        """Agents in the folder that is read at login."""
        return [
            step
            for service in services
            for step in (
                Write(self._file(service), plist(service)),
                Run(("launchctl", "enable", self._target(service))),
            )
        ]

    def uninstall(self, services: Sequence[Service]) -> list[Step]:
        """Booted out and removed."""
        return [
            step
            for service in services
            for step in (
                Run(("launchctl", "bootout", self._target(service)), may_fail=True),
                Remove(self._file(service)),
            )
        ]

    def start(self, service: Service) -> list[Step]:
        """Handed to launchd, which starts it at once; one that it has already is only kicked."""
        if self._run(["launchctl", "print", self._target(service)]).code == 0:
            return [Run(("launchctl", "kickstart", self._target(service)))]
        return [self._bootstrap(service)]

    def stop(self, service: Service) -> list[Step]:
        """Booted out: one that is only killed would be started again."""
        return [Run(("launchctl", "bootout", self._target(service)), may_fail=True)]

    def restart(self, service: Service) -> list[Step]:
        """Out and in, so that its file is read anew."""
        return [*self.stop(service), self._bootstrap(service)]

    def look(self, service: Service) -> Status:
        """What `launchctl print` says; one that is not loaded is stopped if its file is there."""
        answer = self._run(["launchctl", "print", self._target(service)])
        is_there, is_ours = self._found(service)
        if answer.code:
            running = Running.STOPPED if is_there else Running.NOT_INSTALLED
            return Status(service.name, running, ours=is_ours)
        said: dict[str, str] = {}
        for name, value in FIELD.findall(answer.out):
            said.setdefault(name, value.strip())  # the first is the service's own
        pid = int(said["pid"]) if said.get("pid", "").isdecimal() else None
        code = said.get("last exit code", "")
        failed = pid is None and bool(re.match(r"-?\d", code)) and not code.startswith("0")
        running = Running.RUNNING if pid else Running.FAILED if failed else Running.STOPPED
        message = f"ended with {code[:60]}" if failed else ""
        return Status(service.name, running, pid=pid, message=message, ours=is_ours)

    def hints(self) -> list[str]:
        """When it starts."""
        return ["They start when this user logs in."]

    def _bootstrap(self, service: Service) -> Run:
        command = ("launchctl", "bootstrap", self._domain, str(self._file(service)))
        return Run(command, tries=TRIES)

    def _found(self, service: Service) -> tuple[bool, bool]:
        """Whether there is a file of that name, and whether it is of this lab."""
        try:
            document = plistlib.loads(self._file(service).read_bytes())
        except FileNotFoundError:
            return False, True
        except (OSError, ValueError, plistlib.InvalidFileException):
            return True, False
        variables = document.get("EnvironmentVariables") if isinstance(document, dict) else None
        mine = isinstance(variables, dict) and variables.get(VARIABLE) == service.label
        return True, mine

    def _target(self, service: Service) -> str:
        return f"{self._domain}/{_label(service)}"

    def _file(self, service: Service) -> Path:
        return self._folder / f"{_label(service)}.plist"


def _label(service: Service) -> str:
    return f"lab.orchestrator.{service.name}"


def plist(service: Service) -> bytes:
    """The property list of a service."""
    document: dict[str, Any] = {
        "Label": _label(service),
        "ProgramArguments": list(service.command),
        "EnvironmentVariables": dict(service.environment),
        "WorkingDirectory": str(service.folder),
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": service.restart.delay_s,
        "ExitTimeOut": service.stop_s,
        "AbandonProcessGroup": service.leaves_children,
        "ProcessType": "Interactive",  # else its disk and processor time are cut down
        "StandardOutPath": str(service.log),
        "StandardErrorPath": str(service.log),
    }
    return plistlib.dumps(document)
