"""Pictures thrown away, each deletion in a folder of its own, so that it can be undone."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from orchestrator.errors import ImageNotFound, StoreError
from orchestrator.files import DISK, Disk
from orchestrator.gallery.image import TrashedImage
from orchestrator.gallery.reading import is_name, marks_of
from orchestrator.images import sidecar, take_name

FOLDER = ".trash"
STAMP = "%Y%m%dT%H%M%S.%fZ"
BATCH = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)(-\d+)?")  # the name of a deletion's folder


class Trash:
    """`.trash` in a folder of pictures. Safe to use from several threads and processes."""

    def __init__(self, pictures: Path, *, now: Callable[[], datetime], disk: Disk = DISK) -> None:
        self._pictures = pictures
        self._folder = pictures / FOLDER
        self._now = now
        self._disk = disk

    def take(self, names: Iterable[str]) -> list[str]:
        """Move pictures and their sidecars here; returns the names of those that were there.

        Raises StoreError when the system refuses; what was moved before stays moved.
        """
        there = [name for name in dict.fromkeys(names) if _is_there(self._pictures, name)]
        if not there:
            return []
        batch = self._new_batch()
        moved = []
        for name in there:
            path = self._pictures / name
            try:
                self._disk.replace(path, batch / name)
            except FileNotFoundError:
                continue  # somebody else threw it away
            except OSError as error:
                raise _refused(name, error) from error
            moved.append(name)
            # after the picture: a crash between the two leaves a recipe too many, not one too few
            with contextlib.suppress(OSError):
                self._disk.replace(sidecar(path), sidecar(batch / name))
        if not moved:
            _remove_empty(batch)
        return moved

    def restore(self, names: Iterable[str]) -> list[str]:
        """Bring back what was deleted last under each name; returns the names that are back.

        A name that another picture has by now is left out, and so is one that is not here.
        Raises StoreError when the system refuses.
        """
        wanted = {name for name in names if is_name(name)}
        restored = []
        for batch in self._batches():
            found = {name for name in wanted if _is_there(batch, name)}
            wanted -= found
            restored += [name for name in sorted(found) if self._bring_back(batch / name)]
            if found:
                _remove_empty(batch)
        return restored

    def listed(self) -> list[TrashedImage]:
        """What is here, newest deletion first."""
        found = []
        for batch in self._batches():
            when = datetime.strptime(batch.name.partition("-")[0], STAMP).replace(tzinfo=UTC)
            for name in _names(batch):
                if is_name(name) and (marks := marks_of(str(batch / name))):
                    size = marks.picture[1]
                    found.append(
                        TrashedImage(file=name, deleted_at=when, batch=batch.name, size=size)
                    )
        return found

    def path(self, image: TrashedImage) -> Path:
        """Where a picture of `listed` lies. Raises ImageNotFound."""
        batch = self._folder / image.batch
        if not (BATCH.fullmatch(image.batch) and self._is_ours() and _is_there(batch, image.file)):
            raise ImageNotFound("The trash has no such picture")
        return batch / image.file

    def _bring_back(self, kept: Path) -> bool:
        path = self._pictures / kept.name
        try:
            if not take_name(kept, path, self._disk):
                return False
            self._disk.unlink(kept)
            if _is_there(kept.parent, sidecar(kept).name, any_name=True):
                # one that lies there already is this picture's: a crash kept it from being thrown away
                take_name(sidecar(kept), sidecar(path), self._disk)
                self._disk.unlink(sidecar(kept))
        except FileNotFoundError:
            return False  # somebody else restored it
        except OSError as error:
            raise _refused(kept.name, error) from error
        return True

    def _new_batch(self) -> Path:
        try:
            self._folder.mkdir(exist_ok=True)
            if not self._is_ours():
                raise StoreError(
                    f"{self._folder} is not a folder",
                    remedy="Rename what has that name, so that deleted pictures have a place.",
                )
            stamp = self._now().astimezone(UTC).strftime(STAMP)
            for number in count(1):
                batch = self._folder / (stamp if number == 1 else f"{stamp}-{number}")
                with contextlib.suppress(FileExistsError):
                    batch.mkdir()
                    return batch
        except OSError as error:
            raise _refused(FOLDER, error) from error
        raise AssertionError("count() has no end")

    def _batches(self) -> Iterator[Path]:
        """The folders of deletions, newest first."""
        if self._is_ours():
            for name in sorted(_names(self._folder), reverse=True):
                if BATCH.fullmatch(name) and not (self._folder / name).is_symlink():
                    yield self._folder / name

    def _is_ours(self) -> bool:
        # a link would lead pictures out of dropOut
        try:
            return stat.S_ISDIR(os.lstat(self._folder).st_mode)
        except OSError:
            return False


def _is_there(folder: Path, name: str, *, any_name: bool = False) -> bool:
    return (any_name or is_name(name)) and marks_of(f"{folder}{os.sep}{name}") is not None


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []  # removed meanwhile


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # something else lies in it, or it is gone
        folder.rmdir()


def _refused(name: str, error: OSError) -> StoreError:
    return StoreError(
        f"{name[:100]} cannot be moved: {error.strerror or error}",
        remedy="Close programs that show the picture, and make sure that the folder dropOut can be written.",
    )
