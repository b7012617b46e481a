"""Commands for jobs: submit, list, run, cancel."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import (
    FAILED,
    INTERRUPTED,
    AsJson,
    app,
    err,
    out,
    print_json,
    told,
    until_signal,
)
from orchestrator.jobs import MAX_PRIORITY, Job, Status

if TYPE_CHECKING:
    from orchestrator.handles import JobHandle
    from orchestrator.lab import Lab

POLL_S = 0.25
MOST = 10_000_000  # jobs that a list may have or skip, as over REST
JobId = Annotated[str, typer.Argument(help="A job's id, or the beginning of it.")]


@app.command()
@told
def generate(
    prompt: Annotated[str, typer.Argument(help="What the picture should show.")],
    backend: Annotated[str, typer.Option(help="What makes it, such as sd15 or flux.")] = "sd15",
    param: Annotated[
        list[str] | None,
        typer.Option(help="A parameter as name=value, such as steps=20; may be repeated."),
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Keep it as a draft, for `run`.")] = False,
    priority: Annotated[
        int, typer.Option(min=-MAX_PRIORITY, max=MAX_PRIORITY, help="Higher goes first.")
    ] = 0,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the picture.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Pay for it, whatever it costs.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would cost; nothing is sent.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a job; with --wait, wait for its picture, working on it here if no worker runs."""
    from orchestrator.lab import Lab

    if hold and wait:
        raise typer.BadParameter("a draft does not run: --hold and --wait exclude each other")
    with Lab.open() as lab:
        if dry_run:
            _print_estimate(lab, prompt, backend, _params(param), as_json)
            return
        job = lab.submit(
            prompt,
            backend=backend,
            params=_params(param),
            hold=hold,
            priority=priority,
            confirm=yes,
        )
        if wait:
            job = asyncio.run(until_signal(lambda: _wait(lab, job), code=INTERRUPTED))
    _print_job(job, as_json)
    if wait and job.status is not Status.DONE:
        raise typer.Exit(FAILED)


@app.command()
@told
def jobs(
    status: Annotated[Status | None, typer.Option(help="Only jobs with this status.")] = None,
    backend: Annotated[str | None, typer.Option(help="Only jobs of this backend.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 50,
    offset: Annotated[int, typer.Option(min=0, max=MOST, help="How many to skip.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the jobs, newest first."""
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        found, total = lab.page(status=status, backend=backend, limit=limit, offset=offset)
        corrupt = len(lab.store.quarantine.files())
    if as_json:
        print_json({"jobs": [_document(job) for job in found], "total": total})
    else:
        table = Table(box=None)
        table.add_column("id", no_wrap=True)
        for heading in ("status", "backend", "prompt", "what happened"):
            table.add_column(heading, overflow="fold")
        for job in found:
            news = job.failure.message if job.failure else (job.result and job.result.file) or ""
            cells = (job.id, job.status.value, job.backend, job.prompt[:50], news[:100])
            table.add_row(*(escape(cell) for cell in cells))
        out.print(table)
        out.print(f"{len(found)} of {total}", highlight=False)
    if corrupt:
        err.print(f"{corrupt} files that hold no job were set aside in jobs/_corrupt")


@app.command()
@told
def run(job_id: JobId, as_json: AsJson = False) -> None:
    """Release a draft, or run a failed or cancelled job again."""
    _change(lambda lab: lab.run(job_id), as_json)


@app.command()
@told
def cancel(job_id: JobId, as_json: AsJson = False) -> None:
    """Cancel a job, also while it runs."""
    _change(lambda lab: lab.cancel(job_id), as_json)


@app.command()
@told
def retry(job_id: JobId, as_json: AsJson = False) -> None:
    """Make a new attempt at a job that failed or was cancelled."""
    _change(lambda lab: lab.retry(job_id), as_json)


# ---------------------------------------------------------------- parts of commands


def _change(change: Callable[[Lab], Job], as_json: bool) -> None:
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        _print_job(change(lab), as_json)


async def _wait(lab: Lab, job: Job) -> Job:
    """Wait for a job; where no worker lives, or the last one goes, be one for it."""
    handle = lab.job(job.id)
    with _progress(handle):
        async with lab.working(name="generate", only={job.id}):
            return (await handle.wait()).job


@contextlib.contextmanager
def _progress(handle: JobHandle) -> Iterator[None]:
    """A progress bar on standard error, where somebody looks at it."""
    if not err.is_terminal:
        yield
        return
    from rich.progress import Progress

    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("waiting", total=1.0)

        async def follow() -> None:
            while True:
                if said := await asyncio.to_thread(handle.progress):
                    steps = f" {said.step}/{said.steps}" if said.steps else ""
                    bar.update(task, completed=said.fraction, description=f"{said.text}{steps}")
                await asyncio.sleep(POLL_S)

        following = asyncio.ensure_future(follow())
        try:
            yield
        finally:
            following.cancel()


def _params(pairs: list[str] | None) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for pair in pairs or []:
        name, separator, value = pair.partition("=")
        if not separator or not name.strip():
            raise typer.BadParameter(f"{pair!r} is not name=value", param_hint="--param")
        try:
            params[name.strip()] = json.loads(value)
        except ValueError:
            params[name.strip()] = value
    return params


def _print_estimate(
    lab: Lab, prompt: str, backend: str, params: dict[str, Any], as_json: bool
) -> None:
    said = lab.estimate(prompt, backend=backend, params=params)
    needs_yes = said.usd > lab.budget.confirm_above
    if as_json:
        print_json({**said.document(), "needsConfirmation": needs_yes})
    else:
        out.print(escape(str(said)), highlight=False, soft_wrap=True)
        if needs_yes:
            err.print("It has to be confirmed: --yes", highlight=False)


def _document(job: Job) -> dict[str, Any]:
    return job.model_dump(mode="json", by_alias=True)


def _print_job(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(_document(job))
        return
    out.print(f"{job.id}  {job.status}", highlight=False)
    for file in job.result.files if job.result else []:
        out.print(escape(file), highlight=False, soft_wrap=True)
    if job.failure is not None and (job.status is Status.FAILED or job.is_held):
        err.print(f"[red]{escape(job.failure.message)}[/red]", highlight=False)
        err.print(escape(job.failure.remedy), highlight=False)
