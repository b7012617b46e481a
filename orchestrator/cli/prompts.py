"""Commands for prompts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from pydantic.alias_generators import to_camel
from rich.markup import escape

from orchestrator.cli.app import AsJson, app, err, out, print_json, say, told

MAX_SHOWN = 1_000  # prompts of one command


@app.command()
@told
def prompt(
    text: Annotated[str, typer.Argument(help="A prompt with {a|b}, __wildcards__ and the like.")],
    seed: Annotated[
        int | None, typer.Option(min=0, help="The seed of the job; by itself one is chosen.")
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, max=MAX_SHOWN, help="For how many seeds, each one more.")
    ] = 1,
    style: Annotated[
        list[str] | None, typer.Option(help="The name of a style; may be repeated.")
    ] = None,
    negative: Annotated[str, typer.Option(help="The negative prompt.")] = "",
    backend: Annotated[str, typer.Option(help="What would make the picture.")] = "sd15",
    as_json: AsJson = False,
) -> None:
    """Show what would be sent for a prompt: with its styles, drawn from the seed, and translated. Submits nothing."""
    from orchestrator.lab import Lab

    params: dict[str, Any] = {"styles": style or []}
    if negative:
        params["negativePrompt"] = negative
    with Lab.open() as lab:
        first = lab.preview_prompt(text, backend=backend, params=params, seed=seed)
        rest = range(first.seed + 1, first.seed + count)
        shown = [
            first,
            *(lab.preview_prompt(text, backend=backend, params=params, seed=n) for n in rest),
        ]
        ways = lab.phrasebook.count(text, styles=style or [])
        folder = lab.phrasebook.wildcards.folder
    if as_json:
        documents = [
            {to_camel(name): said for name, said in asdict(each).items()} for each in shown
        ]
        print_json({"ways": ways, "wildcards": str(folder), "prompts": documents})
        return
    for each in shown:
        label = f"{each.seed}: " if count > 1 or seed is None else ""
        out.print(escape(label + each.prompt), highlight=False, soft_wrap=True)
        if each.negative_prompt:
            out.print(escape(f"  without: {each.negative_prompt}"), highlight=False, soft_wrap=True)
        if each.original is not None:
            say(f"  translated from: {each.original}")
    for note in dict.fromkeys(note for each in shown for note in each.notes):
        err.print(f"[yellow]{escape(note)}[/yellow]", highlight=False)
    if ways > 1:
        say(f"It may turn out in {ways:,} ways; its wildcard files lie in {folder}")
