"""The command that moves ended jobs to the archive."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli.app import AsJson, app, out, print_json, told

BATCH = 500  # jobs moved under one lock: workers archive too


@app.command()
@told
def archive(
    before: Annotated[
        str,
        typer.Option(metavar="WHEN", help="Jobs that ended before: 7d, 12h, 2w ago, or a date."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
    as_json: AsJson = False,
) -> None:
    """Move ended jobs out of the queue's folder to jobs/_old/YYYY-MM now; they stay listed and can be searched.

    Workers do it by themselves a day after a job ended.
    """
    from orchestrator.lab import Lab
    from orchestrator.lab.history import moment

    with Lab.open() as lab:
        cutoff = moment(before, now=lab.store.now())
        lab.store.refresh()
        ids = lab.store.ended_before(cutoff, keep=sys.maxsize)
        moved = list(ids)
        if not dry_run:
            batches = (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
            moved = [job.id for batch in batches for job in lab.store.archive(batch)]
    if as_json:
        print_json({"before": cutoff.isoformat(), "dryRun": dry_run, "jobs": moved})
        return
    would = "would be moved" if dry_run else "moved"
    local = f"{cutoff.astimezone():%Y-%m-%d %H:%M}"
    out.print(
        f"{len(moved)} jobs that ended before {local} {would} to the archive", highlight=False
    )
