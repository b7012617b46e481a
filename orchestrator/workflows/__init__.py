"""ComfyUI workflows, built from typed nodes, and the names of checkpoints and samplers."""

from __future__ import annotations

from orchestrator.workflows.checkpoints import choose_checkpoint, family_of
from orchestrator.workflows.graph import Graph
from orchestrator.workflows.names import near_matches
from orchestrator.workflows.samplers import (
    normalise_sampler,
    normalise_scheduler,
    scheduler_in,
)
from orchestrator.workflows.text_to_image import text_to_image

__all__ = [
    "Graph",
    "choose_checkpoint",
    "family_of",
    "near_matches",
    "normalise_sampler",
    "normalise_scheduler",
    "scheduler_in",
    "text_to_image",
]
