"""Live progress and previews of running jobs: files beside the jobs, not durable, no change of the job."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import orjson

from orchestrator.files import temp_name
from orchestrator.jobs import Job, Progress, Status


class ProgressFiles:
    """One file per running job: a line of JSON, then the preview's bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, int] = {}

    def write(self, job_id: str, progress: Progress, *, fence: int) -> None:
        """Say how far a job is. Failing to is no reason to stop it."""
        said = progress.model_dump(exclude={"preview"}) | {"fence": fence}
        draft = str(self._folder / ("." + temp_name(job_id)))
        try:
            Path(draft).write_bytes(orjson.dumps(said) + b"\n" + (progress.preview or b""))
            os.replace(draft, self._folder / job_id)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(draft)

    def read(self, job_id: str) -> Progress | None:
        """How far a job is, with its newest preview; None when nothing was said."""
        try:
            head, _, preview = (self._folder / job_id).read_bytes().partition(b"\n")
            return Progress.model_validate({**orjson.loads(head), "preview": preview or None})
        except (OSError, ValueError):
            return None

    def clear(self, job_id: str) -> None:
        """Forget the progress of a job that is not running any more."""
        with contextlib.suppress(OSError):
            os.unlink(self._folder / job_id)

    def merged(self, job: Job) -> Job:
        """A running job with its live progress in it."""
        if job.status is not Status.RUNNING:
            return job
        progress = self.read(job.id)
        return job.having(progress=progress.fraction) if progress else job

    def changed(self) -> set[str]:
        """The ids of jobs whose progress moved or went since the last call: for a reader without events."""
        there = {}
        with contextlib.suppress(OSError), os.scandir(self._folder) as items:
            for item in items:
                if not item.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):
                        there[item.name] = item.stat().st_mtime_ns
        moved = {job_id for job_id, _ in there.items() ^ self._seen.items()}
        self._seen = there
        return moved

    def changed_job(self, path: str) -> str | None:
        """The id of the job whose progress lies at `path`; None for any other path."""
        folder, name = os.path.split(path)
        return name if folder == str(self._folder) and not name.startswith(".") else None
