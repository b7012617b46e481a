"""When a run of a notebook is well: at its end, with no more failed jobs than were allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.batch.junit import Case, Suite
from orchestrator.batch.runs import Run

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def case(number: int, problem: str | None) -> Case:
    return Case(id=f"job-{number}", name="a fox", status="done", seconds=1.0, problem=problem)


def run(failed: int, of: int, *, max_failures: float, error: str | None = None) -> Run:
    cases = [case(number, "it broke" if number < failed else None) for number in range(of)]
    return Run(
        name="run",
        folder=Path("run"),
        notebook=Path("grid.ipynb"),
        parameters={},
        started_at=NOW,
        finished_at=NOW,
        error=error,
        max_failures=max_failures,
        suites=[Suite(name="grid", notebook="grid.ipynb", cases=cases)],
    )


@pytest.mark.parametrize(
    ("failed", "of", "max_failures", "is_well"),
    [
        (0, 0, 0.0, True),
        (0, 2, 0.0, True),
        (1, 2, 0.0, False),
        (1, 2, 0.4, False),
        (1, 2, 0.5, True),  # so many are allowed, and not one more
        (2, 2, 0.5, False),
        (2, 2, 1.0, True),
    ],
)
def test_a_run_is_well_with_as_many_failures_as_are_allowed_and_not_with_more(
    failed: int, of: int, max_failures: float, is_well: bool
) -> None:
    done = run(failed, of, max_failures=max_failures)
    assert done.is_well is is_well
    assert done.document()["status"] == ("done" if is_well else "failed")


def test_a_notebook_that_broke_off_is_not_well_however_many_failures_are_allowed() -> None:
    assert not run(0, 2, max_failures=1.0, error="ValueError: no").is_well
