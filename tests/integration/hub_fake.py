"""A Hugging Face that serves what it is given, and breaks off, lies and refuses when told to.

    with FakeHub() as hub:
        hub.add("lab/tiny", "model.safetensors", data)
        hub.fail(HubFault(break_after=1000))          # the next download ends there
        ... HF_ENDPOINT=hub.url ...

It speaks the routes of huggingface.co that a download needs: `/{repo}/resolve/{revision}/{file}` (HEAD, and GET, which
leads to a store at another address, as the real one's does) and `/api/models/{repo}/…` for the list of files.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RESOLVE = re.compile(r"^/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)$")
API = re.compile(r"^/api/models/(?P<repo>[^/]+/[^/]+)(/|$)")
CHUNK_BYTES = 64 << 10


@dataclass(frozen=True)
class HubFault:
    """What one answer does wrong. On a HEAD or the API only `status` counts, and only with `at_head`."""

    status: int | None = None  # instead of the bytes
    headers: dict[str, str] = field(default_factory=dict)
    break_after: int | None = None  # bytes of this answer, then the connection is closed
    wrong_bytes: bool = False  # as many, but others
    no_ranges: bool = False  # 200 and everything, whatever was asked for
    wrong_range: bool = False  # 206, but from another place
    slow_s: float = 0.0  # before each chunk
    at_head: bool = False  # meant for the question, not for the bytes


@dataclass(frozen=True)
class HubRequest:
    """One request that came."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class _Repo:
    files: dict[str, bytes] = field(default_factory=dict)
    gated: bool = False
    private: bool = False


class FakeHub:
    """The hub, in threads of this process."""

    def __init__(self, *, token: str = "hf_fake") -> None:
        self.token = token  # the one that opens gated and private repositories
        self.requests: list[HubRequest] = []
        self.sent_bytes = 0
        self._repos: dict[str, _Repo] = {}
        self._faults: deque[HubFault] = deque()
        self._lock = threading.Lock()

    def add(
        self, repo: str, file: str, data: bytes, *, gated: bool = False, private: bool = False
    ) -> str:
        """Offer a file; its SHA-256."""
        kept = self._repos.setdefault(repo, _Repo())
        kept.files[file] = data
        kept.gated, kept.private = gated, private
        return hashlib.sha256(data).hexdigest()

    def fail(self, *faults: HubFault) -> None:
        """The next answers go wrong, one after the other."""
        with self._lock:
            self._faults.extend(faults)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def downloads(self) -> list[HubRequest]:
        """The requests for bytes."""
        return [request for request in self.requests if request.path.startswith("/store/")]

    def __enter__(self) -> Self:
        hub = self

        class Handler(_Handler):
            owner: ClassVar[FakeHub] = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), name="fake hub"
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # ------------------------------------------------------------ what the handler asks

    def fault(self, *, at_head: bool) -> HubFault:
        """The next fault meant for such an answer, if it is one's turn."""
        with self._lock:
            if self._faults and self._faults[0].at_head == at_head:
                return self._faults.popleft()
        return HubFault()

    def repo(self, name: str) -> _Repo | None:
        """What is offered under a name."""
        return self._repos.get(name)

    def content(self, digest: str) -> bytes | None:
        """The bytes in the store with this SHA-256."""
        for repo in self._repos.values():
            for data in repo.files.values():
                if hashlib.sha256(data).hexdigest() == digest:
                    return data
        return None


class _Handler(BaseHTTPRequestHandler):
    owner: ClassVar[FakeHub]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        sent = self.headers.get("authorization", "").removeprefix("Bearer ") or None
        self.owner.requests.append(HubRequest(self.command, path, self.headers.get("range"), sent))
        if path.startswith("/store/"):
            self._bytes(path.removeprefix("/store/"))
        elif match := RESOLVE.match(path):
            self._resolve(match["repo"], match["file"], sent)
        elif match := API.match(path):
            self._list(match["repo"], "/tree/" in path, sent)
        else:
            self._reply(404)

    def _resolve(self, name: str, file: str, sent: str | None) -> None:
        fault = self.owner.fault(at_head=True)
        repo = self.owner.repo(name)
        if fault.status is not None:
            self._reply(fault.status, fault.headers)
        elif refused := self._refused(repo, sent):
            self._reply(refused[0], {"X-Error-Code": refused[1]})
        elif repo is None or file not in repo.files:
            self._reply(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            data = repo.files[file]
            digest = hashlib.sha256(data).hexdigest()
            about = {
                "X-Repo-Commit": COMMIT,
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(len(data)),
                # by another name of this machine: tokens must not follow there
                "Location": f"http://localhost:{self.owner.port}/store/{digest}?signature=x",
            }
            self._reply(302, about | fault.headers)

    def _refused(self, repo: _Repo | None, sent: str | None) -> tuple[int, str] | None:
        if repo is None or (repo.private and sent != self.owner.token):
            return (401, "RepoNotFound") if sent is None else (404, "RepoNotFound")
        if sent is not None and sent != self.owner.token:
            return (401, "")
        if repo.gated and sent != self.owner.token:
            return (401, "GatedRepo")
        return None

    def _list(self, name: str, as_tree: bool, sent: str | None) -> None:
        repo = self.owner.repo(name)
        if refused := self._refused(repo, sent):
            self._reply(refused[0], {"X-Error-Code": refused[1]})
            return
        assert repo is not None, "else it was refused"
        tree = [
            {"type": "file", "path": file, "size": len(data), "oid": "0" * 40}
            for file, data in repo.files.items()
        ]
        about = {
            "id": name,
            "modelId": name,
            "sha": COMMIT,
            "siblings": [{"rfilename": f} for f in repo.files],
        }
        self._reply(
            200,
            {"Content-Type": "application/json"},
            json.dumps(tree if as_tree else about).encode(),
        )

    def _bytes(self, digest: str) -> None:
        fault = self.owner.fault(at_head=False)
        data = self.owner.content(digest)
        if data is None:
            self._reply(404)
            return
        if fault.status is not None:
            self._reply(fault.status, fault.headers)
            return
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        if wanted and not fault.no_ranges:
            start = int(wanted[1])
            if start >= len(data):
                self._reply(416)
                return
        body = data[start:]
        if fault.wrong_bytes:
            body = bytes(byte ^ 0x55 for byte in body)
        self.send_response(206 if wanted and not fault.no_ranges else 200)
        shift = 1 if fault.wrong_range else 0
        if wanted and not fault.no_ranges:
            self.send_header("Content-Range", f"bytes {start + shift}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        end = len(body) if fault.break_after is None else min(fault.break_after, len(body))
        try:
            for at in range(0, end, CHUNK_BYTES):
                if fault.slow_s:
                    time.sleep(fault.slow_s)
                piece = body[at : min(at + CHUNK_BYTES, end)]
                self.owner.sent_bytes += len(piece)  # before somebody has them, and looks
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:  # who asked is gone
            self.close_connection = True
            return
        if end < len(body):
            self.close_connection = True

    def _reply(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
