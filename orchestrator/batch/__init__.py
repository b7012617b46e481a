"""Many jobs as one: grids of parameters, their plan, their progress and what came of them."""

from __future__ import annotations

from orchestrator.batch.batch import Batch
from orchestrator.batch.plan import Plan

__all__ = ["Batch", "Plan"]
