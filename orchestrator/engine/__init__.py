"""The embedded engine: a small server that speaks ComfyUI's protocol and paints without model weights.

It makes a fresh machine able to run everything, and can be told to fail for tests. It says what it is wherever it
appears.
"""

from __future__ import annotations

from orchestrator.engine.dialects import DIALECTS, Dialect
from orchestrator.engine.engine import NAME, Engine
from orchestrator.engine.faults import Faults, Hang, HttpStatus, Ledger, PromptError
from orchestrator.engine.serving import serve
from orchestrator.engine.weights import CHECKPOINTS

__all__ = [
    "CHECKPOINTS",
    "DIALECTS",
    "NAME",
    "Dialect",
    "Engine",
    "Faults",
    "Hang",
    "HttpStatus",
    "Ledger",
    "PromptError",
    "serve",
]
