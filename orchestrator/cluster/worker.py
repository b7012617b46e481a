"""A Dask worker process beside a ComfyUI: it finds its tags, survives the scheduler, and ends in order."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import dask
from distributed import Status, Worker

from orchestrator import backends
from orchestrator.attempts.hosts import public
from orchestrator.cluster.beside import PROBE_S, Beside
from orchestrator.cluster.wire import COMFYUI, model_tag
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.errors import OrchestratorError
from orchestrator.offers import LOOPBACK
from orchestrator.workflows import Offered, availability
from orchestrator.workflows.offered import SHELVES

logger = logging.getLogger(__name__)

AGAIN_S = 0.5
REGISTER_S = 10.0
#: Variables of a lab's environment that no worker needs
SECRETS = (
    "BFL_API_KEY",
    "ORCHESTRATOR_TOKEN",
    "ORCHESTRATOR_NOTIFY",
    "ORCHESTRATOR_TRANSLATE",
    "HF_TOKEN",
)


async def work(
    scheduler: str,
    comfy_url: str,
    *,
    models: Sequence[str] = (),
    at_once: int = 1,
    stop: asyncio.Event,
    host: str | None = None,
) -> None:
    """Work beside the ComfyUI at `comfy_url` until `stop`, then finish what runs, and end.

    `models`: the backends or model files to advertise; by default all that the server turns out to have.
    `at_once`: attempts at a time; a second one waits on the server while the first is painted. `host`: the address
    to listen at.
    """
    for name in SECRETS:
        os.environ.pop(name, None)
    client = ComfyUI(comfy_url)
    place = place_of(client.url)
    try:
        with TemporaryDirectory(prefix="orchestrator-worker-") as folder:
            while not stop.is_set():
                tags = await _tags(client, models, stop=stop)
                if tags is None:
                    break
                resources = dict.fromkeys([COMFYUI, *tags], float(at_once))
                await _serve(scheduler, client, place, resources, at_once, stop, host, Path(folder))
    finally:
        await client.close()


async def _serve(
    scheduler: str,
    client: ComfyUI,
    place: str,
    resources: dict[str, float],
    at_once: int,
    stop: asyncio.Event,
    host: str | None,
    folder: Path,
) -> None:
    """One life of a Dask worker: it does not outlive its scheduler."""
    beside = Beside(client, place=place)
    worker = Worker(
        scheduler,
        nthreads=at_once,
        # two may be beside one server, and one that was unplugged still has its name
        name=f"{place}#{uuid.uuid4().hex[:8]}",
        resources=resources,
        plugins=(beside,),
        memory_limit=0,  # the server's memory is not ours to judge
        local_directory=str(folder),
        dashboard=False,
        host=host,
    )
    stopped = asyncio.create_task(stop.wait())
    retired = asyncio.create_task(beside.draining.wait())
    starting = asyncio.ensure_future(worker)
    ended: asyncio.Task[None] | None = None
    try:
        await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done() or starting.exception() is not None:
            if starting.done():
                logger.warning("Cannot join %s: %s", scheduler, starting.exception())
                await asyncio.sleep(AGAIN_S)
            return
        logger.warning("Joined %s; %s", scheduler, ", ".join(resources))
        ended = asyncio.create_task(worker.finished())
        await asyncio.wait([ended, stopped, retired], return_when=asyncio.FIRST_COMPLETED)
        if worker.status in {Status.running, Status.paused} and (stopped.done() or retired.done()):
            logger.warning("Finishing what runs, then ending")
            draining = asyncio.create_task(beside.drain())
            await asyncio.wait([draining, ended], return_when=asyncio.FIRST_COMPLETED)
            draining.cancel()
            stop.set()
        elif not stop.is_set():
            logger.warning("%s is gone; waiting for it to come back", scheduler)
            await asyncio.sleep(AGAIN_S)
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        with suppress(Exception):
            if stop.is_set() and worker.status == Status.closing_gracefully:
                # what waits in its queue goes elsewhere without being blamed for a death
                async with asyncio.timeout(REGISTER_S):
                    await worker.scheduler.retire_workers(
                        workers=[worker.address], close_workers=False, remove=True
                    )
        with suppress(Exception):
            await worker.close(reason="the worker's process ends")
        for task in (stopped, retired, *([] if ended is None else [ended])):
            task.cancel()
        await asyncio.gather(
            stopped, retired, *([] if ended is None else [ended]), return_exceptions=True
        )


async def _tags(client: ComfyUI, models: Iterable[str], *, stop: asyncio.Event) -> list[str] | None:
    """What the worker can run, when its server answers; None when it is to stop before that."""
    said = False
    while not stop.is_set():
        try:
            offered = Offered((await client.object_info()).classes)
        except OrchestratorError as error:
            if not said:
                logger.warning("Waiting for ComfyUI: %s", error)
            said = True
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PROBE_S)
        else:
            client.forget_info()
            return tags_of(offered, models)
    return None


def tags_of(offered: Offered, models: Iterable[str] = ()) -> list[str]:
    """The tags of a server: the backends it can run, or `models` in their place, and its model files."""
    able = list(models) or [
        backend.name
        for backend in backends.BACKENDS.values()
        if backend.service == ComfyUI.service and availability(backend, offered) is None
    ]
    files = [name for shelf in SHELVES for name in offered.listed(shelf)]
    return [model_tag(name) for name in dict.fromkeys([*able, *files])]


def place_of(url: str) -> str:
    """A server's address without a password, and with the machine's name where it says "this machine"."""
    parts = urlsplit(public(url))
    if parts.hostname not in LOOPBACK:
        return urlunsplit(parts)
    return urlunsplit(parts._replace(netloc=f"{platform.node()}:{parts.port or 80}"))


def configure() -> None:
    """Dask's settings for every process of a cluster."""
    dask.config.set(
        {
            "distributed.comm.timeouts.connect": "5s",
            "distributed.worker.daemon": False,
            "distributed.worker.profile.enabled": False,
            # for a dashboard that is not there: fifty looks a second at how late the loop is, in every process
            "distributed.admin.tick.interval": "500ms",
            "distributed.admin.system-monitor.interval": "5s",
            "distributed.admin.system-monitor.disk": False,
        }
    )
