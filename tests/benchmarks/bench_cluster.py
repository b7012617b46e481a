"""What the lab costs on a cluster: `python tests/benchmarks/bench_cluster.py`. Prints; asserts nothing.

The same number of tasks goes to the same workers of the same cluster, taking turns: plain Dask tasks that only wait for
as long as a picture takes; plain Dask tasks that ask the engine beside the worker for the same picture, as little code
as that needs, and send it back; jobs of the lab, with all that is written down of them.

Beside the time stands the CPU time of each kind of process: where the cores are the limit, the ratio of those sums is
the ratio of the throughputs, and other people's load moves it less.
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
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from distributed import Client

from orchestrator.cluster import Local, local
from orchestrator.cluster.service import ClusterService
from orchestrator.jobs import Status
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


@dataclass(frozen=True)
class Took:
    """What a run took: seconds, and CPU seconds by kind of process."""

    seconds: float
    cpu: Mapping[str, float]


class Meter:
    """Reads what the processes of the cluster, and this one, have taken so far."""

    def __init__(self, here: Local) -> None:
        workers = [psutil.Process(worker.pid) for worker in here.workers]
        self._kinds = {
            "lab": [psutil.Process()],
            "scheduler": [psutil.Process(here.scheduler.pid)],
            "workers": workers,
            "engines": [child for worker in workers for child in worker.children(recursive=True)],
        }
        self._began = 0.0
        self._before: dict[str, float] = {}

    def begin(self) -> None:
        self._began, self._before = time.perf_counter(), self._now()

    def took(self) -> Took:
        seconds, now = time.perf_counter() - self._began, self._now()
        return Took(seconds, {kind: now[kind] - before for kind, before in self._before.items()})

    def _now(self) -> dict[str, float]:
        return {kind: sum(map(_cpu_s, processes)) for kind, processes in self._kinds.items()}


def _cpu_s(process: psutil.Process) -> float:
    said = process.cpu_times()
    return said.user + said.system


async def plain(client: Any, meter: Meter, act: Any, given: list[tuple[Any, ...]]) -> Took:
    meter.begin()
    run = uuid.uuid4().hex
    futures = [
        client.submit(act, *each, key=f"{run}-{n}", resources={"comfyui": 1}, pure=False)
        for n, each in enumerate(given)
    ]
    await client.gather(futures)
    return meter.took()


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


async def jobs(lab: Lab, store: Store, meter: Meter, count: int, *, first: int) -> Took:
    """From the first of `count` jobs that lie in the queue to the end of the last."""
    made = [make_job("a fox", params={**SIZE, "seed": first + n}) for n in range(count)]
    lab.pause("all of them are to be there")
    await asyncio.to_thread(lambda: [lab.store.create(job) for job in made])
    await asyncio.sleep(1.0)
    before = store.counts()[Status.DONE]
    meter.begin()
    lab.resume()
    while store.counts()[Status.DONE] - before < count:  # from memory: to look must not be work
        await asyncio.sleep(0.1)
    took = meter.took()
    assert all(lab.store.get(job.id).status == "done" for job in made)
    return took


async def measure(here: Local, folder: Path, said: argparse.Namespace) -> None:
    lab = make_lab(folder)
    meter = Meter(here)
    async with (
        Client(here.address, asynchronous=True, set_as_default=False) as client,
        at_work(lab, here.address) as store,
    ):
        await client.wait_for_workers(said.workers)
        warm = 4 * said.workers
        await plain(client, meter, picture, [(n,) for n in range(warm)])
        await jobs(lab, store, meter, warm, first=0)
        rows: dict[str, list[Took]] = {"waiting": [], "pictures": [], "jobs": []}
        for turn in range(said.turns):
            count, base = said.jobs, 10_000 * (turn + 1)
            asked = [(said.length_ms / 1000, n) for n in range(count)]
            rows["waiting"].append(await plain(client, meter, wait, asked))
            painted = [(base + n,) for n in range(count)]
            rows["pictures"].append(await plain(client, meter, picture, painted))
            rows["jobs"].append(await jobs(lab, store, meter, count, first=base + count))
            load = os.getloadavg()[0]
            print(
                f"  turn {turn + 1}: "
                + ", ".join(f"{kind} {each[-1].seconds:.2f} s" for kind, each in rows.items())
                + f", load {load:.1f}",
                flush=True,
            )
    lab.close()
    show(rows, said.jobs)


def show(rows: Mapping[str, Sequence[Took]], count: int) -> None:
    took, cpu = {}, {}
    for name, each in rows.items():
        took[name] = statistics.median(one.seconds for one in each)
        kinds = {
            kind: 1e3 * statistics.median(one.cpu[kind] for one in each) / count
            for kind in each[0].cpu
        }
        cpu[name] = sum(kinds.values())
        print(
            f"{name:9s} {count / took[name]:5.0f} /s, {1e3 * took[name] / count:6.2f} ms each; CPU "
            + " + ".join(f"{kind} {ms:.1f}" for kind, ms in kinds.items())
            + f" = {cpu[name]:.1f} ms"
        )
    over_ms = 1e3 * (took["jobs"] - took["pictures"]) / count
    print(f"a job over a plain Dask task with the same picture: {over_ms:.2f} ms")
    for name in ("pictures", "waiting"):
        print(
            f"throughput beside plain Dask tasks ({name}): {took[name] / took['jobs']:.2f};"
            f" by CPU time {cpu[name] / cpu['jobs']:.2f}"
        )


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
