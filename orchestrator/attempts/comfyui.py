"""Attempts at ComfyUI servers. The prompt's id is derived from job and attempt, so that after a crash the server
can be asked what became of it: nothing is ever in doubt, and nothing that finished runs again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from orchestrator import backends, inputs
from orchestrator.attempts.asking import Request, files_of, is_there, request_of, workflow_for
from orchestrator.attempts.held import Held, finish_even_if_cancelled
from orchestrator.attempts.hosts import Host, Hosts
from orchestrator.attempts.pictures import publish, published, recipe_of
from orchestrator.catalogue import Catalogue
from orchestrator.connectors.comfyui import ComfyUI, RemoteFile, Workflow
from orchestrator.errors import (
    PromptVanished,
    RequestRejected,
    ServiceError,
    ServiceUnreachable,
    WrongServer,
)
from orchestrator.jobs import Cost, Job, Phase, Progress, prompt_id
from orchestrator.models import Library
from orchestrator.offers import offered_by
from orchestrator.paths import Paths
from orchestrator.store import Kind, Lane
from orchestrator.workflows import Offered, availability

PER_HOST = 2  # one runs, one waits on the server: the GPU never idles between two jobs


class ComfyUIService:
    """The ComfyUI servers of a lab as the worker sees them."""

    name = ComfyUI.service

    def __init__(
        self,
        clients: Sequence[ComfyUI],
        *,
        paths: Paths,
        limits: inputs.Limits | None = None,
        on_back: Callable[[], None] = lambda: None,
    ) -> None:
        """`limits` of input images; `on_back` is called when a server that was away answers again."""
        self._paths = paths
        self._limits = limits or inputs.Limits()
        self._catalogue = Catalogue(paths.workflows)
        self._library = Library(paths)
        self._hosts = Hosts(clients, judge=self._lack, offered=self._offered, on_back=on_back)

    async def open(self) -> None:
        """Have a first look at the servers, where there are several to choose from."""
        await self._hosts.open()

    def lanes(self, kind: Kind) -> Sequence[Lane]:
        """The servers that answer and have what the kind needs, first the one that would be done first; or the
        one that has the job already."""
        if kind.host is not None and (host := self._hosts.get(kind.host)):
            return () if host.is_away else (self._lane(kind.host),)
        return [self._lane(url) for url in self._hosts.best(kind)]

    def _lane(self, url: str) -> Lane:
        return Lane(self.name, url, PER_HOST)

    def _lack(self, kind: Kind, offered: Offered) -> str | None:
        """Why a server cannot run a kind of job, as far as its lists tell."""
        missing = [name for name in kind.needs if not offered.has_model(name)]
        if missing:
            return f"it has no {', '.join(missing)}"
        builtin = backends.BACKENDS.get(kind.backend)
        return availability(builtin, offered) if builtin else None

    async def _offered(self, client: ComfyUI) -> Offered:
        return await offered_by(client, self._library)

    def begin(self, job: Job, lane: Lane, now: datetime) -> Job:
        """The intent, with the id the prompt will have."""
        remote_id = prompt_id(job.id, len(job.attempts) + 1)
        return job.begin_attempt(service=self.name, host=lane.host, now=now, remote_id=remote_id)

    # ---------------------------------------------------------------- one attempt

    async def run(self, held: Held) -> tuple[list[str], Cost | None]:
        """Carry an attempt through, or adopt the one that is open."""
        url = held.job.attempts[-1].host
        host = self._hosts.get(url)
        if host is None:
            raise PromptVanished(f"The server {url} is not among those in COMFY_URL any more")
        host.busy += 1
        began, ahead = time.monotonic(), host.busy
        try:
            files = await self._run(held, host, held.job.attempts[-1].remote_id or "")
        except PromptVanished:
            # the server's history may have gone after a worker had published, and before it could say so
            folder = self._paths.drop_out
            there = await held.call(published, held.job, folder=folder) if held.adopted else []
            if not there:
                raise
            return there, None
        except ServiceUnreachable:
            self._hosts.note_away(url)
            raise
        else:
            self._hosts.note_done(url, (time.monotonic() - began) / ahead)
            return files, None
        finally:
            host.busy -= 1

    async def _run(self, held: Held, host: Host, remote_id: str) -> list[str]:
        client = host.client
        # that of an adopted prompt is the server's business: it wrote it into the picture
        workflow: Workflow | None = None
        noting: asyncio.Task[None] | None = None
        request = await request_of(held, self._catalogue)
        was_taken = held.job.attempts[-1].phase is not Phase.INTENT
        if not held.adopted or not await is_there(client, remote_id, was_taken=was_taken):
            workflow = await self._workflow(held, client, request)
            host.sent = _kind(held.job)
            await client.submit(workflow, prompt_id=remote_id)
            # written while the server works: the id has been on the disk since the intent
            noting = asyncio.create_task(self._note_submitted(held, remote_id))
        try:
            files = await files_of(client, remote_id, report=held.report)
        finally:
            if noting is not None:
                await finish_even_if_cancelled(noting)
        held.free_slot()  # the server is done: the next job may go there while this one is fetched
        return [
            await self._publish(
                held, client, file, seed=request.seed, workflow=workflow, index=index
            )
            for index, file in enumerate(files)
        ]

    async def _note_submitted(self, held: Held, remote_id: str) -> None:
        await held.update(
            lambda job: job.with_attempt(phase=Phase.SUBMITTED).logged(
                f"[worker] comfy promptId: {remote_id}"
            )
        )

    async def _workflow(self, held: Held, client: ComfyUI, request: Request) -> Workflow:
        """The workflow to send. Raises WrongServer when another server has what this one lacks."""

        async def upload(name: str) -> str:
            image = await held.call(inputs.load, name, paths=self._paths, limits=self._limits)
            return await client.upload_image(image.data, name=image.name)

        try:
            return await workflow_for(request, client, offered=self._offered, upload=upload)
        except RequestRejected as error:
            url, kind = held.job.attempts[-1].host, _kind(held.job)
            if not self._hosts.others_can(kind, than=url):
                raise
            self._hosts.note_unable(url, kind, error.message)
            raise WrongServer(f"{url} cannot run it: {error.message}") from error

    # ---------------------------------------------------------------- what comes of it

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
        return str((await publish(held, data, folder=self._paths.drop_out, recipe=recipe)).path)

    async def cancel(self, job: Job) -> bool:
        """Take the prompt off its server, pending or running."""
        attempt = job.open_attempt
        host = self._hosts.get(attempt.host) if attempt else None
        if attempt and host and attempt.remote_id:
            await host.client.cancel(attempt.remote_id)
        return False

    async def call_back(self, job: Job) -> bool:
        """Take the prompt off its server; one of a server that is none of ours is left to those who know it."""
        attempt = job.open_attempt
        host = self._hosts.get(attempt.host) if attempt else None
        if attempt is None or host is None or attempt.remote_id is None:
            return False
        if host.is_away:  # it is being looked for
            raise ServiceUnreachable(f"{attempt.host} does not answer")
        try:
            return await host.client.cancel(attempt.remote_id)
        except ServiceUnreachable:
            self._hosts.note_away(attempt.host)
            raise

    def keeps(self, job: Job, error: Exception, *, last: bool) -> bool:
        """A prompt that the server has taken is asked for again, unless the server itself gave it up.

        Not after the last try: a retry by the user begins anew. Nor when there are other servers to go to.
        """
        attempt = job.open_attempt
        if last or attempt is None or attempt.phase is Phase.INTENT:
            return False
        if isinstance(error, ServiceUnreachable) and len(self._hosts) > 1:
            return False
        return not (isinstance(error, ServiceError) and error.final)

    async def close(self) -> None:
        """Close the connections; what runs on the servers goes on."""
        await self._hosts.close()


def _kind(job: Job) -> Kind:
    return Kind(job.backend, None, job.workflow, backends.models_named(job.params))
