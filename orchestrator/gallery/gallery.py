"""The gallery: every picture in dropOut, whoever put it there, and what can be done with it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.errors import DiskFull, ImageNotFound
from orchestrator.files import DISK, Disk, is_full, temp_name
from orchestrator.gallery.follower import Follower, OnImages
from orchestrator.gallery.image import GalleryImage, TrashedImage
from orchestrator.gallery.index import Index
from orchestrator.gallery.reading import is_name, marks_of, open_plain
from orchestrator.gallery.scan import Scan
from orchestrator.gallery.thumbnails import Thumbnails
from orchestrator.gallery.trash import Trash
from orchestrator.gallery.zips import zip_parts
from orchestrator.images import read_recipe, safe_stem, sidecar, take_name
from orchestrator.paths import Paths
from orchestrator.store import Subscription, utc_now

SIDE = 200  # pixels of a thumbnail
LOOKS = 3  # at a page whose files change while it is made
MAX_RECIPE_FILE = 256_000_000  # bytes of a picture that is read whole for its recipe
CHUNK = 1 << 20  # bytes copied at once


class Gallery:
    """The pictures of a lab. Blocks on the disk; safe to use from several threads and processes.

    Cheap to make. The files are the truth: index and thumbnails come back when they are deleted. Links, hidden files
    and what is no PNG, JPEG, WebP or MP4 are not pictures.
    """

    def __init__(
        self, paths: Paths, *, now: Callable[[], datetime] = utc_now, disk: Disk = DISK
    ) -> None:
        self._paths = paths
        self._disk = disk
        self._favourites = paths.data / "favourites"  # an empty file per marked picture
        self._thumbnails = Thumbnails(paths.data / "thumbnails")
        self._trash = Trash(paths.drop_out, now=now, disk=disk)
        self._index = Index(paths.data / "gallery.db")
        self._scan = Scan(
            paths.drop_out,
            self._favourites,
            self._index,
            lock=paths.data / "gallery.lock",
            on_gone=self._thumbnails.forget,
        )
        self._follower = Follower([paths.drop_out, self._favourites], self._index, self._scan)

    def close(self) -> None:
        """Close files, and tell nobody any more."""
        self._follower.close()
        self._index.close()

    # ---------------------------------------------------------------- looking

    def page(
        self,
        *,
        backend: str | None = None,
        text: str | None = None,
        favourite: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        owned: bool | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[list[GalleryImage], int]:
        """Pictures, newest first, and how many there are in all.

        `text`: each of its words appears in the prompt, whatever its case, or the job's id begins with it; a picture
        of no job is found by its file name too. `since` is the first moment, `until` the first one after; both aware.
        `owned`: whether a job is known. Raises StoreError when the folder cannot be read.
        """
        for _ in range(LOOKS):
            self._scan.refresh()
            born = self._index.state().born
            rows, total = self._index.page(
                backend=backend,
                text=text,
                favourite=favourite,
                since=since,
                until=until,
                owned=owned,
                limit=max(limit, 0),
                offset=max(offset, 0),
            )
            # a file that was changed in place does not show in the folder's time
            renewed = [image for image, marks in rows if self._scan.renew(image.file, marks)]
            if not renewed and born == self._index.state().born:  # else it was deleted in between
                break
        return [image for image, _ in rows], total

    def get(self, name: str) -> GalleryImage:
        """A picture by its file name. Raises ImageNotFound."""
        if not is_name(name):
            raise _not_found(name)
        for _ in range(LOOKS):
            found = self._index.get(name)
            if found is None:
                self._scan.refresh()
                found = self._index.get(name)
            if found is not None and not self._scan.renew(name, found[1]):
                return found[0]
            # it has changed, or the index was deleted in between: unless the file is gone, look again
            if marks_of(str(self._paths.drop_out / name)) is None:
                break
        raise _not_found(name)

    def path(self, name: str) -> Path:
        """Where a picture lies: a plain file directly in dropOut. Raises ImageNotFound."""
        return self._paths.drop_out / self.get(name).file

    def open(self, name: str) -> io.BufferedReader:
        """A picture's bytes, of the very file that was checked. Raises ImageNotFound."""
        path = self.path(name)
        try:
            return open_plain(str(path))
        except OSError as error:
            raise _not_found(name) from error

    def recipe(self, name: str) -> dict[str, Any] | None:
        """How a picture was made, camelCase, or None when nothing says it. Raises ImageNotFound.

        A seed may be beyond what JavaScript's numbers hold.
        """
        image, path = self.get(name), self.path(name)
        if image.size > MAX_RECIPE_FILE:
            return None
        try:
            recipe = read_recipe(path)
        except OSError as error:
            raise _not_found(name) from error
        return recipe.model_dump(mode="json", by_alias=True) if recipe else None

    def backends(self) -> list[str]:
        """The names of all backends that made a picture here."""
        self._scan.refresh()
        return self._index.backends()

    def thumbnail(self, name: str, *, side: int = SIDE) -> bytes:
        """A picture as WebP of at most `side` pixels each way.

        Raises ImageNotFound, and ImageInvalid when it is damaged or too large.
        """
        image = self.get(name)
        return self._thumbnails.of(name, image.version, side, lambda: self.open(name))

    def watch(self, on_images: OnImages, *, force_polling: bool = False) -> Subscription:
        """Call back with the pictures that are new or have changed, whoever did it; until ended.

        Others may have gone at the same time; with an empty list only that, or so much that a page is better read
        anew. The call comes from a thread.
        """
        self._favourites.mkdir(parents=True, exist_ok=True)
        return self._follower.watch(on_images, force_polling=force_polling)

    # ---------------------------------------------------------------- changing

    def favourite(self, name: str, on: bool = True) -> GalleryImage:
        """Mark a picture as a favourite, or as none any more. Raises ImageNotFound, DiskFull."""
        self.get(name)
        mark = self._favourites / name
        try:
            self._favourites.mkdir(parents=True, exist_ok=True)
            if on:
                with contextlib.suppress(FileExistsError):
                    self._disk.write(mark, b"")
            else:
                self._disk.unlink(mark)
            self._disk.sync_folder(self._favourites)
        except OSError as error:
            if is_full(error):
                raise DiskFull(f"No space left in {self._favourites}") from error
            raise
        self._scan.refresh()
        return self.get(name)

    def trash(self, names: Iterable[str]) -> list[str]:
        """Move pictures with their recipes to `.trash` in dropOut; returns the names of those that were there.

        Raises StoreError when the system refuses; what was moved before stays moved.
        """
        return self._trash.take(names)

    def restore(self, names: Iterable[str]) -> list[str]:
        """Bring back what was thrown away last under these names; returns the names that are back.

        A picture that has the name by now is left as it is. Raises StoreError when the system refuses.
        """
        return self._trash.restore(names)

    def trashed(self) -> list[TrashedImage]:
        """What is in the trash, newest deletion first."""
        return self._trash.listed()

    def trashed_path(self, image: TrashedImage) -> Path:
        """Where a picture of the trash lies. Raises ImageNotFound."""
        return self._trash.path(image)

    # ---------------------------------------------------------------- taking away

    def zip(self, names: Iterable[str], out: BinaryIO) -> None:
        """Write pictures with their recipes as a zip file; `out` need not be seekable. See `zipped`."""
        for part in self.zipped(names):
            out.write(part)

    def zipped(self, names: Iterable[str]) -> Iterator[bytes]:
        """Pictures with their recipes as the parts of a zip file, made as they are asked for.

        Raises ImageNotFound at once; what is deleted while the parts are read is left out.
        """
        files = [self.path(name) for name in dict.fromkeys(names)]
        return zip_parts([each for path in files for each in (path, sidecar(path))])

    def use_as_input(self, name: str) -> str:
        """Copy a picture to dropIn; returns its name there, which no other file had. Raises ImageNotFound, DiskFull.

        A picture that is there already, byte by byte, is not copied again.
        """
        path = self.path(name)
        folder = self._paths.drop_in
        folder.mkdir(parents=True, exist_ok=True)
        stem, ending = safe_stem(path.stem), path.suffix.lower()
        draft = folder / f".{temp_name(stem)}"
        try:
            with self.open(name) as source, draft.open("xb") as copy:
                shutil.copyfileobj(source, copy, CHUNK)
            for number in count(1):
                target = folder / f"{stem}{f'-{number}' if number > 1 else ''}{ending}"
                if take_name(draft, target, self._disk) or _same_content(draft, target):
                    return target.name
        except OSError as error:
            if is_full(error):
                raise DiskFull(f"No space left for the picture in {folder}") from error
            raise
        finally:
            with contextlib.suppress(OSError):
                self._disk.unlink(draft)
        raise AssertionError("count() has no end")


def _not_found(name: str) -> ImageNotFound:
    return ImageNotFound(f"There is no picture {name[:100]!r} in dropOut")


def _same_content(path: Path, other: Path) -> bool:
    try:
        return path.stat().st_size == other.lstat().st_size and _digest(path) == _digest(other)
    except OSError:
        return False


def _digest(path: Path) -> bytes:
    with open_plain(str(path)) as file:
        return hashlib.file_digest(file, "blake2b").digest()
