"""How one attempt at a job goes, at each service."""

from __future__ import annotations

from orchestrator.attempts.bfl import BFLService
from orchestrator.attempts.comfyui import ComfyUIService
from orchestrator.attempts.held import Held
from orchestrator.attempts.service import Service
from orchestrator.attempts.till import Till

__all__ = ["BFLService", "ComfyUIService", "Held", "Service", "Till"]
