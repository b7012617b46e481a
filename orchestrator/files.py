"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from codecs import BOM_UTF8
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from orchestrator.errors import CorruptFile, DiskFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC})
NOT_PLAIN = frozenset({errno.ELOOP, errno.ENXIO})  # what opening a link or a socket says
# some network drives have no fsync of folders
CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})
WINDOWS = sys.platform == "win32"
READ_FLAGS = os.O_RDONLY
for _flag in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK", "O_NOFOLLOW"):
    READ_FLAGS |= getattr(os, _flag, 0)
# A reader that has the target open makes os.replace fail on Windows; readers hold a file for microseconds.
REPLACE_TRIES = 50
REPLACE_PAUSE_S = 0.01

_serial = count()


class Disk:
    """Every call by which the lab changes a disk, in one place, so that tests can record and fail them."""

    def write(self, path: Path | str, data: bytes) -> None:
        """Write a new file and wait until its bytes are on the disk. Raises FileExistsError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, source: Path | str, target: Path | str) -> None:
        """Give `source` the name `target`, in one step, whether or not there was one."""
        for _ in range(REPLACE_TRIES if WINDOWS else 0):
            try:
                os.replace(source, target)
            except PermissionError:
                time.sleep(REPLACE_PAUSE_S)
            else:
                return
        os.replace(source, target)

    def unlink(self, path: Path | str) -> None:
        """Remove a file; one that is gone already is fine."""
        Path(path).unlink(missing_ok=True)

    def sync_folder(self, path: Path | str) -> None:
        """Wait until the names in a folder are on the disk. Windows has no such call, and NTFS journals them."""
        if WINDOWS:
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in CANNOT_SYNC:
                raise
        finally:
            os.close(descriptor)

    def read(self, path: Path | str) -> tuple[bytes, os.stat_result]:
        """The bytes of a file and the state it had just before they were read.

        Raises FileNotFoundError for a folder, a link or a device of that name too: a FIFO would hang its reader.
        """
        try:
            descriptor = os.open(path, READ_FLAGS)
        except OSError as error:
            if error.errno in NOT_PLAIN:
                raise _no_file(path) from error
            raise
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise _no_file(path)
            parts = []
            while part := os.read(descriptor, state.st_size + 1):
                parts.append(part)
            return b"".join(parts), state
        finally:
            os.close(descriptor)

    def reserve(self, path: Path | str, size: int) -> None:
        """Make a file of `size` zero bytes whose blocks are really taken, so that filling it needs no space."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, size)
            else:
                _write_all(descriptor, b"\0" * size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def overwrite(self, path: Path | str, data: bytes) -> None:
        """Write over the start of an existing file and wait until the bytes are on the disk."""
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def append(self, path: Path | str, data: bytes) -> None:
        """Write at the end of a file, made when missing, and wait until the bytes are on the disk.

        When that fails the file is as it was before: what was written of it is cut off again.
        """
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(path, flags, 0o644)
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END)
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def cut(self, path: Path | str, size: int) -> None:
        """Shorten a file to `size` bytes and wait until the disk knows."""
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


DISK = Disk()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:  # the system may take less than it is given: a disk that fills up, a signal
        rest = rest[os.write(descriptor, rest) :]


def _no_file(path: Path | str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "not a plain file", str(path))


def is_full(error: OSError) -> bool:
    """Whether an error says that a disk or a quota is used up."""
    return error.errno in FULL


def temp_name(name: str) -> str:
    """A file name that no other thread, process or machine uses for its temporary file."""
    return f"{name}.{os.getpid()}.{time.monotonic_ns():x}.{next(_serial)}.tmp"


def write_whole(
    path: Path, data: bytes, *, temp: Path | None = None, disk: Disk = DISK, durable: bool = True
) -> None:
    """Write a file so that a reader, or a crash at any moment, finds the old content or the new.

    `temp` is the folder for the temporary file; it must be on the same file system (default: the file's own).
    With `durable` the content and the name are on the disk when this returns.
    Raises DiskFull when there is no space, OSError for anything else; the old content stays then.
    """
    draft = str((temp or path.parent) / temp_name(path.name))
    try:
        if durable:
            disk.write(draft, data)
        else:
            Path(draft).write_bytes(data)
        disk.replace(draft, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            disk.unlink(draft)
        if isinstance(error, OSError) and is_full(error):
            raise DiskFull(f"No space left for {path.name} on the disk of {path.parent}") from error
        raise
    if durable:
        disk.sync_folder(path.parent)


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises FileNotFoundError, or CorruptFile when it is not JSON."""
    try:
        # Notepad and PowerShell write one
        return orjson.loads(path.read_bytes().removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError as error:
        raise CorruptFile(f"{path.name} is not JSON: {error}") from error
