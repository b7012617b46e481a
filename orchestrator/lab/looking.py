"""What there is: jobs, pictures, what can be chosen, what was spent, what runs, and what changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from orchestrator import health, offers, tables
from orchestrator.errors import (
    PathOutside,
    RequestInvalid,
)
from orchestrator.handles import JobHandle, Picture
from orchestrator.health import HealthReport
from orchestrator.jobs import Job, Status
from orchestrator.lab import history
from orchestrator.lab.core import Core
from orchestrator.offers import Offers
from orchestrator.paths import inside

if TYPE_CHECKING:
    import pandas


OFFERS_AGE_S = 60.0


class Looking(Core):
    """The part of the lab that changes nothing."""

    def job(self, job_id: str) -> JobHandle:
        """A job by its id or the beginning of it. Raises JobNotFound."""
        return self._handle(self._found(job_id))

    def page(
        self,
        *,
        status: Status | None = None,
        backend: str | None = None,
        text: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[list[Job], int]:
        """Jobs, newest first, and how many there are in all. `text`: words of the prompt, or how an id begins."""
        self.store.refresh()
        return self.store.page(
            status=status, backend=backend, text=text, limit=limit, offset=offset
        )

    def jobs(
        self, *, status: str | None = None, backend: str | None = None, limit: int = 1000
    ) -> pandas.DataFrame:
        """The newest jobs as a table."""
        wanted = Status(status) if status else None
        jobs, _ = self.page(status=wanted, backend=backend, limit=limit)
        return tables.of_jobs(jobs)

    def history(
        self,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        status: str | None = None,
        backend: str | None = None,
        text: str | None = None,
        limit: int = 10_000,
    ) -> pandas.DataFrame:
        """Jobs as a table, newest first, archived ones included, however many there are.

        `since` and `until` bound the time of creation: a time, `2026-11-01`, or how long ago, as `7d`. `text`: words of
        the prompt, or how an id begins. `limit`: at most so many rows, the newest. Raises RequestInvalid.
        """
        try:
            wanted = Status(status) if status else None
        except ValueError as error:
            raise RequestInvalid(
                f"There is no status {str(status)[:40]!r}",
                remedy=f"Say one of: {', '.join(Status)}.",
            ) from error
        now = self.store.now()
        self.store.refresh()
        rows = self.store.history(
            limit=limit,
            since=history.moment(since, now=now) if since else None,
            until=history.moment(until, now=now) if until else None,
            status=wanted,
            backend=backend,
            text=text,
        )
        return history.table(rows)

    def images(self, *, backend: str | None = None, limit: int = 1000) -> pandas.DataFrame:
        """The newest pictures as a table, each with the job that made it."""
        return tables.of_pictures(self.pictures(backend=backend, limit=limit))

    def pictures(self, *, backend: str | None = None, limit: int = 50) -> list[Picture]:
        """The newest pictures that are still in their folder."""
        jobs, _ = self.page(status=Status.DONE, backend=backend, limit=limit)
        return [picture for job in jobs for picture in self._handle(job).pictures][:limit]

    def picture_path(self, file: str) -> Path | None:
        """Where a picture that a job names lies, if it is there: in dropOut, whatever path the job says.

        Job files may come from anywhere; those of the old system name drives this machine may not have.
        """
        try:
            path = inside(self.paths.drop_out, PureWindowsPath(file).name)
        except PathOutside:
            return None
        return path if path.is_file() else None

    async def offers(self) -> Offers:
        """What the ComfyUI servers, or those of the cluster, have to choose from, and which backends they cannot run;
        the usual names when none answers.

        Remembered for a minute.
        """
        now = time.monotonic()
        if self._offers is None or now - self._offers[0] > OFFERS_AGE_S:
            self._offers = (now, await self._ask_offers())
        return self._offers[1]

    async def _ask_offers(self) -> Offers:
        known = await asyncio.to_thread(self.catalogue.all)
        if (address := self.settings.orchestrator_cluster) is not None:
            from orchestrator.cluster import looking

            return await looking.offers(address, backends=known)
        return await offers.ask(self.comfy_hosts(), library=self.library, backends=known)

    async def health(self) -> HealthReport:
        """What runs, what does not, and what to do about it."""
        return await health.report(
            self.paths,
            self.settings,
            self.store,
            hosts=self.comfy_hosts(),
            cluster=self.cluster_look,
        )

    @contextlib.contextmanager
    def changes(self, job_id: str | None = None) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set whenever the job, or any job, or its progress changes."""
        event, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell(changed: set[str]) -> None:
            if job_id is None or job_id in changed:
                with contextlib.suppress(RuntimeError):  # the loop has been closed
                    loop.call_soon_threadsafe(event.set)

        subscription = self.store.watch(tell)
        try:
            yield event
        finally:
            subscription.end()
