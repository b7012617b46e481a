"""A ComfyUI and the Dask worker beside it: carries out the attempts that come, tells how they go, takes them off again.

Runs in the worker's process: no store, no paths.json, no settings, no keys.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from distributed import Status, Worker, WorkerPlugin, get_worker

from orchestrator.attempts.asking import Request, files_of, is_there, workflow_for
from orchestrator.cluster import storage
from orchestrator.cluster.wire import COMFYUI, Made, Order, order_of, packed, said_of, told_of
from orchestrator.connectors.comfyui import ComfyUI, RemoteStatus
from orchestrator.errors import OrchestratorError, ServiceUnreachable
from orchestrator.jobs import Progress
from orchestrator.offers import lists_of
from orchestrator.workflows import Offered

logger = logging.getLogger(__name__)

EVERY_S = 0.25  # what a person can follow; of a prompt that is done sooner, the outcome tells all
# an outcome that is larger is fetched: the scheduler keeps the newest thousand
SOON_BYTES = 100_000
PREVIEW_BYTES = 200_000  # a larger preview stays here: the scheduler keeps the newest thousand
# so long after its start the worker asks whether the one before it had sent the prompt
INHERITS_S = 30.0
PROBE_S = 0.5
EXECUTING, LEFT = "executing", frozenset({"cancelled", "released", "forgotten"})


class Beside(WorkerPlugin):  # type: ignore[misc]
    """What a Dask worker knows of its ComfyUI. `place` is the server's address as others may see it."""

    name = COMFYUI

    def __init__(self, client: ComfyUI, *, place: str) -> None:
        self.client = client
        self.place = place
        self._worker: Worker | None = None
        self._running: dict[str, asyncio.Task[Made]] = {}
        self._refused: set[str] = set()
        self._began = time.monotonic()
        self._probe: asyncio.Task[None] | None = None
        self.draining = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def setup(self, worker: Worker) -> None:
        """Dask calls this when the worker starts."""
        self._worker = worker

    async def teardown(self, worker: Worker) -> None:
        """Dask calls this when the worker ends: nobody follows its prompts any more; they go on."""
        tasks: list[asyncio.Task[Any]] = [*self._running.values()]
        if self._probe is not None:
            tasks.append(self._probe)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Dask calls this when a task of the worker changes its state: one that nobody wants any more is left."""
        task = self._running.get(str(key))
        if task is not None and start == EXECUTING and finish in LEFT:
            task.cancel()

    # ---------------------------------------------------------------- one attempt

    async def paint(self, order: Order) -> Made:
        """Carry an attempt out. An error is a value here, told and not raised."""
        made = Made(place=self.place, taken=False, workflow=None, files=[], stored=[], error=None)
        if order["key"] in self._refused:
            self._refused.discard(order["key"])
            return made
        task = asyncio.create_task(self._paint(order, made))
        self._running[order["key"]] = task
        self._idle.clear()
        try:
            await asyncio.wait([task])
        finally:  # Dask itself cancels when the worker ends
            task.cancel()
            del self._running[order["key"]]
            if not self._running:
                self._idle.set()
        if task.cancelled() or (error := task.exception()) is None:
            return made
        if isinstance(error, ServiceUnreachable):
            self._stand_aside()
        if not isinstance(error, OrchestratorError):
            logger.error("An attempt met a fault of the lab", exc_info=error)
        assert isinstance(error, Exception)
        return Made(
            **{**made, "workflow": None, "files": [], "stored": [], "error": said_of(error)}
        )

    async def _paint(self, order: Order, made: Made) -> Made:
        client, remote_id = self.client, order["remote_id"]
        request = Request(
            order["backend"], order["params"], order["text"], order["prefix"], order["document"]
        )
        # before it is sent: should the scheduler die in between, the lab knows where to ask for it
        self.tell(order, {"began": True})
        if not await self._has(order):

            async def upload(name: str) -> str:
                file, data = next(
                    order["pictures"][each]
                    for each, said in request.pictures.items()
                    if said == name
                )
                return await client.upload_image(data, name=file)

            workflow = await workflow_for(request, client, offered=_offered, upload=upload)
            await client.submit(workflow, prompt_id=remote_id)
            made["workflow"] = dict(workflow)
        made["taken"] = True
        telling = Telling(self.tell, order)
        try:
            files = await files_of(client, remote_id, report=telling.report)
        finally:
            telling.end()
        data = [await client.fetch(file) for file in files]
        if (where := order["storage"]) is not None:
            made["stored"] = await asyncio.to_thread(storage.put, where, order["key"], data)
        else:
            made["files"] = data
        return made

    async def _has(self, order: Order) -> bool:
        """Whether the server has the prompt already."""
        if order["sent"] and order["place"] == self.place:
            return await is_there(self.client, order["remote_id"], was_taken=order["taken"])
        # the worker that was here before may have sent it, and Dask begins a lost task again without telling
        if order["sent"] or time.monotonic() - self._began < INHERITS_S:
            state = await self.client.state(order["remote_id"])
            return state.status in {RemoteStatus.PENDING, RemoteStatus.RUNNING, RemoteStatus.DONE}
        return False

    def tell(self, order: Order, said: dict[str, Any]) -> None:
        """Have the lab know something of an attempt, if it still listens."""
        if self._worker is not None:
            told = {"key": order["key"], "place": self.place, **said}
            self._worker.log_event(order["topic"], told)

    # ---------------------------------------------------------------- ending it

    async def revoke(self, key: str, remote_id: str) -> None:
        """Take an attempt off the server, wherever it stands. Raises ServiceError."""
        task = self._running.get(key)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        else:
            # in the worker's own queue, it may begin while its cancelling is on the way
            self._refused.add(key)
        if (await self.client.state(remote_id)).status is not RemoteStatus.UNKNOWN:
            await self.client.cancel(remote_id)

    def _stand_aside(self) -> None:
        """The server does not answer: no more tasks until it does. They would burn their attempts here."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._wait_for_server(), name="probe comfyui")

    async def _wait_for_server(self) -> None:
        assert self._worker is not None
        logger.warning("ComfyUI at %s does not answer; no tasks until it does", self.place)
        self._worker.status = Status.paused
        while True:
            await asyncio.sleep(PROBE_S)
            with suppress(OrchestratorError):
                await self.client.system_stats()
                break
        if self._worker.status == Status.paused:
            self._worker.status = Status.running
        logger.warning("ComfyUI at %s answers again", self.place)

    async def drain(self) -> None:
        """Begin nothing more, and wait until what runs here is done."""
        assert self._worker is not None
        self._worker.status = Status.closing_gracefully
        await self._idle.wait()


