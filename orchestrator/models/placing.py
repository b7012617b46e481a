"""Where a finished download goes: moved between folders whole or not at all, by one process at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.errors import DiskFull, ModelBusy
from orchestrator.files import DISK, is_full, temp_name

COPY_BYTES = 8 << 20
# what is done (download, verify, copy), bytes done, bytes in all
Progress = Callable[[str, int, int], None]


def place(blob: Path, target: Path, progress: Progress) -> None:
    """Give the blob its name in modelsRoot, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{temp_name(target.name)}")
    try:
        try:
            os.link(blob.resolve(), draft)
            moved = False
        except OSError:  # another disk, or one without hard links
            _copy(blob, draft, progress)
            moved = True
        DISK.replace(draft, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and is_full(error):
            raise DiskFull(
                f"No space left for {target.name} on the disk of {target.parent}"
            ) from error
        raise
    DISK.sync_folder(target.parent)
    if moved:
        blob.unlink()  # twice is once too often for files of this size


def _copy(blob: Path, draft: Path, progress: Progress) -> None:
    size, done = blob.stat().st_size, 0
    with blob.open("rb") as source, draft.open("xb") as out:
        while chunk := source.read(COPY_BYTES):
            out.write(chunk)
            done += len(chunk)
            progress("copy", done, size)
        out.flush()
        os.fsync(out.fileno())


@contextlib.contextmanager
def alone(blob: Path) -> Iterator[None]:
    """Held by the one process that fetches this blob; the kernel takes it from one that dies."""
    from filelock import FileLock, Timeout

    lock = FileLock(blob.with_name(blob.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ModelBusy() from error
    try:
        yield
    finally:
        lock.release()


def sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def free_bytes(folder: Path) -> int:
    for place in (folder, *folder.parents):
        if place.exists():
            return shutil.disk_usage(place).free
    return 0


def size_text(size: int) -> str:
    """A number of bytes as people say it: 6.94 GB."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return (
                f"{size / factor:.3g} {unit}"
                if size < 1000 * factor
                else f"{size // factor} {unit}"
            )
    return f"{size} bytes"
