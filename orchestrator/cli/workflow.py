"""Commands for ComfyUI workflow files: what a server would be sent, and what it would say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from orchestrator.cli.app import FAILED, WRONG_USAGE, AsJson, app, err, out, print_json, told
from orchestrator.errors import WorkflowUnreadable
from orchestrator.workflows.ui import Conversion, Plans, convert, validate

MAX_BYTES = 100_000_000  # of a file

workflow = typer.Typer(no_args_is_help=True, help="Convert and check ComfyUI workflow files.")
app.add_typer(workflow, name="workflow")

File = Annotated[Path, typer.Argument(help="A workflow of ComfyUI, in UI or API format.")]
ObjectInfo = Annotated[
    Path, typer.Option("--object-info", help="What the server answers to GET /object_info.")
]


@workflow.command("convert")
@told
def convert_command(file: File, object_info: ObjectInfo, as_json: AsJson = False) -> None:
    """Print a workflow in API format, as ComfyUI's editor would send it, and what is not certain about it."""
    converted = _converted(file, _plans(object_info))
    if not as_json:
        for each in converted.warnings:
            where = f"{each.node} {each.input}".strip()
            err.print(f"[yellow]{escape(f'{where}: {each.message}')}[/yellow]", highlight=False)
        print_json(converted.prompt)
    else:
        warnings = [each.as_json() for each in converted.warnings]
        print_json({"prompt": converted.prompt, "warnings": warnings})
    if not converted.prompt:
        raise typer.Exit(FAILED)


@workflow.command("validate")
@told
def validate_command(
    file: File,
    object_info: ObjectInfo,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Also what the server would not come to: it needs no such node."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a server would refuse in a workflow, under the server's own names."""
    plans = _plans(object_info)
    found = validate(_converted(file, plans).prompt, plans)
    errors = [each for each in found if each.told or everything]
    if as_json:
        print_json({"errors": [each.as_json() for each in errors]})
    else:
        for each in errors:
            where = " ".join(part for part in (each.node, each.input, each.type) if part)
            out.print(escape(f"{where}: {each.message}"), highlight=False, soft_wrap=True)
        if not errors:
            err.print("The server would take it.", highlight=False)
    if errors:
        raise typer.Exit(FAILED)


def _converted(file: Path, plans: Plans) -> Conversion:
    document = _read(file)
    if not isinstance(document, dict):
        raise WorkflowUnreadable(f"{file.name} holds no workflow: it is not a JSON object")
    return convert(document, plans)


def _plans(file: Path) -> Plans:
    document = _read(file)
    if not isinstance(document, dict) or not document:
        raise WorkflowUnreadable(f"{file.name} is not what a server answers to GET /object_info")
    return Plans(document)


def _read(file: Path) -> Any:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise WorkflowUnreadable(f"{file.name} is larger than {MAX_BYTES:,} bytes")
        return json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        err.print(f"[red]{escape(f'{file}: {error.strerror}')}[/red]", highlight=False)
        raise typer.Exit(WRONG_USAGE) from None
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested without end
        raise WorkflowUnreadable(f"{file.name} is not JSON") from None
