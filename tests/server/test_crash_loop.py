"""Under `orchestrator up`: a job that fells every worker is put away, not the lab; a silent monitor is brought back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from jupyter_client import BlockingKernelClient
from jupyter_client.connect import find_connection_file
from served_lab import ServedLab, until

from orchestrator.jobs import Status


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    lab = ServedLab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()


def events(served: ServedLab) -> list[dict[str, Any]]:
    file = served.lab.paths.logs / "guardian.jsonl"
    return [orjson.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def test_a_monitor_that_falls_silent_is_started_again(served: ServedLab) -> None:
    def monitor() -> str:
        return str(served.api("GET", "/api/health")["monitor"]["status"])

    until(lambda: monitor() == "running", 40)
    sessions = served.api("GET", "/api/sessions")
    kernel = next(s["kernel"]["id"] for s in sessions if s["name"] == "orchestrator-worker")
    client = BlockingKernelClient(connection_file=find_connection_file(f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        client.execute("_worker._monitor.cancel()", store_history=False)
    finally:
        client.stop_channels()
    worker = served.worker()
    until(lambda: monitor() == "stopped", 20)
    until(lambda: monitor() == "running", 60)
    assert served.worker() == worker, "its worker goes on"
    assert [e["event"] for e in events(served) if e["service"] == "monitor"] == ["restart"]


def test_a_job_that_fells_worker_after_worker_is_put_away_and_the_lab_goes_on(
    served: ServedLab,
) -> None:
    job = served.lab.submit("deadly", params={"steps": 4000, "width": 512, "height": 512})
    felled: set[int] = set()

    def has_it() -> bool:
        pid = served.worker()
        now = served.lab.store.get(job.id)
        if now.is_terminal or pid in felled or now.lease is None:
            return now.is_terminal
        workers = served.lab.store.observer.workers()
        return any(w.id == now.lease.worker and w.pid == pid and w.alive for w in workers)

    for _ in range(6):
        until(has_it, 60)
        pid = served.worker()
        if served.lab.store.get(job.id).is_terminal or pid is None:
            break
        felled.add(pid)
        os.kill(pid, signal.SIGKILL)
    until(lambda: served.lab.store.get(job.id).is_terminal, 30)
    ended = served.lab.store.get(job.id)
    assert ended.status is Status.FAILED
    assert ended.failure is not None
    assert ended.failure.remedy
    assert len(felled) == 4, "three restarts, and the circuit opens at the fourth"
    next_job = served.lab.submit("an owl", params={"steps": 1, "width": 64, "height": 64})
    # at once, not at the slow probe
    assert served.ended(next_job, timeout_s=40).status is Status.DONE
    (put_away,) = [e for e in events(served) if e["event"] == "job-quarantined"]
    assert put_away["job"] == job.id
    told = [e["event"] for e in events(served) if e["service"] == "worker"]
    assert told.count("restart") == 4
    assert told.index("job-quarantined") > told.index("circuit-open")
