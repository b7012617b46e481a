"""What a user may pick to make pictures with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from orchestrator.backends.comfyui import ImageParams
from orchestrator.backends.fields import MAX_BFL_SEED, MAX_CHOSEN_SEED
from orchestrator.backends.flux import FluxParams
from orchestrator.backends.words import near
from orchestrator.errors import UnknownBackend


@dataclass(frozen=True)
class Backend:
    """One way to make pictures, with the defaults of its parameters.

    `model` is the family of checkpoints for service "comfyui", BFL's name of the model for "bfl".
    Width and height are in pixels. Steps, cfg, sampler and scheduler are ComfyUI's only.
    """

    name: str
    title: str
    service: Literal["comfyui", "bfl"]
    model: str
    width: int
    height: int
    steps: int | None = None
    cfg: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    paid: bool = False
    price: str = "free"

    @property
    def max_seed(self) -> int:
        """The largest seed to choose for it."""
        return MAX_BFL_SEED if self.service == "bfl" else MAX_CHOSEN_SEED


BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {
        backend.name: backend
        for backend in (
            Backend(
                name="flux",
                title="FLUX Ultra",
                service="bfl",
                model="flux-pro-1.1-ultra",
                width=1024,
                height=768,
                paid=True,
                price="$0.06 (6 credits) a picture",
            ),
            Backend(
                name="sd15",
                title="SD 1.5",
                service="comfyui",
                model="sd15",
                width=512,
                height=512,
                steps=20,
                cfg=7.0,
                sampler="euler",
                scheduler="normal",
            ),
            Backend(
                name="sdxl",
                title="SDXL",
                service="comfyui",
                model="sdxl",
                width=1024,
                height=1024,
                steps=30,
                cfg=7.0,
                sampler="euler",
                scheduler="normal",
            ),
        )
    }
)


def get(name: str) -> Backend:
    """The backend of that name. Raises UnknownBackend."""
    if (backend := BACKENDS.get(name)) is not None:
        return backend
    alike = near(name, BACKENDS)
    remedy = f"Choose one of: {', '.join(BACKENDS)}."
    # the message is a contract of the REST interface: callers compare it
    raise UnknownBackend(remedy=f"Did you mean {alike}? {remedy}" if alike else remedy)


def params_model(backend: Backend) -> type[ImageParams | FluxParams]:
    """What a backend takes."""
    return FluxParams if backend.service == "bfl" else ImageParams
