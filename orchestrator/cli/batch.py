"""Commands for batches: notebooks that run as one, and what can be done with a batch that is there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import FAILED, AsJson, app, err, out, print_json, told
from orchestrator.cli.cluster import Cluster, joined
from orchestrator.errors import RequestInvalid

if TYPE_CHECKING:
    from orchestrator.batch import Batch
    from orchestrator.batch.runs import Run

SHOWN_FAILURES = 5
batches = typer.Typer(no_args_is_help=True, help="Grids and notebooks of many jobs.")
app.add_typer(batches, name="batch")
Name = Annotated[str, typer.Argument(help="The batch's name, as `batch list` shows it.")]


@batches.command()
@told
def run(
    notebook: Annotated[Path, typer.Argument(help="The notebook, such as notebooks/batch.ipynb.")],
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="A parameter as name=value; may be repeated."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the run is called; the notebook's name otherwise.")
    ] = None,
    max_failures: Annotated[
        str, typer.Option(help="The share of the jobs that may fail, such as 0.1 or 10%.")
    ] = "0",
    timeout: Annotated[
        int | None,
        typer.Option(min=1, help="Seconds a cell may take; there is no limit otherwise."),
    ] = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> None:
    """Run a notebook with parameters; keep it, an HTML copy, a summary and a JUnit XML in data/runs.

    Ends with 1 when the notebook, or more than the allowed share of its jobs, failed. Run again, only what is missing
    is made. With --cluster the worker in the notebook's kernel has Dask workers paint; where a worker runs already,
    that one does the jobs, and decides where.
    """
    _start_soon()
    from orchestrator.batch import notebooks, runs
    from orchestrator.lab import Lab

    known = notebooks.parameters_of(notebook)
    values = notebooks.wanted(param or [], known)
    with Lab.open(cluster=joined(cluster)) as lab:
        done = runs.run(
            lab,
            notebook,
            values,
            name=name,
            max_failures=_share(max_failures),
            timeout_s=timeout,
            progress=err.is_terminal,
            on_begin=lambda folder: err.print(f"Running in {folder}", highlight=False),
        )
    if as_json:
        print_json(done.document())
    else:
        _print_run(done)
    if not done.is_well:
        raise typer.Exit(FAILED)


@batches.command()
@told
def parameters(
    notebook: Annotated[Path, typer.Argument(help="The notebook.")], as_json: AsJson = False
) -> None:
    """Show what can be set in a notebook."""
    _start_soon()
    from orchestrator.batch.notebooks import parameters_of

    known = parameters_of(notebook)
    if as_json:
        print_json([vars(parameter) for parameter in known])
        return
    for parameter in known:
        out.print(f"{escape(str(parameter))}  [dim]{escape(parameter.help)}[/dim]")


def _start_soon() -> None:
    """Before notebooks are read: jsonschema builds a check for international addresses, for seconds, if it can."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


@batches.command("list")
@told
def list_batches(as_json: AsJson = False) -> None:
    """Show every batch and how far it is, the newest first."""
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        found = lab.batches()
        if as_json:
            print_json([batch.document() for batch in found])
            return
        table = Table("batch", "created", "jobs", "ended", "")
        for batch in found:
            now = batch.progress()
            counts = ", ".join(f"{n} {status}" for status, n in now.counts.items())
            paused = "; paused" if now.paused_since else ""
            created = f"{batch.note.created_at.astimezone():%Y-%m-%d %H:%M}"
            table.add_row(
                escape(batch.name), created, str(now.total), str(now.ended), counts + paused
            )
        out.print(table)


@batches.command()
@told
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a batch: its axes, and how its jobs are."""
    _then_shown(name, as_json)


@batches.command()
@told
def pause(name: Name, as_json: AsJson = False) -> None:
    """Have no further job of a batch taken; what runs goes on."""
    _then_shown(name, as_json, lambda batch: batch.pause())


@batches.command()
@told
def resume(name: Name, as_json: AsJson = False) -> None:
    """Have the jobs of a batch taken again."""
    _then_shown(name, as_json, lambda batch: batch.resume())


@batches.command()
@told
def cancel(name: Name, as_json: AsJson = False) -> None:
    """Cancel every job of a batch that has not ended."""
    _then_shown(name, as_json, lambda batch: batch.cancel())


@batches.command()
@told
def retry(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Pay for it, whatever it costs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the jobs of a batch that failed once more, but for those that may have been paid for already."""
    _then_shown(name, as_json, lambda batch: batch.retry_failed(confirm=yes))


def _then_shown(
    name: str, as_json: bool, act: Callable[[Batch], object] = lambda batch: None
) -> None:
    """Do something with a batch, and show what it is now."""
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        batch = lab.batch(name)
        act(batch)
        _print_batch(batch, as_json)


def _print_batch(batch: Batch, as_json: bool) -> None:
    if as_json:
        print_json(batch.document(jobs=True))
        return
    now = batch.progress()
    out.print(escape(f"{batch.name}: {now}"), highlight=False)
    for name, values in batch.axes.items():
        out.print(f"  {escape(name)}: {escape(', '.join(map(str, values))[:200])}", highlight=False)
    if now.paused_since:
        out.print(f"  paused; `orchestrator batch resume {escape(batch.name)}` lets it go on")


def _print_run(done: Run) -> None:
    cases = done.cases
    failed = [case for case in cases if case.problem is not None]
    for case in failed[:SHOWN_FAILURES]:
        err.print(f"[red]{escape(case.name)}[/red]: {escape(case.problem or '')}", highlight=False)
        err.print(f"  {escape(case.remedy or '')}", highlight=False)
    if len(failed) > SHOWN_FAILURES:
        err.print(f"{len(failed) - SHOWN_FAILURES} more failed", highlight=False)
    if done.error is not None:
        err.print(f"[red]The notebook failed: {escape(done.error)}[/red]", highlight=False)
    well = sum(case.status == "done" for case in cases)
    took = (done.finished_at - done.started_at).total_seconds()
    out.print(
        escape(f"{well} of {len(cases)} jobs done, {len(failed)} failed, in {took:.0f} s"),
        highlight=False,
    )
    out.print(escape(str(done.folder)), highlight=False, soft_wrap=True)


def _share(text: str) -> float:
    """A share as 0.1 or 10%. Raises RequestInvalid."""
    said = text.strip()
    try:
        share = float(said.removesuffix("%")) / (100 if said.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise RequestInvalid(f"{text[:40]!r} is no share of jobs", remedy="Say 0.1 or 10%.")
    return share
