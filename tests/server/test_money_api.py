"""Money over REST: what needs a confirmation, why a job is held, and what Prometheus is told."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from bare_server import BareServer

from orchestrator.jobs import Failure
from orchestrator.ledger import Purchase


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    folder = tmp_path_factory.mktemp("lab")
    said = "ORCHESTRATOR_CONFIRM_ABOVE=0.05\nORCHESTRATOR_BUDGET_PER_DAY=1.00\n"
    (folder / ".env.local").write_text(said)
    server = BareServer(folder)
    yield server
    server.stop()


def test_a_dear_request_is_refused_until_it_says_confirm(server: BareServer) -> None:
    body = {"prompt": "an owl", "backend": "flux"}
    reply = server.post("/api/generate", body)
    assert reply.status_code == 400
    said = reply.json()
    assert said["success"] is False
    assert "$0.06" in said["error"]
    assert '"confirm": true' in said["remedy"]
    assert "confirm" in said["fields"]
    assert server.get("/api/jobs")["total"] == 0
    assert server.post("/api/generate", {**body, "confirm": True}).status_code == 201
    assert server.post("/api/generate", {**body, "backend": "flux-pro-1.1"}).status_code == 201
    assert server.post("/api/generate", {**body, "backend": "sd15"}).status_code == 201


def test_a_held_job_tells_its_reason_and_can_be_run(server: BareServer) -> None:
    job_id = server.generate("an owl")
    store = server.lab.store
    store.update(job_id, lambda job: job.claim(worker="w", host="h", slot=None, now=store.now()))
    failure = Failure(kind="over_budget", message="too dear", remedy="wait")
    store.update(job_id, lambda job: job.put_aside(failure))
    job = server.get(f"/api/jobs/{job_id}")
    assert (job["status"], job["hold"], job["failure"]["kind"]) == ("created", True, "over_budget")
    assert server.post(f"/api/jobs/{job_id}/run").status_code == 200
    job = server.get(f"/api/jobs/{job_id}")
    assert (job["status"], job["hold"], job["failure"]) == ("queued", False, None)


def test_metrics_count_what_was_spent_and_what_is_left(server: BareServer) -> None:
    ledger = server.lab.ledger
    for number, backend in enumerate(("flux", "flux", "flux-2-klein-4b")):
        one = Purchase(key=f"j{number}", job="j", fence=1, backend=backend, model="m")
        ledger.charge(one, Decimal("0.06") if backend == "flux" else Decimal("0.014"))
    text = server.http.get("/api/metrics").text
    assert 'orchestrator_spend_usd_total{backend="flux"} 0.12' in text
    assert 'orchestrator_spend_usd_total{backend="flux-2-klein-4b"} 0.014' in text
    assert "orchestrator_budget_left_usd 0.866" in text
