"""FakeBFL is as the service's documents say, so that what passes against it has a chance with the real one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from plain_http import WITHOUT_TLS
from workshop import in_loop

from orchestrator.testing import KEY, FakeBFL, Fault, make_job

MODEL = "flux-pro-1.1-ultra"
HEADERS = {"x-key": KEY}


async def post(http: httpx.AsyncClient, bfl: FakeBFL, **body: Any) -> httpx.Response:
    return await http.post(f"{bfl.url}/v1/{MODEL}", json={"prompt": "a fox", **body})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"aspect_ratio": "3:1"}, "aspect_ratio"),  # wider than 21:9
        ({"aspect_ratio": "wide"}, "aspect_ratio"),
        ({"safety_tolerance": 7}, "safety_tolerance"),
        ({"output_format": "webp"}, "output_format"),
    ],
)
@in_loop
async def test_a_bad_value_is_refused_by_its_place_and_not_charged(
    body: dict[str, Any], field: str
) -> None:
    async with FakeBFL() as bfl, httpx.AsyncClient(headers=HEADERS, verify=WITHOUT_TLS) as http:
        reply = await post(http, bfl, **body)
    assert reply.status_code == 422
    assert [set(each) >= {"loc", "msg", "type"} for each in reply.json()["detail"]] == [True]
    assert reply.json()["detail"][0]["loc"] == ["body", field]
    assert bfl.charges == []


@pytest.mark.parametrize(
    ("model", "body", "field"),
    [
        ("flux-pro-1.1", {"width": 1000}, "width"),
        ("flux-kontext-pro", {"prompt": None}, "prompt"),
        ("flux-kontext-pro", {"input_image": "no base64!"}, "input_image"),
        ("flux-kontext-pro", {"input_image": "bm8gcGljdHVyZQ=="}, "input_image"),
        ("flux-2-pro", {"safety_tolerance": 6}, "safety_tolerance"),
        ("flux-2-flex", {"guidance": 11}, "guidance"),
        ("flux-2-klein-4b", {"width": 72}, "width"),
    ],
)
@in_loop
async def test_each_model_refuses_what_its_documents_do_not_have(
    model: str, body: dict[str, Any], field: str
) -> None:
    async with FakeBFL() as bfl, httpx.AsyncClient(headers=HEADERS, verify=WITHOUT_TLS) as http:
        reply = await http.post(f"{bfl.url}/v1/{model}", json={"prompt": "a fox", **body})
        unknown = await http.post(f"{bfl.url}/v1/flux-9", json={"prompt": "a fox"})
    assert (reply.status_code, unknown.status_code) == (422, 404)
    assert reply.json()["detail"][0]["loc"] == ["body", field]
    assert bfl.charges == []


@in_loop
async def test_a_picture_can_be_larger_than_its_header_announces_or_no_picture_at_all() -> None:
    async with FakeBFL(picture_s=0) as bfl, httpx.AsyncClient(verify=WITHOUT_TLS) as http:
        answer = (await http.post(f"{bfl.url}/v1/{MODEL}", json={}, headers=HEADERS)).json()
        task = (await http.get(answer["polling_url"], headers=HEADERS)).json()
        sample = task["result"]["sample"]
        whole = (await http.get(sample)).content
        bfl.fail(Fault.SAMPLE_WRONG_TYPE)
        page = await http.get(sample)
        assert page.headers["content-type"].startswith("text/html")
        assert (page.status_code, b"<html>" in page.content) == (200, True)
        bfl.fail(Fault.SAMPLE_LARGER)
        cut = await http.get(sample)
        assert cut.content == whole[: len(whole) // 2]
        assert (await http.get(sample)).content == whole


@in_loop
async def test_nothing_is_told_or_sold_without_the_key() -> None:
    async with FakeBFL() as bfl, httpx.AsyncClient(verify=WITHOUT_TLS) as http:
        replies = [await post(http, bfl), await http.get(f"{bfl.url}/v1/credits")]
    assert [reply.status_code for reply in replies] == [403, 403]
    assert bfl.charges == []


@in_loop
async def test_a_picture_is_had_by_its_signed_address_alone() -> None:
    async with FakeBFL(picture_s=0) as bfl, httpx.AsyncClient(verify=WITHOUT_TLS) as http:
        answer = (await http.post(f"{bfl.url}/v1/{MODEL}", json={}, headers=HEADERS)).json()
        assert set(answer) >= {"id", "polling_url", "cost"}
        task = (await http.get(answer["polling_url"], headers=HEADERS)).json()
        assert task["status"] == "Ready"
        sample = task["result"]["sample"]
        assert (await http.get(sample)).content.startswith(b"\xff\xd8\xff")
        assert (await http.get(sample[:-1] + "x")).status_code == 403
        assert (await http.get(sample, headers=HEADERS)).status_code == 403
        assert bfl.leaks == 1
        left = await http.get(f"{bfl.url}/v1/credits", headers=HEADERS)
    assert left.json() == {"credits": 994.0}


@in_loop
async def test_the_25th_task_at_once_is_turned_away() -> None:
    async with (
        FakeBFL(picture_s=60) as bfl,
        httpx.AsyncClient(headers=HEADERS, verify=WITHOUT_TLS) as http,
    ):
        replies = await asyncio.gather(*(post(http, bfl) for _ in range(25)))
    assert sorted(reply.status_code for reply in replies) == [200] * 24 + [429]
    assert len(bfl.charges) == 24


def test_as_a_process_it_says_its_address_takes_faults_and_ends_with_its_input(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "orchestrator.testing"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with httpx.Client(headers=HEADERS, verify=WITHOUT_TLS) as http:
            http.post(f"{url}/fake/fail", json={"fault": "no_credits"}).raise_for_status()
            assert http.post(f"{url}/v1/{MODEL}", json={"prompt": "x"}).status_code == 402
            assert http.post(f"{url}/v1/{MODEL}", json={"prompt": "x"}).status_code == 200
            bill = http.get(f"{url}/fake/charges").json()
        process.stdin.close()
        assert process.wait(20) == 0
    assert [charge["prompt"] for charge in bill] == ["x"]


def test_make_job_gives_a_job_that_has_the_fields_asked_for() -> None:
    job = make_job("a cat", backend="flux", priority=3, id="mine")
    assert (job.id, job.prompt, job.backend, job.priority) == ("mine", "a cat", "flux", 3)
