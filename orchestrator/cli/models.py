"""Commands for model files: list, verify, pull."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli.app import FAILED, AsJson, app, err, out, print_json, say, told
from orchestrator.paths import Paths

if TYPE_CHECKING:
    from orchestrator.models import Entry, ModelFile
    from orchestrator.models.download import Plan, Puller

Step = Callable[[str, int, int], None]  # what is done, bytes done, bytes in all
LINE_S = 5.0  # how often progress is told where there is no terminal
VERBS = {"download": "fetching", "verify": "checking", "copy": "moving"}

models = typer.Typer(no_args_is_help=True, help="Model files: list, verify, pull.")
app.add_typer(models, name="models")


@models.command("list")
@told
def list_models(
    family: Annotated[
        str | None, typer.Option(help="Only of this family: sd15, sdxl, sd35, svd, flux …")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the models below modelsRoot and ComfyUI's folders."""
    from orchestrator.models import Library

    found = Library(Paths.find()).files()
    shown = [entry for entry in found if family is None or entry.file.family == family.lower()]
    if as_json:
        print_json({"models": [_document(entry) for entry in shown], "total": len(found)})
        return
    table = Table(box=None)
    for heading in ("folder", "name", "family", "size", ""):
        table.add_column(heading, overflow="fold")
    for entry in shown:
        table.add_row(*_row(entry))
    out.print(table)
    out.print(f"{len(shown)} of {len(found)}", highlight=False)
    if damaged := sum(not entry.file.is_whole for entry in shown):
        say(f"{damaged} damaged: `orchestrator models verify` says how, and what to do")


