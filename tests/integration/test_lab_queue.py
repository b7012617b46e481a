"""The lab's own moves of the queue: drafts of old jobs, and the choices of the server that is there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator.jobs import Status
from orchestrator.testing import Engine, make_lab
from orchestrator.workflows.samplers import USUAL_SAMPLERS


def test_a_duplicate_is_a_draft_that_asks_for_the_very_same(tmp_path: Path) -> None:
    with make_lab(tmp_path) as lab:
        job = lab.submit("a fox", params={"steps": 4}, priority=3)
        draft = lab.duplicate(job.id)
        assert draft.id != job.id
        assert (draft.status, draft.hold) == (Status.CREATED, True)
        assert (draft.prompt, draft.params, draft.priority) == ("a fox", job.params, 3)


def test_the_choices_are_those_of_the_server_or_the_usual_ones(tmp_path: Path) -> None:
    async def ask() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path / "a", comfy_url=engine.url) as lab:
                offers = await lab.offers()
                assert "euler" in offers.samplers
                assert offers.checkpoints
        with make_lab(tmp_path / "b", comfy_url=engine.url) as lab:
            offers = await lab.offers()
            assert (offers.samplers, offers.checkpoints) == (USUAL_SAMPLERS, ())

    asyncio.run(ask())
