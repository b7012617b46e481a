"""Notebooks run as a batch: kept with what they showed, and judged by what became of their jobs.

A run's folder is `data/runs/NAME`: the executed notebook (`notebook.ipynb`, kept after every cell, also when one
fails), an HTML copy, `summary.json` and `junit.xml`. A worker in the notebook's kernel makes the pictures, or whoever
works already.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import orjson

from orchestrator.batch.batch import BATCH_KIND, Batch
from orchestrator.batch.junit import Case, Suite, junit
from orchestrator.batch.rows import checked_name
from orchestrator.errors import JobNotFound, RequestInvalid
from orchestrator.files import write_whole
from orchestrator.jobs import Job, Status, one_line
from orchestrator.paths import VARIABLE
from orchestrator.spending import NOTHING, money

if TYPE_CHECKING:
    from orchestrator.lab import Lab

START_S = 120  # of a kernel on a loaded machine
MAX_SAID = 300  # characters of an error
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What became of a notebook and of the jobs of its batches."""

    name: str
    folder: Path
    notebook: Path
    parameters: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime
    error: str | None  # of the cell that failed
    max_failures: float
    suites: Sequence[Suite] = field(default_factory=list)
    usd: Decimal = NOTHING

    @property
    def cases(self) -> list[Case]:
        """Every job of every batch."""
        return [case for suite in self.suites for case in suite.cases]

    @property
    def failed_share(self) -> float:
        """The share of the jobs that failed, or had not ended when the notebook had."""
        cases = self.cases
        return sum(case.problem is not None for case in cases) / len(cases) if cases else 0.0

    @property
    def is_well(self) -> bool:
        """Whether the notebook ran to its end and no more jobs failed than were allowed to."""
        return self.error is None and self.failed_share <= self.max_failures

    def document(self) -> dict[str, Any]:
        """The run as JSON, which `summary.json` holds."""
        return {
            "run": self.name,
            "folder": str(self.folder),
            "notebook": str(self.notebook),
            "parameters": dict(self.parameters),
            "startedAt": self.started_at.isoformat(),
            "finishedAt": self.finished_at.isoformat(),
            "seconds": round((self.finished_at - self.started_at).total_seconds(), 3),
            "status": "done" if self.is_well else "failed",
            "error": self.error,
            "maxFailures": self.max_failures,
            "failedShare": round(self.failed_share, 4),
            "cost": {"amount": money(self.usd), "currency": "USD"},
            "batches": [
                {"name": suite.name, "jobs": len(suite.cases), **suite.counts}
                for suite in self.suites
            ],
            "failures": [
                {
                    "batch": suite.name,
                    "job": case.id,
                    "row": case.name,
                    "kind": case.kind,
                    "message": case.problem,
                    "remedy": case.remedy,
                }
                for suite in self.suites
                for case in suite.cases
                if case.problem is not None
            ],
        }


def run(
    lab: Lab,
    notebook: Path,
    parameters: Mapping[str, Any],
    *,
    name: str | None = None,
    max_failures: float = 0.0,
    timeout_s: int | None = None,
    progress: bool = False,
    on_begin: Callable[[Path], None] = lambda _: None,
) -> Run:
    """Run a notebook with papermill and keep what comes of it. Blocks until it has ended.

    `parameters` have been checked (`notebooks.wanted`). `max_failures`: the share of the jobs that may fail, 0 to 1;
    `timeout_s`: how long a cell may take. `on_begin` is told the folder. Raises RequestInvalid, OSError.
    """
    if not 0 <= max_failures <= 1:
        raise RequestInvalid(f"{max_failures} is no share", remedy="Give 0 to 1, or 0% to 100%.")
    now = lab.store.now
    started = now()
    called = f"{checked_name(name or notebook.stem)}-{started:%Y%m%d-%H%M%S}"
    folder = _new_folder(lab.paths.data / "runs", called)
    on_begin(folder)
    executed = folder / "notebook.ipynb"
    error = _execute(
        notebook, executed, parameters, lab.paths.file, timeout_s=timeout_s, progress=progress
    )
    batches = _batches(lab, executed)
    done = Run(
        name=folder.name,
        folder=folder,
        notebook=notebook,
        parameters=parameters,
        started_at=started,
        finished_at=now(),
        error=error,
        max_failures=max_failures,
        suites=[_suite(batch, notebook.stem) for batch in batches],
        usd=sum((_cost(job) for batch in batches for job in batch.jobs()), NOTHING),
    )
    write_whole(
        folder / "summary.json",
        orjson.dumps(done.document(), option=orjson.OPT_INDENT_2, default=str),
    )
    write_whole(folder / "junit.xml", junit(done.suites, name=done.name, error=error))
    _html_copy(executed)
    return done


