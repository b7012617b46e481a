"""What the ComfyUI servers have to choose from, and which backends can run there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from orchestrator.backends import Backend
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.errors import OrchestratorError
from orchestrator.models import Library
from orchestrator.workflows import Offered, availability
from orchestrator.workflows.offered import CHECKPOINTS, LORAS, UPSCALERS, VAES
from orchestrator.workflows.samplers import USUAL_SAMPLERS, USUAL_SCHEDULERS

logger = logging.getLogger(__name__)

PROBE_S = 2.0
LISTS = ("samplers", "schedulers", "checkpoints", "loras", "vaes", "upscalers")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Offers:
    """What there is to choose from. Without a server: what every ComfyUI of the last years has."""

    samplers: tuple[str, ...] = USUAL_SAMPLERS
    schedulers: tuple[str, ...] = USUAL_SCHEDULERS
    checkpoints: tuple[str, ...] = ()
    loras: tuple[str, ...] = ()
    vaes: tuple[str, ...] = ()
    upscalers: tuple[str, ...] = ()
    #: backend -> why no server that answers can run it
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, lists: Sequence[Mapping[str, Sequence[str]]], *, unavailable: Mapping[str, str]
    ) -> Self:
        """What several servers have, all together. `lists` are `lists_of` each; none of them: the usual names."""
        if not lists:
            return cls(unavailable=unavailable)
        every = {name: _all(each.get(name, ()) for each in lists) for name in LISTS}
        return cls(**every, unavailable=unavailable)


async def offered_by(client: ComfyUI, library: Library) -> Offered:
    """What one server has. Raises ServiceError."""
    info = await client.object_info()
    if urlsplit(client.url).hostname not in LOOPBACK:
        return Offered(info.classes)
    # the files it lists lie on this machine: what stands in them beats what they are called
    return await asyncio.to_thread(_with_files, info.classes, library)


def _with_files(classes: Mapping[str, object], library: Library) -> Offered:
    return Offered(classes, families=library.families_by_name(), corrupt=library.faults_by_name())


async def ask(hosts: Sequence[str], *, library: Library, backends: Iterable[Backend]) -> Offers:
    """What the servers at `hosts` have, all together; those that do not answer within seconds are left out."""
    found = [
        each for each in await asyncio.gather(*(_ask(host, library) for host in hosts)) if each
    ]
    if not found:
        return Offers()
    return Offers.of(
        [lists_of(offered) for offered in found],
        unavailable=await asyncio.to_thread(_unavailable, found, list(backends)),
    )


def lists_of(offered: Offered) -> dict[str, tuple[str, ...]]:
    """What one server has to choose from: plain values, so that they may travel."""
    return {
        "samplers": tuple(offered.options("KSampler", "sampler_name")),
        "schedulers": tuple(offered.options("KSampler", "scheduler")),
        "checkpoints": tuple(offered.listed(CHECKPOINTS)),
        "loras": tuple(offered.listed(LORAS)),
        "vaes": tuple(offered.listed(VAES)),
        "upscalers": tuple(offered.listed(UPSCALERS)),
    }


async def _ask(host: str, library: Library) -> Offered | None:
    client = ComfyUI(host)
    try:
        async with asyncio.timeout(PROBE_S):
            return await offered_by(client, library)
    except (OrchestratorError, TimeoutError):
        return None
    finally:
        await client.close()


def _unavailable(found: list[Offered], backends: list[Backend]) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for backend in backends:
        if backend.service != ComfyUI.service:
            continue
        said = [availability(backend, offered) for offered in found]
        if said and all(said):
            reasons[backend.name] = str(said[0])
    return reasons


def _all(lists: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The names of all lists, each once, in their order."""
    return tuple(dict.fromkeys(name for names in lists for name in names))
