"""Attempts at ComfyUI servers. The prompt's id is derived from job and attempt, so that after a crash the server
can be asked what became of it: nothing is ever in doubt, and nothing that finished runs again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

import orjson

from orchestrator import backends, inputs
from orchestrator.attempts.held import Held, finish_even_if_cancelled
from orchestrator.attempts.hosts import Host, Hosts
from orchestrator.attempts.pictures import publish, recipe_of
from orchestrator.backends import Backend, Params
from orchestrator.catalogue import Catalogue
from orchestrator.connectors.comfyui import ComfyUI, RemoteFile, RemoteStatus, Workflow
from orchestrator.errors import (
    CorruptFile,
    PromptStalled,
    PromptVanished,
    RequestRejected,
    SavedWorkflowInvalid,
    ServiceError,
    ServiceTimeout,
    ServiceUnreachable,
    WrongServer,
)
from orchestrator.jobs import Cost, Job, Phase, Progress, prompt_id
from orchestrator.models import Library
from orchestrator.offers import offered_by
from orchestrator.paths import Paths
from orchestrator.store import Kind, Lane
from orchestrator.workflows import Inputs, Offered, SavedWorkflow, availability, make, preflight

PER_HOST = 2  # one runs, one waits on the server: the GPU never idles between two jobs
ARRIVAL_S = 1.0  # a prompt sent by a worker that has just died may still be on its way


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
        backend, params, saved = await self._asked(held)
        if not held.adopted or not await self._is_there(held, client, remote_id):
            workflow = await self._workflow(held, client, backend, params, saved)
            host.sent = _kind(held.job)
            await client.submit(workflow, prompt_id=remote_id)
            # written while the server works: the id has been on the disk since the intent
            noting = asyncio.create_task(self._note_submitted(held, remote_id))
        try:
            files = await self._wait(held, client, remote_id)
        finally:
            if noting is not None:
                await finish_even_if_cancelled(noting)
        held.free_slot()  # the server is done: the next job may go there while this one is fetched
        seed = getattr(params, "seed", None)
        return [
            await self._publish(held, client, file, seed=seed, workflow=workflow, index=index)
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

    # ---------------------------------------------------------------- what is asked of the server

    async def _asked(self, held: Held) -> tuple[Backend, Params, SavedWorkflow | None]:
        """What a job asks for. Raises UnknownBackend, SavedWorkflowInvalid, ParamsInvalid."""
        job = held.job
        saved: SavedWorkflow | None = None
        if job.workflow is not None:  # as it was when the job was made
            try:
                data = await held.call(held.store.blobs.get, job.workflow)
            except CorruptFile as error:
                raise SavedWorkflowInvalid(
                    f"The workflow that the job was made with is lost: {error.message}",
                    remedy=f"Ask again: a new job takes workflows/{job.backend}.json as it is now.",
                ) from error
            saved = SavedWorkflow.read(orjson.loads(data), name=job.backend)
        elif (file := await held.call(self._catalogue.saved, job.backend)) is not None:
            saved = file.workflow
        backend = saved.backend() if saved else backends.get(job.backend)
        return backend, backends.parse(backend, job.sent_params), saved

    async def _workflow(
        self,
        held: Held,
        client: ComfyUI,
        backend: Backend,
        params: Params,
        saved: SavedWorkflow | None,
    ) -> Workflow:
        """The workflow to send, held against what the server has; its input images are there then."""
        job = held.job
        # of its own for each attempt: asked for a workflow that it has run before, the server answers with the
        # file it made then, also when that is gone
        prefix = f"orchestrator/{_file_name(job.backend)}_{job.id}_{len(job.attempts)}"
        given = Inputs(
            image=await self._uploaded(held, client, getattr(params, "image", None)),
            mask=await self._uploaded(held, client, getattr(params, "mask", None)),
        )

        async def built() -> Workflow:
            offered = await self._offered(client)
            if saved is not None:
                filled = saved.fill(params, job.text, inputs=given, filename_prefix=prefix)
                preflight(filled, offered)
                return filled
            return make(
                backend, params, job.text, offered=offered, inputs=given, filename_prefix=prefix
            )

        try:
            return await built()
        except RequestRejected:
            client.forget_info()  # what is missing may have been added a moment ago
        try:
            return await built()
        except RequestRejected as error:
            url, kind = job.attempts[-1].host, _kind(job)
            if not self._hosts.others_can(kind, than=url):
                raise
            self._hosts.note_unable(url, kind, error.message)
            raise WrongServer(f"{url} cannot run it: {error.message}") from error

    async def _uploaded(self, held: Held, client: ComfyUI, name: str | None) -> str | None:
        """Send an input image to the server; returns what it is called there."""
        if not name:
            return None
        image = await held.call(inputs.load, name, paths=self._paths, limits=self._limits)
        return await client.upload_image(image.data, name=image.name)

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


def _file_name(backend: str) -> str:
    """A backend's name as a part of a file's: that of a saved workflow may have any letters."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in backend)
