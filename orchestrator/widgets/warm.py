"""What a kernel does while it waits for a visitor, so that no visitor waits for it."""

from __future__ import annotations

from importlib import import_module

from orchestrator.backends import BACKENDS
from orchestrator.connectors import http
from orchestrator.widgets.fields import fields_of

# most of what any page imports, these do
VIEWS = ("dashboard", "gallery", "heartbeat")


def warm_up() -> None:
    """Import what pages use, and read what the form says of each backend. Blocks for a second; opens no lab."""
    for view in VIEWS:
        import_module(f"orchestrator.widgets.{view}")
    http.warm_up()
    for backend in BACKENDS.values():
        fields_of(backend)
