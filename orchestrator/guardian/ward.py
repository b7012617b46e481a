"""One service in a guardian's care: looked at every second, started again when it has been in trouble for too long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orchestrator.guardian.budget import Terms
from orchestrator.guardian.circuit import Circuit

LOOK_S = 1.0
RESTART_S = 90.0  # whoever takes longer to start one is stuck

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """What is wrong, and for how long to bear it: a process that is gone not at all, one that is deaf for a while.

    `by_hand`: somebody did that to it, as no program does to itself; it says nothing against starting it again.
    """

    why: str
    patience_s: float = 0.0
    by_hand: bool = False


@dataclass(frozen=True)
class Ward:
    """A service, how to look at it and how to start it.

    `look` returns None when it is well, and may raise, which says nothing. `restart` ends what is left of it and
    starts it; it raises what goes wrong.
    """

    name: str
    look: Callable[[], Awaitable[Trouble | None]]
    restart: Callable[[], Awaitable[object]]
    remedy: str = ""
    terms: Terms | None = None
    is_shared: bool = False  # several guardians see it: only the one that has the lab's lock acts

    async def keep(
        self, circuit: Circuit, *, clock: Callable[[], float], may_act: Callable[[], bool]
    ) -> None:
        """Look after it until cancelled."""
        since: float | None = None
        while True:
            try:
                if may_act():
                    since = await self._once(circuit, since, clock=clock)
            except Exception:
                logger.exception("Could not look after %s", self.name)
            await asyncio.sleep(LOOK_S)

    async def _once(
        self, circuit: Circuit, since: float | None, *, clock: Callable[[], float]
    ) -> float | None:
        """Look once, and act. Returns since when there is trouble."""
        trouble = await self.look()
        if trouble is None:
            circuit.well()
            return None
        now = clock()
        since = now if since is None else since
        if now - since < trouble.patience_s:
            return since
        if not trouble.by_hand and not circuit.may_restart(trouble.why):
            return since
        circuit.restarted(trouble.why, free=trouble.by_hand)
        try:
            async with asyncio.timeout(RESTART_S):
                await self.restart()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told and tried again
            circuit.failed(str(error) or type(error).__name__)
        return None
