"""What the lab's pages and its health report know of a cluster: who is there, and what there is to choose from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchestrator.backends import Backend
from orchestrator.backends.backend import SAVED
from orchestrator.cluster.wire import MODEL, model_tag
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.errors import OrchestratorError, ServiceUnreachable
from orchestrator.health import ServiceHealth
from orchestrator.offers import Offers

if TYPE_CHECKING:  # `distributed` takes a second to load, and may not be installed
    from orchestrator.cluster.link import Seen

logger = logging.getLogger(__name__)

PROBE_S = 3.0  # a scheduler that needs longer to say that it is there is not well
SHOWN_WORKERS = 32  # in a report; those that do not work come first
SHOWN_TAGS = 8
ASKED_WORKERS = 16  # for their lists of models: of a hundred machines most have the same


async def health(address: str) -> ServiceHealth:
    """How the cluster at `address` is, as the lab's ComfyUI: each worker is one of its hosts."""
    where: dict[str, Any] = {"url": address, "port": urlsplit(address).port}
    try:
        workers = await _workers(address)
    except OrchestratorError as error:
        return ServiceHealth(status="stopped", message=error.message, remedy=error.remedy, **where)
    if not workers:
        return ServiceHealth(
            status="stopped",
            message=f"The cluster at {address} has no worker",
            remedy="Start one beside each ComfyUI: "
            f"`orchestrator cluster worker {address} --comfy-url http://127.0.0.1:8188`.",
            **where,
        )
    hosts = sorted((_host(each) for each in workers), key=lambda host: host.is_running)
    away = [host for host in hosts if not host.is_running]
    total = f"{len(hosts)} worker{'' if len(hosts) == 1 else 's'} at {address}"
    return ServiceHealth(
        status="stopped" if len(away) == len(hosts) else "running",
        message=f"{total}; {_first(away)}" if away else total,
        remedy=away[0].remedy if away else None,
        hosts=hosts[:SHOWN_WORKERS],
        **where,
    )


async def offers(address: str, *, backends: Iterable[Backend]) -> Offers:
    """What the ComfyUIs beside the workers have, all together. Without an answer the usual names, as without a server.

    Which backend can run goes by the tags, as it does when a job is sent.
    """
    try:
        workers = [each for each in await _workers(address) if each.ready]
        if not workers:
            return Offers()
        lists = await _lists(address, [each.address for each in workers[:ASKED_WORKERS]])
    except OrchestratorError as error:
        logger.info("The cluster cannot be asked what it has: %s", error)
        return Offers()
    unavailable = {
        each.name: f"No worker of the cluster at {address} has {model_tag(each.name)}"
        for each in backends
        if each.service == ComfyUI.service
        and each.model != SAVED
        and not any(worker.has([model_tag(each.name)]) for worker in workers)
    }
    return Offers.of(lists, unavailable=unavailable)


async def _workers(address: str) -> Sequence[Seen]:
    """The workers that take jobs. Raises ClusterMissing, ServiceUnreachable."""
    from orchestrator.cluster import require

    await asyncio.to_thread(require)
    from distributed import rpc
    from distributed.security import Security

    from orchestrator.cluster.link import remedy, seen

    safe = Security().get_connection_args("client")
    try:
        async with (
            asyncio.timeout(PROBE_S),
            rpc(address, timeout=PROBE_S, connection_args=safe) as scheduler,
        ):
            return seen(await scheduler.identity())
    except (OSError, TimeoutError) as error:
        raise ServiceUnreachable(
            f"The scheduler at {address} does not answer", remedy=remedy(address)
        ) from error


async def _lists(address: str, workers: list[str]) -> list[Mapping[str, Sequence[str]]]:
    """What the servers beside the workers list. Raises ServiceUnreachable."""
    from orchestrator.cluster import admin, beside

    async with admin.connected(address) as client:
        said = await client.run(beside.lists, workers=workers, on_error="return")
    return [each for each in said.values() if isinstance(each, Mapping)]


def _host(worker: Seen) -> ServiceHealth:
    names = [tag.removeprefix(MODEL) for tag in worker.tags if tag.startswith(MODEL)]
    more = f" and {len(names) - SHOWN_TAGS} more" if len(names) > SHOWN_TAGS else ""
    has = f"comfyui; model: {', '.join(names[:SHOWN_TAGS])}{more}" if names else "comfyui"
    if worker.ready:
        return ServiceHealth(status="running", url=worker.place, message=has)
    return ServiceHealth(
        status="stopped",
        url=worker.place,
        message=f"The ComfyUI at {worker.place} does not answer the worker beside it",
        remedy="Start that ComfyUI again; its worker takes jobs as soon as it answers.",
    )


def _first(away: Sequence[ServiceHealth]) -> str:
    others = f" ({len(away) - 1} more as well)" if len(away) > 1 else ""
    return f"{away[0].message}{others}"
