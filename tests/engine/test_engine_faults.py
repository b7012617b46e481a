"""Told to fail, the engine fails as told, and its ledger says what it ran."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import websockets
from engine_talk import painting, plain, talking
from plain_http import WITHOUT_TLS

from orchestrator.engine import Engine, Faults, Hang, HttpStatus, PromptError

JSON = Any


def test_a_prompt_told_to_fail_ends_as_an_error_and_the_next_one_succeeds() -> None:
    async def fail() -> tuple[list[JSON], JSON, JSON, JSON]:
        faults = Faults(
            prompt_error=PromptError("torch.OutOfMemoryError", "out of memory", node="KSampler")
        )
        async with talking(faults=faults) as talk:
            prompt_id, heard = await talk.run(painting(steps=1))
            job = (await talk.http.get(f"/api/jobs/{prompt_id}")).json()
            again, _ = await talk.run(painting(steps=1))
            return heard, await talk.history(prompt_id), job, await talk.history(again)

    heard, entry, job, again = asyncio.run(fail())
    assert [m["type"] for m in heard[-3:]] == ["execution_error", "status", "executing"]
    event, told = entry["status"]["messages"][-1]
    assert (entry["status"]["status_str"], entry["status"]["completed"], event) == (
        "error",
        False,
        "execution_error",
    )
    assert told["exception_type"] == "torch.OutOfMemoryError"
    assert told["exception_message"] == "out of memory\n"
    assert (told["node_id"], told["node_type"], told["executed"]) == (
        "3",
        "KSampler",
        ["4", "5", "7", "6"],
    )
    assert told["current_inputs"]["steps"] == [1]
    assert (job["status"], job["execution_error"]) == ("failed", told)
    assert again["status"]["completed"] is True


def test_faults_are_set_and_read_over_http_only_when_allowed() -> None:
    async def ask() -> tuple[int, JSON, int, int]:
        async with (
            Engine() as closed,
            httpx.AsyncClient(base_url=closed.url, verify=WITHOUT_TLS) as http,
        ):
            refused = (await http.post("/engine/faults", json={})).status_code
        async with (
            Engine(allow_faults=True) as engine,
            httpx.AsyncClient(base_url=engine.url, verify=WITHOUT_TLS) as http,
        ):
            fault = {"http_status": {"status": 503, "path": "/queue", "count": 2}}
            told = (await http.post("/engine/faults", json=fault)).json()
            codes = [
                (await http.get(path)).status_code
                for path in ("/queue", "/prompt", "/api/queue", "/queue")
            ]
            assert codes == [503, 200, 503, 200]
            unknown = (await http.post("/engine/faults", json={"explode": True})).status_code
            wrong = (await http.post("/engine/faults", json={"hang": {"where": "/"}})).status_code
            return refused, told, unknown, wrong

    refused, told, unknown, wrong = asyncio.run(ask())
    assert refused == 404
    assert told["http_status"] == {"status": 503, "path": "/queue", "count": 2}
    assert (unknown, wrong) == (400, 400)


def test_an_accepted_prompt_whose_answer_is_lost_runs_once() -> None:
    async def lose() -> tuple[int, JSON]:
        async with talking(faults=Faults(drop_prompt_answer=1), allow_faults=True) as talk:
            prompt_id = "0f7c1a53-5d5d-4c0e-9d5a-6b0f4a7d1c11"
            with pytest.raises(httpx.RemoteProtocolError):
                await talk.post(plain(), prompt_id=prompt_id)
            await talk.hear_until("executing", node=None)
            return talk.engine.ledger.count(prompt_id), (
                await talk.http.get("/engine/ledger")
            ).json()

    count, (entry,) = asyncio.run(lose())
    assert count == 1
    assert entry["outcome"] == "success"
    assert entry["started"] <= entry["finished"]


def test_a_hanging_request_is_never_answered_and_does_not_keep_the_engine() -> None:
    async def hang() -> JSON:
        async with (
            Engine(faults=Faults(hang=Hang("/view"))) as engine,
            httpx.AsyncClient(base_url=engine.url, verify=WITHOUT_TLS) as http,
        ):
            with pytest.raises(httpx.ReadTimeout):
                await http.get("/view", timeout=0.2)
            return (await http.get("/queue")).json()

    assert asyncio.run(hang()) == {"queue_running": [], "queue_pending": []}


def test_a_corrupt_view_is_cut_short_once() -> None:
    async def view() -> tuple[bytes, bytes]:
        async with talking(faults=Faults(corrupt_view=1)) as talk:
            cut = await talk.pixels(plain())
            whole = await talk.http.get("/view", params={"filename": "plain_00001_.png"})
            return cut, whole.content

    cut, whole = asyncio.run(view())
    assert cut == whole[: len(whole) // 2]


def test_forgetting_empties_queue_and_history_as_a_restart_does() -> None:
    async def forget() -> tuple[JSON, JSON, int, int, list[JSON]]:
        async with talking(faults=Faults(step_delay_s=30), allow_faults=True) as talk:
            await talk.submit(painting())
            await talk.submit(plain())
            await talk.hear_until("executing", node="3")
            await talk.http.post("/engine/faults", json={"forget": True, "step_delay_s": 0})
            queue = (await talk.http.get("/queue")).json()
            await talk.hear_until("executing", node=None)
            history = (await talk.http.get("/history")).json()
            number = (await talk.submit(plain()))["number"]
            return queue, history, number, len(talk.engine.sockets), talk.engine.ledger.to_json()

    queue, history, number, sockets, ledger = asyncio.run(forget())
    assert (queue, history) == ({"queue_running": [], "queue_pending": []}, {})
    assert (number, sockets) == (0, 1)
    assert ledger[0]["outcome"] == "interrupted"


def test_sockets_can_be_dropped_and_silenced() -> None:
    async def drop() -> tuple[str, JSON]:
        async with talking(allow_faults=True) as talk:
            await talk.http.post(
                "/engine/faults", json={"drop_sockets": True, "silent_sockets": True}
            )
            with pytest.raises(websockets.ConnectionClosed):
                await talk.hear_until("no such message")
            address = f"{talk.engine.url.replace('http', 'ws', 1)}/ws?clientId={talk.sid}"
            async with websockets.connect(address) as socket:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(socket.recv(), 0.1)
                prompt_id = (await talk.submit(plain()))["prompt_id"]
                while not (entry := await talk.history(prompt_id)):
                    await asyncio.sleep(0.01)
            return prompt_id, entry

    _, entry = asyncio.run(drop())
    assert entry["status"]["completed"] is True


def test_latency_delays_answers_but_not_the_way_to_end_it() -> None:
    async def wait() -> JSON:
        engine = Engine(faults=Faults(latency_s=60), allow_faults=True)
        async with engine, httpx.AsyncClient(verify=WITHOUT_TLS) as http:
            http.base_url = engine.url
            with pytest.raises(httpx.ReadTimeout):
                await http.get("/queue", timeout=0.2)
            await http.post("/engine/faults", json={"reset": True})
            return (await http.get("/queue")).json()

    assert asyncio.run(wait())["queue_running"] == []


def test_http_status_from_python_counts_down() -> None:
    async def ask() -> list[int]:
        async with (
            Engine() as engine,
            httpx.AsyncClient(base_url=engine.url, verify=WITHOUT_TLS) as http,
        ):
            engine.faults.http_status = HttpStatus(500, "/prompt", 1)
            return [(await http.get("/prompt")).status_code for _ in range(2)]

    assert asyncio.run(ask()) == [500, 200]
