"""ComfyUI attempts on a Dask cluster, as the worker loop sees them: one service with many hosts behind it.

Claims, retries, fences and pictures stay here; what goes to a Dask worker is one attempt as plain values. Its task is
named after job and fence, so that two claims of one job are two tasks, and the same claim is one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from distributed import Client, Future, KilledWorker

from orchestrator import backends, inputs
from orchestrator.attempts.asking import Request, request_of
from orchestrator.attempts.held import Held, finish_even_if_cancelled
from orchestrator.attempts.pictures import publish, recipe_of
from orchestrator.catalogue import Catalogue
from orchestrator.cluster import beside, storage
from orchestrator.cluster.link import BACK_S, LOOK_S, Link
from orchestrator.cluster.wire import COMFYUI, Made, Order, error_of, made_of, model_tag, packed
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.errors import NoWorkerFits, ServiceError, ServiceUnreachable, WorkersLost
from orchestrator.jobs import Attempt, Cost, Job, Phase, Progress, prompt_id
from orchestrator.paths import Paths
from orchestrator.store import Kind, Lane

logger = logging.getLogger(__name__)

AHEAD = 2  # one runs, one waits on the worker: it never asks the scheduler for the next
REFUSALS = 4  # jobs that no worker can run, told so at a time
RETURN_S = 20.0  # how long a prompt waits for the worker beside its server, after a restart of the scheduler
REVOKE_S = 15.0
WAITING = "waiting for a worker"


@dataclass(eq=False)
class Sent:
    """An attempt that is with Dask."""

    held: Held
    future: Future | None = None
    place: str | None = None  # of the ComfyUI that it went to
    noted: str | None = None  # of the one that has taken it
    noting: asyncio.Task[None] | None = None
    #: what came of it, when the worker told that itself: a hint that comes sooner; the task's value is the truth
    told: asyncio.Future[bytes] = field(default_factory=lambda: _told_later())


class ClusterService:
    """The ComfyUI servers behind a Dask scheduler."""

    name = ComfyUI.service

    def __init__(
        self,
        address: str,
        *,
        paths: Paths,
        limits: inputs.Limits | None = None,
        storage: str | None = None,
        on_back: Callable[[], None] = lambda: None,
    ) -> None:
        """`address` of the scheduler. `storage`: where workers leave the pictures; by default they send them.

        `on_back` is called when there is room again.
        """
        self._paths = paths
        self._limits = limits or inputs.Limits()
        self._catalogue = Catalogue(paths.workflows)
        self._storage = storage
        self._sent: dict[str, Sent] = {}
        self._left: dict[str, Future | None] = {}
        self._link = Link(address, topic=str(paths.jobs), on_event=self._take, on_change=on_back)

    async def open(self) -> None:
        """Connect, as far as the scheduler is there."""
        await self._link.open()

    async def close(self) -> None:
        """End the connection. What runs on the servers goes on; a next worker adopts it."""
        await self._link.close()

    # ---------------------------------------------------------------- where

    def lanes(self, kind: Kind) -> Sequence[Lane]:
        """The cluster, as wide as it has workers that fit; none while they may be back in a moment."""
        if not self._link.is_up:
            return ()
        tags = _tags(kind)
        places = self._link.places(tags)
        if not places and (not self._link.workers or self._link.had(tags)):
            return ()
        # of its own for each set of tags: jobs for the one worker that has a model are not to take all places
        host = f"{self._link.address} {' '.join(tags)}"
        return (Lane(self.name, host, AHEAD * places or REFUSALS),)

    def begin(self, job: Job, lane: Lane, now: datetime) -> Job:
        """The intent, with the id the prompt will have; not of a job that is to be told that nobody can run it."""
        if not self._link.places(_tags(_kind(job))):
            return job
        remote_id = prompt_id(job.id, len(job.attempts) + 1)
        host = self._link.address
        return job.begin_attempt(service=self.name, host=host, now=now, remote_id=remote_id)

    # ---------------------------------------------------------------- one attempt

    async def run(self, held: Held) -> tuple[list[str], Cost | None]:
        """Have a Dask worker carry an attempt through, or adopt the one that is open."""
        tags = _tags(_kind(held.job))
        if held.job.open_attempt is None:
            raise self._no_worker(tags)
        request = await request_of(held, self._catalogue)
        order = await self._order(held, request)
        sent = self._sent[order["key"]] = Sent(held)
        try:
            made = await self._made(sent, order, tags)
        except asyncio.CancelledError:
            # whether it is to be revoked, or only left, is for `cancel` to say
            self._left[held.job.id] = sent.future
            if sent.place is not None and sent.noted is None:  # it may have been taken there
                held.soon(partial(_noted, place=sent.place, phase=Phase.INTENT))
            raise
        finally:
            del self._sent[order["key"]]
            if sent.noting is not None:
                await finish_even_if_cancelled(sent.noting)
        if made["taken"] and made["place"] != sent.noted:  # it was done before it was told
            held.soon(partial(_noted, place=made["place"], phase=Phase.SUBMITTED))
        if made["error"] is not None:
            raise error_of(made["error"])
        held.free_slot()  # the server is done: the next job may go there while this one is published
        files = await self._publish(held, request, made)
        return files, None

    async def _order(self, held: Held, request: Request) -> Order:
        job = held.job
        attempt = job.attempts[-1]
        pictures: dict[str, tuple[str, bytes]] = {}
        for parameter, name in request.pictures.items():
            image = await held.call(inputs.load, name, paths=self._paths, limits=self._limits)
            pictures[parameter] = (image.name, image.data)
        return Order(
            key=f"{job.id}-{held.fence}",
            topic=self._link.topic,
            remote_id=attempt.remote_id or "",
            backend=request.backend,
            params=dict(request.asked),
            text=request.text,
            prefix=request.prefix,
            document=dict(request.document) if request.document is not None else None,
            pictures=pictures,
            sent=held.adopted,
            taken=attempt.phase is not Phase.INTENT,
            place=attempt.host,
            storage=self._storage,
        )

    async def _made(self, sent: Sent, order: Order, tags: Sequence[str]) -> Made:
        """What came of an attempt, across restarts of the scheduler: it knows nothing then, but the servers do."""
        if order["sent"] and order["place"] == self._link.address:
            client = await self._connected(sent.held)
            place = await self._place_of(client, order["remote_id"])
            order = Order(**{**order, "place": place or order["place"]})
        while True:
            client = await self._connected(sent.held)
            where = await self._beside(order["place"]) if order["sent"] else None
            try:
                sent.future = client.submit(
                    beside.paint,
                    packed(order),
                    key=order["key"],
                    resources=dict.fromkeys(tags, 1),
                    workers=[where] if where else None,
                    allow_other_workers=where is not None,
                    retries=0,
                    pure=False,
                )
                return await self._result(sent.future, sent.told, tags)
            except (CancelledError, OSError) as error:
                logger.warning("Job %s: the cluster lost it (%s)", sent.held.job.id, error)
                self._link.lost(client)
                sent.future = None
                await asyncio.sleep(LOOK_S)
                place = sent.place or order["place"]
                order = Order(**{**order, "sent": True, "place": place, "taken": False})

    async def _connected(self, held: Held) -> Client:
        if not self._link.is_up:
            held.report(Progress(text=f"the cluster at {self._link.address} does not answer"))
        return await self._link.client()

    async def _place_of(self, client: Client, remote_id: str) -> str | None:
        """Where a prompt is that somebody sent who died before it was noted: all servers are asked."""
        addresses = [each.address for each in self._link.workers]
        with suppress(OSError, TimeoutError, CancelledError):
            async with asyncio.timeout(REVOKE_S):
                said = await client.run(
                    beside.found, remote_id, workers=addresses, on_error="return"
                )
            return next((place for place in said.values() if isinstance(place, str)), None)
        return None

    async def _beside(self, place: str) -> str | None:
        """The worker beside a server, which may be a moment later than the scheduler."""
        for _ in range(round(RETURN_S / LOOK_S)):
            if (where := self._link.beside(place)) is not None or place == self._link.address:
                return where
            await asyncio.sleep(LOOK_S)
        return None

    async def _result(
        self, future: Future, told: asyncio.Future[bytes], tags: Sequence[str]
    ) -> Made:
        """The value of a task. Raises WorkersLost, NoWorkerFits, and CancelledError of Dask when it is lost."""
        getting = asyncio.ensure_future(future.result())
        # at once: the word that there is something to fetch comes right behind
        told.add_done_callback(lambda _: getting.cancel())
        try:
            while True:
                done, _ = await asyncio.wait(
                    [getting, told], timeout=BACK_S / 10, return_when=asyncio.FIRST_COMPLETED
                )
                if done:
                    break
                if self._link.is_up and not self._link.places(tags) and not self._link.had(tags):
                    await future.cancel()
                    raise self._no_worker(tags)
            return made_of(told.result() if told.done() else getting.result())
        except KilledWorker as error:
            raise WorkersLost(f"Its workers died, the last at {error.last_worker.name}") from error
        finally:
            if not getting.done():
                getting.cancel()
                await asyncio.gather(getting, return_exceptions=True)

    def _no_worker(self, tags: Sequence[str]) -> NoWorkerFits:
        lacking = [tag for tag in tags if not any(each.has([tag]) for each in self._link.workers)]
        return NoWorkerFits(
            f"No worker of the cluster at {self._link.address} has {' and '.join(lacking or tags)}"
        )

    async def _publish(self, held: Held, request: Request, made: Made) -> list[str]:
        files = []
        data = made["files"]
        if self._storage is not None:
            fetch = partial(storage.get, storage=self._storage)
            data = [await held.call(fetch, address) for address in made["stored"]]
        for index, content in enumerate(data):
            recipe = recipe_of(
                held.job,
                seed=request.seed,
                workflow=made["workflow"],
                index=index,
                now=held.store.now(),
            )
            published = await publish(held, content, folder=self._paths.drop_out, recipe=recipe)
            files.append(str(published.path))
        if self._storage is not None:
            await held.call(storage.clear, self._storage, f"{held.job.id}-{held.fence}")
        return files

    # ---------------------------------------------------------------- what is told meanwhile

    def _take(self, said: Mapping[str, Any]) -> None:
        sent = self._sent.get(str(said.get("key")))
        if sent is None:
            return
        place = sent.place = str(said.get("place"))
        if said.get("taken") and place != sent.noted:
            sent.noted, before = place, sent.noting
            sent.noting = asyncio.create_task(self._note(sent.held, place, before))
        if isinstance(made := said.get("made"), bytes) and not sent.told.done():
            sent.told.set_result(made)
        if isinstance(progress := said.get("progress"), dict):
            sent.held.report(Progress.model_validate(progress))

    async def _note(self, held: Held, place: str, before: asyncio.Task[None] | None) -> None:
        """Write down which server has the prompt. A second time when Dask has begun it anew elsewhere."""
        if before is not None:
            await asyncio.wait([before])
        await held.update(partial(_noted, place=place, phase=Phase.SUBMITTED))

    # ---------------------------------------------------------------- ending it

    async def cancel(self, job: Job) -> bool:
        """Take the prompt off its server; of a task that waits in Dask nothing is left."""
        future = self._left.pop(job.id, None)
        if job.open_attempt is not None and self._link.is_up:
            await self._revoke(job, job.open_attempt, future)
        return False

    async def call_back(self, job: Job) -> bool:
        """Take the prompt off its server, when the worker beside that is there."""
        if job.open_attempt is None:
            return False
        if not self._link.is_up:
            raise ServiceUnreachable(f"The cluster at {self._link.address} does not answer")
        return await self._revoke(job, job.open_attempt, None)

    async def _revoke(self, job: Job, attempt: Attempt, future: Future | None) -> bool:
        """Take a prompt off its server; returns whether there was somebody to do it. Raises ServiceError."""
        client = await self._link.client()
        key = f"{job.id}-{job.fence}"
        try:
            async with asyncio.timeout(REVOKE_S):
                where = await self._who_has(client, key) or self._link.beside(attempt.host)
                if where is not None:
                    said = await client.run(
                        beside.revoke, key, attempt.remote_id or "", workers=[where]
                    )
                    error = said.get(where)
                    if error is not None:
                        raise error_of(error)
                if future is not None:
                    await future.cancel()
        except (OSError, TimeoutError, CancelledError) as error:
            raise ServiceUnreachable(f"The cluster did not answer: {error}") from error
        return where is not None

    async def _who_has(self, client: Client, key: str) -> str | None:
        """The worker that was given a task."""
        processing = await client.processing()
        return next((address for address, keys in processing.items() if key in keys), None)

    def keeps(self, job: Job, error: Exception, *, last: bool) -> bool:
        """A prompt that a server has taken is asked for again, unless the server itself gave it up.

        Not after the last try, nor when there are other servers to go to.
        """
        attempt = job.open_attempt
        if last or attempt is None or attempt.phase is Phase.INTENT:
            return False
        if isinstance(error, ServiceUnreachable) and len(self._link.workers) > 1:
            return False
        return not (isinstance(error, ServiceError) and error.final)


def _told_later() -> asyncio.Future[bytes]:
    return asyncio.get_running_loop().create_future()


def _noted(job: Job, *, place: str, phase: Phase) -> Job:
    """With the server that has its prompt, or in the phase INTENT may have it."""
    attempt = job.attempts[-1]
    if (attempt.host, attempt.phase) == (place, phase):
        return job
    line = f"[worker] comfy promptId: {attempt.remote_id} at {place}"
    return job.with_attempt(phase=phase, host=place).logged(line)


def _kind(job: Job) -> Kind:
    return Kind(job.backend, None, job.workflow, backends.models_named(job.params))


def _tags(kind: Kind) -> tuple[str, ...]:
    """The resources that an attempt takes: a place at a ComfyUI, the backend, the models that its user named."""
    named = [kind.backend] if kind.workflow is None and kind.backend in backends.BACKENDS else []
    return (COMFYUI, *dict.fromkeys(model_tag(name) for name in (*named, *kind.needs)))
