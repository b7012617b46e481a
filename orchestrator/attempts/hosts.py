"""The ComfyUI servers of a lab: which of them may have a job, and which first.

A server is looked at in the background: whether it answers, how long its queue is, what models it has. Nobody tells
which checkpoint is in a GPU's memory; the one it was sent last is taken to be.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from orchestrator import logs
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.errors import OrchestratorError, ServiceError
from orchestrator.store import Kind
from orchestrator.workflows import Offered

logger = logging.getLogger(__name__)

AWAY_S = 5.0  # a server that did not answer gets no more jobs for this long, or until it answers
PROBE_S = 1.0
QUEUE_EVERY_S = 2.0
INFO_EVERY_S = 60.0
FIRST_LOOK_S = 2.0
LOAD_S = 5.0  # to load another checkpoint, in the reckoning of who is done first
GUESSED_JOB_S = 2.0  # what a job takes at a server that has done none yet
SMOOTHING = 0.3  # the weight of the newest job in a server's mean

#: Why a server cannot run jobs of a kind, as far as its models tell; None when it can.
Judge = Callable[[Kind, Offered], str | None]


@dataclass
class Host:
    """One server, as far as it is known. Read from the store's threads, written by the event loop."""

    client: ComfyUI
    busy: int = 0  # our jobs that are there
    queue: int = 0  # prompts there, anybody's
    away_until: float = 0.0
    offered: Offered | None = None
    sent: Kind | None = None  # the newest job it got
    job_s: float | None = None  # mean time of a job, seconds
    unable: dict[Kind, str | None] = field(default_factory=dict)

    @property
    def is_away(self) -> bool:
        return self.away_until > time.monotonic()

    def lacks(self, kind: Kind, judge: Judge) -> str | None:
        """Why it cannot run the kind; None when it can, or is not known well enough."""
        if self.offered is None:
            return None
        plain = kind._replace(host=None)
        if plain not in self.unable:
            self.unable[plain] = judge(plain, self.offered)
        return self.unable[plain]

    def wait_s(self, kind: Kind) -> float:
        """How long from now a job of the kind would take to be done here."""
        ahead = max(self.busy, self.queue)
        has_loaded = self.sent is not None and (self.sent.backend, self.sent.needs) == (
            kind.backend,
            kind.needs,
        )
        each_s = GUESSED_JOB_S if self.job_s is None else self.job_s
        return (ahead + 1) * each_s + (0.0 if has_loaded else LOAD_S)


class Hosts:
    """All servers of a lab."""

    def __init__(
        self,
        clients: Iterable[ComfyUI],
        *,
        judge: Judge,
        offered: Callable[[ComfyUI], Awaitable[Offered]],
        on_back: Callable[[], None],
    ) -> None:
        """`offered` asks a server what it has; `on_back` is called when one that was away answers again."""
        self._hosts: Mapping[str, Host] = {public(client.url): Host(client) for client in clients}
        self._judge = judge
        self._offered = offered
        self._on_back = on_back
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._watching: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def get(self, url: str) -> Host | None:
        """The server of that address, if it is one of the lab's."""
        return self._hosts.get(url)

    def best(self, kind: Kind) -> Sequence[str]:
        """Where a job of the kind may go, first where it is likely to be done first. Empty: it has to wait."""
        there = {url: host for url, host in self._hosts.items() if not host.is_away}
        able = {url: host for url, host in there.items() if host.lacks(kind, self._judge) is None}
        if not able and self._can_wait_for(kind):
            return []
        # where none is able, the first one says what is missing
        return sorted(able or there, key=lambda url: self._hosts[url].wait_s(kind))

    def _can_wait_for(self, kind: Kind) -> bool:
        """Whether a server that is away now is known to be able to run the kind."""
        return any(
            host.is_away and host.offered is not None and host.lacks(kind, self._judge) is None
            for host in self._hosts.values()
        )

    def others_can(self, kind: Kind, *, than: str) -> bool:
        """Whether another server that answers is known to have what the kind needs."""
        return any(
            url != than
            and not host.is_away
            and host.offered is not None
            and host.lacks(kind, self._judge) is None
            for url, host in self._hosts.items()
        )

    def note_unable(self, url: str, kind: Kind, why: str) -> None:
        """Remember that a server refused a job, until its models are looked at anew."""
        self._hosts[url].unable[kind._replace(host=None)] = why

    def note_done(self, url: str, seconds: float) -> None:
        """Remember how long a job took at a server."""
        host = self._hosts[url]
        before = seconds if host.job_s is None else host.job_s
        host.job_s = before + SMOOTHING * (seconds - before)

    # ---------------------------------------------------------------- looking at them

    async def open(self) -> None:
        """Have a first look at all servers, and look again from time to time. One alone needs no looking at."""
        if len(self._hosts) < 2:
            return
        self._watching = [
            asyncio.create_task(self._watch(host), name=f"watch {url}")
            for url, host in self._hosts.items()
        ]
        looks = [asyncio.create_task(self._look(url)) for url in self._hosts]
        _, late = await asyncio.wait(looks, timeout=FIRST_LOOK_S)
        for look in late:
            look.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _look(self, url: str) -> None:
        host = self._hosts[url]
        try:
            await self._learn(host)
        except ServiceError:
            self.note_away(url)

    async def _learn(self, host: Host) -> None:
        host.offered = await self._offered(host.client)
        host.unable = {}

    async def _watch(self, host: Host) -> None:
        learnt_at = time.monotonic()
        while True:
            await asyncio.sleep(QUEUE_EVERY_S)
            if host.is_away:
                continue
            try:
                host.queue = await host.client.queue_length()
                if host.offered is None or time.monotonic() - learnt_at > INFO_EVERY_S:
                    await self._learn(host)
                    learnt_at = time.monotonic()
            except ServiceError:
                self.note_away(public(host.client.url))
            except OrchestratorError as error:
                logger.warning("Could not look at %s: %s", public(host.client.url), error)

    # ---------------------------------------------------------------- servers that are away

    def note_away(self, url: str) -> None:
        """Spare the other jobs: each would burn its attempts on a server that is only being restarted."""
        self._hosts[url].away_until = time.monotonic() + AWAY_S
        if url not in self._probes:
            # the probe outlives the job that found the server away: its lines are not about that job
            probe = asyncio.get_running_loop().create_task(
                self._probe(url), name=f"probe {url}", context=logs.about_no_job()
            )
            self._probes[url] = probe

    async def _probe(self, url: str) -> None:
        host = self._hosts[url]
        try:
            while host.is_away:
                await asyncio.sleep(PROBE_S)
                with suppress(ServiceError):
                    await host.client.system_stats()
                    break
            host.away_until = 0.0
            self._on_back()
        finally:
            del self._probes[url]

    async def close(self) -> None:
        """Look no more, and close the connections; what runs on the servers goes on."""
        tasks = [*self._probes.values(), *self._watching]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for host in self._hosts.values():
            await host.client.close()


def public(url: str) -> str:
    """A server's address as job files and pictures may show it: without a password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
