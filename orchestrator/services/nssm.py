"""Windows: services kept by NSSM, named as on the old system's map. Source: nssm.cc/commands and /usage."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

from orchestrator.errors import ServiceManagerFailed, ServiceRefused
from orchestrator.paths import VARIABLE
from orchestrator.services.description import Service
from orchestrator.services.manager import Manager, Run, Running, Status, Step

WORDS = {
    "panel": "OrchestratorPanel",
    "worker": "OrchestratorWorker",
    "monitor": "OrchestratorMonitor",
    "guardian": "OrchestratorGuardian",
    "comfyui": "OrchestratorComfyUI",
}
STATES = {
    "SERVICE_RUNNING": Running.RUNNING,
    "SERVICE_START_PENDING": Running.RUNNING,
    "SERVICE_CONTINUE_PENDING": Running.RUNNING,
    "SERVICE_STOP_PENDING": Running.RUNNING,
    "SERVICE_STOPPED": Running.STOPPED,
    # how NSSM says that the program ends again and again, and it waits before the next try
    "SERVICE_PAUSED": Running.FAILED,
    "SERVICE_PAUSE_PENDING": Running.FAILED,
}
NO_SUCH_SERVICE = 3  # what `nssm status` ends with
EXPANDED = re.compile(r"%[^%]+%")  # NSSM keeps its values so that Windows puts variables in
ROTATE_BYTES = 5_000_000
PID = re.compile(r"\bPID\s*:\s*(\d+)")


class Nssm(Manager):
    """NSSM, the Non-Sucking Service Manager."""

    name = "NSSM"
    remedy = (
        "Install NSSM (`winget install NSSM.NSSM`, or nssm.cc) so that nssm.exe is on PATH, and run this in a terminal "
        "of an administrator. Or run `orchestrator up` in any terminal."
    )

    def install(self, services: Sequence[Service]) -> list[Step]:
        """Registered where they are not, and every setting set."""
        return [step for service in services for step in self._install(service)]

    def _install(self, service: Service) -> list[Step]:
        word = WORDS[service.name]
        settings = _settings(service)
        known = self._run(["nssm", "status", word]).code == 0
        first = [] if known else [Run(("nssm", "install", word, service.command[0]))]
        return [*first, *(Run(("nssm", "set", word, *setting)) for setting in settings)]

    def uninstall(self, services: Sequence[Service]) -> list[Step]:
        """Stopped and removed."""
        return [
            step
            for service in services
            for step in (
                Run(("nssm", "stop", WORDS[service.name]), may_fail=True),
                Run(("nssm", "remove", WORDS[service.name], "confirm")),
            )
        ]

    def start(self, service: Service) -> list[Step]:
        """One command; one that runs is left alone."""
        if self.look(service).running is Running.RUNNING:
            return []
        return [Run(("nssm", "start", WORDS[service.name]))]

    def stop(self, service: Service) -> list[Step]:
        """One command; one that is stopped is left alone."""
        if self.look(service).running is Running.STOPPED:
            return []
        return [Run(("nssm", "stop", WORDS[service.name]))]

    def restart(self, service: Service) -> list[Step]:
        """One command."""
        return [Run(("nssm", "restart", WORDS[service.name]))]

    def look(self, service: Service) -> Status:
        """What `nssm status` says; the process id is that of Windows' own `sc queryex`."""
        word = WORDS[service.name]
        answer = self._run(["nssm", "status", word])
        if answer.code == NO_SUCH_SERVICE:
            return Status(service.name, Running.NOT_INSTALLED)
        state = STATES.get(answer.out.strip())
        if state is None:
            raise ServiceManagerFailed(
                f"NSSM says of {word}: {answer.said or answer.code}", remedy=self.remedy
            )
        variables = self._run(["nssm", "get", word, "AppEnvironmentExtra"]).out.splitlines()
        is_ours = f"{VARIABLE}={service.label}" in [line.strip() for line in variables]
        pid = None
        if state is Running.RUNNING:
            found = PID.search(self._run(["sc", "queryex", word]).out)
            pid = int(found[1]) or None if found else None
        message = (
            "it ended; NSSM waits before it starts it again" if state is Running.FAILED else ""
        )
        return Status(service.name, state, pid=pid, message=message, ours=is_ours)

    def hints(self) -> list[str]:
        """As whom they run."""
        return [
            "They start with Windows, as LocalSystem. To run one as yourself: "
            r"nssm set OrchestratorPanel ObjectName .\YOU PASSWORD"
        ]


def _settings(service: Service) -> list[tuple[str, ...]]:
    """What `nssm set` is told. Raises ServiceRefused for a path that Windows would read a variable in."""
    program, *arguments = service.command
    for text in (*service.command, str(service.folder), str(service.log), service.label):
        if EXPANDED.search(text) or any(c in text for c in "\n\r\0"):
            raise ServiceRefused(f"A Windows service cannot name {text!r}")
    # a dependency would forbid to stop what another one comes after: the order is told by starting them in it
    return [
        ("Application", program),
        ("AppParameters", subprocess.list2cmdline(arguments)),
        ("AppDirectory", str(service.folder)),
        ("AppEnvironmentExtra", *(f"{name}={value}" for name, value in service.environment)),
        ("DisplayName", WORDS[service.name]),
        ("Description", service.title),
        ("Start", "SERVICE_AUTO_START"),
        ("AppExit", "Default", "Restart"),
        ("AppRestartDelay", str(1000 * service.restart.delay_s)),
        ("AppThrottle", str(1000 * service.restart.delay_s)),
        ("AppStopMethodConsole", str(1000 * service.stop_s)),
        ("AppKillProcessTree", "0" if service.leaves_children else "1"),
        ("AppStdout", str(service.log)),
        ("AppStderr", str(service.log)),
        ("AppRotateFiles", "1"),
        ("AppRotateOnline", "1"),
        ("AppRotateBytes", str(ROTATE_BYTES)),
    ]
