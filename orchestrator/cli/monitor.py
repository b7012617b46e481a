"""Commands that tell what happens, and why: the monitor, and the diagnosis of a job."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.markup import escape

from orchestrator.cli.app import AsJson, app, err, out, print_json, told, until_signal
from orchestrator.cli.jobs import JobId


@app.command()
@told
def monitor() -> None:
    """Follow the jobs and services alone, until Ctrl-C or SIGTERM; writes logs/MONITOR-LOG.md."""
    from orchestrator.lab import Lab
    from orchestrator.logs import writing
    from orchestrator.monitor import Monitor

    with Lab.open() as lab:
        writing.set_up(lab.paths, lab.settings, name="monitor", screen=True)
        watching = Monitor(lab.store, paths=lab.paths, settings=lab.settings, health=lab.health)
        asyncio.run(until_signal(watching.run, code=0))


@app.command()
@told
def diagnose(
    job_id: JobId,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do what is offered first, or what --action names.")
    ] = False,
    action: Annotated[
        str | None, typer.Option(help="With --apply: another one of the actions offered.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say why a job failed and what to do; with --apply, have it done."""
    from orchestrator import remedies
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        job = lab.job(job_id).job
        said = asyncio.run(remedies.diagnosis_of(lab, job))
        applied = None
        if apply or action:
            chosen = next((a for a in said.actions if action in (None, a.name)), None)
            if chosen is None:
                offered = ", ".join(a.name for a in said.actions) or "none"
                raise typer.BadParameter(
                    f"actions that are offered: {offered}", param_hint="--apply"
                )
            applied = asyncio.run(remedies.apply(lab, job, chosen))
    if as_json:
        document = {"job": job.id, "status": job.status.value, **said.document()}
        if applied is not None:
            document["applied"] = applied.document()
        print_json(document)
        return
    failure = job.failure
    if failure is not None:
        err.print(f"[red]{escape(failure.message)}[/red]", highlight=False, soft_wrap=True)
    out.print(escape(said.cause), highlight=False, soft_wrap=True)
    out.print(escape(said.remedy), highlight=False, soft_wrap=True)
    for each in said.actions if applied is None else ():
        command = f"orchestrator diagnose {job.id} --apply --action {each.name}"
        out.print(f"  {escape(each.title)}: {command}", highlight=False, soft_wrap=True)
    if applied is not None:
        out.print(escape(applied.message), highlight=False, soft_wrap=True)
