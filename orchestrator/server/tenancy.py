"""Which server has the jobs of a folder: one at a time, known by a lock that goes with its process."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from orchestrator.errors import AlreadyUp, DiskFull
from orchestrator.files import write_whole
from orchestrator.jobs import one_line
from orchestrator.lab import Lab
from orchestrator.locks import KernelLock
from orchestrator.store.workers import HOST

MAX_NOTE = 10_000  # bytes
MAX_SHOWN = 200  # characters of what another process says of itself

logger = logging.getLogger(__name__)


class Tenancy:
    """This process's right to serve a lab. Two servers would start two workers, and visitors would not know which
    of them they see."""

    def __init__(self, lab: Lab, *, url: str, port: int) -> None:
        self._jobs = lab.paths.jobs
        folder = lab.store.layout.lab
        self._note = folder / "server.json"
        self._lock = KernelLock(folder / "server.lock")
        self._said = {"pid": os.getpid(), "host": HOST, "url": url, "port": port}
        self._said["since"] = f"{lab.store.now().astimezone():%Y-%m-%d %H:%M}"

    def __enter__(self) -> Self:
        """Take it. Raises AlreadyUp, which says who has it."""
        if not self._lock.try_acquire():
            self._lock.release()
            raise _already_up(self._jobs, self._note)
        try:
            write_whole(self._note, orjson.dumps(self._said), durable=False)
        except (OSError, DiskFull) as error:  # the lock is what counts
            self._forget()
            logger.warning("Who serves the jobs could not be written down: %s", error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._forget()
        self._lock.release()

    def _forget(self) -> None:
        with suppress(OSError):  # somebody on Windows reads it just now
            self._note.unlink(missing_ok=True)


def _already_up(jobs: Path, note: Path) -> AlreadyUp:
    try:
        with note.open("rb") as file:
            said = orjson.loads(file.read(MAX_NOTE))
        pid, host, url, port, since = (
            one_line(str(said[name]))[:MAX_SHOWN]
            for name in ("pid", "host", "url", "port", "since")
        )
    except (OSError, ValueError, KeyError, TypeError):
        return AlreadyUp(
            f"The jobs in {jobs} are served by another `orchestrator up`",
            remedy="It is starting or ending just now: wait a moment and try again, or end it first.",
        )
    here = host == HOST
    end = f"end it first: Ctrl-C where it runs, or `kill {pid}`{'' if here else f' on {host}'}."
    return AlreadyUp(
        f"The jobs in {jobs} are served already: {url} (port {port}), "
        f"process {pid} on {'this machine' if here else host}, since {since}",
        remedy=f"Nothing was started here. Open that address, or {end}",
    )
