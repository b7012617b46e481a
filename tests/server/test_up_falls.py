"""`orchestrator up` when what it has started falls, when another one comes, and when it falls itself.

One lab for all of it, whose server is ended and started again, in the order of the tests; each can run alone, too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest
from jupyter_client import BlockingKernelClient
from jupyter_client.connect import find_connection_file
from lengths import LONG
from listener import Listener
from prometheus_client.parser import text_string_to_metric_families
from served_lab import ServedLab, free_port, until

sys.path.append(str(Path(__file__).resolve().parent.parent / "acceptance"))
from commands import command

from orchestrator.errors import AlreadyUp
from orchestrator.jobs import Job, Status
from orchestrator.lab import Lab
from orchestrator.server.launch import Address
from orchestrator.server.tenancy import Tenancy

# all signals but SIGKILL go the same way; each costs the start of a lab
ENDS = ("SIGINT", "SIGTERM", "SIGHUP") if LONG else ("SIGINT",)
STEP_MS = 200.0
SLOW = {"steps": 2000, "width": 64, "height": 64}  # minutes
SPARE = "orchestrator-worker-spare"
QUICK = {"steps": 1, "width": 64, "height": 64}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    # slow: what is painted for long shall not take the processor from what is restarted meanwhile
    lab = ServedLab(tmp_path_factory.mktemp("lab"), step_ms=STEP_MS)
    yield lab
    lab.stop()


def noted(served: ServedLab) -> dict[str, Any]:
    """What is written down of the embedded engine."""
    said: dict[str, Any] = orjson.loads((served.lab.paths.data / "engine.json").read_bytes())
    return said


def engine(served: ServedLab) -> int:
    return int(noted(served)["pid"])


def events(served: ServedLab, service: str) -> list[dict[str, Any]]:
    """What the guardian's journal says of a service."""
    file = served.lab.paths.logs / "guardian.jsonl"
    lines = file.read_bytes().splitlines() if file.exists() else []
    return [event for event in map(orjson.loads, lines) if event["service"] == service]


def restarts(served: ServedLab, service: str) -> int:
    return sum(event["event"] == "restart" for event in events(served, service))


def monitor(served: ServedLab) -> str:
    return str(served.api("GET", "/api/health")["monitor"]["status"])


def kernel_of(served: ServedLab, name: str) -> str | None:
    sessions = {s["name"]: str(s["kernel"]["id"]) for s in served.api("GET", "/api/sessions")}
    return sessions.get(name)


def note(served: ServedLab) -> Path:
    """Where a server writes down what it has started."""
    return served.lab.store.layout.lab / "offspring.json"


# ------------------------------------------------------------------------------ what it has started


def test_health_shows_the_guardian_and_the_monitor_with_their_processes(served: ServedLab) -> None:
    until(lambda: monitor(served) == "running", 40)
    report = served.api("GET", "/api/health")
    assert report["guardian"]["pid"] == served.process.pid
    assert report["monitor"]["pid"] == served.worker()
    assert report["engine"]["pid"] == engine(served)
    for name in ("panel", "worker", "monitor", "guardian", "engine"):
        assert report[name]["status"] == "running"
        assert report[name]["uptimeS"] >= 0
    assert report["well"] is True


def test_the_worker_and_the_engine_of_a_server_are_written_down(served: ServedLab) -> None:
    said = orjson.loads(note(served).read_bytes())
    assert {str(served.worker()), str(engine(served))} <= set(said["born"])


