"""Graphs and a client for the tests of the embedded engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import websockets
from plain_http import WITHOUT_TLS

from orchestrator.engine import CHECKPOINTS, Engine

JSON = Any


def painting(
    *,
    text: str = "a majestic eagle",
    negative: str = "blurry",
    seed: int = 1,
    steps: int = 3,
    cfg: float = 7.0,
    side: int = 64,
    checkpoint: str = CHECKPOINTS[0],
    sampler: str = "euler",
    scheduler: str = "normal",
) -> dict[str, JSON]:
    """The usual text-to-image graph."""
    sampling = {
        "seed": seed,
        "steps": steps,
        "cfg": cfg,
        "sampler_name": sampler,
        "scheduler": scheduler,
        "denoise": 1.0,
    }
    links = {
        "model": ["4", 0],
        "positive": ["6", 0],
        "negative": ["7", 0],
        "latent_image": ["5", 0],
    }
    return {
        "3": {"class_type": "KSampler", "inputs": sampling | links},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": side, "height": side, "batch_size": 1},
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": negative, "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "test", "images": ["8", 0]}},
    }


def plain(colour: int = 1) -> dict[str, JSON]:
    """The quickest graph with an output: a flat picture, enlarged."""
    size = {"width": 64, "height": 64, "batch_size": 1, "color": colour}
    scale = {
        "image": ["1", 0],
        "upscale_method": "nearest-exact",
        "width": 128,
        "height": 128,
        "crop": "disabled",
    }
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "2": {"class_type": "ImageScale", "inputs": scale},
        "3": {
            "class_type": "SaveImage",
            "inputs": {"filename_prefix": "plain", "images": ["2", 0]},
        },
    }


class Talk:
    """A client of one engine, with a websocket of its own."""

    def __init__(
        self, engine: Engine, http: httpx.AsyncClient, socket: websockets.ClientConnection, sid: str
    ) -> None:
        self.engine, self.http, self.socket, self.sid = engine, http, socket, sid

    async def submit(
        self, graph: JSON, *, with_client: bool = True, **body: JSON
    ) -> dict[str, JSON]:
        answer: dict[str, JSON] = (await self.post(graph, with_client=with_client, **body)).json()
        return answer

    async def post(self, graph: JSON, *, with_client: bool = True, **body: JSON) -> httpx.Response:
        client = {"client_id": self.sid} if with_client else {}
        return await self.http.post("/prompt", json={"prompt": graph, **client, **body})

    async def hear(self) -> JSON:
        """The next message: JSON, or the bytes of a binary one."""
        said = await asyncio.wait_for(self.socket.recv(), 20)
        return said if isinstance(said, bytes) else json.loads(said)

    async def hear_until(self, *types: str, **data: JSON) -> list[JSON]:
        """Messages up to the first of one of these types whose data holds these values."""
        heard: list[JSON] = []
        while True:
            said = await self.hear()
            heard.append(said)
            if (
                isinstance(said, dict)
                and said["type"] in types
                and data.items() <= said["data"].items()
            ):
                return heard

    async def run(self, graph: JSON, **body: JSON) -> tuple[str, list[JSON]]:
        """Submit and hear everything up to the end."""
        answer = await self.submit(graph, **body)
        prompt_id = answer["prompt_id"]
        return prompt_id, await self.hear_until("executing", node=None, prompt_id=prompt_id)

    async def history(self, prompt_id: str) -> JSON:
        return (await self.http.get(f"/history/{prompt_id}")).json().get(prompt_id)

    async def pixels(self, graph: JSON) -> bytes:
        """The bytes of the first picture a graph makes."""
        prompt_id, _ = await self.run(graph)
        outputs = (await self.history(prompt_id))["outputs"]
        file = next(iter(outputs.values()))["images"][0]
        return (await self.http.get("/view", params=file)).content


@asynccontextmanager
async def talking(*, metadata: bool = True, **options: JSON) -> AsyncIterator[Talk]:
    """A running engine and a client of it."""
    async with Engine(**options) as engine, connected(engine, metadata=metadata) as talk:
        yield talk


@asynccontextmanager
async def connected(engine: Engine, *, metadata: bool = True) -> AsyncIterator[Talk]:
    sid = uuid4().hex
    address = f"{engine.url.replace('http', 'ws', 1)}/ws?clientId={sid}"
    async with (
        httpx.AsyncClient(base_url=engine.url, timeout=20, verify=WITHOUT_TLS) as http,
        websockets.connect(address, max_queue=None) as socket,
    ):
        talk = Talk(engine, http, socket, sid)
        await talk.hear_until("status")
        if metadata:
            flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
            await socket.send(json.dumps(flags))
            await talk.hear_until("feature_flags")
        yield talk
