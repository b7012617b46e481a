"""How fast the job store is, beside a queue of its kind: `python tests/benchmarks/bench_store.py [rounds]`.

`bench_store.py writes` prints only what the README says of one folder's limit, with the load of the machine.

Prints each figure with its target. Throughput of no-op jobs end to end, one slot, one worker process, is measured in
turns with huey's SqliteHuey at the same durability (an fsync per commit): both meet the same weather of the machine.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from typing import Any

from orchestrator.jobs import Job, Status, new_id
from orchestrator.store import Kind, Lane, Store

JOBS = 400  # per round of throughput
LONE = 60  # submits for the latency
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
FORK = multiprocessing.get_context("fork")
END = "end"  # the id of the job that ends a worker


def a_job(id: str | None = None, *, now: datetime | None = None) -> Job:
    params = {"seed": 42, "steps": 30, "width": 512, "height": 512, "cfg": 7.5}
    return Job.new(
        backend="sd15",
        prompt="a majestic eagle soaring over snowy mountains",
        params=params,
        now=now or datetime.now(UTC),
        id=id,
    )


def one_slot(kind: Kind) -> list[Lane]:
    return [Lane("comfyui", kind.host or "http://gpu:8188", 1)]


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-store-") as name:
        yield Path(name)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def report(what: str, value: float, unit: str, target: str = "") -> None:
    print(f"{what:58} {value:10,.1f} {unit:7} {target}", flush=True)


# ---------------------------------------------------------------- one process


def bench_writes() -> None:
    with folder() as root:
        store = Store(root)
        seconds = timed(lambda: [store.create(a_job()) for _ in range(JOBS)])
        report("create", JOBS / seconds, "/s")
        store.refresh()
        with folder() as other:
            many = Store(other)
            seconds = timed(lambda: many.create_many(a_job() for _ in range(JOBS)))
            report("create, many together", JOBS / seconds, "/s")
            many.close()

        def claim_and_finish() -> None:
            while claim := store.claim("w", lanes=one_slot):
                store.update(
                    claim.job.id, lambda job: job.finish([], now=store.now()), fence=claim.fence
                )
                if claim.slot:
                    claim.slot.release()

        report("claim + finish", JOBS / timed(claim_and_finish), "/s")
        store.close()


def bench_lists() -> None:
    with folder() as root:
        Store(root).close()
        write_jobs(root, 10_000)
        store = Store(root)
        report("list 10,000 jobs, cold", timed(store.refresh) * 1000, "ms", "<= 500")
        time.sleep(0.05)  # younger files are read again
        store.refresh(force=True)
        other = Store(root)
        took = []
        for number in range(50):
            other.update(f"job-{number:06}", lambda job: job.having(priority=job.priority + 1))
            took.append(timed(lambda number=number: store._index.read(f"job-{number:06}")))  # type: ignore[misc]
        report(
            "refresh after one change, told by an event",
            statistics.median(took) * 1000,
            "ms",
            "<= 2",
        )
        took = []
        for number in range(10):
            other.update(f"job-{number:06}", lambda job: job.having(priority=job.priority + 1))
            took.append(timed(store.refresh))
        report("refresh after one change, by looking at all", statistics.median(took) * 1000, "ms")
        report("refresh when nothing changed", median_of(store.refresh, 50) * 1000, "ms")
        for opened in (store, other):
            opened.close()


def bench_archive() -> None:
    with folder() as root:
        Store(root).close()
        (root / "_old" / "2026-11").mkdir()
        write_jobs(root / "_old" / "2026-11", 100_000, status=Status.DONE)
        store = Store(root)
        report("100,000 archived: index from nothing", timed(store.counts) * 1000, "ms", "<= 5,000")
        report(
            "100,000 archived: first page",
            timed(lambda: store.page(limit=50)) * 1000,
            "ms",
            "<= 20",
        )
        report(
            "100,000 archived: page",
            median_of(lambda: store.page(limit=50), 20) * 1000,
            "ms",
            "<= 5",
        )
        report("100,000 archived: counts", median_of(store.counts, 20) * 1000, "ms", "<= 20")
        store.close()
        start = time.perf_counter()
        store = Store(root)
        store.refresh()
        store.page(limit=50)
        report(
            "100,000 archived: cold start", (time.perf_counter() - start) * 1000, "ms", "<= 1,000"
        )
        store.close()


def median_of(act: Callable[[], object], times: int) -> float:
    return statistics.median(timed(act) for _ in range(times))


def write_jobs(root: Path, count: int, status: Status = Status.QUEUED) -> None:
    template = a_job("ID", now=START).having(status=status).to_json()
    for number in range(count):
        created = (START + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
        content = template.replace(b'"ID"', b'"job-%06d"' % number)
        path = root / f"job-{number:06}.json"
        path.write_bytes(content.replace(b"2026-11-22T12:00:00Z", created))


# ---------------------------------------------------------------- submitter and worker


def record(descriptor: int, job_id: str) -> None:
    """That a job began, as one line that other processes' lines do not break."""
    os.write(descriptor, f"{job_id} {time.monotonic_ns()}\n".encode())


