"""The Builder: a visual editor of ComfyUI workflows for notebooks and pages."""

from __future__ import annotations

from orchestrator.widgets.builder.builder import Builder

__all__ = ["Builder"]
