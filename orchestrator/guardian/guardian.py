"""Keeps the lab running: starts again what fell, stops the queue before the disk is full, and tells why when it can't.

Several may run over one lab. Each looks after the services of its own process; what belongs to the lab as a whole
(the disk, the history, a ComfyUI, the reports) is done by the one that has the lock, and taken over when it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from orchestrator import health, logs
from orchestrator.errors import OrchestratorError
from orchestrator.guardian.budget import Terms
from orchestrator.guardian.bugs import BugReports
from orchestrator.guardian.circuit import Circuit
from orchestrator.guardian.comfyui import LocalComfyUI
from orchestrator.guardian.journal import Event, Happened, Journal
from orchestrator.guardian.room import Room, Usage, usage_of
from orchestrator.guardian.ward import Ward
from orchestrator.health import HealthHistory, HealthReport, Note, ServiceHealth
from orchestrator.locks import KernelLock
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.store import Store

NOTE_S = 2.0
LOCK_S = 1.0
ROOM_S = 2.0
HOSTS_S = 10.0
HISTORY_S = 60.0
LATE_S = 5.0  # a tick that comes this much late: the loop was blocked, or the machine slept

logger = logging.getLogger(__name__)


class Guardian:
    """The guardian of one lab, in this process. Cheap to make; `run` it."""

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        store: Store,
        *,
        hosts: Callable[[], Sequence[str]],
        cluster: Callable[[], Awaitable[ServiceHealth]] | None = None,
        wards: Sequence[Ward] = (),
        clock: Callable[[], float] = time.monotonic,
        usage: Callable[[Path], Usage] = usage_of,
        history_s: float = HISTORY_S,
    ) -> None:
        """`hosts`: the ComfyUI servers; `cluster`: a look at those of a cluster, in their place; `wards`: what this
        process can start again."""
        self._paths, self._settings, self._store = paths, settings, store
        self._hosts, self._cluster = hosts, cluster
        self._clock = clock
        self._history_s = history_s
        # services repeat keys in their own words, and some that are none of ours
        self._redactor = logs.Redactor(settings)
        self.journal = Journal(
            paths.logs / "guardian.jsonl", now=store.now, redact=self._redactor.text
        )
        self.journal.listen(self._on_event)
        self._bugs = BugReports(paths, settings, store, now=store.now)
        places = {"dropOut": paths.drop_out, "jobs": paths.jobs}
        self._room = Room(store, places, tell=self.journal.note, usage=usage)
        self._history = HealthHistory(paths.data / "health.jsonl")
        self.comfyuis = LocalComfyUI.all(paths, settings)
        self._wards = [*wards, *(each.ward() for each in self.comfyuis)]
        self._circuits: dict[str, Circuit] = {}
        self._lock = KernelLock(paths.data / "guardian.lock")
        self._started_at = store.now()
        self._hosts_up: dict[str, bool] = {}
        self._reports: asyncio.Queue[Event] = asyncio.Queue(maxsize=100)
        self.beat_at = clock()
        self.is_in_charge = False

    def circuit(self, service: str, *, remedy: str = "", terms: Terms | None = None) -> Circuit:
        """The circuit of a service that somebody else starts again, as the supervisor does the worker."""
        if service not in self._circuits:
            self._circuits[service] = Circuit(
                service, clock=self._clock, tell=self.journal.note, terms=terms, remedy=remedy
            )
        return self._circuits[service]

    async def run(self) -> None:
        """Guard until cancelled. To be run again when it ends in any other way."""
        keepers = [
            ward.keep(
                self.circuit(ward.name, remedy=ward.remedy, terms=ward.terms),
                clock=self._clock,
                may_act=(lambda: self.is_in_charge) if ward.is_shared else (lambda: True),
            )
            for ward in self._wards
        ]
        try:
            async with asyncio.TaskGroup() as group:
                for keeper in keepers:
                    group.create_task(keeper)
                for every_s, chore in (
                    (LOCK_S, self._take_charge),
                    (NOTE_S, self._show),
                    (ROOM_S, self._look_at_room),
                    (HOSTS_S, self._look_at_hosts),
                    (self._history_s, self._remember),
                ):
                    group.create_task(self._every(every_s, chore), name=chore.__name__)
                group.create_task(self._write_reports())
        finally:
            self._step_down()

    async def _every(self, every_s: float, chore: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await chore()
            except (OSError, OrchestratorError) as error:  # the disk is full, a folder is gone
                logger.warning("The guardian could not %s: %s", chore.__name__.strip("_"), error)
            except Exception:  # the rest goes on
                logger.exception("A chore of the guardian failed")
            await asyncio.sleep(every_s)

    async def _take_charge(self) -> None:
        now = self._clock()
        if now - self.beat_at > LATE_S + LOCK_S:
            why = f"this process stood still for {now - self.beat_at:.0f} s"
            self.journal.note(Event(Happened.LATE, "guardian", why))
        self.beat_at = now
        if not self.is_in_charge:
            self.is_in_charge = await asyncio.to_thread(self._lock.try_acquire)
            if self.is_in_charge:
                health.guardian_file(self._paths, in_charge=False).unlink(missing_ok=True)
                await self._show()

    def _step_down(self) -> None:
        health.guardian_file(self._paths, in_charge=self.is_in_charge).unlink(missing_ok=True)
        self._lock.release()
        self.is_in_charge = False

    async def _show(self) -> None:
        """Show that we live, and what we know."""
        said = {
            "circuits": {name: circuit.said() for name, circuit in self._circuits.items()},
            "hosts": self._hosts_up,
        }
        more = self._redactor.plain(said)
        note = Note(os.getpid(), self._store.now(), self._started_at, more=more)
        file = health.guardian_file(self._paths, in_charge=self.is_in_charge)
        await asyncio.to_thread(note.write, file)

    async def _look_at_room(self) -> None:
        if self.is_in_charge:
            await asyncio.to_thread(self._room.look)

    async def _look_at_hosts(self) -> None:
        found: Sequence[ServiceHealth]
        if self._cluster is not None:
            found = (await self._cluster()).hosts or ()
        else:
            asked = await asyncio.gather(*map(health.comfyui_host, self._hosts()))
            found = [each for each, _ in asked]
        self._hosts_up = {each.url or "": each.is_running for each in found}

    async def _remember(self) -> None:
        if self.is_in_charge:
            report = await self._health()
            if report is not None:
                at = self._store.now()
                await asyncio.to_thread(lambda: self._history.append(report, at=at))

    async def _health(self) -> HealthReport | None:
        try:
            return await health.report(
                self._paths,
                self._settings,
                self._store,
                hosts=self._hosts(),
                cluster=self._cluster,
            )
        except (OSError, OrchestratorError) as error:
            logger.warning("Could not look at the lab's health: %s", error)
            return None

    # ---------------------------------------------------------------- reports

    def _on_event(self, event: Event) -> None:
        if event.what is Happened.OPENED:
            with contextlib.suppress(asyncio.QueueFull):
                self._reports.put_nowait(event)

    async def _write_reports(self) -> None:
        while True:
            event = await self._reports.get()
            await self._show()  # so that the health report knows of it
            said = await self._health()
            try:
                path = await asyncio.to_thread(self._bugs.write, event, said)
            except (OSError, OrchestratorError):
                logger.exception("Could not write a report of %s", event.service)
                continue
            if path is not None:
                told = f"see {path}"
                self.journal.note(Event(Happened.REPORT, event.service, told))
