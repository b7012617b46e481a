"""What the lab costs on top of the server: `python tests/benchmarks/bench_lab.py`. Prints; asserts nothing.

Everything is measured beside a bare httpx client of the same engine, taking turns in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import websockets

from orchestrator.backends import get, parse
from orchestrator.embedded import EngineProcess
from orchestrator.testing import make_lab
from orchestrator.workflows import Inputs, Offered, make

SMALL = {"width": 64, "height": 64, "steps": 1}
LARGE = {"width": 512, "height": 512, "steps": 20}


class Bare:
    """The least a program can do to get a picture: POST, listen, ask, fetch. Nothing is kept."""

    def __init__(self, http: httpx.AsyncClient, client_id: str, offered: Offered) -> None:
        self._http = http
        self._offered = offered
        self._client_id = client_id
        self._ended: dict[str, asyncio.Event] = {}

    async def listen(self, url: str) -> None:
        address = f"{url.replace('http', 'ws', 1)}/ws?clientId={self._client_id}"
        async with websockets.connect(address, max_queue=None) as socket:
            async for said in socket:
                if isinstance(said, str) and '"execution_success"' in said:
                    prompt_id = json.loads(said)["data"]["prompt_id"]
                    if prompt_id in self._ended:
                        self._ended[prompt_id].set()

    async def picture(self, seed: int, size: dict[str, int]) -> bytes:
        params = parse(get("sd15"), {**size, "seed": seed})
        graph = make(
            get("sd15"),
            params,
            "a fox",
            offered=self._offered,
            inputs=Inputs(),
            filename_prefix="bare",
        )
        prompt_id = str(uuid.uuid4())
        ended = self._ended[prompt_id] = asyncio.Event()
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": self._client_id}
        (await self._http.post("/prompt", json=body)).raise_for_status()
        await ended.wait()
        while True:  # the news comes a moment before the entry
            history = (await self._http.get(f"/history/{prompt_id}")).json()
            if prompt_id in history:
                break
        file = next(iter(history[prompt_id]["outputs"].values()))["images"][0]
        return (await self._http.get("/view", params=file)).content


async def timed(act: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await act
    return time.perf_counter() - began


async def one_at_a_time(lab: Any, bare: Bare, size: dict[str, int], *, rounds: int) -> None:
    """Latency of a lone job, from the call to the picture."""
    with_lab, without = [], []
    for n in range(rounds):
        seed = 10_000 * size["width"] + 2 * n
        without.append(await timed(bare.picture(seed, size)))
        with_lab.append(await timed(lab.image("a fox", seed=seed + 1, **size)))
    middle, bare_middle = statistics.median(with_lab), statistics.median(without)
    print(
        f"one at a time, {size['width']}×{size['height']}×{size['steps']}: lab {1e3 * middle:.1f} ms,"
        f" bare {1e3 * bare_middle:.1f} ms, over bare {1e3 * (middle - bare_middle):.1f} ms"
        f" (median of {rounds}; target ≤ 15)"
    )


async def many_at_once(lab: Any, bare: Bare, *, jobs: int) -> None:
    """Jobs per second when all are submitted together."""

    async def with_lab() -> None:
        handles = await asyncio.gather(
            *(lab.generate("a fox", seed=30_000_000 + n, **SMALL) for n in range(jobs))
        )
        await asyncio.gather(*(handle.wait() for handle in handles))

    async def without() -> None:
        await asyncio.gather(*(bare.picture(40_000_000 + n, SMALL) for n in range(jobs)))

    rates: dict[str, float] = {}
    measured: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("bare", without), ("lab", with_lab)
    ]  # fmt: skip
    for name, act in measured:
        rates[name] = jobs / await timed(act())
    print(
        f"{jobs} at once, 64×64×1: lab {rates['lab']:.0f}/s, bare {rates['bare']:.0f}/s,"
        f" ratio {rates['lab'] / rates['bare']:.2f} (target ≥ 0.7)"
    )


def imports(statement: str, *, rounds: int = 5) -> None:
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    # as it is installed: compiled
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    runs = [subprocess.check_output(command, env=environment) for _ in range(rounds + 1)]
    took = [float(said) for said in runs[1:]]
    print(f"{statement}: {1e3 * statistics.median(took):.0f} ms (median of {rounds}; target ≤ 300)")


async def measure(folder: Path, *, rounds: int, jobs: int) -> None:
    process = await asyncio.to_thread(EngineProcess, log=folder / "engine.log")
    lab = make_lab(folder / "lab", comfy_url=process.url)
    client_id = uuid.uuid4().hex
    limits = httpx.Limits(max_connections=100)
    try:
        async with httpx.AsyncClient(base_url=process.url, timeout=120, limits=limits) as http:
            offered = Offered((await http.get("/object_info")).json())
            bare = Bare(http, client_id, offered)
            listening = asyncio.create_task(bare.listen(process.url))
            async with lab.worker():
                await lab.image("warm", **SMALL)
                await one_at_a_time(lab, bare, SMALL, rounds=rounds)
                await one_at_a_time(lab, bare, LARGE, rounds=max(5, rounds // 4))
                await many_at_once(lab, bare, jobs=jobs)
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
    finally:
        lab.close()
        await asyncio.to_thread(process.stop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=200)
    args = parser.parse_args()
    imports("import orchestrator")
    imports("from orchestrator import Lab")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        asyncio.run(measure(Path(folder), rounds=args.rounds, jobs=args.jobs))


if __name__ == "__main__":
    main()
