"""What the commands have in common: the application, the two consoles, errors with their remedy."""

from __future__ import annotations

import asyncio
import functools
import json
import signal
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from orchestrator.errors import ConfigError, JobNotFound, OrchestratorError, RequestInvalid

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
MAX_PORT = 65_535  # what is larger some systems take for another port
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


async def until_signal(work: Callable[[], Awaitable[T]], *, code: int) -> T:
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


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """A line for the user, on standard error."""
    err.print(escape(text), highlight=False)
