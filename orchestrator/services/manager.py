"""What every service manager can do, in steps that can be shown before they are taken."""

from __future__ import annotations

import os
import shlex
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, TypeVar

import psutil

from orchestrator.errors import ServiceManagerFailed, ServiceManagerMissing
from orchestrator.files import write_whole
from orchestrator.jobs import one_line
from orchestrator.services.description import Service

T = TypeVar("T")
ANSWER_S = 90.0  # a stop may take its thirty seconds


@dataclass(frozen=True)
class Answer:
    """What a command of a manager said."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def said(self) -> str:
        """The answer as one line."""
        return one_line(self.err or self.out)[:500]


Runner = Callable[[Sequence[str]], Answer]


def run(command: Sequence[str]) -> Answer:
    """Run a command to its end. Raises ServiceManagerMissing, ServiceManagerFailed."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}  # times and words that can be read
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=ANSWER_S,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise ServiceManagerMissing(f"There is no program {command[0]} on this machine") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceManagerFailed(f"{_shown(command)} cannot be run: {error}") from error
    return Answer(done.returncode, _text(done.stdout), _text(done.stderr))


def _text(data: bytes) -> str:
    # nssm writes UTF-16 wherever it writes
    encoding = "utf-16-le" if b"\0" in data else "utf-8"
    return data.decode(encoding, "replace").removeprefix("\ufeff")


def _shown(command: Sequence[str]) -> str:
    return one_line(shlex.join(command))


# ------------------------------------------------------------------------------ steps


@dataclass(frozen=True)
class Write:
    """Write a file."""

    path: Path
    data: bytes

    def __str__(self) -> str:
        return f"write {self.path}"


@dataclass(frozen=True)
class Remove:
    """Remove a file."""

    path: Path

    def __str__(self) -> str:
        return f"remove {self.path}"


@dataclass(frozen=True)
class Run:
    """Run a command. `may_fail`: it only makes sure of something. `tries`: a manager may be busy for some seconds."""

    command: tuple[str, ...]
    may_fail: bool = False
    tries: int = 1

    def __str__(self) -> str:
        return _shown(self.command)


Step = Write | Remove | Run


# ------------------------------------------------------------------------------ status


class Running(StrEnum):
    """Whether a service runs, as its manager says."""

    NOT_INSTALLED = "not installed"
    STOPPED = "stopped"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True)
class Status:
    """What the manager says of a service. `since`: of this state, where it is known."""

    name: str
    running: Running
    pid: int | None = None
    since: datetime | None = None
    message: str = ""
    ours: bool = True  # False: it belongs to a lab with another paths.json

    @property
    def installed(self) -> bool:
        """Whether the manager knows it."""
        return self.running is not Running.NOT_INSTALLED


class Manager(ABC):
    """A service manager. Its methods that return steps change nothing."""

    name: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, *, run: Runner = run) -> None:
        self._run = run

    @abstractmethod
    def install(self, services: Sequence[Service]) -> list[Step]:
        """Register services, so that they start with the session; they do not start yet."""

    @abstractmethod
    def uninstall(self, services: Sequence[Service]) -> list[Step]:
        """Stop services and forget them."""

    @abstractmethod
    def start(self, service: Service) -> list[Step]:
        """Start a service that is installed."""

    @abstractmethod
    def stop(self, service: Service) -> list[Step]:
        """Stop a service until it is started, or the session begins anew."""

    @abstractmethod
    def restart(self, service: Service) -> list[Step]:
        """Stop and start a service, with its description as last installed."""

    @abstractmethod
    def look(self, service: Service) -> Status:
        """The manager's own word on a service. Raises ServiceManagerMissing, ServiceManagerFailed."""

    @abstractmethod
    def hints(self) -> list[str]:
        """What the user should do so that the services start by themselves."""

    def status(self, service: Service) -> Status:
        """Like `look`, with the time the process began where the manager does not say since when."""
        found = self.ask(lambda: self.look(service))
        if found.pid is None or found.since is not None:
            return found
        try:
            began = psutil.Process(found.pid).create_time()
        except psutil.Error:
            return found
        return replace(found, since=datetime.fromtimestamp(began, UTC))

    def take(self, step: Step, *, pause: Callable[[], object]) -> None:
        """Take one step. Raises ServiceManagerMissing, ServiceManagerFailed, OSError."""
        match step:
            case Write(path, data):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, data)
            case Remove(path):
                path.unlink(missing_ok=True)
            case Run(command, may_fail, tries):
                for number in range(tries):
                    if number:
                        pause()
                    answer = self.ask(lambda: self._run(command))
                    if answer.code == 0:
                        return
                if not may_fail:
                    raise ServiceManagerFailed(
                        f"`{step}` ended with {answer.code}: {answer.said or 'it said nothing'}",
                        remedy=self.remedy,
                    )

    def ask(self, act: Callable[[], T]) -> T:
        """Do something with the manager; that it is missing is told with its own remedy."""
        try:
            return act()
        except ServiceManagerMissing as error:
            raise ServiceManagerMissing(error.message, remedy=self.remedy) from error
