"""What every view is made of: a front end from files, messages that become actions, tasks that end with it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from orchestrator.errors import OrchestratorError
from orchestrator.jobs import Failure, Job
from orchestrator.lab import Lab
from orchestrator.widgets.rows import NO_WORKER
from orchestrator.widgets.thumbnails import picture_path, whole_picture

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
LOOK_S = 2.0  # workers come and go without a change of any job
SEEN_S = 60.0  # a page says every 20 s that it shows a view: three times missed, and nobody does
Message = Mapping[str, Any]
Action = Callable[[Message], Awaitable[None]]
Life = Callable[[], Coroutine[Any, Any, None]]


@cache
def static(name: str) -> str:
    """The text of a file that comes with the views."""
    return (STATIC / name).read_text(encoding="utf-8")


class View(anywidget.AnyWidget):
    """A widget whose messages {"action": …} are carried out one task each, and whose tasks end when it is closed.

    Tasks and actions only set traits: what they print would be lost on a page. What a view does by itself it does
    only while somebody can see it: JupyterLab tells no kernel that the cell of a view was run again.
    """

    script: ClassVar[str]  # name of its file in static/, without the ending
    seen_s: ClassVar[float] = SEEN_S

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    # number, text, remedy, good: what became of the last action; about: the job it was about, if one
    notice = traitlets.Dict().tag(sync=True)
    banner = traitlets.Dict().tag(sync=True)  # text, remedy: what stands in the way now

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._tasks: set[asyncio.Task[None]] = set()
        self._actions: dict[str, Action] = {}
        self._seen = time.monotonic()
        self._life: tuple[Life, str] | None = None
        self._living: asyncio.Task[None] | None = None
        self.on_msg(self._receive)

    @traitlets.default("_esm")
    def _read_script(self) -> str:
        # one module: what a widget's script imports would have to be served from somewhere
        return static("shared.js") + static(f"{self.script}.js")

    @traitlets.default("_css")
    def _read_style(self) -> str:
        own = f"{self.script}.css"
        return static("lab.css") + (static(own) if (STATIC / own).is_file() else "")

    @property
    def tasks(self) -> frozenset[asyncio.Task[None]]:
        """What runs for this view now."""
        return frozenset(self._tasks)

    @property
    def is_seen(self) -> bool:
        """Whether a page has said lately that it shows the view."""
        return time.monotonic() - self._seen < self.seen_s

    def close(self) -> None:
        """End the view's tasks and take it off the page."""
        self._life = None
        for task in self._tasks:
            with suppress(RuntimeError):  # the loop has been closed, and its tasks with it
                task.cancel()
        super().close()

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run something in the background for as long as the view lives."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)
        return task

    def live(self, life: Life, *, name: str) -> None:
        """Run what the view does by itself. It ends when it finds that the view is not seen, and is run anew when a
        page shows the view again."""
        self._life = life, name
        self._wake()

    def _wake(self) -> None:
        if self._life is not None and (self._living is None or self._living.done()):
            life, name = self._life
            self._living = self.start(life(), name=name)

    def tell(self, text: str, remedy: str = "", *, good: bool = False, about: str = "") -> None:
        """Say what became of an action; beside the job that it was `about`, if the page shows that one."""
        number = int(self.notice.get("number", 0)) + 1  # the same words twice are two messages
        said = {"number": number, "text": text, "remedy": remedy, "good": good}
        self.notice = {**said, "about": about} if about else said

    def _receive(self, _: Any, message: Any, buffers: Any) -> None:
        if not isinstance(message, dict):
            return
        message = {**message, "buffers": buffers}
        if message.get("action") == "shown":
            self._seen = time.monotonic()
            self._wake()
            return
        action = self._actions.get(str(message.get("action")))
        if action is not None:
            name = f"{type(self).__name__} {message['action']}"
            self.start(self._carry_out(action, message), name=name)

    async def _carry_out(self, action: Action, message: Message) -> None:
        try:
            await action(message)
        except OrchestratorError as error:
            self.tell(error.message, error.remedy)
        except Exception as error:
            logger.exception("An action of a view failed")
            failure = Failure.of(error)
            self.tell(failure.message, failure.remedy)


