"""What a person asks of a cluster: which workers it has, and that one of them ends in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from distributed import Client

from orchestrator.cluster import beside
from orchestrator.cluster.link import CONNECT_S, Seen, remedy, seen
from orchestrator.errors import ServiceUnreachable


async def listed(scheduler: str) -> list[Seen]:
    """The workers that take jobs. Raises ServiceUnreachable."""
    async with connected(scheduler) as client:
        return list(seen(await client.scheduler.identity()))


async def retire(scheduler: str, place: str) -> int:
    """Have the workers beside a ComfyUI finish what they have and end; returns how many there are.

    Raises ServiceUnreachable.
    """
    async with connected(scheduler) as client:
        found = [
            each.address for each in seen(await client.scheduler.identity()) if each.place == place
        ]
        if found:
            await client.run(beside.retire, workers=found)
        return len(found)


@asynccontextmanager
async def connected(scheduler: str) -> AsyncIterator[Any]:
    """A client of the scheduler. Raises ServiceUnreachable."""
    try:
        client = await Client(scheduler, asynchronous=True, set_as_default=False, timeout=CONNECT_S)
    except (OSError, TimeoutError) as error:
        raise ServiceUnreachable(
            f"The scheduler at {scheduler} does not answer",
            remedy=remedy(scheduler),
        ) from error
    try:
        yield client
    finally:
        await client.close()
