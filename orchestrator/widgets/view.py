"""What every view is made of: a front end from files, messages that become actions, tasks that end with it."""

from __future__ import annotations

import asyncio
import logging
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
from orchestrator.widgets.thumbnails import whole_picture

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
LOOK_S = 2.0  # workers come and go without a change of any job
Message = Mapping[str, Any]
Action = Callable[[Message], Awaitable[None]]


@cache
def _static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


class View(anywidget.AnyWidget):
    """A widget whose messages {"action": …} are carried out one task each, and whose tasks end when it is closed.

    Tasks and actions only set traits: what they print would be lost on a page.
    """

    script: ClassVar[str]  # name of its file in static/, without the ending

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    notice = traitlets.Dict().tag(sync=True)  # number, text, remedy: what became of the last action
    banner = traitlets.Dict().tag(sync=True)  # text, remedy: what stands in the way now

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._tasks: set[asyncio.Task[None]] = set()
        self._actions: dict[str, Action] = {}
        self.on_msg(self._receive)

    @traitlets.default("_esm")
    def _read_script(self) -> str:
        # one module: what a widget's script imports would have to be served from somewhere
        return _static("shared.js") + _static(f"{self.script}.js")

    @traitlets.default("_css")
    def _read_style(self) -> str:
        return _static("lab.css")

    @property
    def tasks(self) -> frozenset[asyncio.Task[None]]:
        """What runs for this view now."""
        return frozenset(self._tasks)

    def close(self) -> None:
        """End the view's tasks and take it off the page."""
        for task in self._tasks:
            with suppress(RuntimeError):  # the loop has been closed, and its tasks with it
                task.cancel()
        super().close()

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run something in the background for as long as the view lives."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    def tell(self, text: str, remedy: str = "") -> None:
        """Say what became of an action."""
        number = int(self.notice.get("number", 0)) + 1  # the same words twice are two messages
        self.notice = {"number": number, "text": text, "remedy": remedy}

    def _receive(self, _: Any, message: Any, __: Any) -> None:
        action = (
            self._actions.get(str(message.get("action"))) if isinstance(message, dict) else None
        )
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

    def __init__(self, lab: Lab, *, job_id: str | None = None, **traits: Any) -> None:
        super().__init__(**traits)
        self._lab = lab
        self._drawing = asyncio.Lock()
        self._actions["picture"] = self._send_picture
        self.start(self._follow(job_id), name=f"{type(self).__name__} follows the lab")

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return False

    async def refresh(self) -> None:
        """Look at the lab and show what is there."""
        raise NotImplementedError

    async def _follow(self, job_id: str | None) -> None:
        with self._lab.changes(job_id) as changed:
            while not self.is_over:
                changed.clear()  # before looking: a change while we look must be looked at too
                await self.redraw()
                await asyncio.sleep(self.pause_s)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await changed.wait()

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

    def _picture(self, job: Job, index: Any) -> tuple[bytes, str]:
        return whole_picture(self._lab, job, index if type(index) is int else 0)


def worker_banner(lab: Lab) -> dict[str, str]:
    """Words for a page when no worker lives; empty when one does. Blocks on the disk."""
    alive = any(worker.alive for worker in lab.store.observer.workers())
    return {} if alive else NO_WORKER
