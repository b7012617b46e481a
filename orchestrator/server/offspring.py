"""The processes that a server has started, written down, so that the next server can end those that outlived it.

They end by themselves when their server is gone, but not while they are stopped: such a worker kernel keeps its places
at ComfyUI, the locks of its jobs and the monitor's lock for as long as it is there, and no other can do their work.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
import psutil

from orchestrator.errors import DiskFull
from orchestrator.files import write_whole
from orchestrator.health.processes import born
from orchestrator.store.workers import HOST

MAX_NOTE = 100_000  # bytes
GONE_S = 3.0  # for processes that were killed

logger = logging.getLogger(__name__)


class Offspring:
    """Those of one server. To be entered by the one that has the lab's tenancy: then the server before it is dead.

    Safe to use from several threads.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offspring.json"
        self._lock = threading.Lock()
        self._born: dict[int, str] = {}

    def __enter__(self) -> Self:
        """End what an earlier server left behind. Blocks while they go."""
        left = []
        for pid, known in self._noted().items():
            with contextlib.suppress(psutil.Error, ValueError, OverflowError):
                # which kills no other that gets the number from now on
                process = psutil.Process(pid)
                # the number may be another's already, the moment of its birth cannot
                if born(pid) == known:
                    process.kill()
                    left.append(process)
                    logger.warning("Ended process %d, which outlived its server", pid)
        psutil.wait_procs(left, timeout=GONE_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.unlink(missing_ok=True)

    def add(self, pid: int) -> None:
        """Write down a process that is not to outlive this server. Blocks on the disk."""
        with self._lock:
            self._born = {each: known for each, known in self._born.items() if born(each) == known}
            if (known := born(pid)) is not None:
                self._born[pid] = known
            said = {"host": HOST, "born": {str(each): known for each, known in self._born.items()}}
            try:
                write_whole(self._file, orjson.dumps(said), durable=False)
            except (
                OSError,
                DiskFull,
            ) as error:  # it works all the same, and is noted with the next
                logger.warning("Could not write down process %d: %s", pid, error)

    def _noted(self) -> dict[int, str]:
        """What an earlier server of this machine has written down."""
        try:
            with self._file.open("rb") as file:
                said = orjson.loads(file.read(MAX_NOTE))
            if said["host"] != HOST:
                return {}
            return {int(pid): str(known) for pid, known in said["born"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
