"""Serving from a process of its own: until a signal, or until the parent is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from orchestrator.engine.engine import Engine
from orchestrator.engine.faults import Faults


def serve(
    port: int,
    *,
    host: str = "127.0.0.1",
    output: Path | None = None,
    dialect: str = "0.27",
    allow_faults: bool = False,
    step_delay_s: float = 0.0,
    exit_with_parent: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Run an engine until SIGINT or SIGTERM; with `exit_with_parent` also until standard input ends.

    `step_delay_s` makes it slow: each sampler step takes so much longer.
    """

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stop_soon() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stop.set)

        engine = Engine(
            output=output,
            dialect=dialect,
            faults=Faults(step_delay_s=step_delay_s),
            allow_faults=allow_faults,
            port=port,
            host=host,
        )
        before = _on_signals(stop_soon)
        try:
            async with engine:
                if exit_with_parent:
                    threading.Thread(
                        target=_await_end_of_input, args=(stop_soon,), daemon=True
                    ).start()
                if ready is not None:
                    ready(engine.url)
                await stop.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    asyncio.run(run())


def _on_signals(act: Callable[[], None]) -> dict[int, signal.Handlers]:
    """Act on SIGINT and SIGTERM; returns what was there. Unlike the loop's own way this works on Windows."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = (signal.SIGINT, signal.SIGTERM)
    return {number: signal.signal(number, lambda *_: act()) for number in numbers}  # type: ignore[misc]


def _await_end_of_input(act: Callable[[], None]) -> None:
    # os.read, not sys.stdin: a thread waiting in a buffered reader holds its lock, and the interpreter aborts at exit.
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    act()
