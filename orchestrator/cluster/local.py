"""A cluster on this machine in one call: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.errors import ClusterFailed

START_S = 60.0
STOP_S = 20.0
#: Variables that no process of a cluster is given
KEYS = (
    "BFL_API_KEY",
    "ORCHESTRATOR_TOKEN",
    "ORCHESTRATOR_NOTIFY",
    "ORCHESTRATOR_TRANSLATE",
    "HF_TOKEN",
)


class Process:
    """One process of the cluster, which ends with the one that started it. Its first line says where it is."""

    def __init__(self, arguments: Sequence[str], *, log: Path) -> None:
        self.log = log
        environment = {name: value for name, value in os.environ.items() if name not in KEYS}
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.cluster", *arguments, "--exit-with-parent"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,  # Ctrl-C is for us: first the lab hands its jobs back
            )

    def said(self) -> str:
        """Its first line. Blocks until it is there. Raises ClusterFailed."""
        timer = threading.Timer(START_S, self._process.kill)
        timer.start()
        try:
            assert self._process.stdout is not None
            line = self._process.stdout.readline().decode().strip()
        finally:
            timer.cancel()
        if not line:
            self.stop()
            raise ClusterFailed(f"A process of the cluster did not start; its log is {self.log}")
        return line

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> None:
        """Have it end in order, without waiting for it."""
        if self.is_alive:
            self._process.terminate()

    def stop(self, *, within_s: float = STOP_S) -> int:
        """End it in order, or by force when it does not end. Returns its exit code."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """kill -9. Returns its exit code."""
        self._process.kill()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return code


@dataclass
class Local:
    """A running cluster. `address` is for `Lab.open(cluster=…)`; the logs are in `folder`."""

    address: str
    folder: Path
    scheduler: Process
    workers: list[Process]
    options: Mapping[str, float]

    def add(
        self,
        comfy_url: str | None = None,
        *,
        models: Sequence[str] = (),
        at_once: int = 1,
        step_ms: float = 0.0,
    ) -> Process:
        """Start one more worker, beside the ComfyUI at `comfy_url` or an embedded engine of its own."""
        arguments = ["worker", self.address, f"--at-once={at_once}", f"--step-ms={step_ms}"]
        if comfy_url is not None:
            arguments.append(f"--comfy-url={comfy_url}")
        arguments += [f"--model={name}" for name in models]
        log = self.folder / f"worker-{len(self.workers)}.log"
        self.workers.append(Process(arguments, log=log))
        return self.workers[-1]

    def restart_scheduler(self) -> None:
        """Kill the scheduler, with all it knows, and start another at the same address."""
        self.scheduler.kill()
        self.start_scheduler()

    def start_scheduler(self) -> None:
        """Start the scheduler at the cluster's address, when it is gone."""
        port = int(self.address.rpartition(":")[2])
        self.scheduler = _scheduler(self.folder, port, self.options)
        self.scheduler.said()

    def stop(self) -> None:
        """End all processes in order."""
        for worker in self.workers:
            worker.end()
        for process in [*self.workers, self.scheduler]:
            process.stop()


@contextmanager
def local(
    workers: int = 2,
    *,
    comfy_urls: Sequence[str] = (),
    folder: Path | None = None,
    at_once: int = 1,
    step_ms: float = 0.0,
    worker_ttl_s: float | None = None,
    port: int = 0,
) -> Iterator[Local]:
    """A scheduler and workers on this machine, for tests and laptops; all of them end when this is left.

    `comfy_urls`: ComfyUI servers that are there, one worker beside each; otherwise `workers` workers, each with an
    embedded engine. `folder` gets the logs. Raises ClusterMissing, ClusterFailed.
    """
    from orchestrator.cluster import require

    require()
    with TemporaryDirectory(prefix="orchestrator-cluster-") as temporary:
        logs = folder or Path(temporary)
        logs.mkdir(parents=True, exist_ok=True)
        options = {} if worker_ttl_s is None else {"worker-ttl-s": worker_ttl_s}
        scheduler = _scheduler(logs, port, options)
        try:
            address = scheduler.said()
            here = Local(address, logs, scheduler, [], options)
        except BaseException:
            scheduler.stop()
            raise
        try:
            urls: list[str | None] = [*comfy_urls] or [None] * workers
            for url in urls:
                here.add(url, at_once=at_once, step_ms=step_ms)
            for worker in here.workers:
                worker.said()
            yield here
        finally:
            here.stop()


def _scheduler(folder: Path, port: int, options: Mapping[str, float]) -> Process:
    arguments = ["scheduler", f"--port={port}", *(f"--{k}={v}" for k, v in options.items())]
    return Process(arguments, log=folder / "scheduler.log")
