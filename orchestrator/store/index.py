"""What a reader keeps in memory of the folder of jobs, brought up to date file by file.

A job file is read again only when its inode, size or time moved. Every write renames into the folder, so the
folder's own time says in one call that nothing happened.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from orchestrator.backends import models_named
from orchestrator.errors import CorruptFile
from orchestrator.files import DISK, Disk
from orchestrator.jobs import Job, Status
from orchestrator.store.layout import JOB_ID

MAX_FILE = 1_000_000  # bytes; a larger file is no job and is not read
TICK_NS = 20_000_000  # older kernels stamp files only every few ms: a younger stamp proves nothing
TIME_LENGTH = len("2026-11-22T12:00:00.000000Z")
WAITING = frozenset({Status.CREATED, Status.QUEUED})
Signature = tuple[int, int, int]
Order = tuple[int, str, str]


class Kind(NamedTuple):
    """What decides where a job may go: what is true of one job is true of all of its kind."""

    backend: str
    host: str | None = None  # where an attempt of it may still be running
    workflow: str | None = None  # the saved one that it asks for
    needs: tuple[str, ...] = ()  # the models that its user named


class Entry:
    """A job file as last read."""

    __slots__ = (
        "_job",
        "attempt",
        "backend",
        "created",
        "document",
        "kind",
        "order",
        "signature",
        "status",
        "trusted",
        "worker",
    )

    def __init__(self, document: dict[str, Any], signature: Signature, *, trusted: bool) -> None:
        self.document = document
        self.signature = signature
        self.trusted = trusted
        self.status = Status(document["status"])
        self.backend: str = document["backend"]
        if not isinstance(self.backend, str):
            raise TypeError(f"backend is {type(self.backend).__name__}")
        self.created = sortable_time(document["createdAt"])
        lease = document.get("lease")
        # who holds the job, and on which machine
        self.worker = (str(lease["worker"]), str(lease["host"])) if lease else None
        attempts = document.get("attempts")
        # the newest attempt, as it is on the disk
        self.attempt: dict[str, Any] | None = {**attempts[-1]} if attempts else None
        self._job: Job | None = None
        self.order: Order | None = None
        self.kind: Kind | None = None  # of a job that waits
        if self.status in WAITING and not (self.status == Status.CREATED and document.get("hold")):
            urgency = -1_000_000 if self.open_host else 0
            priority = int(document.get("priority") or 0)
            self.order = (urgency - priority, self.created, str(document["id"]))
            workflow = document.get("workflow")
            self.kind = Kind(
                self.backend,
                self.open_host,
                workflow if isinstance(workflow, str) else None,
                models_named(document.get("params")),
            )

    @property
    def open_host(self) -> str | None:
        """The host at which an attempt of the job may still be running."""
        attempt = self._open_attempt
        return str(attempt.get("host")) if attempt else None

    @property
    def open_slot(self) -> str | None:
        """The place such an attempt has in its host's limit."""
        attempt = self._open_attempt
        return str(attempt["slot"]) if attempt and attempt.get("slot") else None

    @property
    def _open_attempt(self) -> dict[str, Any] | None:
        attempt = self.attempt
        return attempt if attempt and not attempt.get("finishedAt") else None

    def job(self) -> Job:
        """The whole job. Raises CorruptFile when only its head makes sense."""
        if self._job is None:
            try:
                data = orjson.dumps(self.document)
            except TypeError as error:  # it can be read but not written: nested too deeply
                raise CorruptFile(f"not a job: {error}") from error
            self._job = Job.from_json(data, id=str(self.document["id"]))
        return self._job