def began(out: Path) -> dict[str, int]:
    lines = out.read_text().split("\n")[:-1] if out.exists() else []
    return {job_id: int(at) for job_id, at in (line.split() for line in lines)}


def work(root: Path, out: Path, ready: Any) -> None:
    """Our store's worker: claim, do nothing, finish; woken by the watch."""
    descriptor = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    store = Store(root)
    presence = store.presence()
    told: Queue[set[str]] = Queue()
    subscription = store.watch(told.put)
    store.refresh()
    ready.set()
    while True:
        while claim := store.claim(presence.id, lanes=one_slot):
            record(descriptor, claim.job.id)
            store.update(
                claim.job.id, lambda job: job.finish([], now=store.now()), fence=claim.fence
            )
            if claim.slot:
                claim.slot.release()
            if claim.job.id == END:
                subscription.end()
                presence.end()
                return
        told.get()


@contextmanager
def working(root: Path) -> Iterator[tuple[Callable[[str], object], Path]]:
    """A worker on a folder; how to submit to it, and where it writes what began."""
    out = root / "out"
    ready = FORK.Event()
    process = FORK.Process(target=work, args=(root / "jobs", out, ready))
    process.start()
    ready.wait()
    time.sleep(0.3)  # until the watch stands
    store = Store(root / "jobs")
    yield lambda job_id: store.create(a_job(job_id)), out
    store.create(a_job(END).having(priority=-1))
    process.join()
    store.close()


def full_sync_huey(root: Path) -> Any:
    from huey import SqliteHuey  # type: ignore[import-untyped]

    return SqliteHuey("bench", filename=str(root / "huey.db"), results=False, fsync=True)


def huey_work(root: Path, out: Path, ready: Any) -> None:
    import logging

    logging.disable(logging.CRITICAL)
    descriptor = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    huey = full_sync_huey(root)
    huey.task(name="noop")(lambda job_id: record(descriptor, job_id))
    ready.set()
    huey.create_consumer(workers=1, worker_type="thread", periodic=False).run()


@contextmanager
def working_huey(root: Path) -> Iterator[tuple[Callable[[str], object], Path]]:
    out = root / "out"
    ready = FORK.Event()
    process = FORK.Process(target=huey_work, args=(root, out, ready))
    process.start()
    ready.wait()
    time.sleep(0.3)
    huey = full_sync_huey(root)
    yield huey.task(name="noop")(lambda job_id: None), out
    process.terminate()
    process.join()


Working = Callable[[Path], Any]


def throughput(working_on: Working) -> float:
    """Jobs a second from the first submit to the last start."""
    with folder() as root, working_on(root) as (submit, out):
        ids = [new_id(datetime.now(UTC)) for _ in range(JOBS)]
        start = time.monotonic_ns()
        for job_id in ids:
            submit(job_id)
        until_began(out, set(ids))
        return JOBS / ((max(began(out).values()) - start) / 1e9)


def latencies_ms(working_on: Working) -> list[float]:
    """From the submitter's call to the worker's first line, one lone job at a time."""
    took = []
    with folder() as root, working_on(root) as (submit, out):
        for number in range(LONE):
            time.sleep(0.02 + number % 5 * 0.01)
            job_id = new_id(datetime.now(UTC))
            start = time.monotonic_ns()
            submit(job_id)
            until_began(out, {job_id})
            took.append((began(out)[job_id] - start) / 1e6)
    return took


def until_began(out: Path, ids: set[str], *, within_s: float = 120) -> None:
    end = time.monotonic() + within_s
    while not ids <= began(out).keys():
        if time.monotonic() > end:
            raise TimeoutError("jobs did not begin")
        time.sleep(0.005)


def bench_queues(rounds: int) -> None:
    systems: dict[str, Working] = {"ours": working, "huey (SQLite, fsync)": working_huey}
    rates: dict[str, list[float]] = {name: [] for name in systems}
    waits: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, working_on in systems.items():
            rates[name].append(throughput(working_on))
            waits[name] += latencies_ms(working_on)
    for name in systems:
        mine = name == "ours"
        report(
            f"no-op jobs end to end, one slot: {name}",
            statistics.median(rates[name]),
            "/s",
            ">= 300" * mine,
        )
        report(
            f"submit to claimed, p50: {name}", statistics.median(waits[name]), "ms", "<= 8" * mine
        )
        report(
            f"submit to claimed, p99: {name}", percentile(waits[name], 0.99), "ms", "<= 60" * mine
        )
    ratio = statistics.median(a / b for a, b in zip(*rates.values(), strict=True))
    report("no-op jobs, ours to huey", ratio, "x")
    print(json.dumps({"jobs/s": rates}, default=str))


def bench_limit() -> None:
    """What one folder of one machine carries."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    bench_writes()
    rates = [throughput(working) for _ in range(3)]
    report("no-op jobs end to end, one slot", statistics.median(rates), "/s")
    print(f"load {os.getloadavg()[0]:.1f}")


def main() -> None:
    if sys.argv[1:] == ["writes"]:
        bench_limit()
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    bench_writes()
    bench_queues(rounds)
    bench_lists()
    bench_archive()


if __name__ == "__main__":
    main()
