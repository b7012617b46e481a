"""The command of the guardian alone, which an OS service calls."""

from __future__ import annotations

import asyncio

from orchestrator.cli.app import app, told, until_signal


@app.command()
@told
def guardian() -> None:
    """Run the guardian alone: it watches disk, health and a local ComfyUI, until Ctrl-C or SIGTERM.

    The worker and the pages are looked after by `orchestrator up` or by the services of the system.
    """
    from orchestrator import logs
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        logs.set_up(lab.paths, lab.settings, name="guardian", screen=True)
        asyncio.run(until_signal(lab.guardian().run, code=0))
