"""One cluster for all tests here: starting one takes seconds. Each test has a lab of its own on it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from clusters import AttemptFaults, Ground, planted

from orchestrator.cluster import local
from orchestrator.testing import Engine

ENGINES = 3


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Three engines, and a Dask worker beside each."""
    loop = asyncio.new_event_loop()
    faults = AttemptFaults()
    engines = [Engine(faults=faults) for _ in range(ENGINES)]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def there(act: object) -> None:
        asyncio.run_coroutine_threadsafe(act, loop).result(20)  # type: ignore[arg-type]

    for engine in engines:
        there(engine.start())
    urls = [engine.url for engine in engines]
    try:
        with ExitStack() as stack:
            folder = tmp_path_factory.mktemp("cluster")
            with planted():
                here = stack.enter_context(local(comfy_urls=urls, folder=folder, worker_ttl_s=4))
            yield Ground(here, engines, faults)
    finally:
        for engine in engines:
            there(engine.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def left(ground: Ground) -> Ground:
    """The cluster as the test before has left it, with one worker at least."""
    if not any(worker.is_alive for worker in ground.here.workers):
        ground.revive(0)
    return ground


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest) -> None:
    """What the test before has killed stands again, where it is needed."""
    if "ground" in request.fixturenames and "left" not in request.fixturenames:
        request.getfixturevalue("ground").mend()
