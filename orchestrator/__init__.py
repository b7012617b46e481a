"""A notebook-first lab for generating images.

from orchestrator import Lab

lab = Lab.open()
async with lab.worker():
    picture = await lab.image("a red fox", backend="sd15", seed=7)
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.errors import OrchestratorError
    from orchestrator.handles import JobHandle, Picture
    from orchestrator.jobs import Job, Status
    from orchestrator.lab import Lab

__all__ = ["Job", "JobHandle", "Lab", "OrchestratorError", "Picture", "Status"]

_HOMES = {
    "Job": "orchestrator.jobs",
    "JobHandle": "orchestrator.handles",
    "Lab": "orchestrator.lab",
    "OrchestratorError": "orchestrator.errors",
    "Picture": "orchestrator.handles",
    "Status": "orchestrator.jobs",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import orchestrator` itself should cost nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    _offer_views()
    return value


def _offer_views() -> None:
    """In a notebook, let a job be shown live. Without IPython nothing of it is imported."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        import_module("orchestrator.widgets").install(shell)
