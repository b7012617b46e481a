"""What the lab costs on a cluster: `python tests/benchmarks/bench_cluster.py`. Prints; asserts nothing.

The same number of tasks goes to the same workers of the same cluster, taking turns: plain Dask tasks that only wait for
as long as a picture takes; plain Dask tasks that ask the engine beside the worker for the same picture, as little code
as that needs, and send it back; jobs of the lab, with all that is written down of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from distributed import Client

from orchestrator.cluster import Local, local
from orchestrator.cluster.service import ClusterService
from orchestrator.lab import Lab
from orchestrator.store import Store
from orchestrator.testing import make_job, make_lab
from orchestrator.worker import Worker

SIZE = {"width": 64, "height": 64, "steps": 1}


async def wait(seconds: float, number: int) -> int:
    """A plain Dask task of a job's length."""
    await asyncio.sleep(seconds)
    return number


async def picture(number: int) -> bytes:
    """A plain Dask task that makes the picture a job makes. Nothing is kept, nothing is written down."""
    from distributed import get_worker

    from orchestrator.attempts.asking import Request, files_of, workflow_for
    from orchestrator.cluster.wire import COMFYUI
    from orchestrator.workflows import Offered

    client = get_worker().plugins[COMFYUI].client

    async def offered(_: Any) -> Offered:
        return Offered((await client.object_info()).classes)

    async def upload(_: str) -> str:
        raise AssertionError("there is no input")

    request = Request("sd15", {**SIZE, "seed": number}, "a fox", f"bare{uuid.uuid4().hex}")
    workflow = await workflow_for(request, client, offered=offered, upload=upload)
    prompt_id = str(uuid.uuid4())
    await client.submit(workflow, prompt_id=prompt_id)
    files = await files_of(client, prompt_id, report=lambda _: None)
    return await client.fetch(files[0])


async def plain(client: Any, act: Any, given: list[tuple[Any, ...]]) -> float:
    began = time.perf_counter()
    run = uuid.uuid4().hex
    futures = [
        client.submit(act, *each, key=f"{run}-{n}", resources={"comfyui": 1}, pure=False)
        for n, each in enumerate(given)
    ]
    await client.gather(futures)
    return time.perf_counter() - began


@asynccontextmanager
async def at_work(lab: Lab, address: str) -> AsyncIterator[Store]:
    store = Store(lab.paths.jobs)
    service = ClusterService(address, paths=lab.paths, on_back=lambda: worker.wake())
    worker = Worker(store, [service], rng=random.Random(1))
    running = asyncio.create_task(worker.run())
    try:
        yield store
    finally:
        worker.stop()
        await running
        store.close()


async def jobs(lab: Lab, count: int, *, first: int) -> float:
    """The time from the first of `count` jobs that lie in the queue to the end of the last, seconds."""
    made = [make_job("a fox", params={**SIZE, "seed": first + n}) for n in range(count)]
    lab.pause("all of them are to be there")
    await asyncio.to_thread(lambda: [lab.store.create(job) for job in made])
    await asyncio.sleep(1.0)
    began = time.perf_counter()
    lab.resume()
    for job in made:  # one after the other: to look at all of them all the time would be the work
        while not lab.store.get(job.id).is_terminal:
            await asyncio.sleep(0.05)
    took = time.perf_counter() - began
    assert all(lab.store.get(job.id).status == "done" for job in made)
    return took


async def measure(here: Local, folder: Path, said: argparse.Namespace) -> None:
    lab = make_lab(folder)
    async with (
        Client(here.address, asynchronous=True, set_as_default=False) as client,
        at_work(lab, here.address),
    ):
        await client.wait_for_workers(said.workers)
        await plain(client, picture, [(n,) for n in range(4 * said.workers)])  # warm
        await jobs(lab, 4 * said.workers, first=0)
        rows: dict[str, list[float]] = {"waiting": [], "pictures": [], "jobs": []}
        for turn in range(said.turns):
            count, base = said.jobs, 10_000 * (turn + 1)
            asked = [(said.length_ms / 1000, n) for n in range(count)]
            rows["waiting"].append(await plain(client, wait, asked))
            rows["pictures"].append(
                await plain(client, picture, [(base + n,) for n in range(count)])
            )
            rows["jobs"].append(await jobs(lab, count, first=base + count))
            load = os.getloadavg()[0]
            print(
                f"  turn {turn + 1}: "
                + ", ".join(f"{k} {v[-1]:.2f} s" for k, v in rows.items())
                + f", load {load:.1f}",
                flush=True,
            )
    lab.close()
    took = {name: statistics.median(each) for name, each in rows.items()}
    for name, seconds in took.items():
        print(f"{name:9s} {said.jobs / seconds:5.0f} /s, {1e3 * seconds / said.jobs:6.2f} ms each")
    over_ms = 1e3 * (took["jobs"] - took["pictures"]) / said.jobs
    print(f"a job over a plain Dask task with the same picture: {over_ms:.2f} ms")
    for name in ("pictures", "waiting"):
        print(f"throughput beside plain Dask tasks ({name}): {took[name] / took['jobs']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument(
        "--length-ms", type=float, default=20.0, help="of one picture on the engine"
    )
    parser.add_argument("--at-once", type=int, default=1)
    said = parser.parse_args()
    print(
        f"{said.workers} workers, {said.jobs} jobs of {said.length_ms:g} ms, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f}"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        local(
            said.workers, step_ms=said.length_ms, at_once=said.at_once, folder=Path(folder) / "logs"
        ) as here,
    ):
        asyncio.run(measure(here, Path(folder) / "lab", said))


if __name__ == "__main__":
    sys.exit(main())
