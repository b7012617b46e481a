"""Attempts at ComfyUI servers. The prompt's id is derived from job and attempt, so that after a crash the server
can be asked what became of it: nothing is ever in doubt, and nothing that finished runs again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from orchestrator import backends
from orchestrator.attempts.held import Held, finish_even_if_cancelled
from orchestrator.attempts.pictures import publish, recipe_of
from orchestrator.connectors.comfyui import ComfyUI, RemoteFile, RemoteStatus, Workflow
from orchestrator.errors import (
    PromptStalled,
    PromptVanished,
    ServiceError,
    ServiceTimeout,
    ServiceUnreachable,
)
from orchestrator.jobs import Cost, Job, Phase, Progress, prompt_id
from orchestrator.store import Lane
from orchestrator.workflows import choose_checkpoint, text_to_image

logger = logging.getLogger(__name__)

PER_HOST = 2  # one runs, one waits on the server: the GPU never idles between two jobs
AWAY_S = (
    5.0  # a server that did not answer gets no more jobs for this long, or until it answers again
)
PROBE_S = 1.0
ARRIVAL_S = 1.0  # a prompt sent by a worker that has just died may still be on its way


class ComfyUIService:
    """The ComfyUI servers of a lab as the worker sees them."""

    name = ComfyUI.service

    def __init__(
        self,
        clients: Sequence[ComfyUI],
        *,
        images: Path,
        on_back: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_back` is called when a server that was away answers again."""
        self._clients = {_public(client.url): client for client in clients}
        self._images = images
        self._on_back = on_back
        self._busy: Counter[str] = Counter()
        self._away: dict[str, float] = {}
        self._probes: dict[str, asyncio.Task[None]] = {}

    def lanes(self, host: str | None) -> Sequence[Lane]:
        """The servers that answer, the least busy first; or the one that has the job already."""
        if host in self._clients:
            return () if self._is_away(host) else (self._lane(host),)
        there = [url for url in self._clients if not self._is_away(url)]
        return [self._lane(url) for url in sorted(there, key=lambda url: self._busy[url])]

    def begin(self, job: Job, lane: Lane, now: datetime) -> Job:
        """The intent, with the id the prompt will have."""
        remote_id = prompt_id(job.id, len(job.attempts) + 1)
        return job.begin_attempt(service=self.name, host=lane.host, now=now, remote_id=remote_id)

    async def run(self, held: Held) -> tuple[list[str], Cost | None]:
        """Carry an attempt through, or adopt the one that is open."""
        attempt = held.job.attempts[-1]
        client = self._clients.get(attempt.host)
        if client is None:
            raise PromptVanished(
                f"The server {attempt.host} is not among those in COMFY_URL any more"
            )
        self._busy[attempt.host] += 1
        try:
            return await self._run(held, client, attempt.remote_id or ""), None
        except ServiceUnreachable:
            self._note_away(attempt.host)
            raise
        finally:
            self._busy[attempt.host] -= 1

    async def _run(self, held: Held, client: ComfyUI, remote_id: str) -> list[str]:
        params = _params(held.job)
        # that of an adopted prompt is the server's business: it wrote it into the picture
        workflow: Workflow | None = None
        noting: asyncio.Task[None] | None = None
        if not held.adopted or not await self._is_there(held, client, remote_id):
            workflow = await self._workflow(held.job, params, client)
            await client.submit(workflow, prompt_id=remote_id)
            # written while the server works: the id has been on the disk since the intent
            noting = asyncio.create_task(self._note_submitted(held, remote_id))
        try:
            files = await self._wait(held, client, remote_id)
        finally:
            if noting is not None:
                await finish_even_if_cancelled(noting)
        held.free_slot()  # the server is done: the next job may go there while this one is fetched
        return [
            await self._publish(
                held, client, file, seed=params.seed, workflow=workflow, index=index
            )
            for index, file in enumerate(files)
        ]

    async def _note_submitted(self, held: Held, remote_id: str) -> None:
        await held.update(
            lambda job: job.with_attempt(phase=Phase.SUBMITTED).logged(
                f"[worker] comfy promptId: {remote_id}"
            )
        )

    async def _wait(self, held: Held, client: ComfyUI, remote_id: str) -> tuple[RemoteFile, ...]:
        try:
            return await client.wait(remote_id, on_progress=held.report)
        except ServiceTimeout as error:
            with suppress(ServiceError):  # it must not run on beside the next attempt
                await client.cancel(remote_id)
            raise PromptStalled(error.message) from error

    async def _workflow(self, job: Job, params: backends.ImageParams, client: ComfyUI) -> Workflow:
        family = backends.get(job.backend).model
        checkpoint = choose_checkpoint(family, await client.checkpoints(), params.checkpoint)
        # of its own for each attempt: asked for a workflow that it has run before, the server answers with the
        # file it made then, also when that is gone
        prefix = f"orchestrator/{job.backend}_{job.id}_{len(job.attempts)}"
        return text_to_image(params, job.prompt, checkpoint=checkpoint, filename_prefix=prefix)

    async def _is_there(self, held: Held, client: ComfyUI, remote_id: str) -> bool:
        """Whether the server has the prompt of an attempt that another worker began."""
        if (await client.state(remote_id)).status is not RemoteStatus.UNKNOWN:
            return True
        await asyncio.sleep(ARRIVAL_S)
        if (await client.state(remote_id)).status is not RemoteStatus.UNKNOWN:
            return True
        if held.job.attempts[-1].phase is not Phase.INTENT:
            raise PromptVanished
        return False

    async def _publish(
        self,
        held: Held,
        client: ComfyUI,
        file: RemoteFile,
        *,
        seed: int | None,
        workflow: Workflow | None,
        index: int,
    ) -> str:
        held.report(Progress(fraction=1.0, text="fetching"))
        data = await client.fetch(file)
        now = held.store.now()
        recipe = recipe_of(held.job, seed=seed, workflow=workflow, index=index, now=now)
        return str((await publish(held, data, folder=self._images, recipe=recipe)).path)

    async def cancel(self, job: Job) -> bool:
        """Take the prompt off its server, pending or running."""
        attempt = job.open_attempt
        client = self._clients.get(attempt.host) if attempt else None
        if attempt and client and attempt.remote_id:
            await client.cancel(attempt.remote_id)
        return False

    def keeps(self, job: Job, error: Exception, *, last: bool) -> bool:
        """A prompt that the server has taken is asked for again, unless the server itself gave it up.

        Not after the last try: a retry by the user begins anew. Nor when there are other servers to go to.
        """
        attempt = job.open_attempt
        if last or attempt is None or attempt.phase is Phase.INTENT:
            return False
        if isinstance(error, ServiceUnreachable) and len(self._clients) > 1:
            return False
        return not (isinstance(error, ServiceError) and error.final)

    # ---------------------------------------------------------------- servers that are away

    def _lane(self, host: str) -> Lane:
        return Lane(self.name, host, PER_HOST)

    def _is_away(self, host: str) -> bool:
        return self._away.get(host, 0.0) > time.monotonic()

    def _note_away(self, host: str) -> None:
        """Spare the other jobs: each would burn its attempts on a server that is only being restarted."""
        self._away[host] = time.monotonic() + AWAY_S
        if host not in self._probes:
            self._probes[host] = asyncio.create_task(self._probe(host), name=f"probe {host}")

    async def _probe(self, host: str) -> None:
        try:
            while self._is_away(host):
                await asyncio.sleep(PROBE_S)
                with suppress(ServiceError):
                    await self._clients[host].system_stats()
                    break
            self._away.pop(host, None)
            self._on_back()
        finally:
            del self._probes[host]

    async def close(self) -> None:
        """Close the connections; what runs on the servers goes on."""
        for task in list(self._probes.values()):
            task.cancel()
        await asyncio.gather(*self._probes.values(), return_exceptions=True)
        for client in self._clients.values():
            await client.close()


def _params(job: Job) -> backends.ImageParams:
    params = backends.parse(backends.get(job.backend), job.params)
    assert isinstance(params, backends.ImageParams)
    return params


def _public(url: str) -> str:
    """A server's address as job files and pictures may show it: without a password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
