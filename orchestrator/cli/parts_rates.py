"""The command for the exchange rates by which prices are compared."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import FAILED, AsJson, out, print_json, say, told
from orchestrator.cli.parts import parts


@parts.command()
@told
def rates(
    update: Annotated[
        bool,
        typer.Option("--update", help="Fetch those of the Bank of Russia and of the ECB first."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which exchange rates there are, the ones that are preferred first, and of what day.

    Ends with 1 when --update got none.
    """
    from orchestrator.parts import opening, rates
    from orchestrator.paths import Paths

    paths = Paths.find()
    wrong: list[str] = []
    if update:
        known, wrong = asyncio.run(opening.update_rates(paths))
    else:
        known = rates.Rates.load(opening.rates_folder(paths))
    today = datetime.now(UTC).date()
    tables: list[dict[str, Any]] = [
        {
            "teller": table.teller,
            "day": table.day.isoformat(),
            "days_old": max(0, (today - table.day).days),
            "currencies": sorted(table.pieces),
        }
        for table in known.tables
    ]
    if as_json:
        print_json(tables)
    else:
        shown = Table("rates of", "day", "days old", "currencies", box=None)
        for each in tables:
            codes = each["currencies"]
            shown.add_row(
                each["teller"], each["day"], str(each["days_old"]), escape(" ".join(codes))
            )
        out.print(shown)
    for line in wrong:
        say(line)
    if len(wrong) == len(rates.SOURCES):
        raise typer.Exit(FAILED)