class LiveView(View):
    """A view that is drawn anew when a job changes, but not more often than every `pause_s`."""

    pause_s: ClassVar[float] = 0.1

    ready = traitlets.Bool(False).tag(sync=True)  # whether it has looked at the lab

    def __init__(self, lab: Lab, *, job_id: str | None = None, **traits: Any) -> None:
        super().__init__(**traits)
        self._lab = lab
        self._drawing = asyncio.Lock()
        self._actions |= {"picture": self._send_picture, "use": self._use_picture}
        self._job_id = job_id
        self._behind = True
        self.live(self.follow, name=f"{type(self).__name__} follows the lab")

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return False

    async def refresh(self) -> None:
        """Look at the lab and show what is there."""
        raise NotImplementedError

    async def follow(self) -> None:
        """Draw at once, then at every change, until nobody sees the view or nothing will change any more."""
        if self.is_over:
            return
        self._behind = True
        with self._lab.changes(self._job_id) as changed:
            while self.is_seen and not self.is_over:
                changed.clear()  # before looking: a change while we look must be looked at too
                await self.redraw()
                await asyncio.sleep(self.pause_s)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await changed.wait()

    def page(self, **wanted: Any) -> tuple[list[Job], int]:
        """Jobs as `lab.page` gives them; blocks. Once the view has caught up the lab's watch keeps it so: to look
        through a folder of ten thousand jobs for every change would take longer than the change."""
        found = self._lab.page if self._behind else self._lab.store.page
        jobs = found(**wanted)
        self._behind = False
        return jobs

    async def redraw(self) -> None:
        """Show what is there, or why it cannot be shown."""
        async with self._drawing:  # an older look must not be shown over a newer one
            try:
                await self.refresh()
            except OrchestratorError as error:
                self.banner = {"text": error.message, "remedy": error.remedy}
            except Exception as error:
                logger.exception("A view could not be drawn")
                failure = Failure.of(error)
                self.banner = {"text": failure.message, "remedy": failure.remedy}
            self.ready = True

    async def _send_picture(self, message: Message) -> None:
        """Answer a page that wants to show a whole picture."""
        asked = {"kind": "picture", "key": str(message.get("key", ""))[:200]}
        try:
            job = (await asyncio.to_thread(self._lab.job, str(message.get("id", "")))).job
            data, mime = await asyncio.to_thread(self._picture, job, message.get("index"))
        except OrchestratorError as error:
            self.send(asked | {"error": error.message, "remedy": error.remedy})
        else:
            self.send(asked | {"mime": mime}, buffers=[data])

    async def _use_picture(self, message: Message) -> None:
        """Copy a picture of a job to dropIn, and answer with its name there."""
        asked = {"kind": "used", "key": str(message.get("key", ""))[:200]}
        try:
            job = (await asyncio.to_thread(self._lab.job, str(message.get("id", "")))).job
            name = await asyncio.to_thread(self._copied, job, message.get("index"))
        except OrchestratorError as error:
            self.send(asked | {"error": error.message, "remedy": error.remedy})
        else:
            self.send(asked | {"name": name})

    def _copied(self, job: Job, index: Any) -> str:
        path = picture_path(self._lab, job, index if type(index) is int else 0)
        return self._lab.gallery.use_as_input(path.name if path else "")

    def _picture(self, job: Job, index: Any) -> tuple[bytes, str]:
        return whole_picture(self._lab, job, index if type(index) is int else 0)


def worker_banner(lab: Lab) -> dict[str, str]:
    """Words for a page when no worker lives; empty when one does. Blocks on the disk."""
    alive = any(worker.alive for worker in lab.store.observer.workers())
    return {} if alive else NO_WORKER
