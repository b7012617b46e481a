"""The command of the guardian alone, which an OS service calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from orchestrator.cli.app import app, say, told, until_signal
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.guardian import Ward
    from orchestrator.lab import Lab


@app.command()
@told
def guardian() -> None:
    """Run the guardian alone: it watches disk, health and a local ComfyUI, until Ctrl-C or SIGTERM.

    Panel, worker and monitor that run as services of the system are restarted by their manager when they hang, or when
    it has given them up. What runs in a terminal is left to whoever started it.
    """
    from orchestrator.lab import Lab
    from orchestrator.logs import writing

    with Lab.open() as lab:
        writing.set_up(lab.paths, lab.settings, name="guardian", screen=True)
        asyncio.run(until_signal(lab.guardian(_services(lab)).run, code=0))


def _services(lab: Lab) -> list[Ward]:
    """The services of the system, for the guardian; none where nobody can be asked to restart them, which is said."""
    from orchestrator.guardian import managed
    from orchestrator.services import Services

    try:
        return managed.wards(Services(lab.paths, lab.settings), lab.paths, lab.store)
    except OrchestratorError as error:
        say(
            f"{error.message}: panel, worker and monitor are watched, but nobody here can restart them. "
            f"{error.remedy}"
        )
        return []
