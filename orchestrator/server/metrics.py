"""What Prometheus is told of the lab. Counted when it asks; only the requests are counted as they come."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from decimal import Decimal

import psutil
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.health import Note, guarded, guardian_file
from orchestrator.lab import Lab
from orchestrator.server.endings import Endings

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# of one label value each: a caller may invent methods and have thousands of series
KNOWN_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metrics:
    """The figures of one server."""

    def __init__(self, lab: Lab, *, clients: Callable[[], int]) -> None:
        """`clients`: how many follow the stream."""
        self._registry = CollectorRegistry()
        self._endings = Endings(lab.store, self._registry)
        self._registry.register(_LabFigures(lab, clients))
        self._requests = Histogram(
            "orchestrator_request_seconds",
            "How long the REST interface took to answer, without streams.",
            ("route", "method", "status"),
            buckets=BUCKETS_S,
            registry=self._registry,
        )

    def note(self, route: str, method: str, status: int, took_s: float) -> None:
        """Count a request."""
        known = method if method in KNOWN_METHODS else "other"
        self._requests.labels(route, known, str(status)).observe(took_s)

    def text(self) -> bytes:
        """Everything, in Prometheus' own format. Blocks for some milliseconds of disk work."""
        self._endings.look()
        return generate_latest(self._registry)


class _LabFigures(Collector):
    """Reads the lab whenever it is asked."""

    def __init__(self, lab: Lab, clients: Callable[[], int]) -> None:
        self._lab = lab
        self._clients = clients

    def describe(self) -> list[GaugeMetricFamily]:
        """Names only: registering it must not read the disk."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures now."""
        store = self._lab.store
        store.refresh()
        jobs = GaugeMetricFamily(
            "orchestrator_jobs", "Jobs by status and backend.", labels=("status", "backend")
        )
        for (status, backend), n in store.counts_by_backend().items():
            jobs.add_metric((status.value, backend), n)
        yield jobs
        depth, oldest = store.waiting()
        yield _gauge("orchestrator_queue_depth", "Jobs that wait for a worker.", depth)
        yield _gauge(
            "orchestrator_oldest_waiting_seconds",
            "How long the oldest waiting job has waited; 0 when none waits.",
            (store.now() - oldest).total_seconds() if oldest else 0.0,
        )
        yield _gauge(
            "orchestrator_queue_paused",
            "1 while the queue is paused.",
            float(self._lab.pause_note() is not None),
        )
        alive = sum(worker.alive for worker in store.observer.workers())
        yield _gauge("orchestrator_workers", "Workers that live.", alive)
        yield _gauge("orchestrator_stream_clients", "Who follows the stream.", self._clients())
        yield from self._guarded()
        yield from self._money()
        yield self._disk()

    def _guarded(self) -> Iterator[Metric]:
        """What the guardian has seen and done, by its note."""
        paths, now = self._lab.paths, self._lab.store.now()
        note = Note.read(guardian_file(paths))
        alive = note is not None and note.is_alive(now)
        yield _gauge("orchestrator_guardian_up", "1 while a guardian runs.", float(alive))
        restarts = CounterMetricFamily(
            "orchestrator_restarts",
            "How often the guardian has started a service again.",
            labels=("service",),
        )
        opened = GaugeMetricFamily(
            "orchestrator_circuit_open",
            "1 while restarting a service does not help, and is tried once a minute.",
            labels=("service",),
        )
        hosts = GaugeMetricFamily(
            "orchestrator_host_up", "1 while a ComfyUI server answers.", labels=("host",)
        )
        for service, said in guarded(paths, now, "circuits").items():
            restarts.add_metric((service,), said["restarts"])
            opened.add_metric((service,), float(said["state"] != "closed"))
        for host, is_up in guarded(paths, now, "hosts").items():
            hosts.add_metric((host,), float(is_up))
        yield from (restarts, opened, hosts)

    def _money(self) -> Iterator[Metric]:
        said = self._lab.ledger.spending(self._lab.budget)
        spent: dict[str, Decimal] = {}
        for each in said.days:
            spent[each.backend] = spent.get(each.backend, Decimal(0)) + each.usd
        says = "What paid pictures have cost, USD."
        family = CounterMetricFamily("orchestrator_spend_usd", says, labels=("backend",))
        for backend, usd in spent.items():
            family.add_metric((backend,), float(usd))
        yield family
        says = "What the budget leaves of today (UTC), USD."
        yield _gauge("orchestrator_budget_left_usd", says, float(said.left_today))

    def _disk(self) -> GaugeMetricFamily:
        free = GaugeMetricFamily(
            "orchestrator_disk_free_bytes",
            "Free space at each place of paths.json.",
            labels=("place",),
        )
        for place in self._lab.paths.places():
            try:
                free.add_metric((place.key,), psutil.disk_usage(os.fspath(place.path)).free)
            except OSError:
                continue
        return free


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says, value=value)