@pytest.fixture(scope="module")
def silenced(served: ServedLab) -> int | None:
    """The worker, whose monitor has just been ended. Only in twenty seconds it is missed: other tests run meanwhile."""
    until(lambda: monitor(served) == "running", 40)
    kernel = kernel_of(served, "orchestrator-worker")
    client = BlockingKernelClient(connection_file=find_connection_file(f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        client.execute("_worker._monitor.cancel()", store_history=False)
    finally:
        client.stop_channels()
    return served.worker()


@pytest.mark.usefixtures("silenced")
@pytest.mark.parametrize("blow", ["SIGKILL", "SIGSTOP"])
def test_an_engine_that_falls_under_a_job_is_back_and_the_job_is_done(
    served: ServedLab, blow: str
) -> None:
    job = served.lab.submit("long", params={**SLOW, "steps": 15})
    until(lambda: served.lab.store.get(job.id).status is not Status.QUEUED, 30)
    before = engine(served)
    os.kill(before, getattr(signal, blow))
    took_s = until(lambda: engine(served) != before and psutil.pid_exists(engine(served)), 15)
    print(f"engine {blow}: {took_s:.1f} s")
    ended = served.ended(job, timeout_s=120)
    assert ended.status is Status.DONE, ended.failure
    assert restarts(served, "engine")


# ------------------------------------------------------------------------------ another one


@pytest.fixture(scope="module")
def at_rest(served: ServedLab) -> ServedLab:
    """The lab with all that it starts by itself: a spare worker kernel comes some seconds after all else."""
    until(lambda: kernel_of(served, SPARE) is not None, 60)
    return served


def up(paths: Path, port: int) -> subprocess.CompletedProcess[str]:
    """Another `up`, which is expected to end by itself."""
    environment = {**os.environ, "ORCHESTRATOR_PATHS": str(paths)}
    asked = ("up", "--no-browser", "--port", str(port))
    return command(paths.parent, *asked, environment=environment)


@pytest.mark.usefixtures("silenced")
@pytest.mark.parametrize("which", ["another port", "the same port", "another project"])
def test_the_second_says_who_has_the_jobs_and_starts_nothing(
    at_rest: ServedLab, tmp_path: Path, which: str
) -> None:
    served = at_rest
    paths = Path(served.lab.paths.file)
    if which == "another project":  # with a paths.json of its own, over the same jobs
        paths = tmp_path / "paths.json"
        paths.write_text(json.dumps({"jobs": str(served.lab.paths.jobs)}))
    before = {process.pid for process in served.family()}
    done = up(paths, served.port if which == "the same port" else free_port())
    assert done.returncode == 1
    assert served.url in done.stderr
    assert f"port {served.port}" in done.stderr
    assert f"process {served.process.pid}" in done.stderr
    assert str(served.lab.paths.jobs) in done.stderr
    assert "Ctrl-C" in done.stderr
    assert "Traceback" not in done.stderr
    assert "token" not in done.stderr
    alive = [worker for worker in served.lab.store.observer.workers() if worker.alive]
    assert len(alive) == 1
    assert {process.pid for process in served.family()} == before


def test_the_first_goes_on_working(served: ServedLab) -> None:
    said = served.api(
        "POST", "/api/generate", json={"prompt": "an owl", "backend": "sd15", "params": QUICK}
    )
    job = served.ended(served.lab.store.get(said["jobId"]))
    assert (job.status, job.retried_count) == (Status.DONE, 1)


def test_a_disk_that_has_no_room_for_the_note_keeps_nobody_from_serving(tmp_path: Path) -> None:
    (tmp_path / "paths.json").write_text("{}")
    with Lab.open(tmp_path) as lab:
        (lab.store.layout.lab / "server.json").mkdir()  # so that no file can take its place
        with (
            Tenancy(lab, url="http://127.0.0.1:1", port=1),
            pytest.raises(AlreadyUp),
            Tenancy(lab, url="http://127.0.0.1:2", port=2),
        ):
            pass


def test_a_monitor_that_falls_silent_is_started_again(
    served: ServedLab, silenced: int | None
) -> None:
    until(lambda: restarts(served, "monitor") > 0, 60)
    until(lambda: monitor(served) == "running", 60)
    assert served.worker() == silenced, "its worker goes on"
    assert [event["event"] for event in events(served, "monitor")] == ["restart"]


# ------------------------------------------------------------------------------ worker after worker


@dataclass(frozen=True)
class Felled:
    """What came of a job under which every worker was killed: the workers, and how things were at the first."""

    job: Job
    pids: list[int]
    spare: str | None
    kernels: set[int]
    heir: int | None
    heir_kernel: str | None


def kernels(served: ServedLab) -> dict[int, psutil.Process]:
    return {p.pid: p for p in served.family() if "ipykernel_launcher" in " ".join(p.cmdline())}


@pytest.fixture(scope="module")
def felled(at_rest: ServedLab) -> Felled:
    served = at_rest

    def is_warm() -> bool:  # and has ended its imports
        rest = [p for pid, p in kernels(served).items() if pid != served.worker()]
        old = [p for p in rest if time.time() - p.create_time() > 5]
        return any(p.memory_full_info().uss > 50e6 for p in old)

    until(is_warm, 60)
    spare, there = kernel_of(served, SPARE), set(kernels(served))
    job = served.lab.submit("deadly", params={**SLOW, "steps": 4000})
    pids: list[int] = []
    heir: int | None = None
    heir_kernel: str | None = None

    def has_it() -> bool:
        pid = served.worker()
        now = served.lab.store.get(job.id)
        if now.is_terminal or pid in pids or now.lease is None:
            return now.is_terminal
        workers = served.lab.store.observer.workers()
        return any(w.id == now.lease.worker and w.pid == pid and w.alive for w in workers)

    for _ in range(6):
        until(has_it, 60)
        pid = served.worker()
        if served.lab.store.get(job.id).is_terminal or pid is None:
            break
        pids.append(pid)
        os.kill(pid, signal.SIGKILL)
        if heir is None:
            took_s = until(lambda: served.worker() not in {None, *pids}, 8)
            print(f"worker SIGKILL, with a spare: {took_s:.1f} s")
            heir, heir_kernel = served.worker(), kernel_of(served, "orchestrator-worker")
    until(lambda: served.lab.store.get(job.id).is_terminal, 30)
    httpx.post(f"{noted(served)['url']}/interrupt")  # no worker is left that would: it paints on
    return Felled(served.lab.store.get(job.id), pids, spare, there, heir, heir_kernel)


def test_a_job_that_fells_worker_after_worker_is_put_away_and_the_lab_goes_on(
    served: ServedLab, felled: Felled
) -> None:
    assert felled.job.status is Status.FAILED
    assert felled.job.failure is not None
    assert felled.job.failure.remedy
    assert len(felled.pids) == 4, "three restarts, and the circuit opens at the fourth"
    next_job = served.lab.submit("an owl", params=QUICK)
    # at once, not at the slow probe
    assert served.ended(next_job, timeout_s=40).status is Status.DONE
    assert not any(psutil.pid_exists(pid) for pid in felled.pids)
    told = events(served, "worker")
    (put_away,) = [event for event in told if event["event"] == "job-quarantined"]
    assert put_away["job"] == felled.job.id
    names = [event["event"] for event in told]
    assert names.count("restart") == 4
    assert names.index("job-quarantined") > names.index("circuit-open")


def test_a_spare_kernel_takes_the_place_of_a_killed_worker_and_another_spare_its_own(
    served: ServedLab, felled: Felled
) -> None:
    assert felled.heir in felled.kernels, "it ran already"
    assert felled.heir_kernel == felled.spare is not None
    until(lambda: kernel_of(served, SPARE) not in {None, felled.spare}, 60)


def test_a_worker_that_hangs_is_back_soon_and_works_and_it_is_written_down(
    served: ServedLab,
) -> None:
    until(lambda: served.worker() is not None, 20)  # another may just have taken the place
    before, so_far = served.worker(), restarts(served, "worker")
    assert before is not None
    os.kill(before, signal.SIGSTOP)
    took_s = until(lambda: served.worker() not in {None, before}, 15)
    print(f"worker SIGSTOP: {took_s:.1f} s")
    assert not psutil.pid_exists(before)
    assert restarts(served, "worker") == so_far + 1
    assert served.ended(served.lab.submit("an owl", params=QUICK)).status is Status.DONE


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

    until(host_is_up, 30)  # it is looked at every ten seconds, and may have been down just now

    def agrees(service: str) -> bool:  # it is counted now and then, and one may be on its way
        return figures(served)["orchestrator_restarts_total", service] == restarts(served, service)

    for service in ("worker", "engine", "monitor"):
        until(lambda service=service: agrees(service), 30)  # type: ignore[misc]
    found = figures(served)
    assert found["orchestrator_circuit_open", "engine"] == 0
    assert found[("orchestrator_guardian_up",)] == 1


# ------------------------------------------------------------------------------ it falls itself


def test_a_stopped_worker_of_a_killed_server_does_not_keep_the_next_from_its_work(
    served: ServedLab,
) -> None:
    params = {**SLOW, "steps": 10}
    jobs = [served.lab.submit(f"number {n}", params=params).id for n in range(3)]

    def statuses() -> list[Status]:
        return [served.lab.store.get(job_id).status for job_id in jobs]

    until(lambda: statuses().count(Status.RUNNING) == 2, 30)
    pid = served.worker()
    assert pid is not None
    worker = psutil.Process(pid)
    worker.suspend()
    try:
        family = [process for process in served.family() if process != worker]
        served.process.kill()
        served.process.wait()
        assert psutil.wait_procs(family, timeout=15)[1] == []
        assert worker.is_running(), "it cannot end by itself"
        served.again()
        assert not worker.is_running()
    finally:
        if worker.is_running():
            worker.kill()
    until(lambda: monitor(served) == "running", 40)
    assert served.api("GET", "/api/health")["monitor"]["pid"] == served.worker()
    assert {served.ended(served.lab.job(id).job).status for id in jobs} == {Status.DONE}


def ended(served: ServedLab, name: str) -> tuple[int, Job]:
    """End the server by a signal while it paints, and 20 listen; returns its exit code, and the job as it is then."""
    running = served.lab.submit("long", params=SLOW)
    until(lambda: served.lab.store.get(running.id).status is Status.RUNNING, 30)
    listeners = [Listener(served.url, served.token) for _ in range(20)]
    family = served.family()
    assert len(family) >= 2, "the worker kernel and the engine"
    began = time.monotonic()
    served.process.signal(getattr(signal, name))
    code = served.process.wait(30)
    assert time.monotonic() - began < 10
    assert psutil.wait_procs(family, timeout=15)[1] == []
    assert all(listener.ended.wait(5) for listener in listeners)
    for listener in listeners:
        listener.close()
    assert "Traceback" not in served.said.read_text()
    assert "Task was destroyed" not in served.said.read_text()
    return code, served.lab.store.get(running.id)


@pytest.mark.parametrize("name", ENDS)
def test_it_ends_on_a_signal_with_all_its_processes_and_another_can_start(
    name: str, served: ServedLab
) -> None:
    if served.process.poll() is not None:  # by the signal before
        served.again()
    code, job = ended(served, name)
    assert code == 0
    # the job is free for the next worker, and that was no crash
    assert (job.status, job.crashes) == (Status.QUEUED, 0)
    assert not note(served).exists()
    with Tenancy(served.lab, url=served.url, port=served.port):
        assert Address.of(served.url, None).trouble() is None
    served.lab.cancel(job.id)
