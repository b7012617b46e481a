"""Commands for money: what was spent, and what a budget leaves."""

from __future__ import annotations

import asyncio
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import AsJson, app, err, out, print_json, told
from orchestrator.spending import Spending, money, plain


@app.command()
@told
def spending(
    correct: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=USD",
            help="Say what an undecided purchase has cost, by the account's usage; 0: it was not made.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what paid pictures have cost by day (of UTC) and backend, and what the budget leaves."""
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        if correct is not None:
            lab.correct_spending(*_correction(correct))
        said = asyncio.run(lab.spending())
    if as_json:
        print_json(said.document())
        return
    _print(said)


def _correction(text: str) -> tuple[str, Decimal]:
    key, _, amount = text.rpartition("=")
    try:
        usd = Decimal(amount)
    except InvalidOperation:
        usd = Decimal(-1)
    if not key or not usd.is_finite() or usd < 0:
        raise typer.BadParameter(f"{text!r} is not KEY=USD", param_hint="--correct")
    return key, usd


def _print(said: Spending) -> None:
    table = Table(box=None)
    for heading in ("day (UTC)", "backend", "pictures", "USD"):
        table.add_column(heading, justify="right" if heading in {"pictures", "USD"} else "left")
    for each in said.days:
        table.add_row(each.day, escape(each.backend), str(each.pictures), money(each.usd))
    if said.days:
        out.print(table)
    out.print(
        f"Today ${money(said.spent_today)} of ${money(said.per_day)} are spent, "
        f"${money(said.reserved_today)} reserved, ${money(said.left_today)} left; "
        f"${money(said.spent_in_all)} in all.",
        highlight=False,
        soft_wrap=True,
    )
    if said.credits is not None:
        out.print(f"The account has {plain(said.credits)} credits.", highlight=False)
    for one in said.undecided:
        out.print(
            f"Under way or unknown: ${money(one.usd)}, {escape(one.backend)}, {one.day}, "
            f"{escape(one.key)}",
            highlight=False,
            soft_wrap=True,
        )
    if said.damaged:
        err.print(f"{said.damaged} lines of the ledger make no sense: look at data/ledger.jsonl")
