"""One cluster for all tests here: starting one takes seconds. Each test has a lab of its own on it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from clusters import AttemptFaults, Ground

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
        with local(
            comfy_urls=urls, folder=tmp_path_factory.mktemp("cluster"), worker_ttl_s=4
        ) as here:
            yield Ground(here, engines, faults)
    finally:
        for engine in engines:
            there(engine.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest) -> None:
    """What the test before has killed stands again."""
    if "ground" in request.fixturenames:
        request.getfixturevalue("ground").mend()
