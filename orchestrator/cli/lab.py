"""Commands for the lab as a whole."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import (
    FAILED,
    MAX_PORT,
    AsJson,
    app,
    out,
    print_json,
    say,
    told,
    until_signal,
)
from orchestrator.cli.cluster import Cluster, joined
from orchestrator.errors import PathsInvalid
from orchestrator.health import ServiceHealth
from orchestrator.health.history import SERVICES
from orchestrator.paths import Paths


@app.command()
@told
def up(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_PORT, help="Port of the pages (default: ADMIN_URL's)."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
    cluster: Cluster = None,
) -> None:
    """Start the whole lab: pages, JupyterLab, a worker and, where there is no ComfyUI, the embedded engine."""
    from orchestrator.lab import Lab
    from orchestrator.server import launch

    with Lab.open(cluster=joined(cluster)) as lab:
        code = launch.up(lab, port=port, browser=browser)
    raise typer.Exit(code)


@app.command()
@told
def worker(cluster: Cluster = None) -> None:
    """Run the job loop alone, until Ctrl-C or SIGTERM."""
    from orchestrator.lab import Lab
    from orchestrator.logs import writing

    with Lab.open(cluster=joined(cluster)) as lab:
        writing.set_up(lab.paths, lab.settings, name="worker", screen=True)
        asyncio.run(until_signal(lab.work, code=0))


@app.command()
@told
def engine(
    port: Annotated[
        int, typer.Option(min=0, max=MAX_PORT, help="Port to listen on; 0 for any free one.")
    ] = 8188,
) -> None:
    """Run the embedded engine alone: it speaks ComfyUI's protocol and paints without a model."""
    from orchestrator.engine import serve

    serve(port, ready=lambda url: say(f"The embedded engine (no model) is at {url}"))


@app.command()
@told
def health(as_json: AsJson = False) -> None:
    """Say what runs, what does not, and what to do about it. Exit code 0 only when all is well."""
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        report = asyncio.run(lab.health())
    if as_json:
        print_json(report.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        table = Table(box=None, show_header=False)
        for name in SERVICES:
            part = getattr(report, name)
            colour = {"running": "green", "stopped": "red"}.get(part.status, "yellow")
            table.add_row(name, f"[{colour}]{part.status}[/]", escape(_about(part)))
            for host in part.hosts or ():
                mark = "[green]✓[/]" if host.is_running else "[red]✗[/]"
                table.add_row("", mark, escape(f"{host.url}  {_about(host)}"))
        counts = ", ".join(f"{n} {status}" for status, n in report.queue.counts.items() if n)
        table.add_row("jobs", "", counts or "none yet")
        if report.queue.paused:
            table.add_row("queue", "[yellow]paused[/]", escape(report.queue.paused))
        out.print(table)
        for problem in report.problems:
            out.print(f"[red]•[/red] {escape(problem)}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if report.well else FAILED)


@app.command()
@told
def paths(
    as_json: AsJson = False,
    init: Annotated[bool, typer.Option(help="Write a paths.json here if there is none.")] = False,
) -> None:
    """Show every place of paths.json, and create the folders that are missing."""
    found = Paths.init(Path.cwd()) if init else Paths.find()
    trouble: PathsInvalid | None = None
    try:
        found.create()
    except PathsInvalid as error:
        trouble = error
    places = found.places()
    if as_json:
        rows = {
            p.key: {
                "path": str(p.path),
                "exists": p.exists,
                "writable": p.writable,
                "problem": p.problem,
            }
            for p in places
        }
        print_json({"file": str(found.file), "places": rows})
    else:
        table = Table(box=None, title=str(found.file), title_justify="left")
        for heading in ("place", "exists", "writable", "path"):
            table.add_column(heading)
        for p in places:
            note = f"  ({p.problem})" if p.problem else ""
            table.add_row(p.key, _mark(p.exists), _mark(p.writable), escape(f"{p.path}{note}"))
        out.print(table, soft_wrap=True)
    if trouble is not None:
        raise trouble
    if any(not p.writable for p in places if p.key != "comfyRoot"):
        raise typer.Exit(FAILED)


def _about(part: ServiceHealth) -> str:
    """What is known of a service's process, after its own words."""
    facts = [part.message] if part.message else []
    if part.pid is not None:
        facts.append(f"process {part.pid}")
    if part.uptime_s is not None:
        facts.append(f"up {timedelta(seconds=int(part.uptime_s))}")
    if part.memory is not None:
        facts.append(f"{part.memory / 1e6:.0f} MB")
    if part.restarts:
        facts.append(f"restarted {part.restarts}×")
    return ", ".join(facts)


def _mark(yes: bool) -> str:
    return "[green]yes[/]" if yes else "[red]no[/]"
