"""The nodes that a lab's ComfyUI servers have, for the palette, the widgets and the checks; remembered on the disk."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.errors import OrchestratorError
from orchestrator.files import write_whole
from orchestrator.lab import Lab
from orchestrator.workflows.ui import Plans

logger = logging.getLogger(__name__)

ASK_S = 20.0  # /object_info of a server with many custom nodes takes seconds
FILE = "object_info.json"  # in the folder `data`: what a server had last


@dataclass(frozen=True)
class Known:
    """The nodes of a server. `address` is where its own page is; empty while it does not answer, or has no page."""

    plans: Plans
    host: str
    address: str
    is_live: bool


async def ask(lab: Lab) -> Known:
    """The nodes of the first server that answers, else those that one had last, else none."""
    for url in await asyncio.to_thread(lab.comfy_hosts):
        client = ComfyUI(url)
        try:
            async with asyncio.timeout(ASK_S):
                info = dict((await client.object_info()).classes)
                stats = await client.system_stats()
        except (OrchestratorError, TimeoutError):
            continue
        finally:
            await client.close()
        await asyncio.to_thread(_remember, lab.paths.data / FILE, info)
        page = "" if stats.embedded_engine else _public(url)
        return Known(Plans(info), client.host, page, is_live=True)
    remembered = await asyncio.to_thread(_remembered, lab.paths.data / FILE)
    return Known(Plans(remembered), "", "", is_live=False)


def _public(url: str) -> str:
    """An address without the user and password that a proxy may want."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def _remember(file: Path, info: dict[str, Any]) -> None:
    try:
        write_whole(file, orjson.dumps(info), durable=False)
    except (OSError, OrchestratorError, TypeError) as error:  # the next one will do
        logger.warning("Cannot remember the server's nodes: %s", error)


def _remembered(file: Path) -> dict[str, Any]:
    try:
        info = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return info if isinstance(info, dict) else {}
