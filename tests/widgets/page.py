"""The browser's end of a view: sends what a click sends, and keeps what the view sends back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import comm
from comm.base_comm import BaseComm

from orchestrator.widgets.view import View

PATIENCE_S = 20.0


class Wire(BaseComm):
    """Takes the place of the kernel's connection to a page."""

    def __init__(self, **options: Any) -> None:
        self.sent: list[tuple[Any, list[bytes]]] = []
        super().__init__(**options)

    def publish_msg(self, msg_type: str, data: Any = None, **rest: Any) -> None:
        self.sent.append((data, list(rest.get("buffers") or [])))


def connect(monkeypatch: Any) -> None:
    """Have views talk to a Wire; without a kernel there is nothing else to talk to."""
    monkeypatch.setattr(comm, "create_comm", lambda **options: Wire(**options))


def press(view: View, action: str, **message: Any) -> None:
    """What the page sends when something is pressed."""
    view._handle_custom_msg({"action": action, **message}, [])


def answers(view: View) -> list[tuple[dict[str, Any], list[bytes]]]:
    """The messages that the view sent to its page, with their bytes."""
    custom = [(data, buffers) for data, buffers in view.comm.sent if data.get("method") == "custom"]
    return [(data["content"], buffers) for data, buffers in custom]


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something that a view does."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)
