"""Views of a lab for notebooks and pages, and the view that a job shows as the last value of a cell.

from orchestrator.widgets import Dashboard

Dashboard(lab)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.handles import JobHandle
    from orchestrator.widgets.builder import Builder
    from orchestrator.widgets.compare import Compare
    from orchestrator.widgets.dashboard import Dashboard
    from orchestrator.widgets.diagnostics import Diagnostics
    from orchestrator.widgets.form import GenerationForm
    from orchestrator.widgets.gallery import Gallery
    from orchestrator.widgets.grid import GridPanel
    from orchestrator.widgets.heartbeat import Heartbeat
    from orchestrator.widgets.job import JobView
    from orchestrator.widgets.newest import NewestImages
    from orchestrator.widgets.parts import PartsSearch
    from orchestrator.widgets.queue import QueuePanel
    from orchestrator.widgets.services import ServiceCards

__all__ = [
    "Builder",
    "Compare",
    "Dashboard",
    "Diagnostics",
    "Gallery",
    "GenerationForm",
    "GridPanel",
    "Heartbeat",
    "JobView",
    "NewestImages",
    "PartsSearch",
    "QueuePanel",
    "ServiceCards",
    "install",
]

_HOMES = {
    "Builder": "orchestrator.widgets.builder",
    "Compare": "orchestrator.widgets.compare",
    "Dashboard": "orchestrator.widgets.dashboard",
    "Diagnostics": "orchestrator.widgets.diagnostics",
    "Gallery": "orchestrator.widgets.gallery",
    "GenerationForm": "orchestrator.widgets.form",
    "GridPanel": "orchestrator.widgets.grid",
    "Heartbeat": "orchestrator.widgets.heartbeat",
    "JobView": "orchestrator.widgets.job",
    "NewestImages": "orchestrator.widgets.newest",
    "PartsSearch": "orchestrator.widgets.parts",
    "QueuePanel": "orchestrator.widgets.queue",
    "ServiceCards": "orchestrator.widgets.services",
}


def __getattr__(name: str) -> Any:
    """Import a view when it is first used: `install` should not cost the import of ipywidgets."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def install(ipython: Any) -> None:
    """Have a kernel show a JobHandle as its pictures, or live while there are none. Does nothing in a terminal."""
    if getattr(ipython, "kernel", None) is None:
        return
    formatter = ipython.display_formatter.ipython_display_formatter
    formatter.for_type_by_name("orchestrator.handles", "JobHandle", _show)


def _show(handle: JobHandle) -> None:
    from IPython.display import display

    from orchestrator.jobs import Status

    pictures = handle.pictures if handle.status is Status.DONE else []
    there = [picture for picture in pictures if picture.path.is_file()]
    # pictures stay in the notebook file; a view lives only as long as its kernel
    display(*there or [import_module("orchestrator.widgets.job").JobView(handle)])  # type: ignore[no-untyped-call]
