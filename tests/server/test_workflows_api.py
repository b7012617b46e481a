"""Workflow files over REST: what the Builder and `orchestrator workflow` do, a script can do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from bare_server import BareServer

from orchestrator.engine import Engine

DEEP = orjson.loads(b"[" * 900 + b"]" * 900)
# as ComfyUI's editor saves it
FLAT = {
    "version": 0.4,
    "nodes": [
        {
            "id": 1,
            "type": "EmptyImage",
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [7]}],
            "widgets_values": [64, 64, 1, 5],
        },
        {
            "id": 2,
            "type": "SaveImage",
            "inputs": [{"name": "images", "type": "IMAGE", "link": 7}],
            "widgets_values": ["flat"],
        },
    ],
    "links": [[7, 1, 0, 2, 0, "IMAGE"]],
}
PROMPT = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 5},
    },
    "2": {
        "class_type": "SaveImage",
        "inputs": {"images": ["1", 0], "filename_prefix": "flat"},
    },
}


def bare(prompt: dict[str, Any]) -> dict[str, Any]:
    """Without what only people read."""
    return {
        name: {key: node[key] for key in ("class_type", "inputs")} for name, node in prompt.items()
    }


def checked(server: BareServer, workflow: object) -> tuple[int, Any]:
    reply = server.post("/api/workflows/check", {"workflow": workflow})
    return reply.status_code, reply.json()


def test_a_workflow_is_converted_and_held_against_the_servers_nodes(tmp_path: Path) -> None:
    async def story() -> None:
        async with Engine() as engine:
            (tmp_path / ".env.local").write_text(f"COMFY_URL={engine.url}\n")
            server = await asyncio.to_thread(BareServer, tmp_path)
            try:
                code, said = await asyncio.to_thread(checked, server, FLAT)
                assert (code, said["errors"], said["warnings"]) == (200, [], [])
                assert bare(said["prompt"]) == PROMPT
                assert said["host"] in engine.url
                cut = {**FLAT, "links": []}
                _, said = await asyncio.to_thread(checked, server, cut)
                assert [(each["node"], each["input"]) for each in said["errors"]] == [
                    ("2", "images")
                ]
                assert server.get("/api/jobs")["total"] == 0
            finally:
                server.stop()

    asyncio.run(story())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    server = BareServer(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


def test_without_a_server_nobody_is_named_and_an_api_workflow_stays_as_it_is(
    server: BareServer,
) -> None:
    code, said = checked(server, PROMPT)
    assert (code, said["host"], said["prompt"]) == (200, "", PROMPT)


@pytest.mark.parametrize(
    "workflow", [{}, {"nodes": 5}, {"a": {"b": 1}}, {"nodes": DEEP}, [], "x", None]
)
def test_what_is_no_workflow_is_refused_with_a_remedy(server: BareServer, workflow: object) -> None:
    code, said = checked(server, workflow)
    assert code == 400, said
    assert said["error"]
    assert said["remedy"]
