"""What the processes of a cluster do from their start until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from orchestrator.embedded import EngineProcess

WORKER_TTL_S = 30.0  # a machine that was unplugged closes no connection
PORT = 8786  # Dask's own


def run_scheduler(
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    worker_ttl_s: float = WORKER_TTL_S,
    with_parent: bool = False,
) -> int:
    """Run a scheduler until SIGTERM, and print its address. `worker_ttl_s`: a worker silent for so long is lost.

    Whoever reaches it may run code on its workers: only for networks that are trusted. Returns the exit code.
    """
    from distributed import Scheduler

    from orchestrator.cluster.worker import configure

    configure()

    async def serve(stop: asyncio.Event) -> None:
        async with Scheduler(
            host=host, port=port, dashboard=False, worker_ttl=worker_ttl_s
        ) as scheduler:
            _say(scheduler.address)
            await stop.wait()

    return _until_told(serve, with_parent=with_parent)


def run_worker(
    scheduler: str,
    *,
    comfy_url: str | None = None,
    models: Sequence[str] = (),
    at_once: int = 1,
    host: str | None = None,
    step_ms: float = 0.0,
    with_parent: bool = False,
) -> int:
    """Run a worker until SIGTERM, then finish what runs. Without `comfy_url` it starts the embedded engine beside it.

    Returns the exit code. Raises ServiceUnreachable when the engine does not start.
    """
    from orchestrator.cluster import worker

    worker.configure()
    for name in worker.SECRETS:  # before anything of ours is started
        os.environ.pop(name, None)

    async def serve(stop: asyncio.Event) -> None:
        with contextlib.ExitStack() as stack:
            url = comfy_url
            if url is None:
                url = await asyncio.to_thread(_engine, stack, step_ms)
            _say(worker.place_of(url))
            await worker.work(scheduler, url, models=models, at_once=at_once, stop=stop, host=host)

    return _until_told(serve, with_parent=with_parent)


def _engine(stack: contextlib.ExitStack, step_ms: float) -> str:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="orchestrator-engine-"))
    engine = EngineProcess(log=Path(folder) / "engine.log", step_ms=step_ms)
    stack.callback(engine.stop)
    return engine.url


def _until_told(serve: Callable[[asyncio.Event], Awaitable[None]], *, with_parent: bool) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    for quiet in ("distributed", "httpx"):
        logging.getLogger(quiet).setLevel(logging.ERROR)

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def told(*_: object) -> None:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(stop.set)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, told)
        if with_parent:
            threading.Thread(target=_watch_parent, args=(told,), daemon=True).start()
        await serve(stop)

    asyncio.run(main())
    return 0


def _watch_parent(told: Callable[[], None]) -> None:
    """Standard input is the line to whoever started us: it ends with them, however they end."""
    while os.read(0, 1):  # not sys.stdin: its lock, held here, would not let Python end
        pass
    told()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
