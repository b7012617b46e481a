"""Failed jobs of a paid batch, run once more from the page, from Python and from a terminal: money is asked for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from page import answers, connect, press, until
from typer.testing import CliRunner

from orchestrator.batch import Batch
from orchestrator.cli import app
from orchestrator.errors import AmbiguousSubmit, ConfirmationNeeded
from orchestrator.jobs import Failure, Job, Status
from orchestrator.lab import Lab
from orchestrator.testing import make_lab
from orchestrator.widgets import GridPanel


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    connect(monkeypatch)
    with make_lab(tmp_path) as lab:
        monkeypatch.setenv("ORCHESTRATOR_PATHS", str(lab.paths.file))
        yield lab


def failed(why: Failure) -> Callable[[Job], Job]:
    def change(job: Job) -> Job:
        claimed = job.claim(worker="w", host="h", slot=None, now=job.created_at)
        return claimed.fail(why, now=job.created_at)

    return change


def thirty_failed(lab: Lab) -> Batch:
    """Thirty jobs of the paid backend, of which one may have been paid for."""
    batch = lab.grid("a fox", backend="flux", seed=range(30), name="foxes").submit(confirm=True)
    refused = Failure(kind="timeout", message="It took too long", remedy="Try again.")
    for number, job in enumerate(batch.jobs()):
        lab.store.update(job.id, failed(Failure.of(AmbiguousSubmit()) if number == 7 else refused))
    return batch


def counts(batch: Batch) -> dict[Status, int]:
    return dict(batch.progress().counts)


async def changed(panel: GridPanel, **content: Any) -> dict[str, Any]:
    key = f"change/{len(answers(panel))}"

    def mine() -> list[dict[str, Any]]:
        return [said["answer"] for said, _ in answers(panel) if said.get("key") == key]

    press(panel, "change", key=key, name="foxes", what="retry", **content)
    await until(mine)
    return mine()[0]


def test_the_page_asks_for_the_price_and_spends_no_more_than_was_agreed_to(lab: Lab) -> None:
    batch = thirty_failed(lab)

    async def story() -> None:
        panel = GridPanel(lab)
        question = (await changed(panel))["confirm"]
        assert question["amount"] == "1.74"
        assert question["title"] == "Spend $1.74?"
        assert question["lines"][0].startswith("29 jobs with ")
        for agreed in ("1.73", "nonsense", True, "-5"):
            assert "confirm" in await changed(panel, agreed=agreed)
        assert counts(batch) == {Status.FAILED: 30}
        assert await changed(panel, agreed="1.74") == {"jobs": 29}
        panel.close()

    asyncio.run(story())
    # the one that may have been paid for is a person's to decide, by itself
    assert counts(batch) == {Status.QUEUED: 29, Status.FAILED: 1}
    (left,) = [job for job in batch.jobs() if job.status is Status.FAILED]
    assert left.failure is not None
    assert left.failure.kind == AmbiguousSubmit.kind


def test_python_says_what_it_costs_and_waits_for_a_yes(lab: Lab) -> None:
    batch = thirty_failed(lab)
    assert batch.to_retry().usd == Decimal("1.74")
    with pytest.raises(ConfirmationNeeded, match=r"1\.74"):
        batch.retry_failed()
    assert counts(batch) == {Status.FAILED: 30}
    assert batch.retry_failed(confirm=True) == 29


def test_the_command_wants_a_yes_for_it(lab: Lab) -> None:
    batch = thirty_failed(lab)
    said = CliRunner().invoke(app, ["batch", "retry", "foxes"])
    assert said.exit_code == 2
    assert "--yes" in said.output
    assert counts(batch) == {Status.FAILED: 30}
    assert CliRunner().invoke(app, ["batch", "retry", "foxes", "--yes"]).exit_code == 0
    assert counts(batch) == {Status.QUEUED: 29, Status.FAILED: 1}


def test_jobs_that_cost_nothing_are_run_again_without_a_question(lab: Lab) -> None:
    batch = lab.grid("a fox", seed=range(3), name="foxes").submit()
    for job in batch.jobs():
        lab.store.update(job.id, failed(Failure(kind="timeout", message="late", remedy="Again.")))

    async def story() -> None:
        panel = GridPanel(lab)
        assert await changed(panel) == {"jobs": 3}
        panel.close()

    asyncio.run(story())
    assert counts(batch) == {Status.QUEUED: 3}
