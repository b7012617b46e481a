"""The REST interface by its contract: what a script with the token can do, and what it is told when it cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from bare_server import BareServer

from orchestrator.jobs import Failure, Job, Status


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    server = BareServer(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def empty_queue(server: BareServer) -> Iterator[None]:
    yield
    server.lab.resume()
    server.lab.store.refresh()
    for job in server.lab.store.snapshot():
        if not job.is_terminal:
            server.lab.cancel(job.id)
        server.lab.delete(job.id)


def fail(server: BareServer, job_id: str) -> Job:
    """Have a job fail, as a worker does."""
    store, failure = server.lab.store, Failure(kind="test", message="it broke", remedy="mend it")
    return store.update(job_id, lambda job: job.fail(failure, now=store.now()))


def refused(reply: httpx.Response, status: int) -> dict[str, Any]:
    """What was said with an error: always in this shape."""
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"].startswith("application/json")
    said: dict[str, Any] = reply.json()
    assert said["success"] is False
    assert said["error"]
    assert said["remedy"]
    return said


# ------------------------------------------------------------------------------ submitting


def test_a_request_becomes_a_job_that_is_on_the_disk_when_the_answer_comes(
    server: BareServer,
) -> None:
    body = {"prompt": "an owl", "backend": "sd15", "params": {"steps": 3, "seed": 7}}
    reply = server.post("/api/generate", body)
    assert reply.status_code == 201
    said = reply.json()
    assert set(said) == {"success", "jobId"}
    assert said["success"] is True
    job = server.lab.store.get(said["jobId"])
    assert (job.prompt, job.backend, job.params) == ("an owl", "sd15", {"steps": 3, "seed": 7})
    assert job.status is Status.QUEUED
    assert reply.headers["Location"] == f"/api/jobs/{job.id}"


def test_a_held_request_is_a_draft_with_its_priority(server: BareServer) -> None:
    job_id = server.generate(hold=True, priority=5)
    job = server.get(f"/api/jobs/{job_id}")
    assert (job["status"], job["hold"], job["priority"]) == ("created", True, 5)


def test_a_seed_is_chosen_when_none_is_given(server: BareServer) -> None:
    seed = server.get(f"/api/jobs/{server.generate(params={'seed': -1})}")["params"]["seed"]
    assert seed >= 0


@pytest.mark.parametrize("backend", ["nonsense", "", "sd35 ", 5, None, ["sd15"]])
def test_an_unknown_backend_is_refused_in_the_words_of_the_contract(
    server: BareServer, backend: object
) -> None:
    said = refused(server.post("/api/generate", {"prompt": "x", "backend": backend}), 400)
    assert said["error"] == "Invalid backend"
    assert "backend" in said["fields"]


def test_a_request_without_a_backend_is_refused_likewise(server: BareServer) -> None:
    assert refused(server.post("/api/generate", {"prompt": "x"}), 400)["error"] == "Invalid backend"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n"}, "prompt"),
        ({"prompt": "x" * 10_001}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"hold": "yes"}, "hold"),
        ({"priority": 1001}, "priority"),
        ({"priority": "1"}, "priority"),
        ({"parms": {}}, "parms"),
        ({"params": [1]}, "params"),
        ({"params": {"width": 7}}, "params.width"),
        ({"params": {"width": "512"}}, "params.width"),
        ({"params": {"width": 1e300}}, "params.width"),
        ({"params": {"steps": 0}}, "params.steps"),
        ({"params": {"cfg": 101}}, "params.cfg"),
        ({"params": {"wdith": 512}}, "params.wdith"),
        ({"params": {"negativePrompt": "x" * 10_001}}, "params.negativePrompt"),
        ({"params": {"seed": 2**64}}, "params.seed"),
        ({"backend": "flux", "params": {"aspectRatio": "99:1"}}, "params.aspectRatio"),
    ],
)
def test_a_bad_field_is_named_with_what_is_wrong_and_nothing_is_stored(
    server: BareServer, change: dict[str, Any], field: str
) -> None:
    body = {"prompt": "x", "backend": "sd15"} | change
    said = refused(server.post("/api/generate", body), 400)
    assert list(said["fields"]) == [field]
    assert len(said["fields"][field]) > 5
    assert server.get("/api/jobs")["total"] == 0


def test_all_bad_fields_are_told_at_once(server: BareServer) -> None:
    params = {"width": 7, "steps": 0, "zoom": 3}
    reply = server.post("/api/generate", {"prompt": "x", "backend": "sd15", "params": params})
    assert set(refused(reply, 400)["fields"]) == {"params.width", "params.steps", "params.zoom"}


def test_the_longest_prompt_that_is_allowed_goes_through_whole(server: BareServer) -> None:
    prompt = "ж🦊" * 5_000
    assert server.get(f"/api/jobs/{server.generate(prompt)}")["prompt"] == prompt


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b'"text"', b"null", b"prompt=x&backend=sd15", b"\xff\xfe", b"[" * 100_000],
)
def test_a_body_that_is_no_json_object_is_refused(server: BareServer, body: bytes) -> None:
    for route in ("/api/generate", "/api/jobs/x/priority"):
        refused(server.http.post(route, content=body), 400)


# ------------------------------------------------------------------------------ listing


def test_jobs_are_listed_newest_first_in_pages(server: BareServer) -> None:
    made = [server.generate(f"fox {n}") for n in range(5)]
    page = server.get("/api/jobs", limit=2, offset=1)
    assert [job["id"] for job in page["jobs"]] == [made[3], made[2]]
    assert page["total"] == 5
    assert page["jobs"][0] == server.get(f"/api/jobs/{made[3]}")


def test_jobs_are_filtered_by_status_backend_and_words(server: BareServer) -> None:
    fox, owl = server.generate("a red fox"), server.generate("an owl", backend="sdxl", hold=True)

    def found(**query: Any) -> list[str]:
        page = server.get("/api/jobs", **query)
        assert page["total"] == len(page["jobs"])
        return [job["id"] for job in page["jobs"]]

    assert found(status="queued") == [fox]
    assert found(backend="sdxl") == [owl]
    assert found(text="FOX red") == [fox]
    assert found(status="queued", backend="sdxl") == []
    assert found(status="", backend="", limit="", offset="", text="") == [owl, fox]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"status": "canceled"}, "status"),
    ],
)
def test_a_bad_filter_is_named(server: BareServer, query: dict[str, Any], field: str) -> None:
    assert list(refused(server.http.get("/api/jobs", params=query), 400)["fields"]) == [field]


def test_a_job_that_another_process_made_is_listed(server: BareServer) -> None:
    server.get("/api/jobs")
    job = server.lab.submit("made elsewhere")
    assert server.get("/api/jobs")["jobs"][0]["id"] == job.id


def test_an_id_may_be_shortened(server: BareServer) -> None:
    job_id = server.generate()
    assert server.get(f"/api/jobs/{job_id[:-4]}")["id"] == job_id


# ------------------------------------------------------------------------------ acting


def test_a_draft_is_run_cancelled_retried_and_deleted(server: BareServer) -> None:
    job_id = server.generate(hold=True)
    for action, status in (("run", "queued"), ("cancel", "cancelled"), ("retry", "queued")):
        said = server.post(f"/api/jobs/{job_id}/{action}").json()
        assert said["success"] is True
        assert said["jobId"] == said["job"]["id"] == job_id
        assert said["job"]["status"] == status
    server.post(f"/api/jobs/{job_id}/cancel")
    gone = server.http.delete(f"/api/jobs/{job_id}")
    assert (gone.status_code, gone.json()) == (200, {"success": True, "jobId": job_id})
    refused(server.http.get(f"/api/jobs/{job_id}"), 404)


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/run"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("POST", "/duplicate"),
        ("POST", "/priority"),
    ],
)
@pytest.mark.parametrize("job_id", ["unknown", "..%2fpaths", "a%00b", "%F0%9F%A6%8A"])
def test_an_unknown_job_is_said_to_be_unknown(
    server: BareServer, method: str, action: str, job_id: str
) -> None:
    body = b'{"priority": 1}' if action == "/priority" else b""
    reply = server.http.request(method, f"/api/jobs/{job_id}{action}", content=body)
    refused(reply, 404)


def test_what_a_status_does_not_allow_is_refused_and_changes_nothing(server: BareServer) -> None:
    job_id = server.generate()
    refused(server.post(f"/api/jobs/{job_id}/run"), 409)
    refused(server.http.delete(f"/api/jobs/{job_id}"), 409)
    server.post(f"/api/jobs/{job_id}/cancel")
    before = server.get(f"/api/jobs/{job_id}")
    refused(server.post(f"/api/jobs/{job_id}/cancel"), 409)
    refused(server.post(f"/api/jobs/{job_id}/priority", {"priority": 3}), 409)
    assert server.get(f"/api/jobs/{job_id}") == before


def test_a_duplicate_is_a_draft_of_the_same(server: BareServer) -> None:
    job_id = server.generate("twice", params={"steps": 2}, priority=4)
    reply = server.post(f"/api/jobs/{job_id}/duplicate")
    assert reply.status_code == 201
    twin = server.get(reply.headers["Location"])
    assert twin["id"] != job_id
    assert twin["status"] == "created"
    first = server.get(f"/api/jobs/{job_id}")
    assert all(twin[name] == first[name] for name in ("prompt", "params", "backend", "priority"))


def test_a_priority_is_changed(server: BareServer) -> None:
    job_id = server.generate()
    said = server.post(f"/api/jobs/{job_id}/priority", {"priority": -7})
    assert said.json()["job"]["priority"] == -7
    for bad in ({}, {"priority": 5000}, {"priority": True}, {"priority": 1.5}, {"up": 1}):
        refused(server.post(f"/api/jobs/{job_id}/priority", bad), 400)


def test_ended_jobs_are_cleared(server: BareServer) -> None:
    kept, cancelled, failed = (server.generate() for _ in range(3))
    server.post(f"/api/jobs/{cancelled}/cancel")
    fail(server, failed)
    assert server.post("/api/jobs/clear").json() == {"success": True, "removed": 2}
    assert [job["id"] for job in server.get("/api/jobs")["jobs"]] == [kept]


def test_the_queue_is_paused_with_a_reason_and_resumed(server: BareServer) -> None:
    server.generate()
    paused = server.post("/api/queue/pause", {"reason": "a new GPU"}).json()
    assert paused["paused"]["reason"] == "a new GPU"
    queue = server.get("/api/queue")
    assert queue["paused"] == paused["paused"]
    assert (queue["waiting"], queue["counts"]["queued"]) == (1, 1)
    assert queue["byBackend"] == {"sd15": {"queued": 1}}
    assert queue["oldestWaitingS"] >= 0
    assert server.lab.pause_note() is not None
    assert server.post("/api/queue/resume").json()["paused"] is None
    assert server.lab.pause_note() is None


# ------------------------------------------------------------------------------ the lab


def test_health_names_every_service_with_a_status(server: BareServer) -> None:
    report = server.get("/api/health")
    for name in ("panel", "comfyui", "worker", "monitor", "guardian"):
        assert report[name]["status"] in {"running", "stopped", "unknown"}
    assert report["worker"]["status"] == "stopped"
    assert report["worker"]["remedy"]
    assert isinstance(report["panel"]["port"], int)


def test_the_backends_are_listed_with_what_they_cost_and_take(server: BareServer) -> None:
    backends = {backend["name"]: backend for backend in server.get("/api/backends")["backends"]}
    assert backends["flux"]["paid"] is True
    assert "$" in backends["flux"]["price"]
    assert backends["sd15"]["params"]["properties"]["steps"]["default"] == 20
    assert backends["sd15"]["defaults"]["width"] == 512


def test_a_saved_workflow_is_a_backend_of_the_interface(server: BareServer) -> None:
    size = {"width": 64, "height": 64, "batch_size": 1}
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "2": {"class_type": "EmptyLatentImage", "inputs": size},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }
    (server.lab.paths.workflows / "plain.json").write_text(json.dumps(graph))
    listed = {each["name"]: each for each in server.get("/api/backends")["backends"]}
    assert listed["plain"]["defaults"]["width"] == 64
    assert listed["plain"]["notes"]
    assert server.generate("x", backend="plain", params={"width": 96})
    asked = {"prompt": "x", "backend": "plain", "params": {"steps": 3}}
    refused = server.post("/api/generate", asked)
    assert refused.status_code == 400
    assert "params.steps" in refused.json()["fields"]


def test_there_are_samplers_to_choose_from_even_without_a_server(server: BareServer) -> None:
    offers = server.get("/api/offers")
    assert "euler" in offers["samplers"]
    assert "karras" in offers["schedulers"]


def test_metrics_count_jobs_and_time_requests(server: BareServer) -> None:
    server.generate()
    server.generate(backend="sdxl", hold=True)
    reply = server.http.get("/api/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain")
    lines = reply.text.splitlines()
    assert 'orchestrator_jobs{backend="sd15",status="queued"} 1.0' in lines
    assert 'orchestrator_jobs{backend="sdxl",status="created"} 1.0' in lines
    assert "orchestrator_queue_depth 1.0" in lines
    counted = 'orchestrator_request_seconds_count{method="POST",route="generate",status="201"}'
    assert any(line.startswith(counted) for line in lines)
    assert any(line.startswith('orchestrator_disk_free_bytes{place="jobs"}') for line in lines)


# ------------------------------------------------------------------------------ the edges


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/api/jobs/x/y/z", "/api/queue/stop", "/api/jobs/", "/api/generate/1"]
)
def test_an_address_that_is_nobodys_is_answered_in_json(server: BareServer, path: str) -> None:
    refused(server.http.get(path), 404)


def test_jupyters_own_addresses_stay_jupyters(server: BareServer) -> None:
    assert "kernels" in server.get("/api/status")
    assert server.get("/api/kernels") == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/jobs", "GET, HEAD, OPTIONS"),
        ("GET", "/api/generate", "POST, OPTIONS"),
        ("PATCH", "/api/jobs/x", "GET, HEAD, DELETE, OPTIONS"),
        ("TRACE", "/api/health", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    server: BareServer, method: str, path: str, allowed: str
) -> None:
    reply = server.http.request(method, path)
    refused(reply, 405)
    assert reply.headers["Allow"] == allowed


def test_a_lab_below_an_address_of_its_own_says_so(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = BareServer(tmp_path_factory.mktemp("below"), base_url="/x/")
    try:
        reply = server.post("/api/generate", {"prompt": "x", "backend": "sd15"})
        assert reply.headers["Location"] == f"/x/api/jobs/{reply.json()['jobId']}"
        assert server.get("/api/openapi.json")["servers"] == [{"url": "/x"}]
        refused(server.http.get("/api/nothing"), 404)
    finally:
        server.stop()
