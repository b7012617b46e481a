"""The websocket of a ComfyUI server: one for all prompts, and only ever a hint; the polls are the truth."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from orchestrator import logs
from orchestrator.connectors.comfyui_info import Workflow
from orchestrator.connectors.comfyui_progress import PromptProgress, read_preview
from orchestrator.connectors.http import is_loopback

# Must be the first message, or previews come without the id of their prompt.
HELLO = '{"type":"feature_flags","data":{"supports_preview_metadata":true}}'
OPEN_S = 5.0
LONGEST_PAUSE_S = 10.0
CLOSE_S = 0.5
MAX_MESSAGE_BYTES = 32 * 2**20  # a preview may be a large PNG
MAX_UNWAITED = 256  # prompts sent and never waited for
ENDINGS = frozenset({"execution_success", "execution_error", "execution_interrupted"})

wire_log = logging.getLogger(f"{__name__}.wire")


class Watch:
    """What the socket has told of one prompt, until somebody looks."""

    def __init__(self, prompt_id: str, *, workflow: Workflow | None, armed: bool) -> None:
        self.prompt_id = prompt_id
        self.progress = PromptProgress(workflow)
        self.news = asyncio.Event()
        self.armed = armed  # the socket was open when the prompt was sent
        self.heard = False  # since the last look
        self.spoken = False  # ever
        self.ending = False  # its execution ended; the server may not have noted it yet
        self.ended = False  # the server has noted the end
        self.lost = False  # the socket was away: something may have been missed
        self.cancelled = False


class Socket:
    """Keeps a websocket open while prompts are watched, and hands each prompt's events to its `Watch`."""

    def __init__(self, url: str, *, client_id: str, enabled: bool, reconnect_s: float) -> None:
        self._url = url
        self._client_id = client_id
        self._enabled = enabled
        self._reconnect_s = reconnect_s
        self._watches: dict[str, Watch] = {}
        self._open = asyncio.Event()
        self._tried = asyncio.Event()  # a first attempt has ended, well or badly
        self._task: asyncio.Task[None] | None = None
        self._live: ClientConnection | None = None
        self._works = False  # it was open once
        self._current: str | None = None  # the prompt that runs, for previews that do not say

    @property
    def is_open(self) -> bool:
        """Whether events arrive now."""
        return self._open.is_set()

    async def ready(self, timeout_s: float) -> None:
        """Open the socket if it is not, and wait for it for at most `timeout_s`; not again after a failure."""
        self._start()
        if self._enabled and not self._tried.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._tried.wait()

    def watch(self, prompt_id: str, *, workflow: Workflow | None = None) -> Watch:
        """Begin to collect what is told of a prompt. A prompt watched already keeps its `Watch`."""
        if prompt_id not in self._watches:
            while len(self._watches) >= MAX_UNWAITED:
                self._watches.pop(next(iter(self._watches)))
            self._watches[prompt_id] = Watch(prompt_id, workflow=workflow, armed=self.is_open)
        self._start()
        return self._watches[prompt_id]

    def watched(self, prompt_id: str) -> Watch | None:
        """The watch of a prompt, if there is one."""
        return self._watches.get(prompt_id)

    def forget(self, prompt_id: str) -> None:
        """Collect no more about a prompt."""
        self._watches.pop(prompt_id, None)

    def restart(self) -> None:
        """Drop the connection, so that the next prompt opens another."""
        if self._live is not None:
            self._live.transport.abort()

    async def close(self) -> None:
        """Close the socket and end its task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _start(self) -> None:
        if self._enabled and (self._task is None or self._task.done()):
            if self._works:
                self._tried.clear()  # worth waiting for again
            # of no job: it serves others after the one that opened it
            self._task = asyncio.create_task(
                self._run(), name="comfyui socket", context=logs.about_no_job()
            )

    async def _run(self) -> None:
        """Stay connected while there is something to watch; a later watch starts it again."""
        pause_s = self._reconnect_s
        while True:
            try:
                async with self._connection() as connection:
                    await connection.send(HELLO)
                    self._live = connection
                    self._open.set()
                    self._tried.set()
                    pause_s = self._reconnect_s
                    async for message in connection:
                        self._receive(message)
            except (OSError, TimeoutError, WebSocketException, ValueError):
                pass  # refused, dropped, no websocket at all: the polls go on without it
            finally:
                if self._live is not None:
                    self._live = None
                    self._works = True
                self._open.clear()
                self._tried.set()
                self._current = None
                for watch in self._watches.values():
                    watch.lost = True
                    watch.news.set()
            if not self._watches:
                return
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _connection(self) -> connect:
        wire_log.setLevel(logging.INFO)  # at DEBUG the library logs headers and every preview
        scheme, _, rest = self._url.partition("://")
        return connect(
            f"{'wss' if scheme == 'https' else 'ws'}://{rest}/ws?clientId={self._client_id}",
            compression=None,
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
            max_size=MAX_MESSAGE_BYTES,
            proxy=None if is_loopback(self._url) else True,
            logger=wire_log,
        )

    def _receive(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            preview = read_preview(message)
            watch = self._watches.get((preview and preview.prompt_id) or self._current or "")
            if preview and watch:
                watch.progress.show(preview.image)
                watch.heard = watch.spoken = True
                watch.news.set()
            return
        try:
            parsed = orjson.loads(message)
        except orjson.JSONDecodeError:
            return
        match parsed:
            case {"type": str(event), "data": {"prompt_id": str(prompt_id)} as data}:
                self._tell(event, prompt_id, data)

    def _tell(self, event: str, prompt_id: str, data: Mapping[str, Any]) -> None:
        self._current = prompt_id
        watch = self._watches.get(prompt_id)
        if watch is None:
            return
        watch.heard = watch.spoken = True
        watch.progress.take(event, data)
        if event in ENDINGS:
            watch.ending = True
        # sent after the history has the prompt, also when it failed
        if event == "executing" and data.get("node", "") is None:
            watch.ended = True
        watch.news.set()
