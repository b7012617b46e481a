"""The process that the kernels of pages are forked from: `python -m orchestrator.widgets.zygote`.

It has imported what they need, so that one of them starts in a moment and shares memory with the others.
Chromium and Android start processes so, and call the parent by this name.

One JSON object per line comes in: `arguments` of ipykernel, `environment`, `folder`, and `log`, a file. One number per
line goes out: the kernel's process. When its input ends, it ends; and its kernels, which look at their parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
from importlib import import_module
from typing import Any

from setproctitle import setproctitle

# a kernel imports these when it is made, debuggers though nobody debugs a page: a fifth of what it does until it waits
AT_EVERY_START = ("ipykernel.debugger", "IPython.core.debugger", "tornado.platform.asyncio")


def main() -> None:
    """Fork a kernel for each line."""
    asyncio.run(import_all())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is gone at once
    gc.collect()
    gc.freeze()  # a collection would write to all that is shared, and so end the sharing
    parent = os.getpid()
    for line in sys.stdin:
        wanted = json.loads(line)
        pid = os.fork()
        if pid == 0:
            break
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    else:
        return
    become(**wanted, parent=parent)


async def import_all() -> None:
    """What kernels of pages import, some of it only in a loop. No thread may be left: a fork has only its own."""
    from ipykernel import kernelapp  # noqa: F401

    from orchestrator.lab import Lab  # noqa: F401
    from orchestrator.widgets.warm import warm_up

    for name in AT_EVERY_START:
        import_module(name)
    warm_up()


def become(
    *, arguments: list[str], environment: dict[str, str], folder: str | None, log: str, parent: int
) -> None:
    """Be the kernel, with nothing of its parent that others could notice."""
    sys.argv = ["ipykernel_launcher", *arguments]
    setproctitle(" ".join(sys.argv))  # for `ps`; found by the environment, which changes below
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for source, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(written)
    os.environ.clear()
    os.environ.update(environment)
    with contextlib.suppress(OSError):  # as Jupyter: then it stays where it is
        os.chdir(folder or ".")
    sys.argv.append(f"--IPKernelApp.parent_handle={parent}")  # it ends with that one
    from ipykernel.kernelapp import launch_new_instance

    launch: Any = launch_new_instance
    launch()


if __name__ == "__main__":
    main()
