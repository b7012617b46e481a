"""How long jobs took and how often they were tried again, for Prometheus.

What counts is what this server has seen: the jobs in the folder at its first look, and what ended since. Only so do the
counters never go back when jobs are archived or cleared away.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from orchestrator.jobs import Status, one_line
from orchestrator.store import Store

# seconds; the targets of the map, 30, 45 and 60, are among them
BUCKETS_S = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0, 600.0, 1800.0)
MAX_BACKENDS = 50  # of a label each: job files may name any
MAX_NAME = 60  # characters
OTHER = "other"
REMEMBERED = 100_000  # jobs; one that was forgotten is counted once more when it is run again


class Endings:
    """The durations and retries of a lab's jobs."""

    def __init__(self, store: Store, registry: CollectorRegistry) -> None:
        self._store = store
        self._looking = threading.Lock()
        self._seen: dict[str, dict[str, Any]] = {}  # as each job's file was at the last look
        # job -> attempts that are counted; below zero when it was done
        self._counted: OrderedDict[str, int] = OrderedDict()
        self._backends: set[str] = set()
        self._durations = Histogram(
            "orchestrator_job_seconds",
            "How long the attempt took that made the picture, of the jobs that are done.",
            ("backend",),
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._retries = Counter(
            "orchestrator_job_retries",
            "Attempts at jobs beyond the first.",
            ("backend",),
            registry=registry,
        )

    def look(self) -> None:
        """Count what has happened since the last look. Only jobs whose files changed are looked into."""
        with self._looking:
            self._store.refresh()
            documents = self._store.documents()
            before, self._seen = self._seen, dict(documents)
            for job_id, document in documents:
                if before.get(job_id) is not document:
                    self._count(job_id, document)

    def _count(self, job_id: str, document: dict[str, Any]) -> None:
        attempts = document.get("attempts")
        number = len(attempts) if isinstance(attempts, list) else 0
        known = self._counted.get(job_id, 0)
        tried_again = max(0, number - max(1, abs(known)))
        is_done = document.get("status") == Status.DONE
        # below zero: what is done is counted once, however often its file is changed
        self._counted[job_id] = -max(1, number) if is_done else number
        self._counted.move_to_end(job_id)
        if len(self._counted) > REMEMBERED:
            self._counted.popitem(last=False)
        backend = self._label(str(document.get("backend")))
        if tried_again:
            self._retries.labels(backend).inc(tried_again)
        took_s = _took_s(document) if is_done and known >= 0 else None
        if took_s is not None:
            self._durations.labels(backend).observe(took_s)

    def _label(self, backend: str) -> str:
        name = one_line(backend)[:MAX_NAME]
        if name not in self._backends and len(self._backends) >= MAX_BACKENDS:
            return OTHER
        self._backends.add(name)
        return name


def _took_s(document: dict[str, Any]) -> float | None:
    """From the beginning of the newest attempt to the end, in seconds; None where the file does not say."""
    try:
        attempts = document.get("attempts")
        begun = attempts[-1]["startedAt"] if attempts else document["startedAt"]
        end = datetime.fromisoformat(document["finishedAt"])
        seconds = (end - datetime.fromisoformat(begun)).total_seconds()
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return seconds if seconds >= 0 else None  # the clock was set back meanwhile
