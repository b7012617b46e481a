"""Batches, diagnoses, figures and quotes over REST: what the pages do, a script can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from bare_server import BareServer

from orchestrator.errors import ExecutionFailed, OutOfMemory
from orchestrator.jobs import Failure, Job

DEEP = orjson.loads(b"[" * 400 + b"]" * 400)
GRID = {"prompt": ["a fox", "an owl"], "params": {"cfg": [4, 7], "seed": 5, "width": 64}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    server = BareServer(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


def post(server: BareServer, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
    reply = server.http.post(path, json=body if body is not None else {}, **options)
    return reply.status_code, reply.json()


def total(server: BareServer) -> int:
    return int(server.http.get("/api/jobs").json()["total"])


def failed(server: BareServer, error: ExecutionFailed) -> Job:
    """A job that a worker had, and could not make."""
    store = server.lab.store

    def fall(job: Job) -> Job:
        taken = job.claim(worker="w", host="here", slot=None, now=store.now())
        begun = taken.begin_attempt(service="comfyui", host="here", now=store.now())
        return begun.fail(Failure.of(error), now=store.now())

    return store.update(server.generate("a large picture"), fall)


def test_a_grid_is_planned_without_a_job_and_run_once(server: BareServer) -> None:
    before = total(server)
    code, plan = post(server, "/api/batches/plan", {**GRID, "name": "foxes"})
    assert (code, plan["jobs"], plan["missing"], plan["usd"]) == (200, 4, 4, "0.00")
    assert plan["axes"] == {"prompt": ["a fox", "an owl"], "cfg": [4, 7]}
    assert total(server) == before
    code, started = post(server, "/api/batches", {**GRID, "name": "foxes"})
    assert (code, started["name"], started["jobs"]) == (201, "foxes", 4)
    assert post(server, "/api/batches", {**GRID, "name": "foxes"})[1]["jobs"] == 0
    assert total(server) == before + 4


def test_a_batch_is_listed_held_let_go_and_cancelled(server: BareServer) -> None:
    post(server, "/api/batches", {**GRID, "name": "held"})
    listed = server.http.get("/api/batches").json()
    assert "held" in [each["name"] for each in listed["batches"]]
    assert post(server, "/api/batches/held/pause")[0] == 200
    whole = server.http.get("/api/batches/held").json()
    assert whole["pausedSince"]
    assert next(row["at"] for row in whole["jobs"]) == {"prompt": "a fox", "cfg": 4}
    assert post(server, "/api/batches/held/resume")[0] == 200
    assert server.http.get("/api/batches/held").json()["pausedSince"] is None
    assert post(server, "/api/batches/held/cancel")[1]["jobs"] == 4
    assert server.http.get("/api/batches/held").json()["counts"] == {"cancelled": 4}
    assert server.http.get("/api/batches/held/sheet").content.startswith(b"\x89PNG")
    page = server.http.get("/api/batches/held/sheet.html")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"prompt": "a fox", "backend": "none"}, "Invalid backend"),
        ({"prompt": "a fox", "params": {"cgf": [1, 2]}}, "cgf"),
        ({"prompt": "a fox", "params": {"cfg": []}}, "cfg has no values"),
        ({"params": {"cfg": [1, 2]}}, "prompt"),
        ({"prompt": "a fox", "params": {"name": "x"}}, "name"),
        ({"prompt": "a fox", "params": {"self": 1}}, "self"),
        ({"prompt": "a fox", "params": {"cfg": DEEP}}, "nested"),
        ({"rows": [{"prompt": "a fox", "cfg": DEEP}]}, "nested"),
        ({"prompt": "a fox", "name": "../x"}, "cannot be the name"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_with_the_word_that_is_wrong(
    server: BareServer, body: Any, word: str
) -> None:
    for path in ("/api/batches", "/api/batches/plan"):
        code, said = post(server, path, body)
        assert code == 400
        assert word in said["error"]
        assert said["remedy"]


def test_there_is_no_batch_that_nobody_made(server: BareServer) -> None:
    for path in ("", "/sheet", "/sheet.html"):
        assert server.http.get(f"/api/batches/nobody{path}").status_code == 404
    assert post(server, "/api/batches/nobody/cancel")[0] == 404


def test_a_failure_is_diagnosed_and_mended_by_what_the_diagnosis_offers(server: BareServer) -> None:
    job = failed(server, OutOfMemory("CUDA out of memory"))
    said = server.http.get(f"/api/jobs/{job.id}/diagnosis").json()
    assert said["cause"]
    assert said["remedy"]
    assert "retry_smaller" in [action["name"] for action in said["actions"]]
    code, done = post(server, f"/api/jobs/{job.id}/mend", {"action": "retry_smaller"})
    assert code == 200
    made = server.lab.store.get(done["jobId"])
    assert made.params["width"] < 512
    code, refused = post(server, f"/api/jobs/{job.id}/mend", {"action": "make_coffee"})
    assert code == 409
    assert refused["remedy"]
    assert post(server, f"/api/jobs/{made.id}/mend", {"action": "retry"})[0] == 409


def test_what_is_well_has_no_diagnosis(server: BareServer) -> None:
    job_id = server.generate("a fox")
    assert server.http.get(f"/api/jobs/{job_id}/diagnosis").json()["cause"] is None
    assert server.http.get("/api/jobs/nobody/diagnosis").status_code == 404


def test_the_figures_of_the_diagnostics_are_there(server: BareServer) -> None:
    figures = server.http.get("/api/statistics", params={"window": "all"}).json()
    assert figures["total"] == sum(figures["counts"].values())
    assert figures["total"] > 0
    assert server.http.get("/api/statistics", params={"window": "a while"}).status_code == 400
    assert server.http.get("/api/spending").json()["spentToday"] == "0.00"


def test_a_bill_of_materials_is_quoted(server: BareServer) -> None:
    bill = "Reference,Value,Footprint,Qty\nR1 R2,4k7,0603,2\nU1,nothing like it,,1\n"
    reply = server.http.post(
        "/api/parts/bom", params={"boards": 10, "currency": "EUR"}, content=bill.encode()
    )
    said = reply.json()
    assert (reply.status_code, said["currency"], said["boards"]) == (200, "EUR", 10)
    assert next(row["needed"] for row in said["rows"]) == 20
    assert server.http.post("/api/parts/bom", content=b"nothing").status_code == 400