def _new_folder(runs: Path, name: str) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        folder = runs / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:  # two of one name in one second
            continue
        return folder
    raise FileExistsError(f"{runs / name} is there a thousand times")


def _execute(
    notebook: Path,
    executed: Path,
    parameters: Mapping[str, Any],
    paths_file: Path,
    *,
    timeout_s: int | None,
    progress: bool,
) -> str | None:
    """What the cell that failed said; None when all ran."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    # it warns of annotations that it cannot read; `notebooks.wanted` can
    logging.getLogger("papermill").setLevel(logging.ERROR)
    # the kernel inherits it, and so works in this lab wherever it is started
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(paths_file)
    try:
        papermill.execute_notebook(
            str(notebook),
            str(executed),
            parameters=dict(parameters),
            progress_bar=progress,
            start_timeout=START_S,
            execution_timeout=timeout_s,
            extra_arguments=["--log-level=ERROR"],  # its warning of plain TCP is nobody's business
        )
    except papermill.PapermillExecutionError as error:
        return one_line(f"{error.ename}: {ANSI.sub('', error.evalue)}")[:MAX_SAID]
    except CellTimeoutError:
        return f"A cell took more than {timeout_s} s"
    except DeadKernelError:
        return "The kernel died; out of memory, perhaps"
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
    return None


def _batches(lab: Lab, executed: Path) -> list[Batch]:
    """The batches that the notebook showed, each once."""
    names: list[str] = []
    for output in _outputs(executed):
        said = output.get("data", {}).get(BATCH_KIND)
        name = said.get("name") if isinstance(said, dict) else None
        if isinstance(name, str) and name not in names:
            names.append(name)
    found = []
    for name in names:
        try:
            found.append(lab.batch(name))
        except (JobNotFound, RequestInvalid):
            logger.warning("The notebook shows a batch that is not there: %s", one_line(name)[:80])
    return found


def _outputs(executed: Path) -> list[Any]:
    try:
        read = nbformat.read(executed, as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, nbformat.ValidationError):
        return []
    return [output for cell in read.cells for output in cell.get("outputs", [])]


def _suite(batch: Batch, notebook: str) -> Suite:
    cases = [
        _case(row.id, ", ".join(f"{name}={value}" for name, value in row.at.items()), job)
        for row, job in batch.pairs()
    ]
    return Suite(name=batch.name, notebook=notebook, cases=cases)


def _case(job_id: str, row: str, job: Job | None) -> Case:
    name = one_line(row)[:MAX_SAID] or job_id
    if job is None:
        return Case(id=job_id, name=name, status="removed", seconds=0.0)
    took = job.finished_at - job.started_at if job.finished_at and job.started_at else None
    case = Case(
        id=job_id,
        name=name,
        status=job.status.value,
        seconds=took.total_seconds() if took else 0.0,
    )
    if job.status is Status.FAILED:
        said = job.failure
        return case.failed(
            kind=said.kind if said else "unclassified",
            problem=one_line(said.message) if said else "It does not say why",
            remedy=one_line(said.remedy) if said else "Run it again and read the worker's log.",
        )
    if not job.is_terminal:
        return case.failed(
            kind="unfinished",
            problem=f"It was {job.status} when the notebook had ended",
            remedy="Have the notebook wait for its batch: `await batch.wait()`.",
        )
    return case


def _cost(job: Job) -> Decimal:
    cost = job.result.cost if job.result else None
    return Decimal(cost.amount) if cost else NOTHING


def _html_copy(executed: Path) -> None:
    from nbconvert import HTMLExporter

    try:
        make: Callable[[], Any] = HTMLExporter  # untyped
        html, _ = make().from_filename(str(executed))
    except Exception:  # a copy to look at: the run is what it is without it
        logger.exception("No HTML copy of %s", executed)
        return
    write_whole(executed.with_suffix(".html"), html.encode(errors="replace"), durable=False)
