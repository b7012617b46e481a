"""Linux: user units of systemd.

Source of the escapes: systemd.syntax(7), systemd.service(5) "Command lines", systemd.exec(5).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import ServiceManagerFailed, ServiceRefused
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

ASKED = (
    "LoadState",
    "ActiveState",
    "SubState",
    "MainPID",
    "StateChangeTimestamp",
    "Result",
    "NRestarts",
)
ENV = "/usr/bin/env"
STAMP = "%a %Y-%m-%d %H:%M:%S UTC"


def unit_folder() -> Path:
    """Where a user's own units lie."""
    config = os.environ.get("XDG_CONFIG_HOME")
    return Path(config or Path.home() / ".config") / "systemd" / "user"


class Systemd(Manager):
    """The systemd of a user's session."""

    name = "systemd"
    remedy = (
        "The services need the systemd of a login session: log in as this user (not by su or sudo), see that "
        "XDG_RUNTIME_DIR is set, and try `systemctl --user status`. Without systemd, as in a container, use "
        "`orchestrator up`."
    )

    def __init__(self, *, run: Runner = run, folder: Path | None = None) -> None:
        super().__init__(run=run)
        self._folder = folder or unit_folder()

    def install(self, services: Sequence[Service]) -> list[Step]:
        """Units, enabled for the start of the session."""
        units = [_unit(service) for service in services]
        return [
            *(Write(self._file(service), unit(service).encode()) for service in services),
            _systemctl("daemon-reload"),
            _systemctl("enable", *units),
        ]

    def uninstall(self, services: Sequence[Service]) -> list[Step]:
        """Stopped, disabled, removed."""
        units = [_unit(service) for service in services]
        return [
            _systemctl("disable", "--now", *units),
            *(Remove(self._file(service)) for service in services),
            _systemctl("daemon-reload"),
            _systemctl("reset-failed", *units, may_fail=True),
        ]

    def start(self, service: Service) -> list[Step]:
        """One command."""
        return [_systemctl("start", _unit(service))]

    def stop(self, service: Service) -> list[Step]:
        """One command."""
        return [_systemctl("stop", _unit(service))]

    def restart(self, service: Service) -> list[Step]:
        """One command."""
        return [_systemctl("restart", _unit(service))]

    def look(self, service: Service) -> Status:
        """What `systemctl --user show` says."""
        asked = [f"--property={name}" for name in ASKED]
        answer = self._run(["systemctl", "--user", "show", *asked, _unit(service)])
        said = dict(line.partition("=")[::2] for line in answer.out.splitlines() if "=" in line)
        if answer.code or "LoadState" not in said:
            raise ServiceManagerFailed(
                f"systemd does not answer: {answer.said}", remedy=self.remedy
            )
        if said["LoadState"] == "not-found":
            return Status(service.name, Running.NOT_INSTALLED)
        pid = int(said.get("MainPID") or 0) if said.get("MainPID", "").isdecimal() else 0
        return Status(
            service.name,
            _running(said),
            pid=pid or None,
            since=_time(said.get("StateChangeTimestamp", "")),
            message=_message(said),
            ours=self._is_ours(service),
        )

    def hints(self) -> list[str]:
        """Whether the user's services wait for a login."""
        user = os.environ.get("USER") or str(os.getuid())
        answer = self._run(["loginctl", "show-user", user, "--property=Linger"])
        if answer.out.strip() == "Linger=yes":
            return []
        return [
            f"They start when {user} logs in. To start with the machine: loginctl enable-linger {user}"
        ]

    def _file(self, service: Service) -> Path:
        return self._folder / _unit(service)

    def _is_ours(self, service: Service) -> bool:
        try:
            return _lab(service) in self._file(service).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return False  # somebody else's unit of that name


def _unit(service: Service | str) -> str:
    return f"orchestrator-{service if isinstance(service, str) else service.name}.service"


def _systemctl(*arguments: str, may_fail: bool = False) -> Run:
    return Run(("systemctl", "--user", *arguments), may_fail=may_fail)


def _running(said: dict[str, str]) -> Running:
    match said.get("ActiveState"), said.get("SubState"):
        case ("failed", _) | (_, "auto-restart" | "auto-restart-queued"):
            return Running.FAILED
        case (("active" | "reloading" | "refreshing" | "activating" | "deactivating"), _):
            return Running.RUNNING
        case _:
            return Running.STOPPED


def _message(said: dict[str, str]) -> str:
    result, restarts = said.get("Result", "success"), said.get("NRestarts", "0")
    parts = [
        "is being started again" if said.get("SubState", "").startswith("auto-restart") else "",
        f"ended with {result}" if result not in {"", "success"} else "",
        f"{restarts} restarts" if restarts.isdecimal() and restarts != "0" else "",
    ]
    return ", ".join(part for part in parts if part)


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


# ------------------------------------------------------------------------------ the unit


def unit(service: Service) -> str:
    """The unit of a service. Raises ServiceRefused for a path no unit can hold."""
    restart = service.restart
    after = "".join(f"After={_unit(name)}\n" for name in service.after)
    environment = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n" for name, value in service.environment
    )
    return (
        "[Unit]\n"
        f"Description={_raw(service.title)}\n"
        f"{after}"
        "StartLimitIntervalSec=0\n"  # the pauses grow instead: it never gives up, and never runs hot
        "\n[Service]\n"
        "Type=exec\n"
        f"ExecStart={_command(service.command)}\n"
        f"WorkingDirectory={_raw(str(service.folder))}\n"
        f"{environment}"
        "Restart=always\n"
        f"RestartSec={restart.delay_s}\n"
        f"RestartSteps={restart.steps}\n"
        f"RestartMaxDelaySec={restart.longest_s}\n"
        f"KillMode={'process' if service.leaves_children else 'mixed'}\n"
        f"TimeoutStopSec={service.stop_s}\n"
        f"StandardOutput=append:{_raw(str(service.log))}\n"
        f"StandardError=append:{_raw(str(service.log))}\n"
        "\n[Install]\n"
        "WantedBy=default.target\n"
        "\n[X-Orchestrator]\n"
        f"{_lab(service)}\n"
    )


def _lab(service: Service) -> str:
    return f"Paths={_raw(service.label)}"


def _command(words: Sequence[str]) -> str:
    # the colon: no variables are put in, so that a dollar is a dollar
    program, *rest = words
    if any(mark in program for mark in "\"'\\"):  # which systemd takes in arguments only
        if "=" in program:  # for env an assignment
            raise ServiceRefused(f"A systemd unit cannot run {program!r}")
        program, rest = ENV, list(words)
    return " ".join([_quoted(f":{program}"), *map(_quoted, rest)])


def _quoted(text: str) -> str:
    """One word of a command line or an assignment: quotes and backslashes as in C, a percent sign doubled."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{_one(escaped)}"'


def _raw(text: str) -> str:
    """A value that is read as it stands, but for percent signs."""
    if text != text.strip() or text.endswith("\\"):
        raise ServiceRefused(f"A systemd unit cannot name {text!r}")
    return _one(text.replace("%", "%%"))


def _one(text: str) -> str:
    if "\n" in text or "\r" in text or "\0" in text:
        raise ServiceRefused(f"A systemd unit cannot name {text!r}")
    return text