@models.command()
@told
def verify(
    path: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders; all models when left out.")
    ] = None,
    hashed: Annotated[
        bool,
        typer.Option(
            "--hash", help="Read each file whole, and compare it with its published SHA-256."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say which model files are damaged, how, and what to do. Exit code 1 if any is."""
    from orchestrator import models as lib

    paths = Paths.find()
    start = time.perf_counter()
    files = _given(path) if path else [entry.file for entry in lib.Library(paths).files()]
    checks: dict[Path, dict[str, str | None]] = {}
    if hashed:
        files = [_hashed(file, lib.Hashes(paths), checks) for file in files]
    bad = [file for file in files if not file.is_whole]
    if as_json:
        documents = [file.document() | _fault(file) | checks.get(file.path, {}) for file in files]
        print_json({"files": documents, "verified": len(files), "damaged": len(bad)})
    else:
        for file in bad:
            out.print(f"[red]{escape(str(file.path))}[/red]", highlight=False, soft_wrap=True)
            out.print(f"  {escape(file.problem or '')}", highlight=False, soft_wrap=True)
            out.print(
                f"  {escape(file.fault.remedy if file.fault else '')}",
                highlight=False,
                soft_wrap=True,
            )
        for file in files:
            for note in file.notes:
                say(f"{file.path.name}: {note.sentence}")
        took = time.perf_counter() - start
        out.print(f"{len(files)} verified in {took:.2f} s, {len(bad)} damaged", highlight=False)
        unknown = sum(check["published"] is None for check in checks.values())
        if unknown:
            say(f"{unknown} without a published SHA-256: of these only the structure was checked")
    raise typer.Exit(FAILED if bad else 0)


@models.command()
@told
def pull(
    name: Annotated[
        str | None, typer.Argument(help="A known name, or OWNER/REPO[@REVISION][:FILE].")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Folder below modelsRoot (default: by the kind of model).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a model from Hugging Face into modelsRoot; without a name, list the known ones.

    Goes on where it was interrupted. Honours HF_TOKEN and HF_ENDPOINT, also in .env.local.
    """
    from orchestrator.settings import Settings

    if name is None:
        _print_known(as_json)
        return
    from orchestrator.models.download import Puller

    paths = Paths.find()
    puller = Puller(paths, Settings.load(paths))
    plans = [puller.plan(wanted) for wanted in puller.wanted(name, to=to)]
    if any(not plan.is_present for plan in plans):
        _print_plans(plans)
        _confirm(yes)
    pulled = [_pulled(puller, plan, paths, as_json) for plan in plans]
    if as_json:
        print_json({"models": pulled})


# ---------------------------------------------------------------- list and verify


def _document(entry: Entry) -> dict[str, Any]:
    return entry.document() | _fault(entry.file)


def _fault(file: ModelFile) -> dict[str, Any]:
    return {"problem": file.problem, "remedy": file.fault.remedy if file.fault else None}


def _row(entry: Entry) -> tuple[str, ...]:
    from orchestrator.models.placing import size_text

    file = entry.file
    family = " ".join(word for word in (file.family or file.kind or "?", file.variant) if word)
    state = f"[red]{escape(file.fault.sentence)}[/red]" if file.fault else ""
    state = state or escape("; ".join(note.sentence for note in file.notes))
    plain = (entry.folder_type, entry.name, family, size_text(file.size))
    return (*(escape(cell) for cell in plain), state)


def _given(given: list[Path]) -> list[ModelFile]:
    from orchestrator.models import verify as look
    from orchestrator.models.file import is_model

    files: list[ModelFile] = []
    for path in given:
        if path.is_dir():
            below = sorted(
                each for each in path.rglob("*") if is_model(each.name) and not each.is_dir()
            )
            files += [look(each) for each in below]
        elif not path.exists():
            raise typer.BadParameter(f"{path} does not exist")
        else:
            files.append(look(path))
    return files


def _hashed(file: ModelFile, hashes: Any, checks: dict[Path, dict[str, str | None]]) -> ModelFile:
    """The file, with a fault if its SHA-256 is not the published one."""
    from dataclasses import replace

    from orchestrator.models import Fault

    if not file.is_whole:
        return file
    published = hashes.published(file.path)
    with _progress(file.path.name) as step:
        found = hashes.of(file.path, lambda done, size: step("verify", done, size))
    checks[file.path] = {"sha256": found, "published": published}
    if published is not None and published != found:
        detail = f"it is {found}, published was {published}"
        return replace(file, fault=Fault.HASH_MISMATCH, detail=detail)
    return file


# ---------------------------------------------------------------- pull


def _print_known(as_json: bool) -> None:
    from orchestrator.models import KNOWN
    from orchestrator.models.placing import size_text

    if as_json:
        keys = ("title", "repo", "file", "folder", "licence", "size", "sha256", "gated", "needs")
        print_json(
            {
                "models": [
                    {"name": name} | {key: getattr(k, key) for key in keys}
                    for name, k in KNOWN.items()
                ]
            }
        )
        return
    table = Table(box=None)
    for heading in ("name", "what", "size", "licence", "from"):
        table.add_column(heading, overflow="fold")
    for name, known in KNOWN.items():
        size = size_text(known.size) if known.size else "?"
        licence = known.licence + (" (to be accepted on its page)" if known.gated else "")
        table.add_row(*(escape(cell) for cell in (name, known.title, size, licence, known.repo)))
    out.print(table)
    out.print(
        "Any other safetensors file: orchestrator models pull OWNER/REPO:FILE", highlight=False
    )


def _print_plans(plans: list[Plan]) -> None:
    from orchestrator.models.placing import size_text

    for plan in plans:
        known, name = plan.wanted.known, escape(plan.wanted.name)
        if plan.remote is None:
            say(f"{plan.wanted.name}: already there")
            continue
        begun = f", {size_text(plan.have_bytes)} of it are here" if plan.have_bytes else ""
        where = escape(str(plan.target) if plan.target else "the folder of its kind")
        err.print(
            f"{name}: {size_text(plan.remote.size)}{begun}, to {where}",
            highlight=False,
            soft_wrap=True,
        )
        err.print(f"  from {escape(str(plan.wanted.source))}", highlight=False, soft_wrap=True)
        if known is not None:
            say(f"  licence: {known.licence}, {known.page}")
    to_fetch = sum(plan.missing_bytes for plan in plans)
    say(f"{size_text(to_fetch)} to fetch; {size_text(plans[0].free_bytes)} are free")


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody is there to be asked: add --yes", param_hint="--yes")
    typer.confirm("Fetch it?", default=True, abort=True, err=True)


def _pulled(puller: Puller, plan: Plan, paths: Paths, as_json: bool) -> dict[str, Any]:
    with _progress(plan.wanted.name) as step:
        done = puller.pull(plan, step)
    if not as_json:
        state = "is here" if done.fetched_bytes else "was here already"
        out.print(f"{escape(str(done.file.path))} {state}", highlight=False, soft_wrap=True)
    if hint := puller.hint(done.file.path):
        say(hint)
    return done.file.document() | {"sha256": done.sha256, "fetchedBytes": done.fetched_bytes}


@contextmanager
def _progress(name: str) -> Iterator[Step]:
    """A bar on a terminal, a line now and then elsewhere; both on standard error."""
    if not err.is_terminal:
        yield _Lines(name)
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, TransferSpeedColumn(), TimeRemainingColumn(), console=err, transient=True
    ) as bar:
        tasks: dict[str, Any] = {}

        def step(what: str, done: int, size: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(f"{VERBS[what]} {escape(name)}", total=size)
            bar.update(tasks[what], completed=done)

        yield step


class _Lines:
    """Progress as plain lines: at most one in LINE_S seconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told_at = time.monotonic()

    def __call__(self, what: str, done: int, size: int) -> None:
        if time.monotonic() - self._told_at >= LINE_S:
            self._told_at = time.monotonic()
            say(f"{VERBS[what]} {self._name}: {100 * done // max(size, 1)} %")
