"""How often something may be started again: decisions only, with the time given.

    CLOSED ──3 restarts that did not hold──▶ OPEN ──a minute later──▶ HALF_OPEN ──it holds──▶ CLOSED
                                              ▲                          │
                                              └──────it fell again───────┘

A restart that held costs nothing: what is killed from outside now and then is brought back each time. To hold is to be
well for `steady_s`, which is no less than `probe_s`: what falls again and again, whatever its rhythm, is not started
more often than an open circuit would try it, but for the first three times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Of a circuit: closed lets restarts through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True)
class Terms:
    """How patient a budget is: `tries` restarts in `window_s`; the pause before the second, `pause_s`, doubles."""

    tries: int = 3
    window_s: float = 600.0
    pause_s: float = 0.5
    probe_s: float = 60.0
    steady_s: float = 60.0


class RestartBudget:
    """The restarts of one service."""

    def __init__(self, terms: Terms | None = None, *, clock: Callable[[], float]) -> None:
        """`clock`: seconds that only go forward."""
        self.terms = terms or Terms()
        self._clock = clock
        self._spent: list[float] = []  # restarts that have not held yet
        self._all: deque[float] = deque(maxlen=1000)
        self._well_since: float | None = None
        self._tried_at: float | None = None  # or gave up
        self.state = State.CLOSED
        self.total = 0

    @property
    def recent(self) -> int:
        """How many restarts there were within the window, those that held included."""
        begin = self._clock() - self.terms.window_s
        return sum(at > begin for at in self._all)

    def may_restart(self) -> bool:
        """Asked while the service is in trouble: whether to start it now. Opens the circuit when all is spent."""
        now = self._clock()
        self._well_since = None
        if self.state is State.CLOSED:
            self._spent = [at for at in self._spent if now - at < self.terms.window_s]
            if len(self._spent) >= self.terms.tries:
                self.state, self._tried_at = State.OPEN, now
                return False
        elif self.state is State.HALF_OPEN:
            self.state = State.OPEN
        return self.wait_s() <= 0

    def wait_s(self) -> float:
        """Seconds until a restart is allowed."""
        if self._tried_at is None:
            return 0.0
        if self.state is not State.CLOSED:
            pause = self.terms.probe_s
        elif self._spent:
            pause = self.terms.pause_s * 2 ** (len(self._spent) - 1)
        else:
            return 0.0
        return max(0.0, self._tried_at + pause - self._clock())

    def restarted(self, *, free: bool = False) -> None:
        """It has been started again, or that was tried. `free`: a person ended it, which is no fault of its own."""
        now = self._clock()
        self._tried_at, self._well_since = now, None
        if not free:
            self._spent.append(now)
        self._all.append(now)
        self.total += 1
        if self.state is State.OPEN:
            self.state = State.HALF_OPEN

    def well(self) -> bool:
        """It is seen well. Returns whether this closed the circuit, because it has been for long enough."""
        now = self._clock()
        if self._well_since is None:
            self._well_since = now
        if now - self._well_since < self.terms.steady_s:
            return False
        was, self.state = self.state, State.CLOSED
        self._spent.clear()
        return was is not State.CLOSED

    def forgive(self) -> None:
        """The cause has been removed: begin anew."""
        self.state = State.CLOSED
        self._spent.clear()
