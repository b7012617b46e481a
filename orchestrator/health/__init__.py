"""What of the lab runs, what does not, and what to do about it."""

from __future__ import annotations

from orchestrator.health.history import HealthHistory
from orchestrator.health.models import (
    LOW_DISK,
    ClockHealth,
    HealthReport,
    PlaceHealth,
    QueueHealth,
    ServiceHealth,
    low_mark,
)
from orchestrator.health.notes import Note, Pulse
from orchestrator.health.report import guarded, guardian_file, monitor_file, report, served_s
from orchestrator.health.services import comfyui_host
from orchestrator.health.surroundings import look_at

__all__ = [
    "LOW_DISK",
    "ClockHealth",
    "HealthHistory",
    "HealthReport",
    "Note",
    "PlaceHealth",
    "Pulse",
    "QueueHealth",
    "ServiceHealth",
    "comfyui_host",
    "guarded",
    "guardian_file",
    "look_at",
    "low_mark",
    "monitor_file",
    "report",
    "served_s",
]
