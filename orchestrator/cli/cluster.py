"""Commands for a Dask cluster: its scheduler, its workers, or all of it on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Annotated

import typer

from orchestrator.cli.app import MAX_PORT, app, out, say, told
from orchestrator.settings import SCHEDULER

cluster = typer.Typer(
    no_args_is_help=True,
    help="ComfyUI jobs on Dask workers that stand beside other machines' ComfyUIs. Several plain ComfyUI servers "
    "need no cluster: name them in COMFY_URL, comma-separated.",
)
app.add_typer(cluster, name="cluster")


def _address(said: str) -> str:
    if not SCHEDULER.fullmatch(said):
        raise typer.BadParameter(f"{said!r} is not an address as in tcp://10.0.0.5:8786")
    return said


Scheduler = Annotated[
    str, typer.Argument(metavar="tcp://HOST:PORT", callback=_address, help="The scheduler.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="tcp://HOST:PORT",
        help="Run the ComfyUI jobs on the workers of this Dask scheduler (default: ORCHESTRATOR_CLUSTER). "
        "Several plain ComfyUI servers need none: name them in COMFY_URL, comma-separated.",
    ),
]
AtOnce = Annotated[int, typer.Option(min=1, max=64, help="Attempts at a time on each worker.")]


@cluster.command()
@told
def scheduler(
    host: Annotated[
        str,
        typer.Option(help="Address to listen at. Whoever reaches it may run code on the workers."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=MAX_PORT, help="Port to listen on; 0 for any free one.")
    ] = 8786,
) -> None:
    """Run a scheduler until Ctrl-C or SIGTERM; `dask scheduler` is as good."""
    from orchestrator.cluster import require

    require()
    from orchestrator.cluster.processes import run_scheduler

    raise typer.Exit(run_scheduler(host=host, port=port))


@cluster.command()
@told
def worker(
    scheduler: Scheduler,
    comfy_url: Annotated[
        str | None,
        typer.Option(help="The ComfyUI beside it (default: an embedded engine of its own)."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A backend or model file to take jobs for; may be given several times (default: all that run)."
        ),
    ] = None,
    at_once: AtOnce = 1,
    host: Annotated[
        str | None, typer.Option(help="Address at which the scheduler reaches this worker.")
    ] = None,
) -> None:
    """Run a worker beside a ComfyUI. On SIGTERM it finishes what it has, takes no more, and ends."""
    from orchestrator.cluster import require

    require()
    from orchestrator.cluster.processes import run_worker

    code = run_worker(
        scheduler, comfy_url=comfy_url, models=model or (), at_once=at_once, host=host
    )
    raise typer.Exit(code)


@cluster.command()
@told
def retire(
    scheduler: Scheduler,
    place: Annotated[str, typer.Argument(help="Its ComfyUI, as `cluster workers` shows it.")],
) -> None:
    """Have a worker finish what it has, take no more, and end."""
    from orchestrator.cluster import require

    require()
    from orchestrator.cluster.admin import retire as ask

    count = asyncio.run(ask(scheduler, place))
    say(f"Told {count} worker{'' if count == 1 else 's'}")
    raise typer.Exit(0 if count else 1)


@cluster.command()
@told
def workers(scheduler: Scheduler) -> None:
    """List the workers: the ComfyUI beside each, and their tags."""
    from orchestrator.cluster import require

    require()
    from orchestrator.cluster.admin import listed

    for each in asyncio.run(listed(scheduler)):
        out.print(
            f"{each.place}  {', '.join(each.tags)}", markup=False, highlight=False, soft_wrap=True
        )


@cluster.command()
@told
def local(
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many.")] = 2,
    comfy_url: Annotated[
        list[str] | None,
        typer.Option(
            help="A ComfyUI to stand beside, instead of embedded engines; one worker each."
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=MAX_PORT, help="Port of the scheduler; 0 for any free one."),
    ] = 8786,
    at_once: AtOnce = 1,
) -> None:
    """Run a scheduler and workers on this machine, until Ctrl-C or SIGTERM."""
    from orchestrator.cluster import local as start

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with start(workers, comfy_urls=comfy_url or (), port=port, at_once=at_once) as here:
        say(
            f"The cluster is at {here.address}; use it with: orchestrator up --cluster {here.address}"
        )
        while not stop.wait(1.0):
            pass


def joined(cluster: str | None) -> str | None:
    """Told to the processes that are started from here, too."""
    if cluster is not None:
        from orchestrator.cluster import require

        require()
        os.environ["ORCHESTRATOR_CLUSTER"] = cluster
    return cluster
