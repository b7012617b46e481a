"""The queue: every job, newest first, with what can be done about it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import traitlets

from orchestrator import backends
from orchestrator.errors import InvalidTransition
from orchestrator.jobs import Job, Progress, Status, one_line
from orchestrator.lab import Lab
from orchestrator.remedies import may_pay_again
from orchestrator.widgets.around import Around
from orchestrator.widgets.choices import title
from orchestrator.widgets.mending import Mending
from orchestrator.widgets.rows import live, row, short_id
from orchestrator.widgets.thumbnails import THUMBNAILS, picture_path
from orchestrator.widgets.view import LiveView, Message, worker_banner

PAGE = 20  # jobs
ICON_PX = 128  # a row's picture, at twice its size on the page
MAX_SOUGHT = 200  # characters
MAX_NAME = 255  # characters of a backend's name
MAX_BACKENDS = 50  # to choose from: job files may name any
KEPT = "Pictures stay where they are."


@dataclass(frozen=True)
class Look:
    """What one look at the lab has found."""

    jobs: list[Job]
    total: int
    offset: int
    counts: Counter[tuple[Status, str]]
    said: dict[str, Progress | None]
    paused: dict[str, str]
    banner: dict[str, str]


class QueuePanel(LiveView):
    """A page of the lab's jobs that is always up to date, with a button for whatever can be done about each."""

    script = "queue"

    # as `rows.row` makes them
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)  # job id -> as `rows.live` makes it
    previews = traitlets.Dict().tag(sync=True)  # job id -> JPEG or PNG, while it runs
    icons = traitlets.Dict().tag(sync=True)  # job id -> WebP, when it is done
    counts = traitlets.Dict().tag(sync=True)  # status -> number of jobs
    # name, title, number of jobs
    backends: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    paused = traitlets.Dict().tag(sync=True)  # since, reason; empty while jobs are taken
    filter = traitlets.Dict().tag(sync=True)  # status, backend, text: empty where all are shown
    offset = traitlets.Int(0).tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)  # jobs that the filter lets through
    size = traitlets.Int(PAGE).tag(sync=True)

    def __init__(self, lab: Lab) -> None:
        self._around = Around(self, lab, then=self.redraw)
        super().__init__(lab, filter={"status": "", "backend": "", "text": ""})
        self._actions |= {
            "run": self._on_a_job(lab.run),
            "cancel": self._on_a_job(lab.cancel),
            "retry": self._retry,
            "mend": Mending(self, lab),
            "duplicate": self._duplicate,
            "delete": self._on_a_job(lab.delete),
            "raise": self._on_a_job(lambda job_id: self._prioritise(job_id, 1)),
            "lower": self._on_a_job(lambda job_id: self._prioritise(job_id, -1)),
            "pause": self._pause,
            "resume": self._resume,
            "clear": self._clear,
            "filter": self._filter,
            "turn": self._turn,
        }

    async def refresh(self) -> None:
        """Show the page as the jobs are now."""
        look = await asyncio.to_thread(self._look, self.offset, dict(self.filter))
        with self.hold_sync():
            self.rows = [row(job, self._around(job)) for job in look.jobs]
            self.total = look.total
            self.offset = look.offset
            self.counts = _by_status(look.counts)
            self.backends = _by_backend(look.counts)
            self.progress = {job_id: live(progress) for job_id, progress in look.said.items()}
            self.previews = {
                job_id: progress.preview
                for job_id, progress in look.said.items()
                if progress and progress.preview
            }
            self.paused = look.paused
            self.banner = look.banner
        # after the rows: twenty new icons take half a second
        self.icons = await asyncio.to_thread(self._icons, look.jobs)

    def _look(self, offset: int, wanted: dict[str, str]) -> Look:
        # one trip to a thread for all of it: each would wait its turn among other visitors' threads
        store = self._lab.store
        jobs, total = self._page(offset, wanted)
        if not jobs and offset:  # jobs have gone since: the last page there is
            offset = max(0, (total - 1) // self.size * self.size)
            jobs, total = self._page(offset, wanted)
        running = [job.id for job in jobs if job.status is Status.RUNNING]
        pause = self._lab.pause_note()
        return Look(
            jobs=jobs,
            total=total,
            offset=offset,
            counts=store.counts_by_backend(),
            said={job_id: store.progress.read(job_id) for job_id in running},
            paused={"since": pause.since.isoformat(), "reason": one_line(pause.reason)}
            if pause
            else {},
            banner=worker_banner(self._lab),
        )

    def _page(self, offset: int, wanted: dict[str, str]) -> tuple[list[Job], int]:
        return self.page(
            status=Status(wanted["status"]) if wanted["status"] else None,
            backend=wanted["backend"] or None,
            text=wanted["text"] or None,
            limit=self.size,
            offset=offset,
        )

    def _icons(self, jobs: list[Job]) -> dict[str, bytes]:
        made = {}
        for job in jobs:
            if job.status is Status.DONE and (path := picture_path(self._lab, job, 0)):
                made[job.id] = THUMBNAILS.of(path, side=ICON_PX)
        return {job_id: icon for job_id, icon in made.items() if icon is not None}

    # ---------------------------------------------------------------- what can be done about a job

    def _on_a_job(self, act: Callable[[str], Job]) -> Callable[[Message], Any]:
        async def carried_out(message: Message) -> None:
            await asyncio.to_thread(act, _id(message))

        return carried_out

    async def _retry(self, message: Message) -> None:
        handle = await asyncio.to_thread(self._lab.job, _id(message))
        if may_pay_again(handle.job) and message.get("sure") is not True:
            raise InvalidTransition(
                "The last attempt may have been paid for: a retry may pay again",
                remedy="Look at the account's usage first; then press Retry once more.",
            )
        await asyncio.to_thread(self._lab.retry, handle.id)

    async def _duplicate(self, message: Message) -> None:
        job = await asyncio.to_thread(self._lab.duplicate, _id(message))
        self.tell(
            f"{short_id(job.id)} is a draft of the same", "Press Run to have it made.", good=True
        )

    def _prioritise(self, job_id: str, by: int) -> Job:
        job = self._lab.job(job_id).job
        return self._lab.prioritise(job.id, job.priority + by)

    # ---------------------------------------------------------------- what can be done about the queue

    async def _pause(self, _: Message) -> None:
        await asyncio.to_thread(self._lab.pause)
        await self.redraw()

    async def _resume(self, _: Message) -> None:
        await asyncio.to_thread(self._lab.resume)
        await self.redraw()

    async def _clear(self, _: Message) -> None:
        number = await asyncio.to_thread(self._lab.clear_ended)
        jobs = "job was" if number == 1 else "jobs were"
        await self.redraw()  # nobody should read it beside the jobs that are gone
        self.tell(f"{number} finished {jobs} cleared away", KEPT, good=True)

    async def _filter(self, message: Message) -> None:
        status = str(message.get("status", ""))
        wanted = {
            "status": status if status in set(Status) else "",
            "backend": str(message.get("backend", ""))[:MAX_NAME],
            "text": str(message.get("text", "")).strip()[:MAX_SOUGHT],
        }
        async with self._drawing:  # a look that is under way would show the other jobs again
            if wanted != self.filter:
                self.filter, self.offset = wanted, 0
        await self.redraw()

    async def _turn(self, message: Message) -> None:
        number = message.get("page")
        async with self._drawing:  # a look that is under way would turn the page back
            if type(number) is int and 0 < number <= max(1, -(-self.total // self.size)):
                self.offset = (number - 1) * self.size
        await self.redraw()


def _id(message: Message) -> str:
    return str(message.get("id", ""))


def _by_status(counts: Counter[tuple[Status, str]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for (status, _), n in counts.items():
        total[status.value] += n
    return {status: n for status, n in total.items() if n}


def _by_backend(counts: Counter[tuple[Status, str]]) -> list[dict[str, Any]]:
    """The backends that jobs were asked of, those known first."""
    total: Counter[str] = Counter()
    for (_, name), n in counts.items():
        total[name] += n
    names = sorted((name for name, n in total.items() if n), key=_rank)
    return [
        {"name": name, "title": title(name), "jobs": total[name]} for name in names[:MAX_BACKENDS]
    ]


def _rank(name: str) -> tuple[bool, str]:
    return name not in backends.BACKENDS, name
