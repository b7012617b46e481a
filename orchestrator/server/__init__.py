"""The lab's web side: a Jupyter Server extension (pages, REST), what keeps the worker kernel alive, and `up`."""

from __future__ import annotations


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Where Jupyter Server finds the extension."""
    return [{"module": "orchestrator.server.extension"}]
