"""ComfyUI workflows: made from a request for what one server has, or saved by a user and filled in."""

from __future__ import annotations

from orchestrator.workflows.check import Fault, Problem, check_against, preflight
from orchestrator.workflows.checkpoints import choose_checkpoint, family_of
from orchestrator.workflows.graph import Graph
from orchestrator.workflows.making import Workflow, availability, make
from orchestrator.workflows.names import near_matches
from orchestrator.workflows.offered import Inputs, Offered
from orchestrator.workflows.samplers import (
    normalise_sampler,
    normalise_scheduler,
    scheduler_in,
)
from orchestrator.workflows.saved import SavedWorkflow

__all__ = [
    "Fault",
    "Graph",
    "Inputs",
    "Offered",
    "Problem",
    "SavedWorkflow",
    "Workflow",
    "availability",
    "check_against",
    "choose_checkpoint",
    "family_of",
    "make",
    "near_matches",
    "normalise_sampler",
    "normalise_scheduler",
    "preflight",
    "scheduler_in",
]
