"""The embedded engine: speaks ComfyUI's protocol and paints without a model."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import psutil
from tornado.httpserver import HTTPServer

from orchestrator.engine import nodes, server, validation
from orchestrator.engine.dialects import DIALECTS
from orchestrator.engine.execution import Audience, Cache, Execution, Worker
from orchestrator.engine.faults import Faults, Ledger
from orchestrator.engine.folders import Folders
from orchestrator.engine.handlers import is_canonical
from orchestrator.engine.queue import SECRETS, Item, PromptQueue, now_ms
from orchestrator.engine.sockets import Sockets
from orchestrator.engine.weights import CHECKPOINTS

JSON = Any

NAME = "embedded engine, no model"
PREVIEW_METHODS = frozenset({"none", "auto", "latent2rgb", "taesd"})


class Engine:
    """One server with its queue, its folders and its painting thread.

    Use it as `async with Engine() as engine: … engine.url`, or `start` and `stop` it. A stopped engine cannot be
    started again; its queue and history are gone, as after a restart of ComfyUI.
    """

    def __init__(
        self,
        *,
        output: Path | None = None,
        input: Path | None = None,
        dialect: str = "0.27",
        preview_method: str = "auto",
        checkpoints: Sequence[str] = CHECKPOINTS,
        faults: Faults | None = None,
        allow_faults: bool = False,
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        if dialect not in DIALECTS:
            raise ValueError(f"No dialect {dialect!r}; there are {', '.join(DIALECTS)}")
        self.dialect = DIALECTS[dialect]
        self.url = ""
        self.faults = faults or Faults()
        self._checkpoints = tuple(checkpoints)
        self.ledger = Ledger()
        self.folders = Folders(output, input)
        self.sockets = Sockets(self.faults)
        self.queue = PromptQueue(on_change=lambda: self.sockets.send("status", self.status()))
        self.stopping = asyncio.Event()
        self._preview_method = preview_method
        self._allow_faults = allow_faults
        self._address = (host, port)
        self._number = 0
        self._cache: Cache = {}
        self._free = False
        self._current: tuple[str | None, str | None] = (None, None)  # client id and node being run
        self._server: HTTPServer | None = None
        self._worker = Worker(self._run_next)

    async def start(self, port: int | None = None, host: str | None = None) -> str:
        """Listen and begin to work; returns the url. Port 0 means any free one."""
        host, port = host or self._address[0], self._address[1] if port is None else port
        try:
            listening = server.bind(host, port)
        except OSError:
            self.folders.close()
            raise
        self.sockets.attach(asyncio.get_running_loop())
        self._server = server.serve_http(self, listening, testing=self._allow_faults)
        self._worker.start()
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{listening.getsockname()[1]}"
        return self.url

    async def stop(self) -> None:
        """Stop painting, close every connection and remove temporary files."""
        self.stopping.set()
        is_at_work = self._server is not None
        if self._server is not None:
            # first: as with a server that is gone, nobody is told that the prompt was interrupted by somebody
            self._server.stop()
            self.sockets.drop()
            await self._server.close_all_connections()
            self._server = None
        self.queue.close()
        if is_at_work:
            await asyncio.to_thread(self._worker.join)
        self.folders.close()

    async def __aenter__(self) -> Engine:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def submit(self, body: dict[str, JSON]) -> tuple[dict[str, JSON], int]:
        """Queue a prompt: the answer to POST /prompt and its status."""
        number: float = self._number
        if "number" in body:
            try:
                number = float(body["number"])
            except (TypeError, ValueError):
                return _refusal(validation.error("invalid_prompt", "number is not a number"))
        else:
            # Counted before anything is checked: a rejected prompt uses up its number.
            self._number += 1
            number = -number if body.get("front") else number
        prompt_id = body.get("prompt_id")
        if self.dialect.modern and prompt_id is not None and not is_canonical(prompt_id):
            details = (
                "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
                "omit it to let the server generate one"
            )
            return _refusal(
                validation.error("invalid_prompt_id", "prompt_id must be a valid UUID", details)
            )
        prompt_id = str(uuid4() if prompt_id is None else prompt_id)
        if "prompt" not in body:
            message = "No prompt provided"
            return _refusal(validation.error("no_prompt", message, message))

        targets = body.get("partial_execution_targets")
        prompt = body["prompt"]
        verdict = validation.validate(
            prompt,
            self.nodes(),
            self.dialect,
            targets=[str(t) for t in targets] if isinstance(targets, list) else None,
        )
        if verdict.error:
            return _refusal(verdict.error, verdict.node_errors)
        created = now_ms()
        self.queue.put(
            Item(
                number, prompt_id, prompt, self._extra_data(body, created), verdict.outputs, created
            )
        )
        return {"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors}, 200

    def _extra_data(self, body: dict[str, JSON], created: int) -> dict[str, JSON]:
        given = body.get("extra_data")
        extra = (
            {k: v for k, v in given.items() if k not in SECRETS} if isinstance(given, dict) else {}
        )
        if isinstance(body.get("client_id"), str):
            extra["client_id"] = body["client_id"]
        if self.dialect.modern:
            extra["create_time"] = created
        return extra

    def nodes(self) -> dict[str, nodes.Node]:
        return nodes.table(self.dialect, self.folders, self._checkpoints)

    def status(self) -> dict[str, JSON]:
        return {"status": {"exec_info": {"queue_remaining": self.queue.remaining()}}}

    def node_of(self, client_id: str) -> str | None:
        """The node being run for this client."""
        client, node = self._current
        return node if client == client_id else None

    def free(self) -> None:
        """Forget kept outputs before the next prompt."""
        self._free = True

    def forget(self) -> None:
        """Lose queue, history, kept outputs and numbering, as a restart does."""
        self.queue.forget()
        self._free = True
        self._number = 0

    def drop_sockets(self) -> None:
        """Close every websocket now; call it in the engine's event loop."""
        self.sockets.drop()

    def system_stats(self) -> dict[str, JSON]:
        """What the engine says it is: a server of this version without a model."""
        memory = psutil.virtual_memory()
        return {
            "system": {
                "os": sys.platform if self.dialect.modern else os.name,
                "ram_total": memory.total,
                "ram_free": memory.available,
                "comfyui_version": self.dialect.version,
                "python_version": sys.version,
                "pytorch_version": "none",
                "embedded_python": False,
                "embedded_engine": True,
                "argv": [NAME],
            },
            "devices": [
                {
                    "name": NAME,
                    "type": "cpu",
                    "index": None,
                    "vram_total": memory.total,
                    "vram_free": memory.available,
                    "torch_vram_total": memory.total,
                    "torch_vram_free": memory.available,
                }
            ],
        }

    def _run_next(self) -> bool:
        """Run one prompt, in the worker thread; False when the engine stops."""
        item = self.queue.take()
        if item is None:
            return False
        if self._free:
            self._free = False
            self._cache.clear()
        entry = self.ledger.begin(item.prompt_id)
        execution = Execution(
            item,
            nodes=self.nodes(),
            cache=self._cache,
            folders=self.folders,
            faults=self.faults,
            audience=Audience(self.sockets.send, self.sockets.send_preview),
            previews=self._previews(item),
            on_node=lambda node: self._set_current(item, node),
        )
        outcome = execution.run()
        self._current = (None, None)
        entry.finish(outcome.ending)
        self.queue.finish(item, outcome)
        if item.client_id is not None:
            self.sockets.send(
                "executing", {"node": None, "prompt_id": item.prompt_id}, item.client_id
            )
        return True

    def _set_current(self, item: Item, node: str) -> None:
        self._current = (item.client_id, node)

    def _previews(self, item: Item) -> bool:
        asked = item.extra_data.get("preview_method") if self.dialect.modern else None
        return (asked if asked in PREVIEW_METHODS else self._preview_method) != "none"


def _refusal(
    error: dict[str, JSON], node_errors: dict[str, JSON] | None = None
) -> tuple[dict[str, JSON], int]:
    return {"error": error, "node_errors": node_errors or {}}, 400
