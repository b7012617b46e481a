"""The embedded engine in a guardian's care."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from orchestrator.guardian.ward import Trouble, Ward
from orchestrator.health import comfyui_host
from orchestrator.health.processes import halted

DEAF_S = 4.0  # it paints in threads: deafness is a hang
HALTED_S = 2.0  # whoever stopped it may let it go on
REMEDY = "Read the end of logs/engine.log; another program may hold its port."


class Engine(Protocol):
    """What is asked of an engine."""

    url: str

    @property
    def pid(self) -> int: ...
    def ended(self) -> str | None: ...


def ward(current: Callable[[], Engine | None], restart: Callable[[], object]) -> Ward:
    """`current`: the engine, None while there is none to look after. `restart` blocks, and raises what goes wrong."""

    async def look() -> Trouble | None:
        engine = current()
        if engine is None:
            return None
        if why := engine.ended():
            return Trouble(why)
        # before it is asked: a stopped one costs all the time that an answer may take
        if state := await asyncio.to_thread(halted, engine.pid):
            return Trouble(f"its process is {state}", HALTED_S, by_hand=True)
        health, _ = await comfyui_host(engine.url)
        if health.is_running:
            return None
        return Trouble("it does not answer", DEAF_S)

    async def again() -> None:
        await asyncio.to_thread(restart)

    return Ward("engine", look, again, remedy=REMEDY)
