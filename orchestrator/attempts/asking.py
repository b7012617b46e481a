"""One prompt at one ComfyUI server, wherever the process stands: no store, no folder, no lab."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from orchestrator import backends
from orchestrator.attempts.held import Held
from orchestrator.backends import Params
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
)
from orchestrator.jobs import Job, Progress
from orchestrator.workflows import Inputs, Offered, SavedWorkflow, make, preflight

ARRIVAL_S = 1.0  # a prompt sent by a worker that has just died may still be on its way
PICTURES = ("image", "mask")  # the parameters that name an input picture

#: Sends the input picture of that name to the server; returns what it is called there.
Upload = Callable[[str], Awaitable[str]]


@dataclass(frozen=True)
class Request:
    """What a job asks of a ComfyUI server: plain values, so that it may travel.

    `document` is the saved workflow, None for a built-in backend; `prefix` the beginning of the files' names there.
    """

    backend: str
    asked: Mapping[str, Any]
    text: str
    prefix: str
    document: Mapping[str, Any] | None = None

    @cached_property
    def saved(self) -> SavedWorkflow | None:
        """The saved workflow. Raises SavedWorkflowInvalid."""
        if self.document is None:
            return None
        return SavedWorkflow.read(self.document, name=self.backend)

    @cached_property
    def params(self) -> Params:
        """The parameters. Raises UnknownBackend, SavedWorkflowInvalid, ParamsInvalid."""
        backend = self.saved.backend() if self.saved else backends.get(self.backend)
        return backends.parse(backend, self.asked)

    @property
    def seed(self) -> int | None:
        """The seed, where there is one."""
        return getattr(self.params, "seed", None)

    @property
    def pictures(self) -> Mapping[str, str]:
        """The input pictures it names, by parameter."""
        named = {name: getattr(self.params, name, None) for name in PICTURES}
        return {name: picture for name, picture in named.items() if picture}


async def request_of(held: Held, catalogue: Catalogue) -> Request:
    """What a claimed job asks for. Raises UnknownBackend, SavedWorkflowInvalid, ParamsInvalid."""
    job = held.job
    document: Mapping[str, Any] | None = None
    if job.workflow is not None:  # as it was when the job was made
        try:
            document = orjson.loads(await held.call(held.store.blobs.get, job.workflow))
        except CorruptFile as error:
            raise SavedWorkflowInvalid(
                f"The workflow that the job was made with is lost: {error.message}",
                remedy=f"Ask again: a new job takes workflows/{job.backend}.json as it is now.",
            ) from error
    elif job.backend not in backends.BACKENDS:  # for those there is nothing to be read
        file = await held.call(catalogue.saved, job.backend)
        document = file.workflow.document if file is not None else None
    request = Request(job.backend, job.sent_params, job.text, _prefix(job), document)
    request.params  # noqa: B018 - what is wrong with it is told here
    return request


def _prefix(job: Job) -> str:
    """Of its own for each attempt: asked for a workflow that it has run before, the server answers with the file it
    made then, also when that is gone."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in job.backend)
    return f"orchestrator/{name}_{job.id}_{len(job.attempts)}"


async def workflow_for(
    request: Request,
    client: ComfyUI,
    *,
    offered: Callable[[ComfyUI], Awaitable[Offered]],
    upload: Upload,
) -> Workflow:
    """The workflow to send, held against what the server has; its input images are there then.

    Raises RequestRejected for what the server lacks or would refuse, when it was asked a moment ago.
    """
    given = Inputs(**{name: await upload(file) for name, file in request.pictures.items()})

    async def built() -> Workflow:
        there = await offered(client)
        if request.saved is not None:
            filled = request.saved.fill(
                request.params, request.text, inputs=given, filename_prefix=request.prefix
            )
            preflight(filled, there)
            return filled
        return make(
            backends.get(request.backend),
            request.params,
            request.text,
            offered=there,
            inputs=given,
            filename_prefix=request.prefix,
        )

    try:
        return await built()
    except RequestRejected:
        client.forget_info()  # what is missing may have been added a moment ago
    return await built()


async def is_there(client: ComfyUI, remote_id: str, *, was_taken: bool) -> bool:
    """Whether the server has the prompt of an attempt that another worker began.

    Raises PromptVanished when it has not, although it `was_taken`.
    """
    if (await client.state(remote_id)).status is not RemoteStatus.UNKNOWN:
        return True
    await asyncio.sleep(ARRIVAL_S)
    if (await client.state(remote_id)).status is not RemoteStatus.UNKNOWN:
        return True
    if was_taken:
        raise PromptVanished
    return False


async def files_of(
    client: ComfyUI, remote_id: str, *, report: Callable[[Progress], None]
) -> tuple[RemoteFile, ...]:
    """Wait until a prompt is done. Raises ServiceError; PromptStalled when it was taken off the server."""
    try:
        return await client.wait(remote_id, on_progress=report)
    except ServiceTimeout as error:
        with suppress(ServiceError):  # it must not run on beside the next attempt
            await client.cancel(remote_id)
        raise PromptStalled(error.message) from error
