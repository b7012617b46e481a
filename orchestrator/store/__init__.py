"""Jobs as files: durable, shared by processes, watched."""

from __future__ import annotations

from orchestrator.store.claims import Claim, LanesFor
from orchestrator.store.index import Kind
from orchestrator.store.jobfiles import QUEUE, Subscription, utc_now
from orchestrator.store.pause import Pause, Pauser
from orchestrator.store.slots import Lane, Slot
from orchestrator.store.store import Store
from orchestrator.store.workers import HOST, LEASE_S, Presence, WorkerInfo

__all__ = [
    "HOST",
    "LEASE_S",
    "QUEUE",
    "Claim",
    "Kind",
    "Lane",
    "LanesFor",
    "Pause",
    "Pauser",
    "Presence",
    "Slot",
    "Store",
    "Subscription",
    "WorkerInfo",
    "utc_now",
]
