"""Pictures for LoadImage: what is sent, what is understood of the answer, and which errors come of it."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.connectors.comfyui import ComfyUI, Timing
from orchestrator.connectors.comfyui_upload import Upload, safe_name, stored_name
from orchestrator.engine import CHECKPOINTS, Engine, Faults, HttpStatus
from orchestrator.errors import (
    NotAuthorised,
    RateLimited,
    RequestRejected,
    ServiceBroken,
    ServiceError,
    ServiceUnreachable,
)

URL = "http://comfy.test:8188"
STORED = {"name": "cat.png", "subfolder": "orchestrator", "type": "input"}
Handler = Callable[[httpx.Request], httpx.Response]


def png(colour: str = "red", size: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "PNG")
    return buffer.getvalue()


def upload(handler: Handler, *, name: str = "cat.png", data: bytes = b"bytes") -> str:
    async def main() -> str:
        comfy = ComfyUI(URL, transport=httpx.MockTransport(handler))
        try:
            return await comfy.upload_image(data, name=name)
        finally:
            await comfy.close()

    return asyncio.run(main())


def answering(*answers: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    seen: list[httpx.Request] = []
    waiting = list(answers)

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = waiting.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler, seen


def test_a_picture_goes_into_our_own_subfolder_and_replaces_nothing() -> None:
    handler, (seen) = answering(httpx.Response(200, json=STORED))
    assert upload(handler) == "orchestrator/cat.png"
    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/upload/image")
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    body = request.content.replace(b"\r\n", b"\n").decode()
    assert 'name="type"\n\ninput\n' in body
    assert 'name="subfolder"\n\norchestrator\n' in body
    assert 'name="overwrite"\n\nfalse\n' in body
    assert 'name="image"; filename="cat.png"' in body
    assert "\n\nbytes\n" in body


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (STORED | {"name": "cat (1).png"}, "orchestrator/cat (1).png"),
        (STORED | {"subfolder": ""}, "cat.png"),  # a server that knows no subfolders
        (STORED | {"subfolder": "a\\b"}, "a/b/cat.png"),  # Windows
        (STORED | {"asset": {"id": "1"}}, "orchestrator/cat.png"),
    ],
)
def test_the_name_that_the_server_gave_is_the_one_that_counts(
    answer: dict[str, Any], value: str
) -> None:
    assert upload(answering(httpx.Response(200, json=answer))[0]) == value


@pytest.mark.parametrize(
    "answer",
    [
        {},
        STORED | {"name": ""},
        STORED | {"name": 5},
        STORED | {"name": "../../etc/passwd"},
        STORED | {"subfolder": ".."},
        STORED | {"subfolder": "/etc"},
        STORED | {"name": "C:cat.png"},
        STORED | {"name": "cat\n.png"},
        STORED | {"name": "cat.png [output]"},
        STORED | {"type": "output"},
    ],
)
def test_an_answer_that_leads_elsewhere_is_no_answer(answer: dict[str, Any]) -> None:
    with pytest.raises(ServiceBroken, match="where it put the picture"):
        stored_name(answer)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("cat.png", "cat.png"),
        ("../../etc/passwd", "passwd.png"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("..", "image.png"),
        ("", "image.png"),
        ("кот.webp", "___.webp"),
        ('a"b\r\nX: y.png', "a_b__X_ y.png"),
        ("x" * 400 + ".jpeg", "x" * 120 + ".jpeg"),
    ],
)
def test_of_a_name_only_the_last_part_in_plain_characters_is_sent(name: str, sent: str) -> None:
    assert safe_name(name) == sent


@given(st.text(max_size=30))
def test_no_name_whatever_breaks_out_of_its_header_or_folder(name: str) -> None:
    safe = safe_name(name)
    assert safe.isascii()
    assert safe.isprintable()
    assert not set(safe) & set('/\\"')
    assert safe not in (".", "..")
    head = Upload.of(b"", name=name).body.split(b"\r\n\r\n")[3]
    # the end of the field before it, the boundary and two lines of headers
    assert head.count(b"\r\n") == 3


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (413, RequestRejected, "too large"),
        (400, RequestRejected, "does not take"),
        (403, NotAuthorised, "refuses us"),
        (429, RateLimited, "429"),
        (500, ServiceBroken, "500"),
        (404, ServiceBroken, "404"),
    ],
)
def test_a_refusal_is_told_as_what_it_is(status: int, error: type[ServiceError], told: str) -> None:
    with pytest.raises(error, match=told) as caught:
        upload(answering(httpx.Response(status))[0])
    if status == 413:
        assert "--max-upload-size" in caught.value.remedy
        assert not caught.value.retryable


def test_a_connection_that_breaks_is_tried_once_more() -> None:
    handler, seen = answering(httpx.RemoteProtocolError("closed"), httpx.Response(200, json=STORED))
    assert upload(handler) == "orchestrator/cat.png"
    assert seen[0].content == seen[1].content
    handler, seen = answering(httpx.ReadError("1"), httpx.ReadError("2"))
    with pytest.raises(ServiceUnreachable):
        upload(handler)


def picture_over(name: str) -> dict[str, Any]:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "up"}},
    }


@pytest.mark.parametrize("dialect", ["0.27", "0.3.64"])
def test_what_was_uploaded_comes_back_out_of_a_workflow(dialect: str) -> None:
    async def main() -> tuple[list[str], list[bytes]]:
        async with Engine(dialect=dialect) as engine:
            comfy = ComfyUI(engine.url, timing=Timing(poll_interval_s=0.1))
            try:
                sent = [png("red"), png("red"), png("blue"), png("red")]
                names = [await comfy.upload_image(data, name="../cat.png") for data in sent]
                found = []
                for name in names[:3]:
                    id = str(uuid.uuid4())
                    await comfy.submit(picture_over(name), prompt_id=id)
                    (file,) = await comfy.wait(id, on_progress=lambda p: None)
                    found.append(await comfy.fetch(file))
                return names, found
            finally:
                await comfy.close()

    names, found = asyncio.run(main())
    assert names == [
        "orchestrator/cat.png",
        "orchestrator/cat.png",  # the same bytes: kept once
        "orchestrator/cat (1).png",  # other bytes: another name
        "orchestrator/cat.png",
    ]
    colours = [Image.open(io.BytesIO(data)).convert("RGB").getpixel((3, 3)) for data in found]
    assert colours == [(255, 0, 0), (255, 0, 0), (0, 0, 255)]


def test_a_real_server_that_says_413_is_heard_to_the_end() -> None:
    async def main() -> None:
        faults = Faults(http_status=HttpStatus(413, "/upload"))
        async with Engine(faults=faults) as engine:
            comfy = ComfyUI(engine.url)
            try:
                with pytest.raises(RequestRejected, match="too large"):
                    await comfy.upload_image(png(), name="cat.png")
                assert await comfy.upload_image(png(), name="cat.png") == "orchestrator/cat.png"
            finally:
                await comfy.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "length"),
    [
        ({"exec_info": {"queue_remaining": 7}}, 7),
        ({"exec_info": {"queue_remaining": 0}}, 0),
        ({"exec_info": {}}, None),
        ({"exec_info": 5}, None),
        ({}, None),
    ],
)
def test_the_queue_has_a_length_or_an_error(answer: dict[str, Any], length: int | None) -> None:
    handler, seen = answering(httpx.Response(200, json=answer))

    async def main() -> int:
        comfy = ComfyUI(URL, transport=httpx.MockTransport(handler))
        try:
            return await comfy.queue_length()
        finally:
            await comfy.close()

    if length is None:
        with pytest.raises(ServiceBroken, match="queue"):
            asyncio.run(main())
    else:
        assert asyncio.run(main()) == length
    assert [f"{r.method} {r.url.path}" for r in seen] == ["GET /prompt"]  # one cheap question


SLOW = {
    "1": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 1, "steps": 5, "cfg": 7, "sampler_name": "euler", "scheduler": "normal", "denoise": 1,
            "model": ["2", 0], "positive": ["4", 0], "negative": ["4", 0], "latent_image": ["3", 0],
        },
    },
    "2": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINTS[0]}},
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 16, "height": 16, "batch_size": 1}},
    "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["2", 1]}},
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0], "vae": ["2", 2]}},
    "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
}  # fmt: skip


def test_the_queue_of_a_busy_server_counts_what_runs_and_what_waits() -> None:
    async def main() -> list[int]:
        async with Engine(faults=Faults(step_delay_s=30)) as engine:
            comfy = ComfyUI(engine.url, timing=Timing(poll_interval_s=0.1))
            try:
                lengths = [await comfy.queue_length()]
                for _ in range(2):
                    await comfy.submit(SLOW, prompt_id=str(uuid.uuid4()))
                    lengths.append(await comfy.queue_length())
                return lengths
            finally:
                await comfy.close()

    assert asyncio.run(main()) == [0, 1, 2]
