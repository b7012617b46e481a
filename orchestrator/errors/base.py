"""What all errors of the lab have."""

from __future__ import annotations


class OrchestratorError(Exception):
    """Something in the lab went wrong."""

    remedy: str = "Look at the newest lines of the worker's log, in the folder `orchestrator paths` calls logs."

    def __init__(self, message: str | None = None, *, remedy: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        if remedy is not None:
            self.remedy = remedy

    @property
    def message(self) -> str:
        """What is wrong, in one sentence."""
        return str(self.args[0])
