"""The restarts of one service, decided by its budget and told to the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.guardian.budget import RestartBudget, State, Terms
from orchestrator.guardian.journal import Event, Happened


class Circuit:
    """Stands between whoever notices that a service is down and whoever starts it. For one event loop."""

    def __init__(
        self,
        service: str,
        *,
        clock: Callable[[], float],
        tell: Callable[[Event], None] = lambda _: None,
        terms: Terms | None = None,
        remedy: str = "",
    ) -> None:
        """`remedy`: what a person can do when restarting does not help."""
        self.service = service
        self.remedy = remedy
        self._budget = RestartBudget(terms, clock=clock)
        self._tell = tell
        self._why = ""

    @property
    def state(self) -> State:
        """Of the circuit."""
        return self._budget.state

    def may_restart(self, why: str) -> bool:
        """Whether to start the service now, which is in trouble. Tells when the circuit opens."""
        was = self.state
        allowed = self._budget.may_restart()
        self._why = why
        if was is State.CLOSED and self.state is State.OPEN:
            tries = self._budget.terms.tries
            self._told(Happened.OPENED, f"{tries} restarts did not help: {why}")
        return allowed

    def restarted(self, why: str, *, free: bool = False) -> None:
        """It is being started. `free`: a person ended it, so that this does not count against it."""
        self._budget.restarted(free=free)
        self._why = why
        self._told(Happened.RESTART, why)

    def failed(self, why: str) -> None:
        """It could not be started."""
        self._why = why
        self._told(Happened.FAILED, why)

    def well(self) -> None:
        """It is well. Tells when that closes the circuit."""
        if self._budget.well():
            self._told(Happened.CLOSED, "it holds again")

    def forgive(self, why: str) -> None:
        """What made it fall has been put away."""
        was = self.state
        self._budget.forgive()
        if was is not State.CLOSED:
            self._told(Happened.CLOSED, why)

    def said(self) -> dict[str, Any]:
        """For the guardian's note."""
        return {
            "state": self.state,
            "restarts": self._budget.total,
            "recent": self._budget.recent,
            "why": self._why,
            "remedy": self.remedy,
            "nextTryS": round(self._budget.wait_s(), 1),
        }

    def _told(self, what: Happened, why: str) -> None:
        self._tell(Event(what, self.service, why))
