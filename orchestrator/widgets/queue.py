"""The queue: every job, newest first, with what can be done about it."""

from __future__ import annotations

import asyncio
from typing import Any

import traitlets

from orchestrator.errors import InvalidTransition
from orchestrator.jobs import Job, Progress, Status
from orchestrator.lab import Lab
from orchestrator.widgets.rows import live, needs_second_click, row
from orchestrator.widgets.thumbnails import THUMBNAILS, picture_path
from orchestrator.widgets.view import LiveView, Message, worker_banner

PAGE = 20  # jobs
ICON_PX = 128  # a row's picture, at twice its size on the page


class QueuePanel(LiveView):
    """A page of the lab's jobs that is always up to date. Its buttons run, cancel, retry and show."""

    script = "queue"

    # as `rows.row` makes them
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)  # job id -> as `rows.live` makes it
    previews = traitlets.Dict().tag(sync=True)  # job id -> JPEG or PNG, while it runs
    icons = traitlets.Dict().tag(sync=True)  # job id -> WebP, when it is done
    counts = traitlets.Dict().tag(sync=True)  # status -> number of jobs
    offset = traitlets.Int(0).tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)
    size = traitlets.Int(PAGE).tag(sync=True)

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self._actions |= {
            "run": self._run,
            "cancel": self._cancel,
            "retry": self._retry,
            "older": self._older,
            "newer": self._newer,
        }

    async def refresh(self) -> None:
        """Show the page as the jobs are now."""
        jobs, total, offset = await asyncio.to_thread(self._page, self.offset)
        running = [job.id for job in jobs if job.status is Status.RUNNING]
        said = await asyncio.to_thread(self._progress, running)
        banner = await asyncio.to_thread(worker_banner, self._lab)
        counts = await asyncio.to_thread(self._lab.store.counts)
        with self.hold_sync():
            self.rows = [row(job) for job in jobs]
            self.total = total
            self.offset = offset
            self.counts = {status.value: n for status, n in counts.items() if n}
            self.progress = {job_id: live(progress) for job_id, progress in said.items()}
            self.previews = {
                job_id: progress.preview
                for job_id, progress in said.items()
                if progress and progress.preview
            }
            self.banner = banner
        # after the rows: twenty new icons take half a second
        self.icons = await asyncio.to_thread(self._icons, jobs)

    def _page(self, offset: int) -> tuple[list[Job], int, int]:
        jobs, total = self._lab.page(limit=self.size, offset=offset)
        if not jobs and offset:  # jobs have gone since: the last page there is
            offset = max(0, (total - 1) // self.size * self.size)
            jobs, total = self._lab.page(limit=self.size, offset=offset)
        return jobs, total, offset

    def _progress(self, job_ids: list[str]) -> dict[str, Progress | None]:
        return {job_id: self._lab.store.progress.read(job_id) for job_id in job_ids}

    def _icons(self, jobs: list[Job]) -> dict[str, bytes]:
        made = {}
        for job in jobs:
            if job.status is Status.DONE and (path := picture_path(self._lab, job, 0)):
                made[job.id] = THUMBNAILS.of(path, side=ICON_PX)
        return {job_id: icon for job_id, icon in made.items() if icon is not None}

    # ---------------------------------------------------------------- actions

    async def _run(self, message: Message) -> None:
        await asyncio.to_thread(self._lab.run, _id(message))

    async def _cancel(self, message: Message) -> None:
        await asyncio.to_thread(self._lab.cancel, _id(message))

    async def _retry(self, message: Message) -> None:
        handle = await asyncio.to_thread(self._lab.job, _id(message))
        if needs_second_click(handle.job) and message.get("sure") is not True:
            raise InvalidTransition(
                "The last attempt may have been paid for: a retry may pay again",
                remedy="Look at the account's usage first; then press Retry once more.",
            )
        await asyncio.to_thread(self._lab.retry, handle.id)

    async def _older(self, _: Message) -> None:
        await self._turn(self.size)

    async def _newer(self, _: Message) -> None:
        await self._turn(-self.size)

    async def _turn(self, by: int) -> None:
        async with self._drawing:  # a look that is under way would turn the page back
            if 0 <= self.offset + by < self.total:
                self.offset += by
        await self.redraw()


def _id(message: Message) -> str:
    return str(message.get("id", ""))
