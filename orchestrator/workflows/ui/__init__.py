"""Workflows as ComfyUI's editor saves them: converted to what a server runs and back, and held against a server."""

from __future__ import annotations

from orchestrator.workflows.ui.arrange import Size, arrange
from orchestrator.workflows.ui.convert import Conversion, Warned, convert
from orchestrator.workflows.ui.formats import Document, Format, format_of, read
from orchestrator.workflows.ui.from_api import Drawn, draw
from orchestrator.workflows.ui.plan import Plan, Plans, Socket, Widget
from orchestrator.workflows.ui.validate import Finding, validate

__all__ = [
    "Conversion",
    "Document",
    "Drawn",
    "Finding",
    "Format",
    "Plan",
    "Plans",
    "Size",
    "Socket",
    "Warned",
    "Widget",
    "arrange",
    "convert",
    "draw",
    "format_of",
    "read",
    "validate",
]
