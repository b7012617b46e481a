"""What Prometheus reads: its own parser gets every figure of a lab whose state is staged."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.health import Note, guardian_file
from orchestrator.jobs import Failure, Job, Status
from orchestrator.lab import Lab
from orchestrator.ledger import Purchase
from orchestrator.server.metrics import Metrics
from orchestrator.testing import make_job, make_lab

Sample = tuple[str, tuple[tuple[str, str], ...]]
BROKEN = Failure(kind="timeout", message="It took too long")


def read(metrics: Metrics) -> dict[Sample, float]:
    """Every sample by its name and labels; no family comes twice, and each says what it is."""
    families = list(text_string_to_metric_families(metrics.text().decode()))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.documentation
        assert family.type in {"gauge", "counter", "histogram"}
    samples = [sample for family in families for sample in family.samples]
    found = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}
    assert len(found) == len(samples)
    return found


def value(found: dict[Sample, float], name: str, **labels: str) -> float | None:
    return found.get((f"orchestrator_{name}", tuple(sorted(labels.items()))))


def done(seconds: float, *, tries: int = 1, **fields: Any) -> Job:
    """A job that is done after so many attempts, the last of which took so long."""
    job = make_job(**fields)
    for number in range(tries):
        at = job.created_at + timedelta(minutes=number)
        job = job.claim(worker="w", host="h", slot=None, now=at)
        job = job.begin_attempt(service="comfyui", host="h", now=at)
        if number < tries - 1:
            job = job.requeue(BROKEN, delay_s=0, now=at)
    return job.finish([], now=at + timedelta(seconds=seconds))


@pytest.fixture
def lab(tmp_path: Path) -> Any:
    with make_lab(tmp_path) as lab:
        yield lab


def test_all_families_and_values_of_a_staged_lab(lab: Lab) -> None:
    store = lab.store
    for seconds in (0.5, 12, 44):
        store.create(done(seconds))
    store.create(done(31, tries=3, backend="sdxl"))
    waiting = make_job()
    store.create(waiting.having(created_at=datetime.now(UTC) - timedelta(minutes=10)))
    store.create(make_job(backend="sdxl", status=Status.CREATED, hold=True))
    circuits = {
        "worker": {"state": "closed", "restarts": 2},
        "engine": {"state": "open", "restarts": 5},
    }
    hosts = {"http://a:8188": True, "http://b:8188": False}
    now = store.now()
    note = Note(os.getpid(), now, now, more={"circuits": circuits, "hosts": hosts})
    note.write(guardian_file(lab.paths))
    bought = Purchase(key="k", job="j", fence=1, backend="flux", model="m", usd=Decimal("0.06"))
    lab.ledger.reserve(bought, budget=lab.budget)
    lab.ledger.charge(bought, Decimal("0.06"))
    lab.pause("by hand")
    presence = store.presence()
    metrics = Metrics(lab, clients=lambda: 3)
    metrics.note("generate", "POST", 201, 0.02)
    found = read(metrics)
    presence.end()
    assert value(found, "jobs", status="done", backend="sd15") == 3
    assert value(found, "jobs", status="done", backend="sdxl") == 1
    assert value(found, "jobs", status="queued", backend="sd15") == 1
    assert value(found, "jobs", status="created", backend="sdxl") == 1
    assert value(found, "job_seconds_count", backend="sd15") == 3
    assert value(found, "job_seconds_sum", backend="sd15") == 56.5
    buckets = {le: value(found, "job_seconds_bucket", backend="sd15", le=le) for le in (
        "1.0", "10.0", "20.0", "30.0", "45.0", "+Inf"
    )}  # fmt: skip
    assert list(buckets.values()) == [1, 1, 2, 2, 3, 3]
    assert value(found, "job_seconds_sum", backend="sdxl") == 31
    assert value(found, "job_retries_total", backend="sdxl") == 2
    assert not value(found, "job_retries_total", backend="sd15")
    assert value(found, "spend_usd_total", backend="flux") == pytest.approx(0.06)
    assert value(found, "budget_left_usd") == pytest.approx(4.94)
    assert value(found, "queue_depth") == 1
    age_s = value(found, "oldest_waiting_seconds")
    assert age_s is not None
    assert 600 <= age_s < 660
    assert value(found, "queue_paused") == 1
    assert value(found, "restarts_total", service="worker") == 2
    assert value(found, "restarts_total", service="engine") == 5
    assert value(found, "circuit_open", service="engine") == 1
    assert value(found, "circuit_open", service="worker") == 0
    assert value(found, "host_up", host="http://a:8188") == 1
    assert value(found, "host_up", host="http://b:8188") == 0
    assert value(found, "guardian_up") == 1
    assert value(found, "workers") == 1
    assert value(found, "stream_clients") == 3
    assert value(found, "disk_free_bytes", place="jobs")
    count = value(found, "request_seconds_count", route="generate", method="POST", status="201")
    assert count == 1


def test_durations_and_retries_count_what_happens_once_and_never_go_back(lab: Lab) -> None:
    metrics = Metrics(lab, clients=int)
    first = lab.store.create(done(3))
    assert value(read(metrics), "job_seconds_count", backend="sd15") == 1
    again = lab.store.update(first.id, lambda job: job.logged("a note"))
    assert value(read(metrics), "job_seconds_count", backend="sd15") == 1
    lab.store.create(done(3, tries=2))
    assert value(read(metrics), "job_retries_total", backend="sd15") == 1
    assert lab.store.archive([again.id])
    lab.store.clear_ended()
    found = read(metrics)
    assert value(found, "job_seconds_count", backend="sd15") == 2
    assert value(found, "job_retries_total", backend="sd15") == 1
    assert not value(found, "jobs", status="done", backend="sd15")


def test_hostile_names_of_backends_break_no_line_and_do_not_grow_the_figures(lab: Lab) -> None:
    for name in ('x"} 1\norchestrator_evil 7\n', "\\", "ю" * 300):
        lab.store.create(done(1, backend=name))
    for number in range(60):
        lab.store.create(done(1, backend=f"b{number}"))
    found = read(Metrics(lab, clients=int))
    assert not any(name.startswith("orchestrator_evil") for name, _ in found)
    counts = [v for (name, _), v in found.items() if name == "orchestrator_job_seconds_count"]
    assert len(counts) <= 51
    assert sum(counts) == 63


def test_a_scrape_looks_only_into_the_jobs_that_changed(lab: Lab) -> None:
    for _ in range(50):
        lab.store.create(done(2))
    metrics = Metrics(lab, clients=int)
    metrics.text()
    began = time.perf_counter()
    metrics.text()
    print(f"a scrape of 50 jobs: {(time.perf_counter() - began) * 1e3:.1f} ms")
    before = dict(metrics._endings._seen)
    metrics.text()
    assert all(metrics._endings._seen[job_id] is each for job_id, each in before.items())
    assert lab.store.counts()[Status.DONE] == 50
