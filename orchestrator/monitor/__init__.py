"""Follows the jobs and the services, and tells the story: in `logs/MONITOR-LOG.md` for people, in `logs/monitor.jsonl`
for programs, and by notifications for whoever wants them."""

from __future__ import annotations

from orchestrator.monitor.entries import Entry
from orchestrator.monitor.journal import LINES, STORY, Journal
from orchestrator.monitor.monitor import Monitor

__all__ = ["LINES", "STORY", "Entry", "Journal", "Monitor"]
