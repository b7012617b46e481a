"""The command line: thin commands over the lab. Answers go to standard output, everything else to standard error."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.errors import (
    ConfigError,
    JobNotFound,
    OrchestratorError,
    PathsInvalid,
    RequestInvalid,
)
from orchestrator.jobs import Job, Status
from orchestrator.paths import Paths

if TYPE_CHECKING:
    from orchestrator.handles import JobHandle
    from orchestrator.lab import Lab

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
POLL_S = 0.25
LOOK_S = 3.0  # how often a waiting command looks whether a worker still lives
P = ParamSpec("P")
T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="A notebook-first lab for generating images.",
)
out = Console()
err = Console(stderr=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
JobId = Annotated[str, typer.Argument(help="A job's id, or the beginning of it.")]


def main() -> NoReturn:
    """Run the command line; the process ends with 0 done, 1 the work failed, 2 wrong usage."""
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # Windows consoles may know fewer letters than prompts have
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    app()
    raise SystemExit(0)


def told(command: Callable[P, None]) -> Callable[P, None]:
    """A command whose errors are told with their remedy instead of a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except OrchestratorError as error:
            err.print(f"[red]{escape(error.message)}[/red]", highlight=False)
            err.print(escape(error.remedy), highlight=False)
            usage = isinstance(error, ConfigError | RequestInvalid | JobNotFound)
            raise typer.Exit(WRONG_USAGE if usage else FAILED) from None
        except OSError as error:
            err.print(f"[red]{escape(str(error))}[/red]", highlight=False)
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return run


# ---------------------------------------------------------------- the lab as a whole


