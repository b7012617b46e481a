"""Commands for components: what a query says."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import AsJson, app, out, print_json, say, told
from orchestrator.parts.errors import QueryInvalid

if TYPE_CHECKING:
    from orchestrator.parts.values import Query

parts = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Electronic components: search the distributors, in Russian or English.",
)
app.add_typer(parts, name="parts")
FIELDS = ("raw", "en", "type", "subtype", "mpn", "attrs", "alternatives", "confidence")


@parts.command()
@told
def normalise(
    queries: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUERY …", help="What to look for; - reads lines from standard input."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A text file in UTF-8, one query a line; empty lines are skipped."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what queries in Russian or English say: type, part number, values in base SI units, English text."""
    from orchestrator.parts.ru import normalise as understand

    understood = [understand(text) for text in _asked(queries or [], file)]
    if as_json:
        print_json([_document(query) for query in understood])
        return
    if not understood:
        say("No query: each line was empty.")
        return
    _print(understood)


def _asked(queries: list[str], file: Path | None) -> list[str]:
    """The queries in input order: arguments as they are, lines without the empty ones."""
    asked: list[str] = []
    for query in queries:
        if query == "-":
            asked += _lines(sys.stdin.buffer.read(), "standard input")
        else:
            asked.append(query)
    if file is not None:
        asked += _lines(
            sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes(), str(file)
        )
    elif not queries:
        if sys.stdin is None or sys.stdin.isatty():
            raise QueryInvalid
        asked += _lines(sys.stdin.buffer.read(), "standard input")
    return asked


def _lines(content: bytes, name: str) -> list[str]:
    # Windows saves with a mark at the start; a byte that is no UTF-8 spoils one letter and not the run
    lines = content.decode("utf-8-sig", "replace").replace("\r\n", "\n").split("\n")
    full = [line.strip("\r") for line in lines if line.strip()]
    empty = len(lines) - len(full) - (1 if lines and not lines[-1].strip() else 0)
    if empty:
        lines_of = "line" if empty == 1 else "lines"
        say(f"Skipped {empty} empty {lines_of} of {name}.")
    return full


def _document(query: Query) -> dict[str, Any]:
    return query.model_dump(mode="json", include=set(FIELDS))


def _print(understood: Iterable[Query]) -> None:
    table = Table(box=None)
    for heading in ("query", "English", "type", "part number", "attributes", "or", "sure"):
        table.add_column(heading, overflow="fold")
    for query in understood:
        table.add_row(
            escape(query.raw),
            escape(query.en),
            escape(query.type or "-"),
            escape(query.mpn or "-"),
            escape(", ".join(f"{name}={value}" for name, value in query.attrs.items())),
            escape(", ".join(each.reads for each in query.alternatives)),
            f"{query.confidence:.2f}",
        )
    out.print(table)
