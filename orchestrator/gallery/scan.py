"""Brings the index of the pictures up to date with the folders; from nothing if need be.

The folder's own time says in one call that no file came, went or was replaced. A file that was changed in place does
not move it: whoever shows a picture compares that one's marks (`renew`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from orchestrator.errors import StoreError
from orchestrator.gallery.index import INTEGER, Found, Index
from orchestrator.gallery.reading import Facts, facts_of, is_name, marks_of
from orchestrator.locks import KernelLock
from orchestrator.store.index import TICK_NS

logger = logging.getLogger(__name__)

BATCH = 500  # pictures written at once: a page can be shown while the rest is read
WAIT_S = 5.0  # for another process that is at it; then what is known is shown
PAUSE_S = 0.01


class Scan:
    """Follows one folder of pictures and one of marks. Safe to use from several threads and processes."""

    def __init__(
        self,
        pictures: Path,
        favourites: Path,
        index: Index,
        *,
        lock: Path,
        on_gone: Callable[[str], None],
    ) -> None:
        self._pictures = str(pictures)
        self._favourites = str(favourites)
        self._index = index
        self._lock_file = lock
        self._on_gone = on_gone
        self._mutex = threading.Lock()

    def refresh(self) -> None:
        """Look at the folders; costs two calls and three queries when nothing happened.

        Raises StoreError when the folder of pictures cannot be read, StoreBusy when the index cannot.
        """
        if self._is_in_step():
            return
        with self._mutex, self._alone() as alone:
            if alone and not self._is_in_step():
                self._follow_pictures()
                self._follow_others()
                self._follow_favourites()

    def renew(self, name: str, marks: str) -> bool:
        """Read a picture again if it does not look as it did; returns whether it had to be."""
        path = self._path(name)
        if repr(marks_of(path)) == marks:
            return False
        facts = facts_of(path)
        if isinstance(facts, Facts):
            self._index.update(name, facts)
        else:
            self._index.drop([name])
            self._index.note_folder("", 0)  # it may have become no picture yet: the next look tells
        self._on_gone(name)
        return True

    def _path(self, name: str) -> str:
        return f"{self._pictures}{os.sep}{name}"

    # ---------------------------------------------------------------- whether anything happened

    def _is_in_step(self) -> bool:
        state = self._index.state()
        return (
            (state.folder, state.folder_ns) == (self._pictures, self._pictures_ns())
            and state.favourites_ns == self._favourites_ns()
            and all(repr(marks_of(self._path(name))) == m for name, m in self._index.others())
        )

    def _pictures_ns(self) -> int:
        try:
            return os.stat(self._pictures).st_mtime_ns
        except OSError as error:
            raise StoreError(
                f"The folder of pictures cannot be read: {error.strerror}",
                remedy="Make sure that the folder dropOut of paths.json is there (`orchestrator paths`).",
            ) from error

    def _favourites_ns(self) -> int:
        try:
            return os.stat(self._favourites).st_mtime_ns
        except OSError:
            return 0

    # ---------------------------------------------------------------- following

    def _follow_pictures(self) -> None:
        changed_ns, began_ns = self._pictures_ns(), time.time_ns()
        state = self._index.state()
        if (state.folder, state.folder_ns) == (self._pictures, changed_ns):
            return
        if state.folder not in {"", self._pictures}:
            self._index.clear()
        known = self._index.known()
        there = self._listed(known)
        new = [name for name, inodes in there.items() if known.get(name) != inodes]
        marked = self._marked() if new else set()
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            read = [(name, facts_of(self._path(name))) for name in batch]
            self._index.put(
                Found(name, facts, *there[name], favourite=name in marked)
                for name, facts in read
                if facts is not None
            )
        # the listing may miss a file that is renamed meanwhile
        gone = [name for name in known.keys() - there if marks_of(self._path(name)) is None]
        self._index.drop(gone)
        for name in [*gone, *(name for name in new if name in known)]:
            self._on_gone(name)
        self._index.note_folder(self._pictures, _settled(changed_ns, began_ns))

    def _listed(self, known: Container[str]) -> dict[str, tuple[int, int]]:
        """Each file that may be a picture, with its inode and its sidecar's."""
        pictures: dict[str, int] = {}
        sidecars: dict[str, int] = {}
        with os.scandir(self._pictures) as items:
            for item in items:
                name = item.name
                if name.endswith(".json"):
                    if item.is_file(follow_symlinks=False):
                        sidecars[name[:-5]] = item.inode() & INTEGER
                elif (name in known or is_name(name)) and item.is_file(follow_symlinks=False):
                    pictures[name] = item.inode() & INTEGER
        return {name: (inode, sidecars.get(name, 0)) for name, inode in pictures.items()}

    def _follow_others(self) -> None:
        """Look again at what was no picture: a program may still have been writing it."""
        for name, marks in self._index.others():
            if repr(marks_of(self._path(name))) != marks:
                facts = facts_of(self._path(name))
                if facts is None:
                    self._index.drop([name])
                else:
                    self._index.put([Found.of(name, facts, favourite=name in self._marked())])

    def _follow_favourites(self) -> None:
        changed_ns, began_ns = self._favourites_ns(), time.time_ns()
        if self._index.state().favourites_ns == changed_ns:
            return
        marked, known = self._marked(), self._index.favourites()
        self._index.mark(marked - known, True)
        self._index.mark(known - marked, False)
        self._index.note_favourites(_settled(changed_ns, began_ns) if changed_ns else 0)

    def _marked(self) -> set[str]:
        try:
            return set(os.listdir(self._favourites))
        except OSError:
            return set()

    # ---------------------------------------------------------------- one at a time

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Hold other processes back; yields False when one of them is at it for too long."""
        lock = KernelLock(self._lock_file)
        deadline = time.monotonic() + WAIT_S
        try:
            while not lock.try_acquire():
                if time.monotonic() > deadline:
                    logger.warning("Another process has been reading the pictures for %s s", WAIT_S)
                    yield False
                    return
                time.sleep(PAUSE_S)
        except OSError as error:
            # a folder that cannot be written: then the index is in memory as well
            logger.warning("No lock for the pictures: %s", error)
        try:
            yield True
        finally:
            lock.release()


def _settled(changed_ns: int, began_ns: int) -> int:
    """The time of a folder, if it was old enough when it was looked at: older kernels stamp only every few ms."""
    return changed_ns if began_ns - changed_ns > TICK_NS else -1
