"""The backends there are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from orchestrator.backends.backend import Backend
from orchestrator.backends.comfyui import COMFYUI
from orchestrator.backends.flux import FLUX
from orchestrator.backends.words import near
from orchestrator.errors import UnknownBackend

BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {backend.name: backend for backend in (*FLUX, *COMFYUI)}
)


def get(name: str) -> Backend:
    """The backend of that name. Raises UnknownBackend."""
    if (backend := BACKENDS.get(name)) is not None:
        return backend
    alike = near(name, BACKENDS)
    remedy = f"Choose one of: {', '.join(BACKENDS)}."
    # the message is a contract of the REST interface: callers compare it
    raise UnknownBackend(remedy=f"Did you mean {alike}? {remedy}" if alike else remedy)
