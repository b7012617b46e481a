"""Prompts in memory: waiting, running, and what became of them. A restart forgets all of it, as ComfyUI's does."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

JSON = Any

MAX_HISTORY = 10_000
# never shown in /queue or /history
SECRETS = frozenset({"auth_token_comfy_org", "api_key_comfy_org"})


@dataclass(eq=False)
class Item:
    """One submitted prompt."""

    number: float
    prompt_id: str
    prompt: dict[str, JSON]
    extra_data: dict[str, JSON]
    outputs: list[str]  # the output nodes to run
    create_time: int  # ms
    interrupted: threading.Event = field(default_factory=threading.Event)

    @property
    def client_id(self) -> str | None:
        return self.extra_data.get("client_id")

    def to_json(self) -> list[JSON]:
        return [self.number, self.prompt_id, self.prompt, self.extra_data, self.outputs]


@dataclass(frozen=True)
class Outcome:
    """How a prompt ended."""

    success: bool
    outputs: dict[str, JSON]
    meta: dict[str, JSON]
    messages: list[tuple[str, dict[str, JSON]]]

    @property
    def ending(self) -> str:
        """`success`, `error` or `interrupted`."""
        return self.messages[-1][0].removeprefix("execution_")


@dataclass(frozen=True)
class Done:
    """A prompt in the history."""

    item: Item
    outcome: Outcome

    def to_json(self) -> dict[str, JSON]:
        status = {
            "status_str": "success" if self.outcome.success else "error",
            "completed": self.outcome.success,
            "messages": [list(message) for message in self.outcome.messages],
        }
        return {
            "prompt": self.item.to_json(),
            "outputs": self.outcome.outputs,
            "status": status,
            "meta": self.outcome.meta,
        }


class PromptQueue:
    """A heap on (number, id), one running item and the history; safe to use from any thread."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._changed = threading.Condition()
        self._order = itertools.count()
        self._heap: list[tuple[float, str, int, Item]] = []
        self._running: Item | None = None
        self._history: dict[str, Done] = {}
        self._closed = False

    def put(self, item: Item) -> None:
        with self._changed:
            heapq.heappush(self._heap, (item.number, item.prompt_id, next(self._order), item))
            self._changed.notify()
        self._on_change()

    def take(self) -> Item | None:
        """Wait for the next item and make it the running one; None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._heap or self._closed)
            if self._closed:
                return None
            self._running = heapq.heappop(self._heap)[-1]
            item = self._running
        self._on_change()
        return item

    def finish(self, item: Item, outcome: Outcome) -> None:
        with self._changed:
            if self._running is item:  # otherwise it was forgotten meanwhile, as by a restart
                self._running = None
                while len(self._history) >= MAX_HISTORY:
                    del self._history[next(iter(self._history))]
                self._history[item.prompt_id] = Done(item, outcome)
        self._on_change()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.interrupt()

    def remaining(self) -> int:
        with self._changed:
            return len(self._heap) + (self._running is not None)

    def snapshot(self) -> tuple[list[Item], list[Item]]:
        """What runs, and what waits in the order it will run."""
        with self._changed:
            running = [self._running] if self._running else []
            return running, [entry[-1] for entry in sorted(self._heap, key=lambda entry: entry[:3])]

    def delete(self, prompt_ids: Iterable[str]) -> list[str]:
        """Drop waiting prompts; returns those that were waiting."""
        unwanted = set(prompt_ids)
        with self._changed:
            gone = [entry for entry in self._heap if entry[1] in unwanted]
            self._keep([entry for entry in self._heap if entry[1] not in unwanted])
        if gone:
            self._on_change()
        return [entry[1] for entry in gone]

    def clear(self) -> None:
        with self._changed:
            self._keep([])
        self._on_change()

    def interrupt(self, prompt_id: str | None = None) -> bool:
        """Ask the running prompt, or only the named one, to stop at its next step."""
        with self._changed:
            running = self._running
            if running is None or (prompt_id is not None and running.prompt_id != prompt_id):
                return False
            running.interrupted.set()
            return True

    def cancel(self, prompt_id: str) -> bool:
        """Stop a prompt wherever it is; False when it neither runs nor waits."""
        return self.interrupt(prompt_id) or bool(self.delete([prompt_id]))

    def history(self) -> dict[str, Done]:
        with self._changed:
            return dict(self._history)

    def done(self, prompt_id: str) -> Done | None:
        with self._changed:
            return self._history.get(prompt_id)

    def drop_history(self, prompt_ids: Iterable[str] | None = None) -> None:
        with self._changed:
            for prompt_id in list(self._history) if prompt_ids is None else prompt_ids:
                self._history.pop(prompt_id, None)

    def forget(self) -> None:
        """Lose everything, as a restart does; what runs is stopped and leaves no trace."""
        with self._changed:
            if self._running:
                self._running.interrupted.set()
            self._running = None
            self._keep([])
            self._history.clear()
        self._on_change()

    def _keep(self, entries: list[tuple[float, str, int, Item]]) -> None:
        heapq.heapify(entries)
        self._heap = entries


def now_ms() -> int:
    return time.time_ns() // 1_000_000
