"""What becomes of a job, and where its attempts may run: here, on Dask, on Dask whose workers are killed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from clusters import AttemptFaults, Ground, killing
from lengths import LONG
from workshop import Workshop, until, workshop

from orchestrator.engine import PromptError
from orchestrator.jobs import Job, Status

PLACES = ["here", "dask", "dask with kills"]
SLOW = {"steps": 10}
STEP_S = 0.1


@dataclass
class Stage:
    """A lab at work, on engines that share their faults."""

    shop: Workshop
    faults: AttemptFaults


@asynccontextmanager
async def stage(folder: Path, place: str, ground: Ground) -> AsyncIterator[Stage]:
    if place == "here":
        async with workshop(folder / "lab", comfy_url=",".join(ground.urls)) as shop, shop.worker():
            shop.engines[:] = ground.engines
            yield Stage(shop, ground.faults)
        return
    async with ground.lab(folder) as shop:
        if place == "dask":
            yield Stage(shop, ground.faults)
            return
        async with killing(ground, every_s=0.7, most=4 if LONG else 2) as killed:
            yield Stage(shop, ground.faults)
            assert killed


async def succeeds(on: Stage) -> list[Job]:
    return await on.shop.ended(*[await on.shop.submit(seed=seed) for seed in range(12)])


async def fails_twice(on: Stage) -> list[Job]:
    handle = await on.shop.submit(hold=True)
    on.faults.fails = lambda: len(on.shop.now(handle).attempts) < 3
    store = on.shop.lab.store
    store.update(handle.id, lambda job: job.release(now=store.now()))
    return [await on.shop.end(handle)]


async def fails_for_good(on: Stage) -> list[Job]:
    on.faults.prompt_error = PromptError(count=1)
    return [await on.shop.end(await on.shop.submit())]


async def is_cancelled_while_it_waits(on: Stage) -> list[Job]:
    on.faults.step_delay_s = STEP_S
    before = [await on.shop.submit(seed=seed, **SLOW) for seed in range(8)]
    last = await on.shop.submit()
    await on.shop.painting(before[0])
    await last.cancel()
    on.faults.step_delay_s = 0.0
    return await on.shop.ended(last, *before)


async def is_cancelled_while_it_runs(on: Stage) -> list[Job]:
    on.faults.step_delay_s = STEP_S
    handle = await on.shop.submit(steps=100)
    await on.shop.painting(handle)
    await handle.cancel()
    job = await on.shop.end(handle)
    on.faults.step_delay_s = 0.0
    return [job]


async def vanishes(on: Stage) -> list[Job]:
    on.faults.step_delay_s = STEP_S
    handle = await on.shop.submit(steps=100)
    await on.shop.painting(handle)
    # on the server, and known to be: a cluster's worker says so with the first progress
    await until(lambda: on.shop.lab.store.progress.read(handle.id))
    on.faults.step_delay_s = 0.0
    for engine in on.shop.engines:
        engine.forget()
    return [await on.shop.end(handle)]


Scenario = Callable[[Stage], Awaitable[list[Job]]]
#: what each job ends as, and in how many attempts
EXPECTED: dict[Scenario, list[tuple[Status, int, str | None]]] = {
    succeeds: [(Status.DONE, 1, None)] * 12,
    fails_twice: [(Status.DONE, 3, None)],
    fails_for_good: [(Status.FAILED, 1, "out_of_memory")],
    is_cancelled_while_it_waits: [(Status.CANCELLED, 0, None)] + [(Status.DONE, 1, None)] * 8,
    is_cancelled_while_it_runs: [(Status.CANCELLED, 1, None)],
    vanishes: [(Status.DONE, 2, None)],
}


def scenarios(place: str) -> list[Scenario]:
    if place == "dask with kills":
        # a killed worker and a forgotten prompt at once: either count is right
        return [scenario for scenario in EXPECTED if scenario is not vanishes]
    # what is well where workers are killed is well where they are not
    return [vanishes] if place == "dask" and not LONG else list(EXPECTED)
