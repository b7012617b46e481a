"""The websocket as a hint: what it tells makes the client quick, what it fails to tell makes it poll."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest
from connector_fakes import JPEG, PNG, ComfyApp, ComfyServer, new_id, serving, workflow

from orchestrator.connectors.comfyui import ComfyUI, RemoteFile, Timing
from orchestrator.errors import PromptVanished
from orchestrator.jobs import Progress

T = TypeVar("T")
FILE = RemoteFile("lab_00001_.png", "", "output", "images")
# Polls so rare that a test which needs one would run into its timeout.
BY_SOCKET = Timing(poll_interval_s=60, lively_interval_s=60, reconnect_s=0.02)
BY_POLLING = Timing(poll_interval_s=0.03, lively_interval_s=0.2, vanish_s=0.05)


def run(
    app: ComfyApp,
    action: Callable[[ComfyUI, ComfyServer], Awaitable[T]],
    *,
    timing: Timing,
    sockets: bool = True,
) -> T:
    async def main() -> T:
        async with serving(app, sockets=sockets) as server, asyncio.timeout(10):
            comfy = ComfyUI(server.url, timing=timing)
            try:
                return await action(comfy, server)
            finally:
                await comfy.close()

    return asyncio.run(main())


class Seen(list[Progress]):
    """Collects progress, and lets a test wait for one of a kind."""

    def __init__(self) -> None:
        super().__init__()
        self.news = asyncio.Event()

    def __call__(self, progress: Progress) -> None:
        self.append(progress)
        self.news.set()

    async def until(self, wanted: Callable[[Progress], bool]) -> Progress:
        while not any(wanted(progress) for progress in self):
            self.news.clear()
            await self.news.wait()
        return next(progress for progress in self if wanted(progress))


def test_an_end_told_by_the_socket_costs_exactly_one_look() -> None:
    app, id = ComfyApp(), new_id()
    app.on_prompt = app.begin

    async def work(comfy: ComfyUI, server: ComfyServer) -> None:
        await comfy.submit(workflow(), prompt_id=id)
        seen = Seen()
        waiting = asyncio.create_task(comfy.wait(id, on_progress=seen))
        server.event("execution_start", id)
        await seen.until(lambda p: p.text == "running")
        app.finish(id)
        server.event("execution_success", id)
        server.event("executing", id, node=None)
        assert await waiting == (FILE,)
        assert await comfy.fetch(FILE) == PNG

    run(app, work, timing=BY_SOCKET)
    assert app.paths() == ["POST /prompt", f"GET /api/jobs/{id}", "GET /view"]


def test_an_end_told_between_submit_and_wait_is_not_missed() -> None:
    app, id = ComfyApp(), new_id()

    async def work(comfy: ComfyUI, server: ComfyServer) -> tuple[RemoteFile, ...]:
        await comfy.submit(workflow(), prompt_id=id)
        server.event("executing", id, node=None)
        return await comfy.wait(id, on_progress=lambda p: None)

    assert run(app, work, timing=BY_SOCKET) == (FILE,)


def test_an_old_server_is_asked_for_the_history_first_when_the_socket_told_the_end() -> None:
    app, id = ComfyApp(modern=False), new_id()

    async def work(comfy: ComfyUI, server: ComfyServer) -> None:
        await comfy.state(new_id())  # finds the dialect out
        app.requests.clear()
        await comfy.submit(workflow(), prompt_id=id)
        server.event("executing", id, node=None)
        await comfy.wait(id, on_progress=lambda p: None)

    run(app, work, timing=BY_SOCKET)
    assert app.paths() == ["POST /prompt", f"GET /history/{id}"]


def test_the_first_message_asks_for_previews_with_metadata_and_names_the_client() -> None:
    app = ComfyApp()

    async def work(comfy: ComfyUI, server: ComfyServer) -> None:
        await comfy.submit(workflow(), prompt_id=new_id())
        while not server.heard:
            await asyncio.sleep(0.005)
        hello = json.loads(server.heard[0])
        assert hello == {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
        assert server.client_ids == [comfy.client_id]

    run(app, work, timing=BY_SOCKET)
    assert json.loads(app.requests[0].content)["client_id"]


def preview(kind: int, image: bytes, prompt_id: str = "") -> bytes:
    head = kind.to_bytes(4, "big")
    if kind == 1:
        return head + (1).to_bytes(4, "big") + image
    metadata = json.dumps({"prompt_id": prompt_id}).encode()
    return head + len(metadata).to_bytes(4, "big") + metadata + image


@pytest.mark.parametrize("kind", [1, 4])
def test_previews_and_steps_reach_the_caller(kind: int) -> None:
    app, id = ComfyApp(), new_id()
    app.on_prompt = app.begin

    async def work(comfy: ComfyUI, server: ComfyServer) -> None:
        await comfy.submit(workflow(steps=4), prompt_id=id)
        seen = Seen()
        waiting = asyncio.create_task(comfy.wait(id, on_progress=seen))
        server.event("executing", id, node="3")
        server.event("progress", id, node="3", value=2, max=4)
        server.say(preview(kind, JPEG, id))
        await seen.until(lambda p: p.preview == JPEG)
        step = await seen.until(lambda p: p.step == 2)
        assert (step.steps, step.text) == (4, "sampling")
        assert 0 < step.fraction < 1
        app.finish(id)
        server.event("executing", id, node=None)
        await waiting

    run(app, work, timing=BY_SOCKET)


def test_two_prompts_share_one_socket_and_keep_their_previews_apart() -> None:
    app, ids = ComfyApp(), [new_id(), new_id()]
    app.on_prompt = app.begin

    async def work(comfy: ComfyUI, server: ComfyServer) -> None:
        seen = [Seen(), Seen()]
        waits = []
        for id, collect in zip(ids, seen, strict=True):
            await comfy.submit(workflow(), prompt_id=id)
            waits.append(asyncio.create_task(comfy.wait(id, on_progress=collect)))
        server.say(preview(4, JPEG, ids[0]))
        server.say(preview(4, PNG, ids[1]))
        await seen[0].until(lambda p: p.preview == JPEG)
        await seen[1].until(lambda p: p.preview == PNG)
        for id in ids:
            app.finish(id)
            server.event("executing", id, node=None)
        await asyncio.gather(*waits)
        assert len(server.client_ids) == 1

    run(app, work, timing=BY_SOCKET)


GARBAGE: list[bytes | str] = [
    b"",
    b"\0\0\0\1",
    b"\0\0\0\4\xff\xff\xff\xff{",
    "{",
    "[]",
    "null",
    '{"type": 3, "data": {}}',
    '{"type": "progress", "data": {"prompt_id": "ID", "node": "3", "value": "x", "max": null}}',
    '{"type": "progress_state", "data": {"prompt_id": "ID", "nodes": {"3": 7, "4": null}}}',
    '{"type": "execution_cached", "data": {"prompt_id": "ID", "nodes": [null, {}]}}',
]


def test_garbage_on_the_socket_is_passed_over() -> None:
    app, id = ComfyApp(), new_id()
    app.on_prompt = app.begin

    async def work(comfy: ComfyUI, server: ComfyServer) -> tuple[RemoteFile, ...]:
        await comfy.submit(workflow(), prompt_id=id)
        waiting = asyncio.create_task(comfy.wait(id, on_progress=lambda p: None))
        for message in GARBAGE:
            server.say(message.replace("ID", id) if isinstance(message, str) else message)
        app.finish(id)
        server.event("executing", id, node=None)
        return await waiting

    assert run(app, work, timing=BY_SOCKET) == (FILE,)


@pytest.mark.parametrize("modern", [True, False], ids=["0.27", "0.3.64"])
@pytest.mark.parametrize("trouble", ["silent", "refused", "dropped"])
def test_a_socket_that_fails_leaves_the_prompt_to_the_polls(trouble: str, modern: bool) -> None:
    app, id = ComfyApp(modern=modern), new_id()
    app.on_prompt = app.begin

    async def work(comfy: ComfyUI, server: ComfyServer) -> tuple[RemoteFile, ...]:
        await comfy.submit(workflow(), prompt_id=id)
        waiting = asyncio.create_task(comfy.wait(id, on_progress=lambda p: None))
        await asyncio.sleep(0)
        if trouble == "dropped":
            server.drop()
        app.finish(id)
        return await waiting

    files = run(app, work, timing=BY_POLLING, sockets=trouble != "refused")
    assert files == (FILE,)


def test_a_dropped_socket_is_looked_behind_at_once_and_opened_again() -> None:
    app, id = ComfyApp(), new_id()
    app.on_prompt = app.begin

    async def work(comfy: ComfyUI, server: ComfyServer) -> tuple[RemoteFile, ...]:
        await comfy.submit(workflow(), prompt_id=id)
        seen = Seen()
        waiting = asyncio.create_task(comfy.wait(id, on_progress=seen))
        server.opened.clear()
        server.drop()
        await server.opened.wait()
        assert len(server.client_ids) == 2
        assert len(set(server.client_ids)) == 1  # or the prompt's events would go nowhere
        app.finish(id)
        server.event("executing", id, node=None)
        return await waiting

    assert run(app, work, timing=BY_SOCKET) == (FILE,)


def test_an_end_that_the_socket_was_away_for_is_found_without_waiting_for_a_poll() -> None:
    app, id = ComfyApp(), new_id()
    app.on_prompt = app.begin

    async def work(comfy: ComfyUI, server: ComfyServer) -> tuple[RemoteFile, ...]:
        await comfy.submit(workflow(), prompt_id=id)
        waiting = asyncio.create_task(comfy.wait(id, on_progress=lambda p: None))
        app.finish(id)
        server.drop()
        return await waiting

    assert run(app, work, timing=BY_SOCKET) == (FILE,)


def test_a_deaf_socket_is_replaced_for_the_next_prompt() -> None:
    app = ComfyApp()

    async def work(comfy: ComfyUI, server: ComfyServer) -> None:
        for expected in (1, 2):
            id = new_id()
            await comfy.submit(workflow(), prompt_id=id)
            await comfy.wait(id, on_progress=lambda p: None)
            assert len(server.client_ids) == expected
            while server.sockets:
                await asyncio.sleep(0.005)

    run(app, work, timing=BY_POLLING)


def test_a_restarted_server_lets_its_prompts_vanish_whatever_the_socket_does() -> None:
    app, id = ComfyApp(), new_id()
    app.on_prompt = app.begin

    async def work(comfy: ComfyUI, server: ComfyServer) -> None:
        await comfy.submit(workflow(), prompt_id=id)
        waiting = asyncio.create_task(comfy.wait(id, on_progress=lambda p: None))
        app.forget(id)
        server.drop()
        with pytest.raises(PromptVanished):
            await waiting

    run(app, work, timing=BY_POLLING)


def test_a_prompt_whose_answer_was_cut_off_on_the_wire_is_found_and_waited_for() -> None:
    app, id = ComfyApp(), new_id()
    app.script["/prompt"] = [httpx.ReadError("cut")]  # the server closes without an answer
    app.finish(id)

    async def work(comfy: ComfyUI, server: ComfyServer) -> tuple[RemoteFile, ...]:
        await comfy.submit(workflow(), prompt_id=id)
        return await comfy.wait(id, on_progress=lambda p: None)

    assert run(app, work, timing=BY_POLLING) == (FILE,)


def test_closing_leaves_no_task_and_no_socket_behind() -> None:
    async def work(comfy: ComfyUI, server: ComfyServer) -> None:
        await comfy.submit(workflow(), prompt_id=new_id())
        assert server.sockets
        await comfy.close()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "comfyui socket"]
        while server.sockets:
            await asyncio.sleep(0.005)

    run(ComfyApp(), work, timing=BY_SOCKET)
