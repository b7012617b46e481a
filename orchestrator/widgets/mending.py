"""What happens when a button of a diagnosis is pressed.

A page names an action; nothing else that it says is believed: see `remedies.mend`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestrator import remedies
from orchestrator.errors import OrchestratorError
from orchestrator.lab import Lab
from orchestrator.widgets.view import Message, View


class Mending:
    """Carries out for one view what its page's buttons name. One action at a time for each job."""

    def __init__(self, view: View, lab: Lab, *, then: Callable[[], None] = lambda: None) -> None:
        """`then` is called when something has been done."""
        self._view = view
        self._then = then
        self._lab = lab
        self._at_work: set[str] = set()

    async def __call__(self, message: Message) -> None:
        """Answer `{"id": job, "action": "mend", "name": action, "sure": …}` with a notice about the job."""
        job_id = str(message.get("id", ""))[:100]
        if job_id in self._at_work:  # pressed twice: a second job would be one too many
            return
        self._at_work.add(job_id)
        try:
            applied = await self._apply(job_id, message)
        except OrchestratorError as error:
            self._view.tell(error.message, error.remedy, about=job_id)
        else:
            self._view.tell(applied.message, good=applied.is_good, about=job_id)
            self._then()
        finally:
            self._at_work.discard(job_id)

    async def _apply(self, job_id: str, message: Message) -> remedies.Applied:
        job = (await asyncio.to_thread(self._lab.job, job_id)).job
        sure = message.get("sure") is True
        return await remedies.mend(self._lab, job, str(message.get("name", "")), is_confirmed=sure)
