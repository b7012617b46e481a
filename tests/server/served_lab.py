"""A lab served by `orchestrator up` in a process of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.jobs import Job
from orchestrator.lab import Lab

sys.path.append(str(Path(__file__).resolve().parent.parent))
import forks

TOKEN = "token-of-the-tests"
START_S = 60.0


# `up` takes longer to import these than for all else
forks.preload(__name__, "orchestrator.cli", "orchestrator.server.launch", "jupyterlab.extensions")
forks.preload(
    "orchestrator.server.server", "orchestrator.server.rest", "orchestrator.server.reaper"
)


def serve(port: int, options: dict[str, Any]) -> None:
    """Run `orchestrator up` until it ends, or what the command does with options that it does not have."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C is for the tests
    from orchestrator.cli import main
    from orchestrator.server.launch import up

    if options:
        sys.exit(up(Lab.open(), port=port, browser=False, **options))
    sys.argv = ["orchestrator", "up", "--no-browser", "--port", str(port)]
    main()


class ServedLab:
    """`orchestrator up` on a free port or the given one, in `folder`. Stop it at the end.

    With `orphan_grace_s` the kernel of a page that was left ends that soon, instead of after the usual time. With
    `step_ms` each step of the embedded engine takes so much longer, in which it does nothing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        orphan_grace_s: float | None = None,
        step_ms: float | None = None,
        **variables: str,
    ) -> None:
        (folder / "paths.json").write_text("{}")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        unset = {"COMFY_URL", "BFL_API_KEY", "ADMIN_URL"}
        known = {key: value for key, value in os.environ.items() if key not in unset}
        known["ORCHESTRATOR_PATHS"] = str(folder / "paths.json")
        self._environment = known | {"ORCHESTRATOR_TOKEN": TOKEN} | variables
        options = {"orphan_grace_s": orphan_grace_s, "step_ms": step_ms}
        self._options = {name: value for name, value in options.items() if value is not None}
        self._folder = folder
        self.said = folder / "said.txt"
        self.lab = Lab.open(folder)
        self.http = httpx.Client(base_url=self.url, timeout=20)
        self.token = {"Authorization": f"token {TOKEN}"}
        self.process = self._start()
        self._wait()

    def again(self) -> None:
        """Start it once more, after it has ended."""
        assert self.process.poll() is not None
        self.process = self._start()
        self._wait()

    def _start(self) -> forks.Forked:
        return forks.Forked(
            serve,
            *(self.port, self._options),
            environment=self._environment,
            folder=self._folder,
            out=self.said,
        )

    def _wait(self) -> None:
        try:
            until(self._answers, START_S)
            until(lambda: self.worker() is not None, START_S)
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said.read_text()
        try:
            return self.http.get("/api/status", headers=self.token).is_success
        except httpx.HTTPError:
            return False

    def worker(self) -> int | None:
        """The process id of the worker kernel whose loop lives."""
        workers = self.lab.store.observer.workers()
        return next((w.pid for w in workers if w.alive and w.name == "worker"), None)

    def api(self, method: str, path: str, **options: Any) -> Any:
        """What the server answers to somebody with the token."""
        reply = self.http.request(method, path, headers=self.token, **options)
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def ended(self, job: Job, *, timeout_s: float = 60.0) -> Job:
        """A job when it has ended."""
        until(lambda: self.lab.store.get(job.id).is_terminal, timeout_s)
        return self.lab.store.get(job.id)

    def page_kernels(self) -> set[str]:
        """The ids of the kernels that are no notebook's, no console's and not the worker's."""
        sessions = self.api("GET", "/api/sessions")
        held = {session["kernel"]["id"] for session in sessions if session["type"] != "page"}
        return {kernel["id"] for kernel in self.api("GET", "/api/kernels")} - held

    @contextlib.contextmanager
    def unopened(self) -> Iterator[None]:
        """Whoever opens the lab meanwhile waits until this is over, such as the kernel of a page."""
        if not hasattr(os, "mkfifo"):
            pytest.skip("needs a pipe with a name")
        file = self.lab.paths.file
        content = file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # nobody waits, or nobody any more
                pipe = os.open(file, os.O_WRONLY | os.O_NONBLOCK)
                os.write(pipe, content)
                os.close(pipe)
            file.unlink()
            file.write_bytes(content)

    def clear(self) -> None:
        """Leave nothing of what was asked for or made: to whoever comes next it is a lab just set up.

        What runs goes on running, and so do its logs. Pages must have been closed.
        """
        for session in self.api("GET", "/api/sessions"):
            if session["type"] == "notebook":
                self.api("DELETE", f"/api/sessions/{session['id']}")
        for kernel_id in self.page_kernels():  # one may be on its way out
            self.http.delete(f"/api/kernels/{kernel_id}", headers=self.token)
        store, paths = self.lab.store, self.lab.paths
        self.lab.resume()
        store.refresh()
        for job in store.snapshot():
            with contextlib.suppress(OrchestratorError):
                self.lab.cancel(job.id)
        until(lambda: all(job.is_terminal for job in store.snapshot()), START_S)
        made = [paths.drop_out, paths.drop_in, paths.workflows, paths.data / "batches"]
        made += [store.layout.old, store.layout.corrupt, store.layout.blobs]

        def is_empty() -> bool:  # what has ended may just be on its way to the archive
            for folder in (paths.jobs, paths.data / "favourites", paths.file.parent):
                for file in folder.glob("*"):
                    if file.is_file() and file not in {paths.file, self.said}:
                        file.unlink(missing_ok=True)
            for folder in made:
                _empty(folder)
            store.refresh()
            return self.lab.page()[1] == 0 and not any(_children(folder) for folder in made)

        until(is_empty, START_S)
        (paths.data / "health.jsonl").unlink(missing_ok=True)

    def family(self) -> list[psutil.Process]:
        """The processes that the server has started, and theirs."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> None:
        """End the server and whatever it left."""
        family = self.family() if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.signal(signal.SIGTERM)
            if self.process.wait(30) is None:
                self.process.kill()
                self.process.wait()
        for process in psutil.wait_procs(family, timeout=10)[1]:
            process.kill()
        self.http.close()
        self.lab.close()


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _empty(folder: Path) -> None:
    for each in _children(folder):
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink(missing_ok=True)


def until(condition: Callable[[], bool], timeout_s: float) -> float:
    """Wait for something that another process does; returns how long it took, in seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            raise AssertionError(f"did not happen within {timeout_s} s")
        time.sleep(0.02)
    return time.monotonic() - began


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
