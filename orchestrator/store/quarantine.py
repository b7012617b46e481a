"""Files that hold no job are set aside with a note; nothing stops for them, and nothing is deleted."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from orchestrator.errors import CorruptFile, OrchestratorError
from orchestrator.files import Disk
from orchestrator.jobs import one_line
from orchestrator.store.index import MAX_FILE, parse
from orchestrator.store.layout import Layout
from orchestrator.store.locks import ShardLocks

logger = logging.getLogger(__name__)

# a file this fresh that makes no sense may still be in the middle of somebody's write
YOUNG_S = 0.5


class Quarantine:
    """The `_corrupt` folder of one store."""

    def __init__(self, layout: Layout, locks: ShardLocks, *, disk: Disk) -> None:
        self._layout = layout
        self._locks = locks
        self._disk = disk

    def files(self) -> list[Path]:
        """What was set aside."""
        return sorted(p for p in self._layout.corrupt.iterdir() if p.suffix != ".txt")

    def take_job(self, job_id: str, error: CorruptFile) -> bool:
        """Set a file of the jobs folder aside; returns whether it is gone from there."""
        path = self._layout.root / f"{job_id}.json"
        try:
            if abs(time.time() - path.lstat().st_mtime) < YOUNG_S:
                return False
            with self._locks.hold(job_id, wait_s=1.0):
                # whoever wrote it may not have been finished at the first look
                return not _is_job(path, job_id) and self.take(path, error)
        except FileNotFoundError:
            return False
        except (OSError, OrchestratorError) as trouble:
            logger.warning("Could not set aside %s: %s", _shown(path.name), trouble)
            return False

    def take(self, path: Path, error: CorruptFile) -> bool:
        """Set a file aside; returns whether that was possible."""
        target = self._layout.corrupt / f"{path.name}.{time.time_ns()}"
        try:
            self._disk.replace(path, target)
        except OSError as trouble:
            logger.warning("Could not set aside %s: %s", _shown(path.name), trouble)
            return False
        name, why = _shown(path.name), _shown(error.message)
        logger.warning("Set aside %s in %s: %s", name, self._layout.corrupt.name, why)
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        note = f"{when} {name} was set aside: {why}\n{error.remedy}\n"
        try:
            target.with_name(target.name + ".txt").write_text(note, "utf-8")
        except OSError:
            logger.warning("No space for the note beside %s", name)
        return True


def _shown(text: str) -> str:
    """Somebody else's text, fit for one line of a log: file names may hold line breaks and bytes that are no text."""
    return one_line(text.encode(errors="replace").decode())


def _is_job(path: Path, job_id: str) -> bool:
    stat = path.stat()
    if stat.st_size > MAX_FILE:
        return False
    try:
        # what the index refuses would be seen by nobody
        parse(path.read_bytes(), stat, job_id).job()
    except CorruptFile:
        return False
    return True
