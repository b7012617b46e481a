"""The client of a ComfyUI server: submit a workflow under our own id, follow it, fetch its files, cancel it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from orchestrator.connectors import http
from orchestrator.connectors.comfyui_info import ObjectInfo, SystemStats, Workflow
from orchestrator.connectors.comfyui_rejections import needs_info, rejection
from orchestrator.connectors.comfyui_server import BROKEN_OFF, Server
from orchestrator.connectors.comfyui_socket import Socket, Watch
from orchestrator.connectors.comfyui_vigil import QUICK_S, Timing, Vigil
from orchestrator.connectors.comfyui_wire import (
    UNKNOWN,
    RemoteFile,
    RemoteState,
    RemoteStatus,
    from_history,
    from_job,
    from_queue,
)
from orchestrator.errors import (
    FileGone,
    RateLimited,
    RequestRejected,
    ServiceBroken,
    ServiceError,
    WorkflowRejected,
)
from orchestrator.jobs import Progress

__all__ = [
    "ComfyUI",
    "ObjectInfo",
    "RemoteFile",
    "RemoteState",
    "RemoteStatus",
    "SystemStats",
    "Timing",
    "Workflow",
]

SOCKET_S = 0.25  # how long the first prompt waits for the socket before it goes without
ON_THE_SERVER = frozenset({RemoteStatus.PENDING, RemoteStatus.RUNNING})


class ComfyUI(Server):
    """One ComfyUI server (0.3.45 or newer). Used from one event loop; close it at the end.

    `url` may carry a user and a password for a proxy in front of the server; no message shows them.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        poll_interval_s: float | None = None,
        timing: Timing | None = None,
        socket: bool | None = None,
        max_file_bytes: int = http.FILE_LIMIT_BYTES,
    ) -> None:
        """`socket`: whether to open the websocket; by default unless a `transport` is given."""
        self._max_file_bytes = max_file_bytes
        self.client_id = client_id or uuid.uuid4().hex
        self._timing = timing or Timing()
        if poll_interval_s is not None:
            self._timing = replace(self._timing, poll_interval_s=poll_interval_s)
        super().__init__(url, transport=transport, info_age_s=self._timing.info_age_s)
        self._socket = Socket(
            self.url,
            client_id=quote(self.client_id, safe=""),
            enabled=transport is None if socket is None else socket,
            reconnect_s=self._timing.reconnect_s,
        )
        self._has_jobs: bool | None = None  # whether the server has /api/jobs: asked once

    async def close(self) -> None:
        """Close the connections. Prompts go on on the server."""
        await self._socket.close()
        await super().close()

    # ---------------------------------------------------------------- submit

    async def submit(
        self, workflow: Workflow, *, prompt_id: str, png_info: Mapping[str, Any] | None = None
    ) -> None:
        """Put a workflow into the server's queue under our id. `png_info` becomes text in the PNG files.

        When the answer is lost, the server is asked for the id: a prompt that it has is submitted.
        Raises RequestRejected and its subclasses for a workflow that the server refuses; any other
        ServiceError means that the server has no trace of the prompt. ValueError for an id that is no UUID.
        """
        if prompt_id != str(uuid.UUID(prompt_id)):
            raise ValueError(f"not a canonical UUID: {prompt_id!r}")
        body = self._prompt_body(workflow, prompt_id=prompt_id, png_info=png_info or {})
        await self._socket.ready(SOCKET_S)
        self._socket.watch(prompt_id, workflow=workflow)
        try:
            reply = await self._send("POST", "/prompt", body=body)
            accepted = reply.document() if reply.is_ok else None
            if accepted is None and reply.status != 400:
                raise self._refusal(reply)
        except ServiceError as error:
            if not await self._arrived(prompt_id, after=error):
                self._socket.forget(prompt_id)
                raise
            return
        try:
            if accepted is None:
                raise await self._rejection(reply, workflow)
            await self._check(accepted, prompt_id=prompt_id, workflow=workflow)
        except ServiceError:
            self._socket.forget(prompt_id)
            raise

    def _prompt_body(
        self, workflow: Workflow, *, prompt_id: str, png_info: Mapping[str, Any]
    ) -> bytes:
        try:
            return orjson.dumps(
                {
                    "prompt": dict(workflow),
                    "prompt_id": prompt_id,
                    # without it a workflow served from the cache ends without outputs
                    "client_id": self.client_id,
                    "extra_data": {"extra_pnginfo": dict(png_info), "preview_method": "auto"},
                }
            )
        except orjson.JSONEncodeError as error:
            raise WorkflowRejected(f"The workflow cannot be written as JSON: {error}") from error

    async def _arrived(self, prompt_id: str, *, after: ServiceError) -> bool:
        """Whether the server has a prompt although its answer was lost."""
        if not after.retryable or isinstance(after, RateLimited) or _never_sent(after):
            return False
        try:
            if (await self.state(prompt_id)).status is not RemoteStatus.UNKNOWN:
                return True
            await asyncio.sleep(self._timing.vanish_s)  # it may still be validating
            return (await self.state(prompt_id)).status is not RemoteStatus.UNKNOWN
        except ServiceError:
            return False

    async def _rejection(self, reply: http.Reply, workflow: Workflow) -> RequestRejected:
        try:
            answer = reply.document()
        except ServiceBroken:
            return WorkflowRejected(f"The server refused the workflow: {reply.text()}")
        return await self._explained(answer, workflow)

    async def _explained(self, answer: Mapping[str, Any], workflow: Workflow) -> RequestRejected:
        info = None
        if needs_info(answer):
            with suppress(ServiceError):  # the refusal is worth telling without suggestions
                info = await self.object_info()
        return rejection(answer, workflow=workflow, info=info)

    async def _check(
        self, accepted: Mapping[str, Any], *, prompt_id: str, workflow: Workflow
    ) -> None:
        """Make sure that all of the workflow was taken, and under our id; what was not, is called back."""
        given = accepted.get("prompt_id")
        if given != prompt_id:
            await self._call_back(str(given)[:80])
            raise ServiceBroken(
                f"{self.service} at {self.host} gave the prompt another id than ours",
                remedy="Update ComfyUI to 0.3.45 or newer.",
            )
        if accepted.get("node_errors"):
            # some outputs were dropped, and the others run
            error = await self._explained({**accepted, "error": None}, workflow)
            await self._call_back(prompt_id)
            raise error

    async def _call_back(self, prompt_id: str) -> None:
        with suppress(ServiceError):  # what runs on costs the server some time, nobody any money
            await self._revoke(prompt_id)

    # ---------------------------------------------------------------- follow

    async def state(self, prompt_id: str, *, ended: bool = False) -> RemoteState:
        """Where a prompt stands, by the server's own word. Raises ServiceError when it gives none.

        `ended`: the socket says that it has ended, so that an old server's history is worth asking first.
        """
        if self._has_jobs is not False:
            reply = await self._send("GET", f"/api/jobs/{quote(prompt_id, safe='')}")
            if reply.is_ok:
                self._has_jobs = True
                return from_job(reply.document())
            if reply.status not in (404, 405):
                raise self._refusal(reply)
            self._has_jobs = _is_answer_of_jobs(reply) or await self._lists_jobs()
            if self._has_jobs:
                return UNKNOWN
        if ended and (state := await self._past(prompt_id)) is not None:
            return state
        return await self._state_by_queue(prompt_id)

    async def _lists_jobs(self) -> bool:
        reply = await self._send("GET", "/api/jobs", params={"limit": "1"})
        if reply.status >= 500 or reply.status in (401, 403, 429):
            raise self._refusal(reply)
        try:
            return reply.is_ok and isinstance(reply.document().get("jobs"), list)
        except ServiceBroken:
            return False  # a proxy's page

    async def _state_by_queue(self, prompt_id: str) -> RemoteState:
        # queue before history: a prompt that ends in between is seen in the history
        if (state := from_queue(await self._get("/queue"), prompt_id)) is not None:
            return state
        if (state := await self._past(prompt_id)) is not None:
            return state
        # and the queue once more: a POST may have put it there in between
        return from_queue(await self._get("/queue"), prompt_id) or UNKNOWN

    async def _past(self, prompt_id: str) -> RemoteState | None:
        history = await self._get(f"/history/{quote(prompt_id, safe='')}")
        entry = history.get(prompt_id)
        return from_history(entry) if isinstance(entry, dict) else None

    async def wait(
        self, prompt_id: str, *, on_progress: Callable[[Progress], None]
    ) -> tuple[RemoteFile, ...]:
        """Wait until a prompt, submitted here or earlier by anybody, is done. Returns its files, at least one.

        `on_progress` is called in this task, at first at once. Raises ExecutionFailed (OutOfMemory, CorruptModel),
        Interrupted, NoImages, PromptVanished, ServiceUnreachable, ServiceTimeout; after the last two the prompt
        may still be on the server.
        """
        known = self._socket.watched(prompt_id)
        watch = known or self._socket.watch(prompt_id)
        armed = known is not None and known.armed and self._socket.is_open
        vigil = Vigil(prompt_id, timing=self._timing, now=time.monotonic(), armed=armed)
        try:
            shown: Progress | None = None
            while True:
                if (progress := watch.progress.current) != shown:
                    shown = progress
                    on_progress(progress)
                if not self._listen(watch, vigil) and (files := await self._look(vigil, watch)):
                    if armed and not watch.spoken:
                        self._socket.restart()  # it was open, and deaf (ComfyUI pull request 16243)
                    return files
                await self._rest(watch, vigil)
        finally:
            self._socket.forget(prompt_id)

    def _listen(self, watch: Watch, vigil: Vigil) -> bool:
        """Tell the vigil what the socket has told. Returns whether there is time before the next look."""
        now = time.monotonic()
        watch.news.clear()
        vigil.cancelled = watch.cancelled
        vigil.ended = vigil.ended or watch.ended
        if watch.heard:
            vigil.heard(now)
        if watch.ended or watch.lost:
            vigil.hurry(now)
        elif watch.ending:
            vigil.hurry(now, pause_s=QUICK_S)
        watch.heard = watch.ended = watch.ending = watch.lost = False
        return vigil.next_look_s(now) > 0

    async def _look(self, vigil: Vigil, watch: Watch) -> tuple[RemoteFile, ...] | None:
        try:
            state = await self.state(watch.prompt_id, ended=vigil.ended)
        except ServiceError as error:
            vigil.failed(error, time.monotonic())
            return None
        if state.status is RemoteStatus.RUNNING:
            watch.progress.take("execution_start", {})  # all there is to tell without the socket
        return vigil.saw(state, time.monotonic())

    async def _rest(self, watch: Watch, vigil: Vigil) -> None:
        try:
            async with asyncio.timeout(vigil.next_look_s(time.monotonic())):
                await watch.news.wait()
        except TimeoutError:
            pass

    async def fetch(self, file: RemoteFile) -> bytes:
        """The content of a file. Raises ServiceBroken when the server has it no more, or it is too large."""
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            return await self._view(query)
        except ServiceError as error:
            if not isinstance(error.__cause__, BROKEN_OFF):
                raise
        # the picture exists: one broken connection is not worth another run
        return await self._view(query)

    async def _view(self, query: Mapping[str, str]) -> bytes:
        reply = await self._send("GET", "/view", params=query, limit_bytes=self._max_file_bytes)
        if reply.status in (400, 403, 404):
            raise FileGone(
                f"{self.service} at {self.host} has no file {http.shown(query['filename'], limit=80)!r} any more"
            )
        if not reply.is_ok:
            raise self._refusal(reply)
        if not reply.body:
            raise ServiceBroken(f"{self.service} at {self.host} sent an empty file")
        return reply.body

    # ---------------------------------------------------------------- cancel

    async def cancel(self, prompt_id: str) -> bool:
        """Take one prompt, pending or running, off the server. Returns whether it is off.

        An interrupt is heeded between sampler steps, so this waits for a moment. Raises ServiceError.
        """
        if (watch := self._socket.watched(prompt_id)) is not None:
            watch.cancelled = True
        await self._revoke(prompt_id)
        deadline = time.monotonic() + self._timing.cancel_s
        pause_s = QUICK_S
        while (await self.state(prompt_id)).status in ON_THE_SERVER:
            if time.monotonic() + pause_s > deadline:
                return False
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._timing.poll_interval_s)
        if watch is not None:
            watch.ended = True
            watch.news.set()
        return True

    async def _revoke(self, prompt_id: str) -> None:
        if self._has_jobs is not False:
            reply = await self._send("POST", f"/api/jobs/{quote(prompt_id, safe='')}/cancel")
            if reply.is_ok:
                return
            if reply.status not in (404, 405):
                raise self._refusal(reply)
        # first from the queue: one that starts in between is then found running
        await self._expect_ok("POST", "/queue", {"delete": [prompt_id]})
        queue = await self._get("/queue")
        state = from_queue(queue, prompt_id)
        # only if it is ours that runs: a server that does not know the key would stop whatever does
        if state is not None and state.status is RemoteStatus.RUNNING:
            await self._expect_ok("POST", "/interrupt", {"prompt_id": prompt_id})


def _never_sent(error: ServiceError) -> bool:
    return isinstance(error.__cause__, http.NOTHING_SENT)


def _is_answer_of_jobs(reply: http.Reply) -> bool:
    """Whether a 404 comes from the route (JSON with an error), not from a server that lacks it (plain text)."""
    try:
        return reply.status == 404 and "error" in reply.document()
    except ServiceBroken:
        return False
