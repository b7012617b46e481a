"""What the REST interface costs: `python tests/benchmarks/bench_rest.py`. Prints; asserts nothing.

Each figure stands beside a bare one: Jupyter's own /api/status for an answer, the store itself for a durable write.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "server"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bare_server import BareServer
from served_lab import TOKEN

from orchestrator.jobs import Job, new_id
from orchestrator.lab import Lab

NEVER = [1_000_000, 10]  # a rate that limits nobody


def fill(folder: Path, jobs: int) -> None:
    """Ended jobs with a history, as a lab has them after some weeks."""
    root = folder / "jobs"
    root.mkdir()
    now = datetime.now(UTC)
    for n in range(jobs):
        at = now - timedelta(seconds=jobs - n)
        job = Job.new(
            backend=("sd15", "sdxl")[n % 2],
            prompt=f"a red fox in the snow, number {n}",
            params={"steps": 20, "seed": n},
            now=at,
            id=new_id(at),
        )
        job = job.claim(worker="w", host="h", slot=None, now=at)
        job = job.begin_attempt(service="comfyui", host="http://h", now=at, remote_id="r")
        job = job.finish([f"/pictures/{n}.png"], now=at)
        (root / f"{job.id}.json").write_bytes(job.to_json())


def timed(act: Callable[[], object], rounds: int) -> list[float]:
    """How long each of some calls took, in ms."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        took.append((time.perf_counter() - began) * 1000)
    return took


def show(what: str, took: list[float]) -> None:
    p95 = statistics.quantiles(took, n=20)[18]
    print(f"{what:48} p50 {statistics.median(took):7.2f} ms   p95 {p95:7.2f} ms")


def requests(server: BareServer, rounds: int) -> None:
    """One client, one request after another."""
    body = {"prompt": "a red fox", "backend": "sd15", "hold": True, "params": {"steps": 20}}

    def post() -> None:
        server.post("/api/generate", body).raise_for_status()

    for _ in range(20):  # warm
        server.get("/api/jobs", limit=50)
        post()
    show("GET /api/status (Jupyter's own)", timed(lambda: server.get("/api/status"), rounds))
    page = timed(lambda: server.get("/api/jobs", limit=50), rounds)
    show("GET /api/jobs?limit=50", page)
    for query in ({"status": "done"}, {"backend": "sdxl"}, {"offset": 5000}, {"text": "fox snow"}):
        took = timed(lambda query=query: server.get("/api/jobs", limit=50, **query), rounds // 4)
        show(f"GET /api/jobs?limit=50&{next(iter(query))}=…", took)
    with Lab.open(server.folder) as lab:
        lab.store.refresh()
        show("the store itself, one durable job", timed(lambda: lab.submit("x", hold=True), rounds))
    show("POST /api/generate", timed(post, rounds))


async def follow(port: int, begun: asyncio.Semaphore, jobs: int) -> float:
    """One client of the stream; returns when it had the last of the jobs."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    head = f"GET /api/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: token {TOKEN}\r\n\r\n"
    writer.write(head.encode())
    rest = b""
    while b"retry:" not in rest:
        rest += await reader.read(65536)
    begun.release()
    created = 0
    rest = b""
    while created < jobs:
        part = await reader.read(262_144)
        if not part:
            raise AssertionError(f"the stream ended after {created} of {jobs} jobs")
        rest += part
        whole, _, rest = rest.rpartition(b"\n\n")
        created += whole.count(b"event: job:created\n")
    at = time.perf_counter()
    writer.close()
    return at


async def burst(server: BareServer, *, clients: int, jobs: int) -> None:
    """Many followers, and many jobs at once."""
    begun = asyncio.Semaphore(0)
    began = time.perf_counter()
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        following = [group.create_task(follow(server.port, begun, jobs)) for _ in range(clients)]
        for _ in range(clients):
            await begun.acquire()
        print(f"{clients} clients connected in {time.perf_counter() - began:.2f} s")
        began = time.perf_counter()

        def submit() -> float:
            for n in range(jobs):
                server.generate(f"burst {n}", hold=True)
            return time.perf_counter()

        submitted = await asyncio.to_thread(submit)
    ends = [task.result() for task in following]
    print(f"{jobs} jobs submitted over REST meanwhile in {submitted - began:.2f} s")
    print(
        f"each of {len(ends)} clients had all {jobs}; the first {min(ends) - submitted:+.2f} s, "
        f"the last {max(ends) - submitted:+.2f} s after the last was submitted"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        fill(folder, args.stored)
        server = BareServer(folder, writes=NEVER, reads=NEVER)
        try:
            began = time.perf_counter()
            server.get("/api/jobs")
            print(f"the first look at {args.stored:,} jobs: {time.perf_counter() - began:.2f} s")
            requests(server, args.rounds)
            asyncio.run(burst(server, clients=args.clients, jobs=args.jobs))
            print("and while one client follows the stream:")
            requests(server, args.rounds)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
