"""Looks after what runs, and tells why when it cannot."""

from __future__ import annotations

from orchestrator.guardian.budget import RestartBudget, State, Terms
from orchestrator.guardian.circuit import Circuit
from orchestrator.guardian.guardian import Guardian
from orchestrator.guardian.journal import Event, Happened, Journal
from orchestrator.guardian.ward import Trouble, Ward

__all__ = [
    "Circuit",
    "Event",
    "Guardian",
    "Happened",
    "Journal",
    "RestartBudget",
    "State",
    "Terms",
    "Trouble",
    "Ward",
]
