"""Every path the job store owns. Nobody else builds one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orchestrator.errors import JobNotFound

JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Layout:
    """The folders below `jobs/`. What lies in `.lab` except receipts can be deleted while nothing runs."""

    root: Path

    @cached_property
    def old(self) -> Path:
        """Finished jobs, by month: `_old/2026-11/{id}.json`."""
        return self.root / "_old"

    @cached_property
    def corrupt(self) -> Path:
        """Files that do not hold a job, each with a note."""
        return self.root / "_corrupt"

    @cached_property
    def blobs(self) -> Path:
        """What is too large for a job file, by hash."""
        return self.root / "_blobs"

    @cached_property
    def lab(self) -> Path:
        """What the lab needs beside the jobs."""
        return self.root / ".lab"

    @cached_property
    def temp(self) -> Path:
        """Drafts of job files; outside the watched folder, so that a change is one event."""
        return self.lab / "tmp"

    @cached_property
    def locks(self) -> Path:
        """The lock shards."""
        return self.lab / "locks"

    @cached_property
    def workers(self) -> Path:
        """A file per worker: locked while it lives, its mtime the heartbeat."""
        return self.lab / "workers"

    @cached_property
    def slots(self) -> Path:
        """A file per place in a service host's limit: locked while a job uses it."""
        return self.lab / "slots"

    @cached_property
    def receipts(self) -> Path:
        """What a paid service answered; never deleted while its job may need it."""
        return self.lab / "receipts"

    @cached_property
    def progress(self) -> Path:
        """Live progress and previews of running jobs."""
        return self.lab / "progress"

    @cached_property
    def index(self) -> Path:
        """The index of `_old`; comes back when it is deleted."""
        return self.lab / "index.db"

    @cached_property
    def ballast(self) -> Path:
        """Space kept for the last writes on a full disk."""
        return self.lab / "ballast"

    @cached_property
    def paused(self) -> Path:
        """There while workers shall take no job."""
        return self.root / ".paused"

    @cached_property
    def held(self) -> Path:
        """The batches of which workers shall take no job; not there while there are none."""
        return self.root / ".held"

    def job(self, job_id: str) -> Path:
        """The file of a job that is not archived. Raises JobNotFound for an id that cannot be a file's name."""
        return self.root / f"{checked(job_id)}.json"

    def create(self) -> None:
        """Make the folders that are missing."""
        for folder in (
            self.root,
            self.old,
            self.corrupt,
            self.temp,
            self.locks,
            self.workers,
            self.slots,
            self.receipts,
            self.progress,
        ):
            folder.mkdir(parents=True, exist_ok=True)


def checked(job_id: str) -> str:
    """An id that is safe as a file name. Raises JobNotFound for any other: no job can have it."""
    if not JOB_ID.fullmatch(job_id):
        raise JobNotFound(f"{job_id[:80]!r} is not the id of a job")
    return job_id
