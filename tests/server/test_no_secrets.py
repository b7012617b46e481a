"""Keys are planted wherever the lab takes one, and looked for wherever it writes or says something."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import forks
import httpx
import nbformat
import pytest
from served_lab import TOKEN, ServedLab, until

sys.path.append(str(Path(__file__).resolve().parent.parent / "acceptance"))
from commands import command

from orchestrator import health
from orchestrator.guardian.bugs import BugReports
from orchestrator.guardian.journal import Event, Happened, Journal
from orchestrator.jobs import Status
from orchestrator.lab import Lab
from orchestrator.logs import writing
from orchestrator.testing import make_lab

PLANTED = {
    "BFL_API_KEY": "bfl-planted-4f1d9c77",
    "HF_TOKEN": "hf_planted5b20e6aa",
    "token": TOKEN,
    "notify password": "notify-planted-1c33",
    "comfy password": "comfy/planted@90d2",
    "proxy password": "proxy-planted-77ab",
}
# as they may stand in an address or in a header
SPELLINGS = {
    **PLANTED,
    "comfy password, quoted": quote(PLANTED["comfy password"], safe=""),
    "comfy header": b64encode(f"lab:{PLANTED['comfy password']}".encode()).decode(),
}
QUICK = {"width": 64, "height": 64, "steps": 1}
NOTEBOOK = """
from orchestrator import Lab
lab = Lab.open()
print(lab, lab.settings, lab.paths)
display(lab.jobs(), lab.images())
report = await lab.health()
print(report.model_dump_json())
job = next(job for job in lab.store.snapshot() if job.failure)
print(job, job.failure)
print(await lab.offers(), await lab.spending())
from orchestrator.widgets import Diagnostics, QueuePanel
display(QueuePanel(lab), Diagnostics(lab))
import asyncio
await asyncio.sleep(0.5)
"""
forks.preload("papermill")
COMMANDS = (
    "health --json", "jobs --json", "spending --json", "paths", "models list", "monitor --help",
    "diagnose {job} --json", "services status", "services install --dry-run", "prompt fox",
)  # fmt: skip

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # those of the Jupyter libraries are not ours
    pytest.mark.timeout(400),  # a dozen processes, on a machine that may be busy
]


class Echo(BaseHTTPRequestHandler):
    """A paid service that repeats in its refusal what it was sent."""

    def do_GET(self) -> None:
        said = json.dumps({"detail": f"refused: {dict(self.headers)} {self.path}"}).encode()
        self.send_response(422)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.wfile.write(said)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def echoing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def engine(folder: Path) -> Iterator[str]:
    with make_lab(folder) as lab:
        lab.settings = lab.settings.model_copy(update={"comfy_url": None})
        started = lab.start_engine()
        try:
            yield started.url
        finally:
            lab.stop_engine(started)


class Frames(threading.Thread):
    """Everything that the stream says, as it comes."""

    def __init__(self, served: ServedLab) -> None:
        super().__init__(daemon=True)
        self.served, self.said = served, b""
        self.start()

    def run(self) -> None:
        url, headers = f"{self.served.url}/api/stream", self.served.token
        try:
            with httpx.stream("GET", url, headers=headers, timeout=60) as reply:
                for piece in reply.iter_raw():
                    self.said += piece
        except httpx.HTTPError:
            pass  # the server has ended


def leaks(text: bytes, *, besides: str = "") -> list[str]:
    """The names of the keys that stand in it, each with the words before it."""
    found = [(name, text.find(key.encode())) for name, key in SPELLINGS.items() if name != besides]
    return [f"{name}: {text[max(0, at - 120) : at]!r}" for name, at in found if at >= 0]


def answers(served: ServedLab, **ids: str) -> dict[str, bytes]:
    """What every GET route answers, headers included."""
    document = served.api("GET", "/api/openapi.json")
    routes = [path for path, methods in document["paths"].items() if "get" in methods]
    assert len(routes) >= 15
    found = {}
    for route in routes:
        if route.endswith("/stream"):
            continue
        path = route
        for name, value in ids.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, path
        reply = served.http.get(path, headers=served.token)
        assert reply.status_code < 500, (path, reply.text)
        found[path] = reply.content + str(reply.headers).encode()
    return found


def executed() -> None:
    import papermill

    papermill.execute_notebook("asked.ipynb", "said.ipynb", progress_bar=False)


def notebook(folder: Path) -> bytes:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python",
        "language": "python",
    }
    nbformat.write(book, folder / "asked.ipynb")
    # in a process of its own: in a thread it leaves an event loop open
    said = folder / "papermill.txt"
    process = forks.Forked(executed, environment=os.environ, folder=folder, out=said)
    try:
        assert process.wait(180) == 0, said.read_text()[-3000:]
    finally:
        process.close()
    return (folder / "said.ipynb").read_bytes()


def said_by(folder: Path, line: str) -> bytes:
    done = command(folder, *line.split(), environment=os.environ)
    assert "Traceback" not in done.stderr, done.stderr
    return (done.stdout + done.stderr).encode()


def log_it_all(lab: Lab) -> None:
    """What careless code might log, in each way of logging."""
    writing.set_up(lab.paths, lab.settings, name="careless")
    careless = logging.getLogger("orchestrator.careless")
    try:
        for name, key in SPELLINGS.items():
            careless.error("with %s: %s", name, key)
            careless.error("in a header %r", {"x-key": key, "url": f"http://u:{key}@host/"})
            try:
                raise ValueError(key)
            except ValueError:
                careless.exception("it fell")
    finally:
        writing.take_down()


def tell_the_guardian(lab: Lab) -> None:
    """A bug report and lines of the journal about trouble whose words have keys in them."""
    said = asyncio.run(lab.health())
    # what the lab's settings know; those of the environment's proxies only the logs know
    known = [key for name, key in SPELLINGS.items() if name != "proxy password"]
    words = f"{' '.join(known)} {lab.settings.comfy_url}"
    event = Event(Happened.OPENED, "comfyui", words)
    Journal(lab.paths.logs / "guardian.jsonl", now=lab.store.now, redact=lab.settings.redact).note(
        event
    )
    path = BugReports(lab.paths, lab.settings, lab.store, now=lab.store.now).write(event, said)
    assert path is not None
    history = health.HealthHistory(lab.paths.data / "health.jsonl")
    history.append(said, at=lab.store.now())


def test_no_key_is_in_any_file_answer_frame_notebook_or_line_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    for name in ("COMFY_URL", "BFL_API_KEY", "BFL_BASE_URL", "HF_TOKEN", "ORCHESTRATOR_NOTIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORCHESTRATOR_PATHS", str(folder / "paths.json"))
    monkeypatch.setenv("ORCHESTRATOR_TOKEN", TOKEN)
    monkeypatch.setenv("HTTPS_PROXY", f"http://p:{PLANTED['proxy password']}@127.0.0.1:9")
    with engine(tmp_path / "engine") as engine_url, echoing() as paid_url:
        password = quote(PLANTED["comfy password"], safe="")
        comfy_url = engine_url.replace("://", f"://lab:{password}@")
        hook = f"webhook:http://ops:{PLANTED['notify password']}@127.0.0.1:9/hook"
        lines = {
            "BFL_API_KEY": PLANTED["BFL_API_KEY"],
            "HF_TOKEN": PLANTED["HF_TOKEN"],
            "BFL_BASE_URL": paid_url,
            "COMFY_URL": f"{comfy_url},http://lab:{password}@127.0.0.1:9",
            "ORCHESTRATOR_NOTIFY": hook,
            "LOG_LEVEL": "DEBUG",
        }
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        (folder / ".env.local").write_text(text)
        served = ServedLab(folder)
        try:
            frames = Frames(served)
            until(lambda: bool(frames.said), 15)
            made = served.lab.submit("a fox", params=QUICK)
            broken = served.lab.submit("an owl", params={**QUICK, "checkpoint": "none.safetensors"})
            paid = served.lab.submit("a hare", backend="flux")
            with ThreadPoolExecutor(4) as pool:
                assert served.ended(made).status is Status.DONE
                assert served.ended(broken).status is Status.FAILED
                assert served.ended(paid).status is Status.FAILED
                in_notebook = pool.submit(notebook, folder)
                said = pool.map(
                    lambda line: (line, said_by(folder, line)),
                    [line.format(job=broken.id) for line in COMMANDS],
                )
                log_it_all(served.lab)
                tell_the_guardian(served.lab)
                picture = served.api("GET", "/api/images")["images"][0]
                found = answers(served, jobId=paid.id, name=picture["file"])
                found |= {f"orchestrator {line}": output for line, output in said}
                found["notebook"] = in_notebook.result()
            story = served.lab.paths.logs / "MONITOR-LOG.md"
            until(lambda: story.exists() and paid.id in story.read_text(), 15)
            found["stream"] = frames.said
            assert paid.id.encode() in frames.said
        finally:
            served.stop()
    for where, output in found.items():
        assert leaks(output) == [], where
    looked_at = set()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != ".env.local":
            looked_at.add(file.name)
            # `up` says on its terminal the address with the token, which is what one opens
            besides = "token" if file.name == "said.txt" else ""
            assert leaks(file.read_bytes(), besides=besides) == [], file
    wanted = {"worker.log", "server.log", "careless.log", "MONITOR-LOG.md", "monitor.jsonl"}
    wanted |= {"guardian.jsonl", "health.jsonl", f"{paid.id}.json", "said.ipynb"}
    assert wanted <= looked_at
    assert any(name.startswith("BUG-") for name in looked_at)
