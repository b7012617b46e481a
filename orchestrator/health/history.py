"""The health of the last days: one line a minute in `data/health.jsonl`, written by the guardian, for plots."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from orchestrator.files import write_whole
from orchestrator.health.models import HealthReport

KEPT = timedelta(days=7)
TRIM_LINES = 1_440  # a day's worth more than is kept, before the file is written anew
SERVICES = ("panel", "comfyui", "engine", "bfl", "worker", "monitor", "guardian")


class HealthHistory:
    """The lines of one lab. One process appends; any reads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._appended = 0

    def append(self, report: HealthReport, *, at: datetime) -> None:
        """Add a line. Raises OSError."""
        line = orjson.dumps({"at": at, **compact(report)})
        with self._file.open("ab") as file:
            file.write(line + b"\n")
        if self._appended % TRIM_LINES == 0:
            self._trim(at)
        self._appended += 1

    def since(self, begin: datetime) -> list[dict[str, Any]]:
        """The lines written since then, oldest first: `{"at", "well", "services", "queue", "free", …}`.

        Lines that make no sense, as one that a crash tore, are left out.
        """
        return [said for said in self._lines() if _at(said) >= begin]

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            raw = self._file.read_bytes()
        except FileNotFoundError:
            return
        for line in raw.splitlines():
            try:
                said = orjson.loads(line)
                _at(said)
            except (ValueError, KeyError, TypeError):
                continue
            yield said

    def _trim(self, now: datetime) -> None:
        lines = list(self._lines())
        kept = [said for said in lines if _at(said) >= now - KEPT]
        if len(kept) < len(lines):
            text = b"".join(orjson.dumps(said) + b"\n" for said in kept)
            write_whole(self._file, text, durable=False)


def compact(report: HealthReport) -> dict[str, Any]:
    """The little of a report that a plot needs. Sizes in bytes, times in seconds."""
    services = {name: getattr(report, name) for name in SERVICES}
    return {
        "well": report.well,
        "services": {name: service.status for name, service in services.items()},
        "memory": {name: service.memory for name, service in services.items() if service.memory},
        "restarts": {n: service.restarts for n, service in services.items() if service.restarts},
        "queued": report.queue.counts.get("queued", 0),
        "running": report.queue.counts.get("running", 0),
        "oldestWaitingS": report.queue.oldest_waiting_s,
        "free": {place.key: place.free for place in report.places if place.free is not None},
    }


def _at(said: dict[str, Any]) -> datetime:
    at = datetime.fromisoformat(said["at"])
    if at.tzinfo is None:
        raise ValueError(said["at"])
    return at
