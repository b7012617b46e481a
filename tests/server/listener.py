"""A reader of Server-Sent Events for the tests: small, strict, and as slow or as quick as the test wants."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Event:
    """One event."""

    name: str
    data: dict[str, Any]
    id: str

    @property
    def job_id(self) -> str:
        """The job it is about."""
        return str(self.data["jobId"])


class Listener:
    """Reads a stream in a thread of its own until it is closed."""

    def __init__(
        self,
        url: str,
        headers: dict[str, str],
        *,
        last_id: str | None = None,
        query: dict[str, str] | None = None,
    ) -> None:
        self.events: list[Event] = []
        self.comments = 0
        self.last_id = ""
        self.opened_at = ""  # the id that was told before any event
        self.retry = ""
        self.content_type = ""
        self.ended = threading.Event()
        self._changed = threading.Condition()
        self._opened = threading.Event()
        sent = headers | ({"Last-Event-ID": last_id} if last_id else {})
        self._client = httpx.Client(timeout=httpx.Timeout(20, read=60))
        self._response: httpx.Response | None = None
        args = (f"{url}/api/stream", sent, query or {})
        self._thread = threading.Thread(target=self._read, args=args, daemon=True)
        self._thread.start()
        assert self._opened.wait(15), "the stream did not open"

    def _read(self, url: str, headers: dict[str, str], query: dict[str, str]) -> None:
        try:
            with self._client.stream("GET", url, headers=headers, params=query) as response:
                self._response = response
                self.content_type = response.headers.get("Content-Type", "")
                fields: dict[str, str] = {}
                for line in response.iter_lines():
                    self._take(line, fields)
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()
            self._opened.set()

    def _take(self, line: str, fields: dict[str, str]) -> None:
        if line.startswith(":"):
            self.comments += 1
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
            return
        elif fields:
            self.retry = fields.get("retry", self.retry)
            self.last_id = fields.get("id", self.last_id)
            if not self.events and "data" not in fields:
                self.opened_at = self.last_id
            if "data" in fields:
                event = Event(fields["event"], json.loads(fields["data"]), self.last_id)
                with self._changed:
                    self.events.append(event)
                    self._changed.notify_all()
            fields.clear()
            self._opened.set()

    def until(self, count: int, *names: str, timeout_s: float = 15.0) -> list[Event]:
        """The events of these names, or all, as soon as there are so many."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                found = [event for event in self.events if not names or event.name in names]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                assert left > 0, f"{len(found)} of {count}: {[e.name for e in self.events]}"
                self._changed.wait(left)

    def close(self) -> None:
        """Go."""
        if self._response is not None:
            stream: Any = self._response.extensions.get("network_stream")
            if stream is not None:
                sock = stream.get_extra_info("socket")
                if sock is not None and sock.fileno() >= 0:
                    sock.shutdown(2)  # wakes the thread; closing alone does not
        self._thread.join(10)
        self._client.close()
