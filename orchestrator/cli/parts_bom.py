"""The command that quotes a bill of materials."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import (
    FAILED,
    INTERRUPTED,
    AsJson,
    out,
    print_json,
    say,
    told,
    until_signal,
)
from orchestrator.cli.parts import parts

if TYPE_CHECKING:
    from orchestrator.parts.quoting import Quoted

MOST_BOARDS = 10_000_000


@parts.command()
@told
def bom(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A CSV, an XLSX, or KiCad's BOM or netlist.")
    ],
    boards: Annotated[
        int, typer.Option(min=1, max=MOST_BOARDS, help="How many devices are made.")
    ] = 1,
    currency: Annotated[
        str | None, typer.Option(help="Of the prices shown: USD, EUR, RUB.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="Ask this one; may be repeated.")
    ] = None,
    as_json: AsJson = False,
    save: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write the quote to a file that ends with .xlsx or .csv."
        ),
    ] = None,
) -> None:
    """Quote a bill of materials: the best offer for each line, the total, and what was not found and why.

    Ends with 1 when no line was found.
    """
    from orchestrator import parts as components
    from orchestrator.errors import RequestInvalid
    from orchestrator.files import write_whole
    from orchestrator.parts import bom_files, export, quoting
    from orchestrator.parts.errors import RateUnknown

    if save is not None and save.suffix.lower() not in {".xlsx", ".csv"}:
        raise RequestInvalid(
            f"A quote cannot be written as {save.suffix or 'a file without an ending'}",
            remedy="Name a file that ends with .xlsx or .csv.",
        )
    lines = bom_files.read(file.read_bytes())
    say(f"{len(lines)} lines, {boards} board{'' if boards == 1 else 's'}.")

    def progress(done: int, of: int) -> None:
        if done % 20 == 0 and not as_json:
            say(f"{done} of {of} lines asked.")

    async def work() -> Quoted:
        whole = components.open()
        try:
            return await quoting.ask(
                whole, lines, boards=boards, currency=currency, only=only, progress=progress
            )
        except RateUnknown as error:
            raise RequestInvalid(error.message, remedy=error.remedy) from error
        finally:
            await whole.close()

    quoted = asyncio.run(until_signal(work, code=INTERRUPTED))
    if save is not None:
        table = export.quote_table(quoted.quote)
        is_book = save.suffix.lower() == ".xlsx"
        write_whole(save, export.to_xlsx(table, title="quote") if is_book else export.to_csv(table))
        say(f"Written to {save}.")
    if as_json:
        print_json(quoting.document(quoted))
    else:
        _print(quoted)
    if not any(row.part for row in quoted.quote.rows):
        raise typer.Exit(FAILED)


def _print(quoted: Quoted) -> None:
    quote = quoted.quote
    table = Table(box=None)
    for heading in ("line", "asked", "part", "from", "buy", "each", quote.currency, "note"):
        is_number = heading in {"line", "buy", "each", quote.currency}
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in quote.rows:
        best = row.best
        table.add_row(
            str(row.line.row),
            escape(row.line.asked),
            escape(row.part.mpn if row.part else "-"),
            escape(best.offer.seller if best else "-"),
            f"{best.buy:,}" if best else "-",
            f"{best.unit_price:,.4f}" if best else "-",
            f"{best.total:,.2f}" if best else "-",
            escape(row.note or ""),
        )
    out.print(table)
    out.print(f"Total: {quote.total:,.2f} {quote.currency}", highlight=False)
    for line in quote.unmatched:
        near = ", ".join(part.mpn for part in quoted.near.get(line.row, ()))
        hint = f" Near: {near}." if near else ""
        say(f"Line {line.row}, {line.asked or 'empty'}: {quoted.why[line.row]}{hint}")
    for said in (*quote.assumptions, *quoted.troubles):
        say(said)
