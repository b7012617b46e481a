"""How soon what fell is back: `python tests/benchmarks/bench_recovery.py`. Prints; asserts nothing.

Beside each round stands what a bare kernel took to start at that moment: most of a recovery without a spare is that.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import psutil
from jupyter_client.manager import AsyncKernelManager

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "server"))

from served_lab import ServedLab, until

SPARE = "orchestrator-worker-spare"


async def _bare() -> float:
    began = time.monotonic()
    manager = AsyncKernelManager(kernel_name="python3")
    await manager.start_kernel(stdout=-3, stderr=-3)
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    took_s = time.monotonic() - began
    client.stop_channels()
    await manager.shutdown_kernel(now=True)
    return took_s


def bare_kernel() -> float:
    """How long a kernel that imports nothing takes to answer, in seconds."""
    return asyncio.run(_bare())


def has_spare(served: ServedLab) -> bool:
    """Whether a spare kernel waits with its imports done."""
    if SPARE not in [session["name"] for session in served.api("GET", "/api/sessions")]:
        return False
    worker = served.worker()
    kernels = [p for p in served.family() if "ipykernel_launcher" in " ".join(p.cmdline())]
    spares = [p for p in kernels if p.pid != worker]
    before = [sum(p.cpu_times()[:2]) for p in spares]
    time.sleep(1.5)
    # one that imports takes time, or waits for it with 30 MB; one that has is still
    return any(
        sum(p.cpu_times()[:2]) - was < 0.05 and p.memory_full_info().uss > 50e6
        for p, was in zip(spares, before, strict=True)
    )


def kill_worker(served: ServedLab) -> float:
    return _strike(served, signal.SIGKILL)


def stop_worker(served: ServedLab) -> float:
    return _strike(served, signal.SIGSTOP)


def _strike(served: ServedLab, blow: int) -> float:
    before = served.worker()
    assert before is not None
    os.kill(before, blow)
    return until(lambda: served.worker() not in {None, before}, 90)


def restart_worker(served: ServedLab) -> float:
    """As JupyterLab does it."""
    before = served.worker()
    sessions = served.api("GET", "/api/sessions")
    kernel = next(s["kernel"]["id"] for s in sessions if s["name"] == "orchestrator-worker")
    began = time.monotonic()
    served.api("POST", f"/api/kernels/{kernel}/restart", json={})
    until(lambda: served.worker() not in {None, before}, 90)
    return time.monotonic() - began


def _engine(served: ServedLab) -> int:
    return int(orjson.loads((served.lab.paths.data / "engine.json").read_bytes())["pid"])


def kill_engine(served: ServedLab) -> float:
    before = _engine(served)
    os.kill(before, signal.SIGKILL)
    return until(lambda: _engine(served) != before and psutil.pid_exists(_engine(served)), 60)


def kill_worker_cold(served: ServedLab) -> float:
    """While no spare is ready."""
    for session in served.api("GET", "/api/sessions"):
        if session["name"] == SPARE:
            served.api("DELETE", f"/api/kernels/{session['kernel']['id']}")
    return kill_worker(served)


KINDS: dict[str, tuple[Callable[[ServedLab], float], float | None]] = {
    "worker SIGKILL": (kill_worker, 4.0),
    "worker SIGSTOP": (stop_worker, 12.0),
    "worker restarted from JupyterLab": (restart_worker, 6.0),
    "engine SIGKILL": (kill_engine, 1.0),
    "worker SIGKILL without a spare": (kill_worker_cold, None),
}


def p95(values: list[float]) -> float:
    """The value that 19 of 20 do not exceed; of few, the worst."""
    return statistics.quantiles(values, n=20)[18] if len(values) > 19 else max(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--only", default="", help="kinds whose name begins so")
    args = parser.parse_args()
    chosen = {name: kind for name, kind in KINDS.items() if name.startswith(args.only)}
    took: dict[str, list[float]] = {name: [] for name in chosen}
    bare: dict[str, list[float]] = {name: [] for name in chosen}
    memory: list[int] = []
    for _ in range(args.rounds):  # a lab for each: three restarts are at once, the fourth waits
        with tempfile.TemporaryDirectory(prefix="recovery-") as folder:
            served = ServedLab(Path(folder))
            try:
                for name, (strike, _) in [*chosen.items(), *list(chosen.items())[:1]]:
                    until(lambda: has_spare(served), 90)  # noqa: B023
                    time.sleep(1)
                    bare[name].append(bare_kernel())
                    took[name].append(strike(served))
                    print(f"{name}: {took[name][-1]:.1f}, bare {bare[name][-1]:.1f}", flush=True)
                until(lambda: has_spare(served), 90)  # noqa: B023
                memory.append(_spare_memory(served))
            finally:
                served.stop()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {args.rounds} rounds; seconds")
    print(f"{'':36}{'n':>4}{'p50':>6}{'p95':>6}{'aim':>6}   a bare kernel then: p50, p95")
    for name, (_, aim) in chosen.items():
        aimed = f"{aim:6.1f}" if aim else "      "
        print(
            f"{name:36}{len(took[name]):4}{statistics.median(took[name]):6.1f}{p95(took[name]):6.1f}{aimed}"
            f"   {statistics.median(bare[name]):6.1f}{p95(bare[name]):6.1f}"
        )
    print(f"memory of the spare of its own: {statistics.median(memory) / 1e6:.0f} MB")


def _spare_memory(served: ServedLab) -> int:
    worker = served.worker()
    kernels = [p for p in served.family() if "ipykernel_launcher" in " ".join(p.cmdline())]
    return max(p.memory_full_info().uss for p in kernels if p.pid != worker)


if __name__ == "__main__":
    main()
