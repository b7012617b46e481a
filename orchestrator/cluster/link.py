"""The lab's line to a Dask scheduler: kept up, and what is at its other end."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from distributed import Client

from orchestrator.cluster.wire import COMFYUI
from orchestrator.errors import ServiceUnreachable

logger = logging.getLogger(__name__)

LOOK_S = 0.5
CONNECT_S = 5.0
ANSWER_S = 10.0  # a scheduler that is silent for so long is taken for gone
OPEN_S = 5.0  # how long the start waits for a first look
STAYING = frozenset({"running", "paused"})  # the others are about to end
BACK_S = 60.0  # a worker that was there may be being restarted: its jobs wait so long


@dataclass(frozen=True)
class Seen:
    """A worker of the cluster. `place` is its ComfyUI, `tags` its resources; not `ready` while that does not answer."""

    address: str
    place: str
    tags: Mapping[str, float]
    ready: bool

    def has(self, tags: Iterable[str]) -> bool:
        """Whether it may run what needs the tags."""
        return all(self.tags.get(tag, 0.0) >= 1.0 for tag in tags)


class Link:
    """One connection after the other to the scheduler at `address`. Read from any thread, changed by the event loop."""

    def __init__(
        self,
        address: str,
        *,
        topic: str,
        on_event: Callable[[Mapping[str, Any]], None],
        on_change: Callable[[], None],
    ) -> None:
        """`on_event` gets what workers tell under `topic`, `on_change` is called when there is more or less room."""
        self.address = address
        self.topic = f"orchestrator-{hashlib.sha256(topic.encode()).hexdigest()[:16]}"
        self.workers: tuple[Seen, ...] = ()
        self._on_event = on_event
        self._on_change = on_change
        self._client: Client | None = None
        self._up = asyncio.Event()
        self._broken = asyncio.Event()
        self._had: dict[tuple[str, ...], float] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._down_since: float | None = None

    # ---------------------------------------------------------------- what is there

    @property
    def is_up(self) -> bool:
        """Whether the scheduler answers."""
        return self._client is not None

    def places(self, tags: Iterable[str]) -> int:
        """How many attempts that need the tags can run at once."""
        wanted = tuple(tags)
        room = sum(
            int(each.tags[COMFYUI]) for each in self.workers if each.ready and each.has(wanted)
        )
        if room or any(each.has(wanted) for each in self.workers):
            self._had[wanted] = time.monotonic()
        return room

    def had(self, tags: Iterable[str]) -> bool:
        """Whether a worker with the tags was there a while ago."""
        return time.monotonic() - self._had.get(tuple(tags), -BACK_S) < BACK_S

    def beside(self, place: str) -> str | None:
        """The Dask address of a worker beside that ComfyUI."""
        return next((each.address for each in self.workers if each.place == place), None)

    async def client(self) -> Client:
        """The connection, as soon as there is one."""
        while self._client is None:
            await self._up.wait()
            await asyncio.sleep(0)
        return self._client

    def lost(self, client: Client) -> None:
        """Say that a connection has failed: another one is made."""
        if client is self._client:
            self._broken.set()

    # ---------------------------------------------------------------- keeping it up

    async def open(self) -> None:
        """Begin to connect, and wait a moment for it."""
        self._keeping = asyncio.create_task(self._keep(), name="keep the cluster")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), OPEN_S)

    async def close(self) -> None:
        """End the connection."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            try:
                await self._stay()
            except (OSError, TimeoutError, ServiceUnreachable) as error:
                if self._down_since is None:
                    self._down_since = time.monotonic()
                    logger.error(
                        "The scheduler at %s does not answer (%s). %s",
                        self.address,
                        type(error).__name__,
                        remedy(self.address),
                    )
            await asyncio.sleep(LOOK_S)

    async def _stay(self) -> None:
        """One connection, until it fails."""
        client = await Client(
            self.address,
            asynchronous=True,
            set_as_default=False,
            timeout=CONNECT_S,
            name="orchestrator",
        )
        try:
            client.subscribe_topic(self.topic, self._take)
            scheduler = await self._look(client, None)
            self._broken.clear()
            self._client = client
            self._up.set()
            if self._down_since is not None:
                logger.warning("The scheduler at %s answers again", self.address)
                self._down_since = None
            self._on_change()
            while not self._broken.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._broken.wait(), LOOK_S)
                await self._look(client, scheduler)
        finally:
            self._client = None
            self._up.clear()
            self.workers = ()
            with suppress(Exception):
                async with asyncio.timeout(CONNECT_S):
                    await client.close()

    async def _look(self, client: Client, scheduler: str | None) -> str:
        """Look which workers there are. Returns the scheduler's id; raises when it is not `scheduler` any more."""
        if client.status != "running":
            raise ServiceUnreachable("The connection is broken")
        async with asyncio.timeout(ANSWER_S):
            said = await client.scheduler.identity()
        if scheduler is not None and said["id"] != scheduler:
            raise ServiceUnreachable("Another scheduler stands in its place")
        before = self.workers
        self.workers = seen(said)
        if before != self.workers:
            self._on_change()
        return str(said["id"])

    def _take(self, event: tuple[float, Any]) -> None:
        said = event[1]
        if isinstance(said, Mapping):
            self._on_event(said)


def remedy(address: str) -> str:
    """What to do about a scheduler that does not answer."""
    port = address.rpartition(":")[2]
    return (
        f"Start it again: `orchestrator cluster scheduler --port {port}` on its machine. "
        "The jobs wait and go on then; or work without it: leave out --cluster."
    )


def seen(identity: Mapping[str, Any]) -> tuple[Seen, ...]:
    """The workers that take attempts, from a scheduler's description of itself."""
    return tuple(
        Seen(
            address,
            str(worker["name"]).rpartition("#")[0],
            dict(worker["resources"]),
            ready=worker["status"] == "running",
        )
        for address, worker in identity["workers"].items()
        if worker["status"] in STAYING and worker["resources"].get(COMFYUI)
    )
