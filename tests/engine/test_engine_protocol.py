"""The conversation: submitting, hearing, asking what became of it, cancelling, in both dialects."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest
import websockets
from engine_talk import connected, painting, plain, talking
from PIL import Image
from plain_http import WITHOUT_TLS

from orchestrator.engine import CHECKPOINTS, NAME, Engine, Faults

JSON = Any


def shape(message: JSON) -> str:
    """A message in short, for comparing conversations."""
    if isinstance(message, bytes):
        return "preview"
    kind, data = message["type"], message["data"]
    if kind == "progress_state":
        nodes = data["nodes"].values()
        return "state " + " ".join(
            f"{n['node_id']}:{n['value']}/{n['max']}:{n['state']}" for n in nodes
        )
    if kind == "status":
        return f"status {data['status']['exec_info']['queue_remaining']}"
    if kind in ("executing", "executed"):
        return f"{kind} {data['node']}"
    if kind == "progress":
        return f"progress {data['value']}/{data['max']}"
    return str(kind)


def test_a_prompt_is_told_in_the_order_of_a_real_server() -> None:
    async def conversation() -> list[str]:
        async with talking() as talk:
            _, heard = await talk.run(plain())
            return [shape(m) for m in heard]

    done = "1:1.0/1.0:finished"
    done2 = f"{done} 2:1.0/1.0:finished"
    assert asyncio.run(conversation()) == [
        "status 1",
        "status 1",
        "execution_start",
        "execution_cached",
        "state 1:0.0/1.0:running",
        "executing 1",
        f"state {done}",
        f"state {done} 2:0.0/1.0:running",
        "executing 2",
        f"state {done2}",
        f"state {done2} 3:0.0/1.0:running",
        "executing 3",
        "executed 3",
        f"state {done2} 3:1.0/1.0:finished",
        "execution_success",
        "status 0",
        "executing None",
    ]


def test_a_sampler_tells_each_step_as_state_then_preview_then_progress() -> None:
    async def conversation() -> list[str]:
        async with talking() as talk:
            _, heard = await talk.run(painting(steps=1))
            said = [shape(m) for m in heard]
            return said[said.index("executing 3") + 1 :][:4]

    states, preview, progress, finished = asyncio.run(conversation())
    assert states.endswith("3:1/1:running")
    assert (preview, progress) == ("preview", "progress 1/1")
    assert finished.endswith("3:1/1:finished")


def test_history_of_a_success_has_the_shape_of_a_real_one() -> None:
    async def ask() -> tuple[JSON, str]:
        async with talking() as talk:
            prompt_id, _ = await talk.run(plain())
            return await talk.history(prompt_id), prompt_id

    entry, prompt_id = asyncio.run(ask())
    assert list(entry) == ["prompt", "outputs", "status", "meta"]
    number, its_id, prompt, extra, outputs = entry["prompt"]
    assert (number, its_id, prompt, outputs) == (0, prompt_id, plain(), ["3"])
    assert set(extra) == {"client_id", "create_time"}
    assert entry["outputs"] == {
        "3": {"images": [{"filename": "plain_00001_.png", "subfolder": "", "type": "output"}]}
    }
    assert entry["meta"] == {
        "3": {"node_id": "3", "display_node": "3", "parent_node": None, "real_node_id": "3"}
    }
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
    assert [m[0] for m in entry["status"]["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]


def test_an_identical_prompt_is_served_from_the_last_one_and_makes_no_new_file() -> None:
    async def ask() -> tuple[list[JSON], JSON, JSON]:
        async with talking() as talk:
            await talk.run(plain())
            _, heard = await talk.run(plain())
            answer = await talk.submit(plain(), with_client=False)
            await talk.hear_until("progress_state", prompt_id=answer["prompt_id"])
            await talk.hear_until("status")
            second, silent = heard, await talk.history(answer["prompt_id"])
            await talk.run(plain(colour=2))
            _, again = await talk.run(plain())
            return second, silent, next(m for m in again if m["type"] == "execution_cached")

    second, silent, again = asyncio.run(ask())
    cached = next(m["data"]["nodes"] for m in second if m["type"] == "execution_cached")
    assert cached == ["1", "2", "3"]
    output = next(m["data"]["output"] for m in second if m["type"] == "executed")
    assert output["images"][0]["filename"] == "plain_00001_.png"
    # As in ComfyUI: without a client nobody is told, and the history stays empty too.
    assert silent["outputs"] == {}
    assert silent["status"]["completed"] is True
    # Only the last prompt's outputs are kept.
    assert again["data"]["nodes"] == []


def test_previews_carry_metadata_only_for_a_client_that_asked_first() -> None:
    async def preview(*, metadata: bool) -> bytes:
        async with talking(metadata=metadata) as talk:
            _, heard = await talk.run(painting(steps=1))
            return next(m for m in heard if isinstance(m, bytes))

    plain_preview, rich = (asyncio.run(preview(metadata=m)) for m in (False, True))
    assert struct.unpack(">II", plain_preview[:8]) == (1, 1)
    assert Image.open(io.BytesIO(plain_preview[8:])).size == (384, 384)
    kind, length = struct.unpack(">II", rich[:8])
    told = json.loads(rich[8 : 8 + length])
    assert kind == 4
    assert told["image_type"] == "image/jpeg"
    assert told["node_id"] == told["display_node_id"] == told["real_node_id"] == "3"
    assert Image.open(io.BytesIO(rich[8 + length :])).format == "JPEG"


@pytest.mark.parametrize(
    ("dialect", "engine_method", "asked", "shown"),
    [
        ("0.27", "auto", None, True),
        ("0.27", "none", None, False),
        ("0.27", "none", "latent2rgb", True),  # a prompt may ask for itself
        ("0.27", "auto", "none", False),
        ("0.3.64", "auto", "none", True),  # older servers do not read it
    ],
)
def test_previews_follow_the_engine_and_the_prompt(
    dialect: str, engine_method: str, asked: str | None, shown: bool
) -> None:
    async def any_preview() -> bool:
        async with talking(dialect=dialect, preview_method=engine_method) as talk:
            extra = {"extra_data": {"preview_method": asked}} if asked else {}
            _, heard = await talk.run(painting(steps=1), **extra)
            return any(isinstance(m, bytes) for m in heard)

    assert asyncio.run(any_preview()) is shown


def test_a_running_prompt_is_cancelled_at_its_next_step() -> None:
    async def cancel() -> tuple[list[str], JSON, JSON, JSON, JSON]:
        async with talking(faults=Faults(step_delay_s=30), preview_method="none") as talk:
            answer = await talk.submit(painting(steps=50))
            prompt_id = answer["prompt_id"]
            await talk.hear_until("executing", node="3")
            running = (await talk.http.get(f"/api/jobs/{prompt_id}")).json()
            first = (await talk.http.post(f"/api/jobs/{prompt_id}/cancel")).json()
            heard = await talk.hear_until("executing", node=None)
            job = (await talk.http.get(f"/api/jobs/{prompt_id}")).json()
            again = (await talk.http.post(f"/api/jobs/{prompt_id}/cancel")).json()
            assert running["status"] == "in_progress"
            return [shape(m) for m in heard], first, again, job, await talk.history(prompt_id)

    heard, first, again, job, entry = asyncio.run(cancel())
    assert heard == ["execution_interrupted", "status 0", "executing None"]
    assert (first, again) == ({"cancelled": True}, {"cancelled": False})
    assert job["status"] == "cancelled"
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    event, told = entry["status"]["messages"][-1]
    assert event == "execution_interrupted"
    assert (told["node_id"], told["node_type"], sorted(told["executed"])) == (
        "3",
        "KSampler",
        ["4", "5", "6", "7"],
    )


def test_an_engine_that_ends_falls_silent_as_a_real_server_does() -> None:
    """Whoever heard of an interruption would take it for somebody's wish, and not try again."""

    async def end() -> list[str]:
        told: list[str | bytes] = []
        async with talking(faults=Faults(step_delay_s=30), preview_method="none") as talk:
            await talk.submit(painting(steps=50))
            await talk.hear_until("executing", node="3")
            await talk.engine.stop()
            with suppress(websockets.ConnectionClosedError):  # there is no goodbye either
                async for message in talk.socket:
                    told.append(message)  # noqa: PERF401 - what came before the error counts
        return [shape(json.loads(message)) for message in told]

    assert "execution_interrupted" not in asyncio.run(end())


