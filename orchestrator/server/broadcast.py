"""What changes in the lab, told to whoever follows the stream: each event made once, numbered, and kept for a while."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from orchestrator.errors import JobNotFound, OrchestratorError
from orchestrator.gallery import GalleryImage
from orchestrator.health import HealthReport
from orchestrator.jobs import Job, Progress, Status
from orchestrator.lab import Lab
from orchestrator.server.texts import health_document, job_document, statuses
from orchestrator.store.jobfiles import QUEUE, Subscription

KEPT = 5_000  # events a client that was away may ask for
KEPT_BYTES = 32_000_000
BACKLOG = 2_000  # events; a client that is further behind is told to begin anew
PROGRESS_S = 0.25  # at least, between two events of one job that only got further
HEALTH_S = 10.0
PING_S = 15.0
STUCK_PINGS = 4  # a follower that takes nothing while so many are due is dead
BREATH_S = 0.0002  # for each follower, between two rounds: in a burst each round then tells of many changes
LONGEST_BREATH_S = 0.1
REMEMBERED = 20_000  # jobs whose last event is known
CLOSE_S = 1.0
WRITE_BYTES = 128_000  # given to a connection at once
RETRY_MS = 1_000

logger = logging.getLogger(__name__)
Event = tuple[str, bytes]  # its name and its data
GONE = (-1, 0)
DIGITS = re.compile(r"[0-9]{1,18}")  # Python reads no number of thousands of them


class Client:
    """One follower: what it has not been sent yet."""

    def __init__(self, *, backlog: int = BACKLOG, cut: Callable[[], None]) -> None:
        """`cut` breaks its connection off."""
        self.cut = cut
        self._backlog = backlog
        self._frames: deque[bytes] = deque()
        self._woken = asyncio.Event()
        self._ended = False
        self._taken_at = time.monotonic()

    @property
    def idle_s(self) -> float:
        """For how long it has taken nothing although there is something; 0 when there is nothing."""
        return time.monotonic() - self._taken_at if self._frames else 0.0

    def put(self, frames: Iterable[bytes]) -> bool:
        """Have frames sent; False when there are too many that were not."""
        if not self._frames:
            self._taken_at = time.monotonic()
        self._frames.extend(frames)
        self._woken.set()
        return len(self._frames) <= self._backlog

    def restart(self, frame: bytes) -> None:
        """Have nothing sent but this frame."""
        self._frames.clear()
        self.put([frame])

    def end(self) -> None:
        """Have nothing more sent."""
        self._ended = True
        self._woken.set()

    async def take(self) -> bytes | None:
        """What to send next, as soon as there is something; None at the end."""
        while not self._frames and not self._ended:
            self._woken.clear()
            await self._woken.wait()
        if self._ended:
            return None
        self._taken_at = time.monotonic()
        taken, size = [], 0
        while self._frames and size < WRITE_BYTES:
            taken.append(self._frames.popleft())
            size += len(taken[-1])
        return b"".join(taken)


@dataclass(slots=True)
class _Last:
    """A job as it was last told of."""

    said: tuple[int, int]  # its revision and a hash of what was told
    running: bool
    at: float  # of the monotonic clock


class Broadcaster:
    """The events of one server, the newest of them kept for those who come back. To be used in one event loop; it
    listens to the store's threads."""

    def __init__(
        self,
        lab: Lab,
        *,
        describe: Callable[[GalleryImage], dict[str, Any]] | None = None,
        live: Callable[[str, Progress], dict[str, Any]] | None = None,
        health: Callable[[], Any] | None = None,
        kept: int = KEPT,
        backlog: int = BACKLOG,
        health_s: float = HEALTH_S,
        ping_s: float = PING_S,
    ) -> None:
        """`describe` makes what is told of a picture, `live` of a job's live progress, `health` (a coroutine) a
        health report."""
        self._lab = lab
        self._describe = describe or (lambda image: image.model_dump(mode="json", by_alias=True))
        self._live = live
        self._health = health or lab.health
        self._epoch = secrets.token_hex(4)  # another server's numbers mean nothing to this one
        self._number = 0
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._most_kept = kept
        self._backlog = backlog
        self._health_s = health_s
        self._ping_s = ping_s
        self._clients: set[Client] = set()
        self._anyone = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: list[Subscription] = []
        self._pending: set[str] = set()
        self._images: list[GalleryImage | None] = []
        self._pictures: dict[str, int] = {}  # by file: a hash of what was told
        self._woken = asyncio.Event()
        self._late: set[str] = set()
        self._since = lab.store.now()
        self._known: set[str] = set()
        self._last: OrderedDict[str, _Last] = OrderedDict()
        self._paused: object = None
        self._statuses: dict[str, str] | None = None

    @property
    def clients(self) -> int:
        """How many follow."""
        return len(self._clients)

    async def begin(self) -> None:
        """Listen to the lab from now on, if it does not yet. Raises OSError."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="open the stream")
        try:
            await asyncio.shield(self._opening)
        except OSError:
            self._opening = None
            raise

    async def join(self, last_id: str | None, *, cut: Callable[[], None]) -> Client:
        """A new follower, who gets what it missed since `last_id`, as far as that is known. `cut` breaks its
        connection off. Raises OSError."""
        await self.begin()
        client = Client(backlog=self._backlog + self._most_kept, cut=cut)
        client.put([f"retry: {RETRY_MS}\n".encode()])
        missed = self._after(last_id) if last_id else []
        if missed is None:
            client.put([self._reset("the events since then are gone")])
        else:
            # the id of what the client has by now: it may be cut off again before it has what it missed
            client.put([f"id: {self._id(self._number - len(missed))}\n\n".encode(), *missed])
        self._clients.add(client)
        self._anyone.set()
        return client

    def leave(self, client: Client) -> None:
        """Forget a follower."""
        self._clients.discard(client)
        if not self._clients:
            self._anyone.clear()

    async def close(self) -> None:
        """End: for the followers as well."""
        for subscription in self._subscriptions:
            subscription.end()
        self._subscriptions.clear()
        tasks = [*self._tasks, *filter(None, [self._opening])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for client in self._clients:
            client.end()
        for _ in range(100):
            if not self._clients:
                return
            await asyncio.sleep(CLOSE_S / 100)

    # ---------------------------------------------------------------- hearing

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()

        def tell(act: Callable[..., None], *what: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(act, *what)

        await asyncio.to_thread(self._look)
        watch, pictures = self._lab.store.watch, self._lab.gallery.watch
        self._subscriptions.append(watch(lambda changed: tell(self._note, set(changed))))
        self._subscriptions.append(
            await asyncio.to_thread(pictures, lambda new: tell(self._note_images, list(new)))
        )
        self._tasks = [
            asyncio.create_task(self._digest(), name="tell of changes"),
            asyncio.create_task(self._look_after_health(), name="tell of health"),
            asyncio.create_task(self._keep_alive(), name="keep streams alive"),
        ]

    def _look(self) -> None:
        """Know what is there, so that only what comes later is new."""
        self._since = self._lab.store.now()
        with os.scandir(self._lab.store.layout.root) as items:
            self._known = {item.name[:-5] for item in items if item.name.endswith(".json")}
        with os.scandir(self._lab.paths.drop_out) as items:
            self._pictures = {item.name: 0 for item in items}
        self._lab.store.refresh()
        self._paused = self._lab.pause_note()

    def _note(self, changed: set[str]) -> None:
        self._pending |= changed
        self._woken.set()

    def _note_images(self, images: list[GalleryImage]) -> None:
        self._images += images or [None]  # none: some went, or many came
        self._woken.set()

    def _note_late(self) -> None:
        late, self._late = self._late, set()
        self._note(late)

    async def _digest(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            changed, self._pending = self._pending, set()
            images, self._images = self._images, []
            try:
                events, late = await asyncio.to_thread(self._read, changed)
            except Exception:  # one odd job must not leave everybody blind
                logger.exception("Could not tell of a change")
                continue
            self._publish(
                [*events, *(event for image in images for event in self._of_image(image))]
            )
            if late and not self._late:
                asyncio.get_running_loop().call_later(PROGRESS_S, self._note_late)
            self._late |= late
            await asyncio.sleep(min(LONGEST_BREATH_S, BREATH_S * len(self._clients)))

    async def _keep_alive(self) -> None:
        """A proxy would close a connection that says nothing, and nobody would notice one that is dead."""
        while True:
            await asyncio.sleep(self._ping_s)
            for client in list(self._clients):
                if client.idle_s > STUCK_PINGS * self._ping_s:
                    self.leave(client)
                    client.end()
                    client.cut()
                elif not client.idle_s:
                    client.put([b": ping\n\n"])

    async def _look_after_health(self) -> None:
        while True:
            await self._anyone.wait()
            try:
                report: HealthReport = await self._health()
            except Exception:
                logger.exception("Could not look at the lab's health")
            else:
                found = statuses(report)
                if self._statuses is not None and found != self._statuses:
                    said = orjson.dumps(health_document(report))
                    self._publish([("health:changed", said)])
                self._statuses = found
            await asyncio.sleep(self._health_s)

    # ---------------------------------------------------------------- comparing; in a thread, one at a time

    def _read(self, changed: set[str]) -> tuple[list[Event], set[str]]:
        """The events of jobs that may have changed, and the ids to look at again a little later."""
        events: list[Event] = []
        late: set[str] = set()
        # ids sort by time: created in that order, told in that order
        for job_id in sorted(changed):
            if job_id == QUEUE:
                events += self._read_queue()
                continue
            try:
                job = self._lab.store.get(job_id)
            except JobNotFound:
                events += self._gone(job_id)
            except (OrchestratorError, OSError):
                continue  # a file that is no job, or a share that is away: the next change tells
            else:
                event = self._compare(job)
                if event is None:
                    late.add(job_id)
                events += event or []
        return events, late

    def _compare(self, job: Job) -> list[Event] | None:
        """The event of a job as it is now; none if it is as it was; None when it is too early to say again."""
        document = {"jobId": job.id, "job": job_document(job, light=True)}
        running = job.status is Status.RUNNING
        if running and self._live and (progress := self._lab.store.progress.read(job.id)):
            document["live"] = self._live(job.id, progress)
        data = orjson.dumps(document)
        said, now = (job.revision, hash(data)), time.monotonic()
        last = self._last.get(job.id)
        if last is not None and last.said == said:
            return []
        only_further = last is not None and last.running and running and last.said[0] == said[0]
        if last is not None and only_further and now - last.at < PROGRESS_S:
            return None
        fresh = job.created_at >= self._since or job.revision <= 1
        came_back = last is not None and last.said == GONE
        is_new = came_back or (last is None and job.id not in self._known and fresh)
        self._remember(job.id, _Last(said, running, now))
        return [("job:created" if is_new else "job:changed", data)]

    def _gone(self, job_id: str) -> list[Event]:
        last = self._last.get(job_id)
        if last is not None and last.said == GONE:
            return []
        self._remember(job_id, _Last(GONE, False, time.monotonic()))
        return [("job:removed", orjson.dumps({"jobId": job_id, "job": {"id": job_id}}))]

    def _remember(self, job_id: str, last: _Last) -> None:
        self._last[job_id] = last
        self._last.move_to_end(job_id)
        self._known.add(job_id)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)

    def _read_queue(self) -> list[Event]:
        note = self._lab.pause_note()
        if note == self._paused:
            return []
        self._paused = note
        paused = note.model_dump(mode="json", by_alias=True) if note else None
        return [("queue:changed", orjson.dumps({"paused": paused}))]

    def _of_image(self, image: GalleryImage | None) -> list[Event]:
        if image is None:
            return [("images:changed", b"{}")]
        data = orjson.dumps({"image": self._describe(image)})
        said = hash(data)
        if self._pictures.get(image.file) == said:
            return []
        name = "image:changed" if image.file in self._pictures else "image:published"
        self._pictures[image.file] = said
        return [(name, data)]

    # ---------------------------------------------------------------- telling

    def _id(self, number: int) -> str:
        return f"{self._epoch}-{number}"

    def _publish(self, events: list[Event]) -> None:
        frames = []
        for name, data in events:
            self._number += 1
            head = f"id: {self._id(self._number)}\nevent: {name}\ndata: ".encode()
            frames.append(head + data + b"\n\n")
            self._kept.append(frames[-1])
            self._kept_bytes += len(frames[-1])
        while len(self._kept) > self._most_kept or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft())
        for client in self._clients if frames else ():
            if not client.put(frames):
                client.restart(self._reset("you read more slowly than the lab changes"))

    def _after(self, last_id: str) -> list[bytes] | None:
        """The events after one of them; None when not all of them are known."""
        epoch, _, number = last_id.partition("-")
        if epoch != self._epoch or not DIGITS.fullmatch(number):
            return None
        missing = self._number - int(number)
        if not 0 <= missing <= len(self._kept):
            return None
        return list(self._kept)[len(self._kept) - missing :]

    def _reset(self, why: str) -> bytes:
        data = orjson.dumps({"reason": why, "remedy": "Fetch GET /api/jobs and /api/images anew."})
        return f"id: {self._id(self._number)}\nevent: reset\ndata: ".encode() + data + b"\n\n"
