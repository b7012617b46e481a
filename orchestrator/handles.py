"""A submitted job as a notebook or a script holds it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import JobFailed
from orchestrator.images import read_recipe
from orchestrator.jobs import Job, Progress, Status
from orchestrator.recipes import Recipe

if TYPE_CHECKING:
    from orchestrator.lab import Lab

LOOK_S = 2.0  # a change that nobody told us of


@dataclass(frozen=True)
class Picture:
    """A finished picture; the last value of a cell shows it."""

    path: Path
    job: Job

    @property
    def recipe(self) -> Recipe | None:
        """How it was made, as the file itself or the one beside it says. Raises OSError when it is gone."""
        return read_recipe(self.path)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        kinds = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}
        kind = kinds.get(self.path.suffix, "application/octet-stream")
        return {kind: self.path.read_bytes(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Picture({str(self.path)!r})"


class JobHandle:
    """A job of a lab: what it says now, and ways to wait for it or change it."""

    def __init__(self, lab: Lab, job: Job) -> None:
        self.lab = lab
        self.job = job

    def __repr__(self) -> str:
        return f"JobHandle({self.job.id}, {self.job.status})"

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def status(self) -> Status:
        """The job's status when it was last looked at."""
        return self.job.status

    @property
    def pictures(self) -> list[Picture]:
        """What the job has made, as far as it is still in its folder."""
        result = self.job.result
        files = result.files or ([result.file] if result.file else []) if result else []
        paths = (self.lab.picture_path(file) for file in files)
        return [Picture(path, self.job) for path in paths if path]

    def refresh(self) -> Job:
        """Look at the job again."""
        self.job = self.lab.store.get(self.job.id)
        return self.job

    def progress(self) -> Progress | None:
        """How far the job is, with its newest preview, while it runs."""
        return self.lab.store.progress.read(self.job.id)

    async def wait(self, *, timeout_s: float | None = None) -> JobHandle:
        """Wait until the job has ended, however it ends, or a worker has put it aside until somebody has it run
        (`job.is_held`); returns itself, which shows the pictures in a notebook.

        Raises TimeoutError.
        """
        async with asyncio.timeout(timeout_s):
            with self.lab.changes(self.job.id) as changed:
                while True:
                    changed.clear()  # before looking: a change while we look must be looked at too
                    job = await asyncio.to_thread(self.refresh)
                    if job.is_terminal or job.is_held:
                        return self
                    try:
                        async with asyncio.timeout(LOOK_S):
                            await changed.wait()
                    except TimeoutError:
                        continue

    async def picture(self, *, timeout_s: float | None = None) -> Picture:
        """Wait for the job's first picture. Raises JobFailed, with the failure's remedy, or TimeoutError."""
        await self.wait(timeout_s=timeout_s)
        if self.job.status is not Status.DONE or not self.pictures:
            failure = self.job.failure
            raise JobFailed(
                failure.message
                if failure
                else f"Job {self.id} is {self.status}: no picture is there",
                remedy=failure.remedy if failure else None,
            )
        return self.pictures[0]

    async def cancel(self) -> JobHandle:
        """Cancel the job, also while it runs. Raises InvalidTransition when it has ended."""
        self.job = await asyncio.to_thread(self.lab.cancel, self.id)
        return self

    async def retry(self) -> JobHandle:
        """Run the job once more. Raises InvalidTransition when it waits, runs or is done."""
        self.job = await asyncio.to_thread(self.lab.retry, self.id)
        return self