def test_a_prompt_cancelled_while_it_waits_leaves_no_trace() -> None:
    async def cancel() -> tuple[JSON, int, JSON]:
        async with talking(faults=Faults(step_delay_s=30)) as talk:
            await talk.submit(painting())
            waiting = (await talk.submit(painting(seed=2)))["prompt_id"]
            done = (await talk.http.post(f"/api/jobs/{waiting}/cancel")).json()
            status = (await talk.http.get(f"/api/jobs/{waiting}")).status_code
            return done, status, (await talk.http.get(f"/history/{waiting}")).json()

    assert asyncio.run(cancel()) == ({"cancelled": True}, 404, {})


def test_the_queue_runs_the_lowest_number_first_and_shows_whole_prompts() -> None:
    async def ask() -> tuple[JSON, list[str], list[str], JSON]:
        async with talking(faults=Faults(step_delay_s=30), preview_method="none") as talk:
            ids = [(await talk.submit(painting()))["prompt_id"]]
            await talk.hear_until("executing", node="3")
            ids.append((await talk.submit(plain(2)))["prompt_id"])
            ids.append((await talk.submit(plain(3), front=True))["prompt_id"])
            ids.append((await talk.submit(plain(4), number=0.5))["prompt_id"])
            queue = (await talk.http.get("/queue")).json()
            exec_info = (await talk.http.get("/api/prompt")).json()
            await talk.http.post("/queue", json={"delete": [ids[1]]})
            await talk.http.post("/interrupt", json={"prompt_id": "of another"})
            await talk.http.post("/interrupt", json={"prompt_id": ids[0]})
            ran: list[str] = []
            while len(ran) < 3:
                said = (await talk.hear_until("executing", node=None))[-1]
                ran.append(said["data"]["prompt_id"])
            return queue, ids, ran, exec_info

    queue, ids, ran, exec_info = asyncio.run(ask())
    assert [item[0:2] for item in queue["queue_running"]] == [[0, ids[0]]]
    assert [item[0:2] for item in queue["queue_pending"]] == [
        [-2, ids[2]],
        [0.5, ids[3]],
        [1, ids[1]],
    ]
    assert queue["queue_pending"][0][2] == plain(3)
    assert exec_info == {"exec_info": {"queue_remaining": 4}}
    assert ran == [ids[0], ids[2], ids[3]]