@app.command()
@told
def up(
    port: Annotated[
        int | None, typer.Option(help="Port of the pages (default: ADMIN_URL's).")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """Start the whole lab: pages, JupyterLab, a worker and, where there is no ComfyUI, the embedded engine."""
    from orchestrator.lab import Lab
    from orchestrator.server import launch

    with Lab.open() as lab:
        code = launch.up(lab, port=port, browser=browser)
    raise typer.Exit(code)


@app.command()
@told
def worker() -> None:
    """Run the job loop alone, until Ctrl-C or SIGTERM."""
    from orchestrator import logs
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        logs.set_up(lab.paths, lab.settings, name="worker", screen=True)
        asyncio.run(_until_signal(lab.work, code=0))


@app.command()
@told
def engine(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any free one.")] = 8188,
) -> None:
    """Run the embedded engine alone: it speaks ComfyUI's protocol and paints without a model."""
    from orchestrator.engine import serve

    serve(port, ready=lambda url: _say(f"The embedded engine (no model) is at {url}"))


@app.command()
@told
def health(as_json: AsJson = False) -> None:
    """Say what runs, what does not, and what to do about it. Exit code 0 only when all is well."""
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        report = asyncio.run(lab.health())
    if as_json:
        _print_json(report.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        table = Table(box=None, show_header=False)
        for name in ("panel", "comfyui", "bfl", "worker", "monitor", "guardian"):
            part = getattr(report, name)
            colour = {"running": "green", "stopped": "red"}.get(part.status, "yellow")
            table.add_row(name, f"[{colour}]{part.status}[/]", escape(part.message))
        counts = ", ".join(f"{n} {status}" for status, n in report.queue.counts.items() if n)
        table.add_row("jobs", "", counts or "none yet")
        out.print(table)
        for problem in report.problems:
            out.print(f"[red]•[/red] {escape(problem)}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if report.well else FAILED)


@app.command()
@told
def paths(
    as_json: AsJson = False,
    init: Annotated[bool, typer.Option(help="Write a paths.json here if there is none.")] = False,
) -> None:
    """Show every place of paths.json, and create the folders that are missing."""
    found = Paths.init(Path.cwd()) if init else Paths.find()
    trouble: PathsInvalid | None = None
    try:
        found.create()
    except PathsInvalid as error:
        trouble = error
    places = found.places()
    if as_json:
        rows = {
            p.key: {
                "path": str(p.path),
                "exists": p.exists,
                "writable": p.writable,
                "problem": p.problem,
            }
            for p in places
        }
        _print_json({"file": str(found.file), "places": rows})
    else:
        table = Table(box=None, title=str(found.file), title_justify="left")
        for heading in ("place", "exists", "writable", "path"):
            table.add_column(heading)
        for p in places:
            note = f"  ({p.problem})" if p.problem else ""
            table.add_row(p.key, _mark(p.exists), _mark(p.writable), escape(f"{p.path}{note}"))
        out.print(table, soft_wrap=True)
    if trouble is not None:
        raise trouble
    if any(not p.writable for p in places if p.key != "comfyRoot"):
        raise typer.Exit(FAILED)


# ---------------------------------------------------------------- jobs


@app.command()
@told
def generate(
    prompt: Annotated[str, typer.Argument(help="What the picture should show.")],
    backend: Annotated[str, typer.Option(help="flux, sd15 or sdxl.")] = "sd15",
    param: Annotated[
        list[str] | None,
        typer.Option(help="A parameter as name=value, such as steps=20; may be repeated."),
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Keep it as a draft, for `run`.")] = False,
    priority: Annotated[int, typer.Option(help="Higher goes first.")] = 0,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the picture.")] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a job; with --wait, wait for its picture, working on it here if no worker runs."""
    from orchestrator.lab import Lab

    if hold and wait:
        raise typer.BadParameter("a draft does not run: --hold and --wait exclude each other")
    with Lab.open() as lab:
        job = lab.submit(
            prompt, backend=backend, params=_params(param), hold=hold, priority=priority
        )
        if wait:
            job = asyncio.run(_until_signal(lambda: _wait(lab, job), code=INTERRUPTED))
    _print_job(job, as_json)
    if wait and job.status is not Status.DONE:
        raise typer.Exit(FAILED)


@app.command()
@told
def jobs(
    status: Annotated[Status | None, typer.Option(help="Only jobs with this status.")] = None,
    backend: Annotated[str | None, typer.Option(help="Only jobs of this backend.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="How many to skip.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the jobs, newest first."""
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        found, total = lab.page(status=status, backend=backend, limit=limit, offset=offset)
        corrupt = len(lab.store.quarantine.files())
    if as_json:
        _print_json({"jobs": [_document(job) for job in found], "total": total})
    else:
        table = Table(box=None)
        table.add_column("id", no_wrap=True)
        for heading in ("status", "backend", "prompt", "what happened"):
            table.add_column(heading, overflow="fold")
        for job in found:
            news = job.failure.message if job.failure else (job.result and job.result.file) or ""
            cells = (job.id, job.status.value, job.backend, job.prompt[:50], news[:100])
            table.add_row(*(escape(cell) for cell in cells))
        out.print(table)
        out.print(f"{len(found)} of {total}", highlight=False)
    if corrupt:
        err.print(f"{corrupt} files that hold no job were set aside in jobs/_corrupt")


@app.command()
@told
def run(job_id: JobId, as_json: AsJson = False) -> None:
    """Release a draft, or run a failed or cancelled job again."""
    _change(lambda lab: lab.run(job_id), as_json)


@app.command()
@told
def cancel(job_id: JobId, as_json: AsJson = False) -> None:
    """Cancel a job, also while it runs."""
    _change(lambda lab: lab.cancel(job_id), as_json)


@app.command()
@told
def retry(job_id: JobId, as_json: AsJson = False) -> None:
    """Make a new attempt at a job that failed or was cancelled."""
    _change(lambda lab: lab.retry(job_id), as_json)


# ---------------------------------------------------------------- parts of commands


def _change(change: Callable[[Lab], Job], as_json: bool) -> None:
    from orchestrator.lab import Lab

    with Lab.open() as lab:
        _print_job(change(lab), as_json)


async def _wait(lab: Lab, job: Job) -> Job:
    """Wait for a job; where no worker lives, or the last one goes, be one for it."""
    handle = lab.job(job.id)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_progress(handle))
        helping = False
        while True:
            workers = await asyncio.to_thread(lab.store.observer.workers)
            if not helping and not any(worker.alive for worker in workers):
                await stack.enter_async_context(lab.worker(name="generate", only={job.id}))
                helping = True
            with contextlib.suppress(TimeoutError):
                return (await handle.wait(timeout_s=LOOK_S)).job


@contextlib.contextmanager
def _progress(handle: JobHandle) -> Iterator[None]:
    """A progress bar on standard error, where somebody looks at it."""
    if not err.is_terminal:
        yield
        return
    from rich.progress import Progress

    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("waiting", total=1.0)

        async def follow() -> None:
            while True:
                if said := await asyncio.to_thread(handle.progress):
                    steps = f" {said.step}/{said.steps}" if said.steps else ""
                    bar.update(task, completed=said.fraction, description=f"{said.text}{steps}")
                await asyncio.sleep(POLL_S)

        following = asyncio.ensure_future(follow())
        try:
            yield
        finally:
            following.cancel()


async def _until_signal(work: Callable[[], Awaitable[T]], *, code: int) -> T:
    """Await something; SIGTERM and Ctrl-C cancel it, so that it ends in order, with exit code `code`."""
    task = asyncio.ensure_future(work())
    loop = asyncio.get_running_loop()

    def stop(*_: object) -> None:
        loop.call_soon_threadsafe(task.cancel)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return await task
    except asyncio.CancelledError:
        raise typer.Exit(code) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _params(pairs: list[str] | None) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for pair in pairs or []:
        name, separator, value = pair.partition("=")
        if not separator or not name.strip():
            raise typer.BadParameter(f"{pair!r} is not name=value", param_hint="--param")
        try:
            params[name.strip()] = json.loads(value)
        except ValueError:
            params[name.strip()] = value
    return params


def _document(job: Job) -> dict[str, Any]:
    return job.model_dump(mode="json", by_alias=True)


def _print_job(job: Job, as_json: bool) -> None:
    if as_json:
        _print_json(_document(job))
        return
    out.print(f"{job.id}  {job.status}", highlight=False)
    for file in job.result.files if job.result else []:
        out.print(escape(file), highlight=False, soft_wrap=True)
    if job.failure is not None and job.status is Status.FAILED:
        err.print(f"[red]{escape(job.failure.message)}[/red]", highlight=False)
        err.print(escape(job.failure.remedy), highlight=False)


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _say(text: str) -> None:
    err.print(escape(text), highlight=False)


def _mark(yes: bool) -> str:
    return "[green]yes[/]" if yes else "[red]no[/]"
