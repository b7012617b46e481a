"""Space kept on the disk for the last writes: on a full disk, running jobs can still be finished."""

from __future__ import annotations

import logging
from pathlib import Path

from orchestrator.files import Disk

logger = logging.getLogger(__name__)

SIZE = 64 * 1024  # bytes: a dozen or so job files


class Ballast:
    """A file that is there only to be given up."""

    def __init__(self, path: Path, *, disk: Disk) -> None:
        self._path = path
        self._disk = disk

    def keep(self) -> None:
        """Take the space, if there is any."""
        if self._path.exists():
            return
        try:
            self._disk.reserve(self._path, SIZE)
        except OSError:
            self._path.unlink(missing_ok=True)

    def drop(self) -> bool:
        """Give the space up; returns whether there was any."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        logger.warning("The disk is full: gave up the space kept for finishing jobs")
        return True
