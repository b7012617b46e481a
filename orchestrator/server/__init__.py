"""The lab as a Jupyter Server extension: pages, the worker kernel, and `orchestrator up`.

The extension is switched on by `up` alone, not by being installed: no other Jupyter server of the user should
start a worker.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "orchestrator.server"}]


def _load_jupyter_server_extension(app: Any) -> None:
    from orchestrator.server.extension import load

    load(app)