class Telling:
    """Progress of one attempt on its way to the lab: not more often than a person can follow."""

    def __init__(self, tell: Any, order: Order) -> None:
        self._tell, self._order = tell, order
        self._unsaid: Progress | None = None
        self._preview: bytes | None = None
        self._is_begun = False
        self._next: asyncio.TimerHandle | None = None
        self._in_time()

    def report(self, progress: Progress) -> None:
        """The newest is told, in its time."""
        self._unsaid = progress
        if self._next is None:
            self._in_time()

    def _in_time(self) -> None:
        self._next = asyncio.get_running_loop().call_later(EVERY_S, self._say)

    def _say(self) -> None:
        self._next = None
        said: dict[str, Any] = {}
        # it goes into the job's file, where the next worker of the lab finds it
        if not self._is_begun:
            self._is_begun = said["taken"] = True
        if (progress := self._unsaid) is not None:
            self._unsaid = None
            said["progress"] = self._told(progress)
        if said:
            self._tell(self._order, said)

    def _told(self, progress: Progress) -> dict[str, Any]:
        told = told_of(progress)
        preview = progress.preview
        if preview is None or preview == self._preview or len(preview) > PREVIEW_BYTES:
            del told["preview"]
        else:
            self._preview = preview
        return told

    def end(self) -> None:
        """Nothing more to tell."""
        if self._next is not None:
            self._next.cancel()


async def paint(order: bytes) -> bytes:
    """The Dask task: one attempt at the ComfyUI beside the worker. Takes a packed Order, returns a packed Made."""
    here, what = _here(), order_of(order)
    made = packed(await here.paint(what))
    if len(made) <= SOON_BYTES:  # with the word that the task is done: nobody has to ask for it
        # not before the next turn of the loop: then both words leave together
        asyncio.get_running_loop().call_soon(here.tell, what, {"made": made})
    return made


async def revoke(key: str, remote_id: str, *, dask_worker: Worker) -> dict[str, Any] | None:
    """Run on one worker, past its queue: take an attempt off its server. Returns the error it met."""
    try:
        await dask_worker.plugins[COMFYUI].revoke(key, remote_id)
    except OrchestratorError as error:
        return said_of(error)
    return None


async def found(remote_id: str, *, dask_worker: Worker) -> str | None:
    """Run on one worker, past its queue: its server's place, when that has the prompt and says so."""
    plugin = dask_worker.plugins[COMFYUI]
    with suppress(OrchestratorError):
        if (await plugin.client.state(remote_id)).status is not RemoteStatus.UNKNOWN:
            return str(plugin.place)
    return None


async def retire(*, dask_worker: Worker) -> None:
    """Run on one worker: have it finish what it has, take no more, and end."""
    dask_worker.plugins[COMFYUI].draining.set()


async def lists(*, dask_worker: Worker) -> dict[str, tuple[str, ...]]:
    """Run on one worker: what its server has to choose from, as `Offers.of` takes it. Raises ServiceError."""
    return lists_of(await _offered(dask_worker.plugins[COMFYUI].client))


def _here() -> Beside:
    return get_worker().plugins[COMFYUI]  # type: ignore[no-any-return]


async def _offered(client: ComfyUI) -> Offered:
    return Offered((await client.object_info()).classes)