def test_jobs_are_listed_by_status_newest_first_and_in_pages() -> None:
    async def ask() -> tuple[JSON, JSON, int, list[str]]:
        async with talking(dialect="0.27") as talk:
            ids = [(await talk.run(plain(colour)))[0] for colour in (1, 2, 3)]
            page = (await talk.http.get("/api/jobs?status=completed&limit=2&sort_order=asc")).json()
            job = (await talk.http.get(f"/api/jobs/{ids[0]}")).json()
            bad = await talk.http.get("/api/jobs?status=nonsense")
            return page, job, bad.status_code, ids

    page, job, bad, ids = asyncio.run(ask())
    assert [j["id"] for j in page["jobs"]] == ids[:2]
    assert page["pagination"] == {"offset": 0, "limit": 2, "total": 3, "has_more": True}
    assert bad == 400
    assert job["preview_output"] == {
        "filename": "plain_00001_.png", "subfolder": "", "type": "output", "nodeId": "3", "mediaType": "images",
    }  # fmt: skip
    assert job["workflow"]["prompt"] == plain(1)
    assert job["execution_start_time"] <= job["execution_end_time"]


def test_malformed_ids_are_named_when_many_jobs_are_cancelled() -> None:
    async def ask() -> httpx.Response:
        async with talking() as talk:
            return await talk.http.post(
                "/api/jobs/cancel", json={"job_ids": [str(uuid4()), "nonsense"]}
            )

    answer = asyncio.run(ask())
    assert answer.status_code == 400
    assert answer.json()["invalid_ids"] == ["nonsense"]


