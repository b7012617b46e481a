"""The embedded engine in a guardian's care."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from orchestrator.guardian.ward import Trouble, Ward
from orchestrator.health import comfyui_host

DEAF_S = 4.0  # it paints in threads: deafness is a hang
REMEDY = "Read the end of logs/engine.log; another program may hold its port."


class Engine(Protocol):
    """What is asked of an engine."""

    url: str

    def ended(self) -> str | None: ...


def ward(current: Callable[[], Engine | None], restart: Callable[[], object]) -> Ward:
    """`current`: the engine, None while there is none to look after. `restart` blocks, and raises what goes wrong."""

    async def look() -> Trouble | None:
        engine = current()
        if engine is None:
            return None
        if why := engine.ended():
            return Trouble(why)
        health, _ = await comfyui_host(engine.url)
        return None if health.is_running else Trouble("it does not answer", DEAF_S)

    async def again() -> None:
        await asyncio.to_thread(restart)

    return Ward("engine", look, again, remedy=REMEDY)
