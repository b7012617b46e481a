"""The lab's programs that run as services of the operating system, in the care of a guardian alone.

Their manager brings back what ends. It does not see what hangs, and may give up: then it is asked for a restart. What a
person has stopped stays stopped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

import psutil

from orchestrator.errors import OrchestratorError
from orchestrator.guardian.ward import Trouble, Ward
from orchestrator.health import Note, guardian_file, monitor_file
from orchestrator.health.processes import age_s, halted
from orchestrator.paths import Paths
from orchestrator.services import Running, Services, Status
from orchestrator.store import Store

NAMES = ("panel", "worker", "monitor")
STALE_S = 30.0  # of a note that is renewed every two seconds

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """Seconds. `ask_s`: how often the manager is asked; `start_s`: for a program until it first shows that it lives;
    `hung_s`: with one that gives no sign; `given_up_s`: with a manager that restarts in its own time."""

    ask_s: float = 5.0
    start_s: float = 60.0
    hung_s: float = 5.0
    given_up_s: float = 30.0


class ManagedService:
    """One of them, by its name."""

    def __init__(
        self,
        name: str,
        services: Services,
        paths: Paths,
        store: Store,
        *,
        patience: Patience | None = None,
    ) -> None:
        self.name = name
        self._services, self._paths, self._store = services, paths, store
        self._patience = patience or Patience()
        self._known: Status | None = None
        self._asked_at: float | None = None

    def ward(self) -> Ward:
        """For a guardian. A worker that `up` has is another service: this one's name says that it is not that."""
        remedy = f"Read the end of logs/service-{self.name}.log, then `orchestrator services restart {self.name}`."
        return Ward(f"{self.name}-service", self.look, self.restart, remedy=remedy, is_shared=True)

    async def look(self) -> Trouble | None:
        """What is wrong with it; nothing with one that is not installed, or that somebody stopped."""
        return await asyncio.to_thread(self._look)

    async def restart(self) -> None:
        """Have the manager restart it. Raises ServiceManagerMissing, ServiceManagerFailed, ServiceUnknown."""
        self._asked_at = None
        await asyncio.to_thread(self._services.restart, [self.name])

    def _look(self) -> Trouble | None:
        status = self._status()
        if status is None or not status.ours:
            return None
        if status.running is Running.FAILED:
            why = status.message or "ended"
            return Trouble(f"{self._services.manager} says: {why}", self._patience.given_up_s)
        if status.running is not Running.RUNNING or status.pid is None:
            return None
        if state := halted(status.pid):
            why = f"process {status.pid} is {state}"
            return Trouble(why, self._patience.hung_s, by_hand=True)
        age = age_s(status.pid)
        if age is None or age < self._patience.start_s or self._shows(_family(status.pid)):
            return None
        why = f"process {status.pid} gives no sign of life"
        return Trouble(why, self._patience.hung_s)

    def _status(self) -> Status | None:
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at >= self._patience.ask_s:
            self._asked_at = now
            try:
                (self._known,) = self._services.status([self.name])
            except OrchestratorError as error:
                logger.warning("%s cannot be asked: %s", self._services.manager, error.message)
                self._known = None
        return self._known

    def _shows(self, pids: set[int]) -> bool:
        """Whether one of these processes shows that its loop turns."""
        if self.name == "worker":
            return any(w.alive for w in self._store.observer.workers() if w.pid in pids)
        now = self._store.now()
        if self.name == "panel":  # its own guardian stands by, or is in charge
            files = [guardian_file(self._paths, in_charge=which) for which in (False, True)]
            notes = [note for file in files if (note := Note.read(file)) is not None]
            return any(note.pid in pids and note.is_alive(now, stale_s=STALE_S) for note in notes)
        # of several monitors one works, and the others wait for it to go
        note = Note.read(monitor_file(self._paths))
        return note is not None and note.is_alive(now, stale_s=STALE_S)


def wards(services: Services, paths: Paths, store: Store) -> list[Ward]:
    """What a guardian alone can have restarted here. Raises ServiceManagerMissing, ServiceManagerFailed where nobody
    can be asked for that. Blocks on the manager."""
    services.status(NAMES)
    return [ManagedService(name, services, paths, store).ward() for name in NAMES]


def _family(pid: int) -> set[int]:
    """A process and what it started: what the manager runs may be a launcher."""
    try:
        return {pid, *(each.pid for each in psutil.Process(pid).children(recursive=True))}
    except psutil.Error:
        return {pid}
