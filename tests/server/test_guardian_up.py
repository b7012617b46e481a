"""The guardian under `orchestrator up`: how soon what was killed or hangs is back, and what is told of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from served_lab import ServedLab, until

from orchestrator.jobs import Status


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    lab = ServedLab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()


def engine(served: ServedLab) -> int:
    return int(orjson.loads((served.lab.paths.data / "engine.json").read_bytes())["pid"])


def restarts(served: ServedLab, service: str) -> list[dict[str, Any]]:
    lines = (served.lab.paths.logs / "guardian.jsonl").read_bytes().splitlines()
    found = [orjson.loads(line) for line in lines]
    return [e for e in found if e["service"] == service and e["event"] == "restart"]


def test_health_shows_the_guardian_and_the_monitor_with_their_processes(served: ServedLab) -> None:
    until(lambda: served.api("GET", "/api/health")["monitor"]["status"] == "running", 20)
    report = served.api("GET", "/api/health")
    assert report["guardian"]["pid"] == served.process.pid
    assert report["monitor"]["pid"] == served.worker()
    assert report["engine"]["pid"] == engine(served)
    for name in ("panel", "worker", "monitor", "guardian", "engine"):
        assert report[name]["status"] == "running"
        assert report[name]["uptimeS"] >= 0
    assert report["well"] is True


def test_a_spare_kernel_takes_the_place_of_a_killed_worker_and_another_spare_its_own(
    served: ServedLab,
) -> None:
    def spares() -> list[str]:
        names = [(s["name"], s["kernel"]["id"]) for s in served.api("GET", "/api/sessions")]
        return [kernel for name, kernel in names if name == "orchestrator-worker-spare"]

    def kernels() -> dict[int, psutil.Process]:
        return {p.pid: p for p in served.family() if "ipykernel_launcher" in " ".join(p.cmdline())}

    def is_warm() -> bool:
        rest = [p for pid, p in kernels().items() if pid != served.worker()]
        return any(p.memory_full_info().uss > 50e6 for p in rest)

    until(is_warm, 60)
    (spare,) = spares()
    time.sleep(2)  # to end its imports
    before, pids = served.worker(), set(kernels())
    assert before is not None
    os.kill(before, signal.SIGKILL)
    took_s = until(lambda: served.worker() not in {None, before}, 8)
    print(f"worker SIGKILL, with a spare: {took_s:.1f} s")
    assert served.worker() in pids, "it ran already"
    sessions = {s["name"]: s["kernel"]["id"] for s in served.api("GET", "/api/sessions")}
    assert sessions["orchestrator-worker"] == spare
    until(lambda: bool(spares()) and spares() != [spare], 60)


@pytest.mark.parametrize(("blow", "seconds"), [("SIGKILL", 8), ("SIGSTOP", 15)])
def test_a_worker_that_is_killed_or_hangs_is_back_soon_and_works_and_it_is_written_down(
    served: ServedLab, blow: str, seconds: int
) -> None:
    until(lambda: served.worker() is not None, 20)  # another may just have taken the place
    before = served.worker()
    assert before is not None
    os.kill(before, getattr(signal, blow))
    took_s = until(lambda: served.worker() not in {None, before}, seconds)
    print(f"worker {blow}: {took_s:.1f} s")
    assert not psutil.pid_exists(before)
    assert restarts(served, "worker")
    assert served.ended(served.lab.submit("an owl", params={"steps": 1})).status is Status.DONE


@pytest.mark.parametrize("blow", ["SIGKILL", "SIGSTOP"])
def test_an_engine_that_falls_under_a_job_is_back_and_the_job_is_done(
    served: ServedLab, blow: str
) -> None:
    job = served.lab.submit("long", params={"steps": 60, "width": 512, "height": 512})
    until(lambda: served.lab.store.get(job.id).status is not Status.QUEUED, 30)
    before = engine(served)
    os.kill(before, getattr(signal, blow))
    took_s = until(lambda: engine(served) != before and psutil.pid_exists(engine(served)), 15)
    print(f"engine {blow}: {took_s:.1f} s")
    ended = served.ended(job, timeout_s=120)
    assert ended.status is Status.DONE, ended.failure
    assert restarts(served, "engine")


def figures(served: ServedLab) -> dict[tuple[str, ...], float]:
    reply = httpx.get(f"{served.url}/api/metrics", headers=served.token, timeout=20)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def test_the_metrics_count_it_all_in_a_form_that_prometheus_reads(served: ServedLab) -> None:
    def host_is_up() -> bool:
        found = figures(served)
        return any(key[0] == "orchestrator_host_up" and found[key] == 1 for key in found)

    until(host_is_up, 30)  # it is looked at every ten seconds, and was down just now
    found = figures(served)
    assert found["orchestrator_restarts_total", "worker"] >= 2
    assert found["orchestrator_restarts_total", "engine"] >= 2
    assert found["orchestrator_circuit_open", "engine"] == 0
    assert found[("orchestrator_guardian_up",)] == 1
