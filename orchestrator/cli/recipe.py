"""The command that reads how a picture was made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import FAILED, WRONG_USAGE, AsJson, app, err, out, print_json, told
from orchestrator.images import find_recipe
from orchestrator.recipes import ForeignRecipe, Recipe, parameters_text

SOURCES = {"comfyui": "a workflow of ComfyUI", "a1111": "a text as AUTOMATIC1111 writes it"}


@app.command()
@told
def recipe(
    file: Annotated[Path, typer.Argument(help="A picture: PNG, JPEG, WebP or MP4.")],
    as_json: AsJson = False,
) -> None:
    """Say how a picture was made: one of the lab, of ComfyUI, or of AUTOMATIC1111 and its like."""
    if not file.is_file():
        err.print(f"[red]There is no file {escape(str(file))}[/red]", highlight=False)
        raise typer.Exit(WRONG_USAGE)
    found = find_recipe(file)
    if as_json:
        print_json(_document(found))
    elif found is None:
        err.print(f"{escape(file.name)} does not say how it was made", highlight=False)
    else:
        _print(found)
    if found is None:
        raise typer.Exit(FAILED)


def _document(found: Recipe | ForeignRecipe | None) -> dict[str, object]:
    source = "orchestrator" if isinstance(found, Recipe) else found.source if found else None
    said = found.model_dump(mode="json", by_alias=True, exclude={"source"}) if found else None
    return {"source": source, "recipe": said}


def _print(found: Recipe | ForeignRecipe) -> None:
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    if isinstance(found, Recipe):
        rows = [
            ("job", f"{found.job_id}, attempt {found.attempt}, picture {found.index + 1}"),
            ("made", f"{found.created_at:%Y-%m-%d %H:%M} by {found.backend} at {found.host}"),
            ("prompt", found.prompt),
        ]
        params = found.params | ({} if found.seed is None else {"seed": found.seed})
    else:
        rows = [("says it", SOURCES[found.source]), ("prompt", found.prompt)]
        params = found.params
    rows += [(name, str(value)) for name, value in params.items()]
    if isinstance(found, Recipe):
        rows.append(("for others", parameters_text(found)))
    else:
        rows += [("note", f"the picture {note}") for note in found.notes]
    for name, value in rows:
        table.add_row(escape(name), escape(value))
    out.print(table)
