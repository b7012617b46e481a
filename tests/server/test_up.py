"""`orchestrator up`: what it brings up, and who may come in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import orjson
import pytest
from jupyterlab import commands
from served_lab import TOKEN, ServedLab, free_port, until

from orchestrator.jobs import Status
from orchestrator.server.server import ask_no_yarn


@pytest.fixture(scope="module")
def served(lab_of_all: ServedLab) -> ServedLab:
    """A lab in which nothing has been asked for yet."""
    lab_of_all.clear()
    return lab_of_all


def test_it_says_where_the_page_is_and_who_paints(served: ServedLab) -> None:
    said = served.said.read_text()
    assert f"{served.url}/?token={TOKEN}" in said
    assert "embedded engine, no model" in said
    assert "Traceback" not in said


def test_a_submitted_job_is_done_by_the_worker_kernel_on_the_embedded_engine(
    served: ServedLab,
) -> None:
    job = served.ended(
        served.lab.submit("a red fox", params={"steps": 4, "width": 128, "height": 128})
    )
    assert job.status is Status.DONE, job.failure
    assert job.result is not None
    assert Path(job.result.file or "").read_bytes()[:4] == b"\x89PNG"


def test_health_says_that_all_is_well_and_where(served: ServedLab) -> None:
    report = served.api("GET", "/api/health")
    assert report["well"] is True
    assert report["panel"]["status"] == "running"
    assert report["panel"]["port"] == served.port
    assert report["worker"]["status"] == report["comfyui"]["status"] == "running"
    assert report["worker"]["pid"] == served.worker()
    assert report["comfyui"]["embeddedEngine"] is True


@pytest.mark.parametrize(
    "path", ["/", "/dashboard", "/dashboard?job=1", "/lab", "/voila/render/x.ipynb"]
)
def test_a_stranger_is_sent_to_the_door(served: ServedLab, path: str) -> None:
    reply = httpx.get(served.url + path, follow_redirects=True)
    assert reply.url.path == "/login"
    assert "<title>Jupyter Server</title>" in reply.text


def test_a_stranger_gets_nothing_from_the_api(served: ServedLab) -> None:
    for headers in ({}, {"Authorization": "token wrong"}):
        reply = httpx.get(f"{served.url}/api/health", headers=headers)
        assert reply.status_code == 403
        assert "worker" not in reply.text


def test_the_link_with_the_token_opens_the_dashboard_and_takes_the_token_out_of_the_address(
    served: ServedLab,
) -> None:
    with httpx.Client(base_url=served.url, follow_redirects=True, timeout=60) as visitor:
        page = visitor.get(f"/?token={TOKEN}")
        assert page.status_code == 200
        assert str(page.url) == f"{served.url}/dashboard"
        # without this cookie the browser may not end the page's kernel
        assert "_xsrf" in visitor.cookies
    assert TOKEN not in page.text


def test_the_worker_shows_in_jupyterlabs_list_by_name(served: ServedLab) -> None:
    sessions = {session["name"] for session in served.api("GET", "/api/sessions")}
    assert "orchestrator-worker" in sessions


def test_a_worker_kernel_restarted_by_hand_goes_on_working(served: ServedLab) -> None:
    before = served.worker()
    session = next(
        s for s in served.api("GET", "/api/sessions") if s["name"] == "orchestrator-worker"
    )
    served.api("POST", f"/api/kernels/{session['kernel']['id']}/restart", json={})
    until(lambda: served.worker() not in {None, before}, 30)
    # whoever comes after a server that was killed ends what it reads there
    note = served.lab.store.layout.lab / "offspring.json"
    until(lambda: str(served.worker()) in orjson.loads(note.read_bytes())["born"], 10)


def test_a_worker_kernel_shut_down_by_hand_is_replaced(served: ServedLab) -> None:
    before = served.worker()
    session = next(
        s for s in served.api("GET", "/api/sessions") if s["name"] == "orchestrator-worker"
    )
    served.api("DELETE", f"/api/kernels/{session['kernel']['id']}")
    until(lambda: served.worker() not in {None, before}, 30)
    alive = [w for w in served.lab.store.observer.workers() if w.alive]
    assert len(alive) == 1, "never two of them"


def test_a_port_in_use_is_said_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "paths.json").write_text("{}")
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "up", "--no-browser", "--port", str(port)],
            cwd=tmp_path,
            env={**os.environ, "ORCHESTRATOR_PATHS": str(tmp_path / "paths.json")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode != 0
    assert f"Port {port}" in done.stderr
    assert "--port" in done.stderr
    assert not (tmp_path / "logs" / "engine.log").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a script stands in for Node.js")
def test_jupyterlab_runs_no_nodejs_when_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "node").write_text(f"#!/bin/sh\n: > '{ran}'\necho '{{}}'\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(commands, "_yarn_config", commands._yarn_config)  # afterwards as it was
    commands.get_app_version()  # which it asks for while it is imported
    assert ran.exists(), "it no longer does by itself: ask_no_yarn can go"
    ran.unlink()
    ask_no_yarn()
    commands.get_app_version()
    assert not ran.exists()
