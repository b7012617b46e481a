"""Commands for the services of the operating system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import FAILED, AsJson, app, out, print_json, say, told
from orchestrator.paths import Paths
from orchestrator.services import Report, Running, Services
from orchestrator.settings import Settings

COLOURS = {Running.RUNNING: "green", Running.FAILED: "red", Running.STOPPED: "yellow"}

services = typer.Typer(
    no_args_is_help=True,
    help="The lab as services that start by themselves: systemd, launchd, NSSM.",
)
app.add_typer(services, name="services")

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="panel, worker, monitor, guardian, comfyui."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def _here() -> Services:
    paths = Paths.find()
    return Services(paths, Settings.load(paths))


@services.command()
@told
def install(names: Names = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Register services that start with the session or the machine; by default panel and guardian.

    The panel brings a worker and a monitor of its own.
    """
    _do(_here().install, names, dry_run=dry_run, as_json=as_json)
    if not dry_run and not as_json:
        say("Start them now with: orchestrator services start")


@services.command()
@told
def uninstall(names: Names = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Stop and forget services; by default all of this lab."""
    _do(_here().uninstall, names, dry_run=dry_run, as_json=as_json)


@services.command()
@told
def start(names: Names = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Start services; by default all that are installed."""
    _do(_here().start, names, dry_run=dry_run, as_json=as_json)


@services.command()
@told
def stop(names: Names = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Stop services; by default all that are installed."""
    _do(_here().stop, names, dry_run=dry_run, as_json=as_json)


@services.command()
@told
def restart(names: Names = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Restart services; by default all that are installed."""
    _do(_here().restart, names, dry_run=dry_run, as_json=as_json)


@services.command()
@told
def status(names: Names = None, as_json: AsJson = False) -> None:
    """Say what the service manager says. Exit code 0 only if what is asked for, or is installed, runs."""
    here = _here()
    found = here.status(names or ())
    if as_json:
        rows = [
            {
                "name": each.name,
                "status": each.running.value,
                "pid": each.pid,
                "since": each.since.isoformat() if each.since else None,
                "message": each.message,
                "ours": each.ours,
            }
            for each in found
        ]
        print_json({"manager": here.manager, "services": rows})
    else:
        table = Table(box=None, show_header=False)
        for each in found:
            since = f"since {each.since.astimezone():%Y-%m-%d %H:%M:%S}" if each.since else ""
            pid = f"pid {each.pid}" if each.pid else ""
            note = each.message if each.ours else "belongs to another lab"
            colour = COLOURS.get(each.running, "dim")
            table.add_row(each.name, f"[{colour}]{each.running.value}[/]", pid, since, escape(note))
        out.print(table)
    asked = [each for each in found if names or each.installed]
    well = bool(asked) and all(each.running is Running.RUNNING for each in asked)
    raise typer.Exit(0 if well else FAILED)


def _do(
    verb: Callable[..., Report], names: list[str] | None, *, dry_run: bool, as_json: bool
) -> None:
    report = verb(names or (), dry_run=dry_run)
    if as_json:
        print_json({**asdict(report), "dryRun": dry_run})
        return
    if not report.services:
        say("No service of this lab is installed: orchestrator services install")
    for path, text in report.files.items() if dry_run else ():
        out.print(f"# {path}\n{text}", markup=False, highlight=False, soft_wrap=True)
    for step in report.steps:
        out.print(step, markup=False, highlight=False, soft_wrap=True)
    for hint in report.hints:
        say(hint)
