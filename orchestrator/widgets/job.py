"""One job, live: how far it is, then its pictures, or why there are none."""

from __future__ import annotations

import asyncio

import traitlets

from orchestrator.handles import JobHandle
from orchestrator.jobs import Job, Progress, Status
from orchestrator.widgets.around import Around
from orchestrator.widgets.mending import Mending
from orchestrator.widgets.rows import live, row
from orchestrator.widgets.thumbnails import THUMBNAILS, picture_path
from orchestrator.widgets.view import LiveView, Message, worker_banner

SHOWN = 9  # pictures
ALONE_PX, ONE_OF_SEVERAL_PX = 768, 320


class JobView(LiveView):
    """Follows a job until it has ended."""

    script = "job"

    row = traitlets.Dict().tag(sync=True)  # as `rows.row` makes it
    progress = traitlets.Dict().tag(sync=True)  # as `rows.live` makes it
    preview = traitlets.Bytes(b"").tag(sync=True)  # JPEG or PNG, while it runs
    pictures: traitlets.List[bytes] = traitlets.List().tag(sync=True)  # WebP, when it is done

    def __init__(self, handle: JobHandle) -> None:
        self._handle = handle
        self._over = False
        self._around = Around(self, handle.lab, then=self.redraw)
        super().__init__(handle.lab, job_id=handle.id, row=row(handle.job))
        self._actions |= {
            "cancel": self._cancel,
            "mend": Mending(self, handle.lab, then=self._follow_on),
        }

    @property
    def is_over(self) -> bool:
        """Whether the job has ended and all of it is shown."""
        return self._over

    async def refresh(self) -> None:
        """Show the job as it is now."""
        job = await asyncio.to_thread(self._handle.refresh)
        progress = await asyncio.to_thread(self._progress, job)
        banner = {} if job.is_terminal else await asyncio.to_thread(worker_banner, self._lab)
        pictures = await asyncio.to_thread(self._pictures, job)
        with self.hold_sync():
            self.row = row(job, self._around(job))
            self.progress = live(progress) or {}
            self.preview = (progress.preview if progress else None) or b""
            self.pictures = pictures
            self.banner = banner
        self._over = job.is_terminal

    def _progress(self, job: Job) -> Progress | None:
        return self._handle.progress() if job.status is Status.RUNNING else None

    def _pictures(self, job: Job) -> list[bytes]:
        number = len(job.result.files) if job.result and job.status is Status.DONE else 0
        side = ALONE_PX if number == 1 else ONE_OF_SEVERAL_PX
        paths = [picture_path(self._lab, job, index) for index in range(min(number, SHOWN))]
        return [(THUMBNAILS.of(path, side=side) if path else None) or b"" for path in paths]

    def _follow_on(self) -> None:
        """The job may have been given another attempt: look at it again."""
        self._over = False
        self._wake()

    async def _cancel(self, _: Message) -> None:
        await self._handle.cancel()
