"""Keeps one worker kernel running: in sight in JupyterLab, and back within seconds whatever happens to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from ast import literal_eval
from collections.abc import Awaitable, Callable
from datetime import datetime

import psutil
from jupyter_server.serverapp import ServerApp

from orchestrator import health
from orchestrator.errors import OrchestratorError
from orchestrator.guardian import Event, Guardian, Happened, State
from orchestrator.health import Pulse
from orchestrator.health.processes import halted
from orchestrator.jobs import Job, Status
from orchestrator.lab import Lab
from orchestrator.server.kernels import Kernels, Spare
from orchestrator.store.workers import HOST, Observer, WorkerInfo

NAME = "orchestrator-worker"  # as JupyterLab lists it among the running kernels
SPARE = "orchestrator-worker-spare"
IMPORT = "from orchestrator.server import kernel as _worker"
WARM = "_worker.warm()"
STARTED = "_worker.start()"
STOP = "await _worker.stop()"
MONITOR = "_worker.restart_monitor()"

LOOK_S = 0.5
STALE_S = 5.0  # the heartbeat comes every second; a worker that is this late hangs
# in a row: after the machine slept, every heartbeat is late for a moment, and who stops a process may let it go on
LATE_LOOKS = 4
DEAD_LOOKS = 2  # in a row: a restart from JupyterLab is dead for a moment, too
ANSWER_S = 15.0  # a kernel needs about a second to start, and more on a busy machine
MOST_S = 90.0  # as long as it takes processor time
SPARE_ANSWER_S = 4.0  # one that has started answers at once
SPARE_AFTER_S = 8.0  # the worker's own start comes first, and whoever opens a page right away
STOP_S = 3.0
SETTLE_S = 5.0  # from a start to the first heartbeat, on a busy machine
MONITOR_S = 20.0  # from a worker's start to its monitor's first note
BY_HAND_S = 1.0  # between two starts that a person made necessary
BLAMED = 3  # workers in a row that died on a job: it is put away, not the lab
WORKER_REMEDY = (
    "Read the end of logs/worker.log and logs/kernels.log; the worker is tried once a minute."
)
MONITOR_REMEDY = "Read the end of logs/worker.log; jobs go on without the monitor."

logger = logging.getLogger(__name__)


class Supervisor:
    """Looks at the worker's presence in the store, which is the truth: a kernel that answers may well do no work,
    and Jupyter does not say when a user restarts one."""

    def __init__(
        self,
        app: ServerApp,
        lab: Lab,
        *,
        ready: Callable[[], Awaitable[object]],
        guardian: Guardian,
    ) -> None:
        """`ready` is awaited before the first job loop starts; `guardian` keeps the budgets, and tells."""
        self._lab = lab
        self._journal = guardian.journal
        self._worker_circuit = guardian.circuit("worker", remedy=WORKER_REMEDY)
        self._monitor_circuit = guardian.circuit("monitor", remedy=MONITOR_REMEDY)
        self._kernels = Kernels(app)
        self._spare = Spare(self._kernels, name=SPARE, code=IMPORT, value=WARM)
        self._observer = Observer(lab.store.layout.workers, lease_s=STALE_S)
        self._ready = ready
        self._task: asyncio.Task[None] | None = None
        self._kernel_id: str | None = None
        # the kernel's process, and which job loop of it
        self._started: tuple[int, int] | None = None
        self._dead = self._late = 0
        self._begun = 0.0  # when the newest kernel or job loop was started
        self._monitor = Pulse(health.monitor_file(lab.paths))
        self._monitor_at = 0.0  # when the monitor was started again

    def start(self) -> None:
        """Begin. From the server's event loop."""
        self._task = asyncio.create_task(self._run(), name="supervise the worker")

    async def stop(self) -> None:
        """End: the worker hands its jobs back, and its kernel goes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await asyncio.gather(self._spare.end(), self._end_worker())

    async def _end_worker(self) -> None:
        if self._kernel_id is None:
            return
        with contextlib.suppress(Exception):  # it goes in any case; its jobs are taken over later
            if self._started is not None:
                await self._kernels.execute(self._kernel_id, STOP, answer_s=STOP_S, is_new=False)
        await self._kernels.end(self._kernel_id)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except Exception as error:
                # a supervisor that gives up helps nobody: say it, and try again later
                logger.exception("Could not look after the worker")
                self._worker_circuit.failed(str(error) or type(error).__name__)
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        """Look once, and act where something is wrong for long enough."""
        by_hand = False  # somebody restarted it or shut it down: no sign that it cannot run
        if self._kernel_id is None or self._kernel_id not in self._kernels:
            by_hand = self._kernel_id is not None
            why = "its kernel was shut down" if by_hand else "it has no kernel"
            act = self._launch
        elif not await self._kernels.is_alive(self._kernel_id):
            self._dead += 1
            if self._dead < DEAD_LOOKS:
                return
            why, act = "its kernel died", self._replace
        else:
            self._dead = 0
            worker = await asyncio.to_thread(self._worker)
            if worker is None:
                if self._started and time.monotonic() - self._begun < SETTLE_S and self._is_there():
                    return  # it has just been started
                by_hand = self._started is not None and not self._is_there()
                why = "its kernel was restarted" if by_hand else "its job loop ended"
                act = self._boot
            else:
                # at once: a process that is stopped has not missed a heartbeat yet
                state = await asyncio.to_thread(halted, worker.pid)
                if worker.alive and state is None:
                    await self._is_well()
                    return
                self._late += 1
                if self._late < LATE_LOOKS:
                    return
                by_hand = state is not None  # no program stops itself
                why, act = f"it hangs{f': its process is {state}' if state else ''}", self._replace
        await self._act(why, act, by_hand=by_hand)

    async def _is_well(self) -> None:
        self._late = 0
        self._worker_circuit.well()
        if time.monotonic() - self._begun > SPARE_AFTER_S:
            self._spare.tend()
        await self._look_at_monitor()

    async def _act(self, why: str, act: Callable[[], Awaitable[None]], *, by_hand: bool) -> None:
        """Start the worker, if the budget allows it. The very first start is none of its business."""
        if self._begun:
            was = self._worker_circuit.state
            if by_hand:
                if time.monotonic() - self._begun < BY_HAND_S:
                    return
            elif not self._worker_circuit.may_restart(why):
                if was is State.CLOSED and self._worker_circuit.state is State.OPEN:
                    await self._blame()
                return
            logger.warning("The worker is started again: %s", why)
            self._worker_circuit.restarted(why, free=by_hand)
        self._begun = time.monotonic()
        await act()

    async def _blame(self) -> None:
        """Worker after worker died at once. Where each had the same job, the job is put away, and not the lab."""
        blamed = await asyncio.to_thread(self._put_away)
        for job in blamed:
            why = f"{job.crashes} workers died on job {job.id}"
            self._journal.note(Event(Happened.QUARANTINED, "worker", why, {"job": job.id}))
        if blamed:
            self._worker_circuit.forgive("the job that felled the worker was put away")

    def _put_away(self) -> list[Job]:
        store = self._lab.store
        store.refresh()
        blamed = []
        for job in store.snapshot():
            lease = job.lease
            if job.status is not Status.RUNNING or lease is None or job.crashes < BLAMED:
                continue
            if not store.observer.is_alive(lease.worker, host=lease.host):
                with contextlib.suppress(OrchestratorError):  # somebody else was quicker
                    blamed.append(store.update(job.id, lambda job: _recovered(job, store.now())))
        return [job for job in blamed if job.is_terminal]

    async def _look_at_monitor(self) -> None:
        """The monitor is a task beside the job loop, and shows that it lives by a note of its own."""
        if await asyncio.to_thread(self._monitor.beats):
            self._monitor_circuit.well()
            return
        if time.monotonic() - self._begun < MONITOR_S or self._looked_at_monitor():
            return
        why = "it gives no sign of life"
        if self._monitor_circuit.may_restart(why):
            self._monitor_circuit.restarted(why)
            self._monitor_at = time.monotonic()
            with contextlib.suppress(TimeoutError):
                assert self._kernel_id is not None
                await self._kernels.execute(self._kernel_id, IMPORT, MONITOR, answer_s=ANSWER_S)

    def _looked_at_monitor(self) -> bool:
        """Whether it has just been started again, so that its first note is still to come."""
        return time.monotonic() - self._monitor_at < MONITOR_S

    def _is_there(self) -> bool:
        return self._started is not None and psutil.pid_exists(self._started[0])

    def _worker(self) -> WorkerInfo | None:
        """The presence of the worker in our kernel."""
        pid = self._started[0] if self._started else None
        # the kernel has been restarted: what it left tells nothing
        if pid is None or not psutil.pid_exists(pid):
            return None
        ours = (w for w in self._observer.workers() if w.pid == pid and w.host == HOST)
        return next(ours, None)

    async def _launch(self) -> None:
        self._kernel_id = self._started = None
        self._kernel_id = await self._spare.take()
        if self._kernel_id is not None:
            await self._boot(is_new=False)
        if self._kernel_id is not None:
            with contextlib.suppress(Exception):  # it works under any name
                await self._kernels.rename(self._kernel_id, NAME)
        else:
            self._kernel_id = await self._kernels.start(NAME)
            await self._boot()

    async def _replace(self) -> None:
        """A new kernel for one that is of no use. Not a restart of the old: that takes the same ports again, which
        others may have by now, and waits a minute for a kernel that could not start."""
        await self._drop()
        await self._launch()

    async def _drop(self) -> None:
        kernel_id, self._kernel_id, self._started = self._kernel_id, None, None
        self._dead = self._late = 0
        if kernel_id is not None:
            await self._kernels.end(kernel_id)

    async def _boot(self, *, is_new: bool = True) -> None:
        """Have the kernel run the job loop. Nothing happens to one that runs. `is_new`: it may still be starting."""
        await self._ready()
        assert self._kernel_id is not None
        answer_s, most_s = (ANSWER_S, MOST_S) if is_new else (SPARE_ANSWER_S, ANSWER_S)
        try:
            content = await self._kernels.execute(
                self._kernel_id, IMPORT, STARTED, answer_s=answer_s, most_s=most_s, is_new=is_new
            )
        except TimeoutError:
            self._worker_circuit.failed("its kernel does not answer")
            await self._drop()
            return
        said = content.get("user_expressions", {}).get("started", content)
        if said["status"] != "ok":
            logger.error("The job loop could not start: %s: %s", said["ename"], said["evalue"])
            self._worker_circuit.failed(f"{said['ename']}: {said['evalue']}")
            return
        self._started = literal_eval(said["data"]["text/plain"])
        self._begun = time.monotonic()


def _recovered(job: Job, now: datetime) -> Job:
    return job.recover(now=now, max_crashes=BLAMED) if job.status is Status.RUNNING else job
