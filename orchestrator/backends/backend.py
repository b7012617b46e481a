"""What a backend is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.backends.fields import MAX_BFL_SEED, MAX_CHOSEN_SEED, Params

SAVED = "saved workflow"  # the `model` of a backend that a workflow file makes


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One way to make pictures, with the defaults of its parameters.

    `model` is the family of checkpoints for service "comfyui" (SAVED for a saved workflow), BFL's name of the
    model for "bfl".
    `params` is what it takes beside the prompt; `defaults` are those of its values that differ from
    the model's own, by snake_case name.
    """

    name: str
    title: str
    service: Literal["comfyui", "bfl"]
    model: str
    params: type[Params]
    defaults: Mapping[str, Any]
    paid: bool = False
    price: str = "free"

    @property
    def max_seed(self) -> int:
        """The largest seed to choose for it."""
        return MAX_BFL_SEED if self.service == "bfl" else MAX_CHOSEN_SEED
