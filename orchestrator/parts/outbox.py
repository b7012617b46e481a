"""Events between the sources and who reads them: in order, never lost, and bounded for a reader that is slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.parts.values import Event, EventName

MAX_PORTIONS = 64  # that wait; beyond, a source's portions are joined
Data = Mapping[str, Any]


@dataclass
class _Waiting:
    name: EventName
    make: Callable[[], Data]  # when it leaves: what is replaced meanwhile is never written out
    key: str | None = None
    rows: list[Any] | None = None


class Outbox:
    """What has happened and was not read yet. Putting never waits, so no source is held up by a reader.

    Of a part only the newest version waits, and of portions not more than MAX_PORTIONS before those of one source
    become one: what waits is bounded by the number of parts and rows, however long nobody reads.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._upserts: dict[str, _Waiting] = {}
        self._portions: dict[str, _Waiting] = {}  # the last that waits, by source and origin
        self._count = 0  # of portions that wait
        self._news = asyncio.Event()
        self._closed = False
        self._id = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, name: EventName, data: Data) -> None:
        """Something has happened."""
        self._append(_Waiting(name, lambda: data))

    def upsert(self, key: str, make: Callable[[], Data]) -> None:
        """A part is new or has changed."""
        if (waiting := self._upserts.get(key)) is not None:
            waiting.make = make
            return
        self._upserts[key] = waiting = _Waiting("part:upsert", make, key)
        self._append(waiting)

    def portion(self, key: str, rows: list[Any], make: Callable[[list[Any]], Data]) -> None:
        """Rows of one source (`key`: and of one origin) have come."""
        last = self._portions.get(key)
        if last is not None and last.rows is not None and self._count >= MAX_PORTIONS:
            last.rows += rows
            return
        held = list(rows)
        self._portions[key] = waiting = _Waiting("provider:partial", lambda: make(held), key, held)
        self._count += 1
        self._append(waiting)

    def close(self) -> None:
        """Nothing more will happen."""
        self._closed = True
        self._news.set()

    async def events(self) -> AsyncGenerator[Event, None]:
        """What happens, numbered from 1, until it is closed and all is read."""
        while True:
            while self._waiting:
                waiting = self._waiting.popleft()
                if waiting.name == "part:upsert":
                    del self._upserts[waiting.key or ""]
                elif waiting.rows is not None:
                    self._count -= 1
                    if self._portions.get(waiting.key or "") is waiting:
                        del self._portions[waiting.key or ""]
                self._id += 1
                yield Event(id=self._id, name=waiting.name, data=waiting.make())
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()

    def _append(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._news.set()
