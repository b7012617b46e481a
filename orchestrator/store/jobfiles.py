"""Job files: each whole or not there, changed only under its lock, and told of."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.errors import CorruptFile, DiskFull, JobExists, JobNotFound
from orchestrator.files import DISK, Disk, is_full, temp_name
from orchestrator.jobs import Job, to_json
from orchestrator.store.archive import Archive
from orchestrator.store.ballast import Ballast
from orchestrator.store.blobs import Blobs
from orchestrator.store.held import HeldBatches
from orchestrator.store.index import Index
from orchestrator.store.layout import Layout, checked
from orchestrator.store.locks import ShardLocks
from orchestrator.store.pause import Pause, PauseNotes, Pauser
from orchestrator.store.progress import ProgressFiles
from orchestrator.store.quarantine import Quarantine
from orchestrator.store.receipts import Receipts
from orchestrator.store.watch import OnChange, Watcher

logger = logging.getLogger(__name__)

MANY = 1_000  # jobs; to look at so many files takes some milliseconds
READ_TRIES = 3  # against ESTALE of a network drive
DRAFTS = 8  # written side by side when many jobs are stored
TOGETHER = 100  # when many are stored: a worker begins with the first while the last are being made
QUEUE = ""  # told like the id of a job when the queue itself was paused or resumed


def utc_now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Subscription:
    """Somebody is told of changes; end it when done."""

    end: Callable[[], None]


class Drafted(NamedTuple):
    """A new job whose content is on the disk, without its name."""

    job: Job
    document: dict[str, Any]
    data: bytes
    draft: str


class JobFiles:
    """Creating and changing the jobs of one folder; the lowest layer of the store."""

    def __init__(
        self,
        root: Path,
        *,
        disk: Disk = DISK,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.layout = Layout(Path(root))
        self.layout.create()
        self.now = now
        self._disk = disk
        self._root = str(self.layout.root)
        self._temp = str(self.layout.temp)
        self._locks = ShardLocks(self.layout.locks)
        self._locks.create()
        self.receipts = Receipts(self.layout.receipts, disk=disk)
        self.blobs = Blobs(self.layout.blobs, temp=self.layout.temp, disk=disk)
        self.progress = ProgressFiles(self.layout.progress)
        self.quarantine = Quarantine(self.layout, self._locks, disk=disk)
        self._index = Index(self._root, on_corrupt=self._set_aside, disk=disk)
        self._archive = Archive(self.layout.old, self.layout.index, on_corrupt=self.quarantine.take)
        self._ballast = Ballast(self.layout.ballast, disk=disk)
        self._pause = PauseNotes(self.layout.paused, disk=disk)
        self._held = HeldBatches(self.layout.held, disk=disk)
        self._listeners: list[OnChange] = []
        self._watching = threading.Lock()
        self._watcher: Watcher | None = None
        self._ballast.keep()

    def close(self) -> None:
        """Close what is open. Jobs are on the disk anyway."""
        with self._watching:
            if self._watcher is not None:
                self._watcher.stop()
                self._watcher = None
        self._locks.close()
        self._archive.close()

    def create(self, job: Job) -> Job:
        """Store a new job. Raises JobExists when its id is taken, DiskFull.

        The id is made by the caller, so that a create whose answer was lost can be repeated.
        """
        checked(job.id)
        with self._locks.hold(job.id):
            if self._is_taken(job.id):
                raise JobExists(f"Job {job.id} exists already")
            created = self._put(job.having(revision=1))
        self._tell({job.id})
        return created

    def create_many(self, jobs: Iterable[Job]) -> list[Job]:
        """Store new jobs together; returns those that are stored now. One whose id is taken stays as it is.

        When this returns all of them are on the disk, as after `create` of each; but the disk is waited for a few
        times, not twice for each job. Raises DiskFull, StoreBusy, OSError; those that have their names by then stay.
        """
        created: list[Job] = []
        rest = iter(jobs)
        with ThreadPoolExecutor(DRAFTS, thread_name_prefix="drafts") as threads:
            while lot := list(islice(rest, TOGETHER)):
                created += self._create_together(lot, threads)
        return created

    def _create_together(self, jobs: Sequence[Job], threads: Executor) -> list[Job]:
        # side by side: a file system that is asked by several at once writes its journal once for all of them
        writing = [threads.submit(self._drafted, job) for job in jobs]
        wait(writing)
        drafted = [each.result() for each in writing if each.exception() is None]
        unnamed = {new.draft for new in drafted}
        created: list[Job] = []
        try:
            for each in writing:
                each.result()  # raises what one of them met
            for new in drafted:
                if self._create_from(new):
                    unnamed.discard(new.draft)
                    created.append(new.job)
        finally:
            for draft in unnamed:
                self._discard(draft)
            if created:
                self._disk.sync_folder(self._root)
                self._tell({job.id for job in created})
        return created

    def _drafted(self, job: Job) -> Drafted:
        checked(job.id)
        new = job.having(revision=1)
        document = new.to_document()
        data = to_json(document)
        return Drafted(new, document, data, self._draft(job.id, data))

    def _create_from(self, new: Drafted) -> bool:
        """Give a drafted job its name, unless it is taken; the folder is not synced yet."""
        job_id = new.job.id
        with self._locks.hold(job_id):
            if self._is_taken(job_id):
                return False
            self._give_name(new.draft, job_id, new.data)
            self._index.put(new.job, new.document, os.stat(self._path(job_id)))
        return True

    def _is_taken(self, job_id: str) -> bool:
        return os.path.lexists(f"{self._root}/{job_id}.json") or bool(self._archive.find(job_id))

    def update(self, job_id: str, change: Callable[[Job], Job], *, fence: int | None = None) -> Job:
        """Change a job as it is on the disk: `change` gets it and returns what it should be.

        With `fence` only whoever claimed the job with it may write; Fenced is raised otherwise.
        Raises JobNotFound, CorruptFile, StoreBusy, DiskFull, and whatever `change` raises.
        """
        return self._changed(job_id, change, fence=fence)[0]

    def _changed(
        self, job_id: str, change: Callable[[Job], Job], *, fence: int | None = None
    ) -> tuple[Job, bool]:
        """A job after `change`, and whether that changed it."""
        with self._locks.hold(job_id):
            job = self._read(job_id)
            if fence is not None:
                job.owned(fence)
            changed = change(job)
            if changed is job:
                return job, False
            written = self._put(changed.having(revision=job.revision + 1))
        self._tell({job_id})
        return written, True

    def delete(self, job_id: str) -> Job:
        """Remove an ended job from the list; its pictures stay. Returns what it was.

        Raises JobNotFound, CorruptFile, StoreBusy, and InvalidTransition for a job that has not ended.
        """
        with self._locks.hold(job_id):
            job = self._read(job_id).ended()
            self._disk.unlink(self._path(job_id))
            self._disk.sync_folder(self._root)
            self._index.drop(job_id)
        self._tell({job_id})
        return job

    def pause(self, reason: str = "", *, who: Pauser = Pauser.USER) -> Pause:
        """Have no worker take a job from now on; what runs goes on. Durable."""
        note = self._pause.write(now=self.now(), reason=reason, who=who)
        self._tell({QUEUE})
        return note

    def resume(self, *, who: Pauser | None = None) -> None:
        """Have workers take jobs again, whoever paused; with `who` only that one's pause ends."""
        self._pause.remove(who)
        self._tell({QUEUE})

    def pause_note(self, *, who: Pauser | None = None) -> Pause | None:
        """Since when and why the queue is paused, by anybody or by `who`; None when it is not."""
        return self._pause.read(who)

    def hold_batch(self, batch: str) -> None:
        """Have no worker take a job of the batch from now on; what runs goes on. Durable."""
        with self._locks.hold(self._held.name):  # one note, one lock
            self._held.hold(batch, now=self.now())
        self._tell({QUEUE})

    def release_batch(self, batch: str) -> None:
        """Have workers take its jobs again."""
        with self._locks.hold(self._held.name):  # one note, one lock
            self._held.release(batch)
        self._tell({QUEUE})

    def held_batches(self) -> Mapping[str, datetime]:
        """The batches that are paused, each with the time since when."""
        return self._held.since()

    def _path(self, job_id: str) -> str:
        return f"{self._root}/{checked(job_id)}.json"

    def _put(self, job: Job) -> Job:
        """Write a job file; the caller holds its lock, and tells of the change when it has let go of it: whoever is
        told may want the lock. Ended jobs may use the space kept for them."""
        document = job.to_document()
        data = to_json(document)
        try:
            stat = self._write(job.id, data)
        except DiskFull:
            if not job.is_terminal or not self._ballast.drop():
                raise
            stat = self._write(job.id, data)
        self._index.put(job, document, stat)
        return job

    def _write(self, job_id: str, data: bytes) -> os.stat_result:
        self._give_name(self._draft(job_id, data), job_id, data)
        self._disk.sync_folder(self._root)
        return os.stat(f"{self._root}/{job_id}.json")

    def _draft(self, job_id: str, data: bytes) -> str:
        """Write a file's content under another name, durably; returns the path."""
        draft = f"{self._temp}/{temp_name(job_id)}"
        try:
            self._disk.write(draft, data)
        except OSError as error:
            self._discard(draft)
            if is_full(error):
                raise DiskFull from error
            raise
        return draft

    def _give_name(self, draft: str, job_id: str, data: bytes) -> None:
        path = f"{self._root}/{job_id}.json"
        try:
            self._disk.replace(draft, path)
        except OSError as error:
            self._discard(draft)
            if is_full(error):
                raise DiskFull from error
            # a network drive may do the renaming and report that it failed
            if not self._holds(path, data):
                raise

    def _discard(self, draft: str) -> None:
        try:
            self._disk.unlink(draft)
        except OSError:
            logger.warning("Could not remove a draft in %s", self.layout.temp)

    def _holds(self, path: str, data: bytes) -> bool:
        try:
            return self._disk.read(path)[0] == data
        except OSError:
            return False

    def _read(self, job_id: str) -> Job:
        path = self._path(job_id)
        for tries in range(READ_TRIES):
            try:
                return Job.from_json(self._disk.read(path)[0], id=job_id)
            except FileNotFoundError:
                raise JobNotFound(f"There is no job {job_id}") from None
            except OSError:  # ESTALE: a network drive has another file under this name by now
                if tries == READ_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _set_aside(self, job_id: str, error: CorruptFile) -> bool:
        gone = self.quarantine.take_job(job_id, error)
        if gone:
            self._index.drop(job_id)
        return gone

    def refresh(self, *, force: bool = False) -> list[str]:
        """Notice what other processes changed; returns the ids of changed jobs.

        While somebody is told of changes, those are noticed within milliseconds anyway: of many jobs then only the
        names are looked at, unless `force` asks for more.
        """
        watcher = self._watcher
        watched = watcher is not None and watcher.is_current
        if watched and not force and len(self._index) > MANY:
            changed = self._index.refresh_names()
        else:
            changed = self._index.refresh(force=force)
        self._tell(set(changed))  # the watcher will find nothing new any more
        return changed

    def watch(self, on_change: OnChange, *, force_polling: bool = False) -> Subscription:
        """Call back with the ids of jobs whose file or progress changed, whoever changed it; until ended.

        The call comes from a thread: the watcher's, or the one that wrote.
        """
        with self._watching:
            self._listeners.append(on_change)
            if self._watcher is None:
                self._watcher = Watcher(
                    [self.layout.root, self.layout.progress],
                    on_names=self._names_changed,
                    on_look=self._look,
                    force_polling=force_polling,
                )
                self._watcher.start()
        return Subscription(partial(self._unwatch, on_change))

    def _unwatch(self, on_change: OnChange) -> None:
        with self._watching:
            self._listeners.remove(on_change)
            watcher, self._watcher = self._watcher, None if not self._listeners else self._watcher
        if self._watcher is None and watcher is not None:
            watcher.stop()

    def _names_changed(self, paths: set[str]) -> None:
        changed: set[str] = set()
        for path in paths:
            name = os.path.basename(path)
            if name.endswith(".json"):
                changed.update(self._index.read(name[:-5], hint=True))
            elif name in self._pause.names or name == self._held.name:
                changed.add(QUEUE)
            elif job_id := self.progress.changed_job(path):
                changed.add(job_id)
        self._tell(changed)

    def _look(self) -> None:
        changed = set(self._index.refresh())
        if self._watcher is not None and self._watcher.polling:
            changed |= self.progress.changed()
        self._tell(changed)

    def _tell(self, changed: set[str]) -> None:
        """Call the listeners. A writer does it itself: the watcher finds nothing new in a file this process wrote."""
        for listener in list(self._listeners) if changed else ():
            try:
                listener(changed)
            except Exception:  # a reader's fault must not look like a failed write
                logger.exception("Somebody who is told of changed jobs failed")