def test_the_older_dialect_has_no_jobs_and_takes_any_prompt_id() -> None:
    async def ask() -> tuple[list[int], str, JSON, JSON, JSON]:
        async with talking(dialect="0.3.64") as talk:
            codes = [
                (await talk.http.get("/api/jobs")).status_code,
                (await talk.http.get(f"/api/jobs/{uuid4()}")).status_code,
                (await talk.http.post(f"/api/jobs/{uuid4()}/cancel")).status_code,
            ]
            prompt_id, _ = await talk.run(plain(), prompt_id="NOT-A-UUID")
            entry = await talk.history(prompt_id)
            unknown = plain() | {"3": {"class_type": "NoSuchNode", "inputs": {}}}
            stats = (await talk.http.get("/system_stats")).json()
            return codes, prompt_id, entry, (await talk.submit(unknown))["error"], stats

    codes, prompt_id, entry, missing, stats = asyncio.run(ask())
    assert codes == [404, 404, 404]
    assert prompt_id == "NOT-A-UUID"
    assert "create_time" not in entry["prompt"][3]
    assert missing["type"] == "invalid_prompt"
    assert missing["message"] == "Cannot execute because node NoSuchNode does not exist."
    assert stats["system"]["comfyui_version"] == "0.3.64"


def test_the_engine_says_what_it_is() -> None:
    async def ask() -> list[JSON]:
        async with talking() as talk:
            paths = (
                "/system_stats",
                "/models/checkpoints",
                "/api/object_info/CheckpointLoaderSimple",
                "/api/features",
            )
            return [(await talk.http.get(path)).json() for path in paths]

    stats, models, info, features = asyncio.run(ask())
    assert stats["system"]["embedded_engine"] is True
    assert stats["system"]["argv"] == [NAME]
    assert stats["system"]["comfyui_version"] == "0.27.0"
    assert stats["devices"][0]["name"] == NAME
    assert models == list(CHECKPOINTS)
    assert all("no-model" in name for name in models)
    assert info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] == models
    assert features["max_upload_size"] == 100 * 1024 * 1024


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://{host}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),  # same machine, another port
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_pages_of_other_sites_are_refused(headers: dict[str, str], status: int) -> None:
    async def ask() -> int:
        async with (
            Engine() as engine,
            httpx.AsyncClient(base_url=engine.url, verify=WITHOUT_TLS) as http,
        ):
            host = engine.url.removeprefix("http://")
            sent = {name: value.replace("{host}", host) for name, value in headers.items()}
            return (await http.get("/queue", headers=sent)).status_code

    assert asyncio.run(ask()) == status


def test_a_client_that_comes_back_under_its_id_keeps_hearing() -> None:
    async def ask() -> list[str]:
        async with Engine() as engine, connected(engine) as old, connected(engine) as new:
            address = f"{engine.url.replace('http', 'ws', 1)}/ws?clientId={old.sid}"
            async with websockets.connect(address) as socket:
                new.socket, new.sid = socket, old.sid
                await new.hear_until("status")
                await old.socket.close()
                _, heard = await new.run(plain())
                return [shape(m) for m in heard]

    assert "execution_success" in asyncio.run(ask())


def test_free_makes_the_next_prompt_run_again() -> None:
    async def ask() -> JSON:
        async with talking() as talk:
            await talk.run(plain())
            await talk.http.post("/free", json={"unload_models": True, "free_memory": True})
            prompt_id, _ = await talk.run(plain())
            return await talk.history(prompt_id)

    assert asyncio.run(ask())["outputs"]["3"]["images"][0]["filename"] == "plain_00002_.png"


def test_a_port_in_use_is_an_error_with_a_remedy() -> None:
    async def twice() -> None:
        async with Engine() as engine:
            port = int(engine.url.rsplit(":", 1)[1])
            await Engine().start(port)

    with pytest.raises(
        OSError, match=r"in use\. Stop the program that holds it, or choose another port"
    ):
        asyncio.run(twice())