class Index:
    """The jobs that are not archived. Safe to use from several threads."""

    def __init__(
        self,
        root: str,
        *,
        on_corrupt: Callable[[str, CorruptFile], bool],
        disk: Disk = DISK,
    ) -> None:
        self._root = root
        self._disk = disk
        self._on_corrupt = on_corrupt
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = {}
        self._waiting: list[Order] = []
        self._running: set[str] = set()
        self._counts: Counter[tuple[Status, str]] = Counter()
        # (time of creation, id), oldest first; made when somebody asks for it, for a folder is read in any order
        self._ordered: list[tuple[str, str]] | None = None
        self._folder_ns: int | None = None
        self._listed_ns: int | None = None
        self._settled = False

    # ---------------------------------------------------------------- reading

    def __len__(self) -> int:
        """How many jobs it knows."""
        return len(self._entries)

    def entries(self) -> list[tuple[str, Entry]]:
        """A copy of everything known."""
        with self._lock:
            return list(self._entries.items())

    def get(self, job_id: str) -> Entry | None:
        """What is known of a job."""
        return self._entries.get(job_id)

    def ordered(self) -> list[tuple[str, str]]:
        """The time of creation and the id of every job, oldest first. A copy."""
        with self._lock:
            if self._ordered is None:
                self._ordered = sorted((e.created, job_id) for job_id, e in self._entries.items())
            return list(self._ordered)

    def counts(self) -> Counter[tuple[Status, str]]:
        """How many jobs have which status and backend."""
        with self._lock:
            return +self._counts

    def waiting(self) -> Iterator[tuple[str, Entry]]:
        """Jobs that a worker may take, first the ones to take first."""
        with self._lock:
            order = list(self._waiting)
        for _, _, job_id in order:
            entry = self._entries.get(job_id)
            if entry is not None and entry.order is not None:
                yield job_id, entry

    def running(self) -> list[tuple[str, Entry]]:
        """Jobs that somebody has. A copy."""
        with self._lock:
            return [(job_id, self._entries[job_id]) for job_id in self._running]

    # ---------------------------------------------------------------- keeping up

    def put(self, job: Job, document: dict[str, Any], stat: os.stat_result) -> None:
        """Take over what this process has just written."""
        entry = Entry(document, _signature(stat), trusted=False)
        entry._job = job
        self._set(job.id, entry)
        self._listed_ns = os.stat(self._root).st_mtime_ns  # there is nothing to find but this

    def drop(self, job_id: str) -> None:
        """Forget a job that has left the folder."""
        self._set(job_id, None)

    def refresh(self, *, force: bool = False) -> list[str]:
        """Look at the folder; returns the ids whose files changed, appeared or went.

        Costs one call when nothing happened. With `force` every file is looked at.
        """
        # what changes after the look began has a later stamp only if the folder's was old by then
        folder_ns, began_ns = os.stat(self._root).st_mtime_ns, time.time_ns()
        with self._lock:
            if folder_ns == self._folder_ns and self._settled and not force:
                return []
        changed: list[str] = []
        seen: set[str] = set()
        settled = True
        with os.scandir(self._root) as items:
            for item in items:
                name = item.name
                # a folder, a link or a FIFO of that name is not ours to open: it could hang
                if not name.endswith(".json") or not item.is_file(follow_symlinks=False):
                    continue
                job_id = name[:-5]
                seen.add(job_id)
                try:
                    signature = _signature(item.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue
                entry = self._entries.get(job_id)
                if entry and entry.trusted and entry.signature == signature:
                    continue
                changed += self.read(job_id)
                fresh = self._entries.get(job_id)
                settled = settled and fresh is not None and fresh.trusted
        with self._lock:
            for gone in self._entries.keys() - seen:
                # a file that appeared after its part of the folder was listed is not gone
                if not os.path.exists(self._path(gone)):
                    self._set(gone, None)
                    changed.append(gone)
            self._settled = settled and began_ns - folder_ns > TICK_NS
            self._folder_ns = folder_ns
        return changed

    def refresh_names(self) -> list[str]:
        """Notice which files appeared or went; returns their ids. What changed inside a file has to be told by events.

        A fraction of the cost of `refresh` while others write.
        """
        folder_ns, began_ns = os.stat(self._root).st_mtime_ns, time.time_ns()
        if folder_ns in {self._folder_ns, self._listed_ns}:
            return []
        names = {name[:-5] for name in os.listdir(self._root) if name.endswith(".json")}
        with self._lock:
            new, gone = names - self._entries.keys(), self._entries.keys() - names
        changed = [job_id for name in new for job_id in self.read(name)]
        with self._lock:
            for job_id in gone:
                if job_id in self._entries and not os.path.exists(self._path(job_id)):
                    self._set(job_id, None)
                    changed.append(job_id)
        self._listed_ns = folder_ns if began_ns - folder_ns > TICK_NS else None
        return changed

    def read(self, job_id: str, *, hint: bool = False) -> list[str]:
        """Read one file again; returns its id if what is known of it changed.

        With `hint` a file that looks as it did is not read: mostly the event tells of this process's own write.
        Where the look deceives, the next refresh finds out.
        """
        path = self._path(job_id)
        before = self._entries.get(job_id)
        try:
            stat = os.lstat(path)
            if not _is_plain(stat) or (hint and before and before.signature == _signature(stat)):
                return []
            if stat.st_size > MAX_FILE:
                raise CorruptFile(f"{stat.st_size:,} bytes are no job")
            data, stat = self._disk.read(path)
            entry = parse(data, stat, job_id)
        except FileNotFoundError:
            self._set(job_id, None)
            return [job_id] if before else []
        except CorruptFile as error:
            return [job_id] if self._on_corrupt(job_id, error) and before else []
        except OSError:
            return []  # a share that is away for a moment: the next look tells
        if before and before.document == entry.document:
            before.signature, before.trusted = entry.signature, entry.trusted
            return []
        with self._lock:
            # another thread may have written, and noted it, since the file was read. Its revision would not
            # tell: a file that somebody put back by hand may have a smaller one
            if self._entries.get(job_id) is not before and not self._is_current(job_id, entry):
                return []
            self._set(job_id, entry)
        return [job_id]

    def _is_current(self, job_id: str, entry: Entry) -> bool:
        try:
            return _signature(os.lstat(self._path(job_id))) == entry.signature
        except OSError:
            return False

    def _path(self, job_id: str) -> str:
        return f"{self._root}/{job_id}.json"

    def _set(self, job_id: str, entry: Entry | None) -> None:
        with self._lock:
            old = self._entries.pop(job_id, None)
            moved = old is None or entry is None or old.created != entry.created
            if old is not None:
                self._counts[old.status, old.backend] -= 1
                self._running.discard(job_id)
                if moved and self._ordered is not None:
                    del self._ordered[bisect_left(self._ordered, (old.created, job_id))]
                if old.order is not None:
                    place = bisect_left(self._waiting, old.order)
                    if place < len(self._waiting) and self._waiting[place] == old.order:
                        del self._waiting[place]
            if entry is not None:
                self._entries[job_id] = entry
                self._counts[entry.status, entry.backend] += 1
                if entry.status is Status.RUNNING:
                    self._running.add(job_id)
                if moved and self._ordered is not None:
                    insort(self._ordered, (entry.created, job_id))
                if entry.order is not None:
                    insort(self._waiting, entry.order)


def _signature(stat: os.stat_result) -> Signature:
    return (stat.st_mtime_ns, stat.st_ino, stat.st_size)


def sortable_time(said: object) -> str:
    """The text of a time, so that texts sort as the times do; other systems write other lengths and zones."""
    text = str(said)
    if len(text) == TIME_LENGTH and text.endswith("Z"):
        return text
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _is_plain(stat: os.stat_result) -> bool:
    return (stat.st_mode & 0o170000) == 0o100000


def parse(data: bytes, stat: os.stat_result, job_id: str) -> Entry:
    """Look at the head of a job file only, so that ten thousand take a fraction of a second; the rest is
    validated by whoever uses the job. Raises CorruptFile."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise CorruptFile(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise CorruptFile("not a JSON object")
    if not JOB_ID.fullmatch(job_id):
        raise CorruptFile("its name cannot be a job's")
    if document.get("id") != job_id:
        raise CorruptFile(
            f"the file is named {job_id}, the job in it {str(document.get('id'))[:80]!r}"
        )
    trusted = time.time_ns() - stat.st_mtime_ns > TICK_NS
    try:
        entry = Entry(document, _signature(stat), trusted=trusted)
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        raise CorruptFile(f"not a job: {error!r}") from error
    return entry
