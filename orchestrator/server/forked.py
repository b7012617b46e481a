"""Kernels of pages as forks of one process that has imported what they need, where the system can do that well.

A kernel that starts by itself imports for a second and takes 65 MB; a fork is there in a moment and takes 40.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

# elsewhere there is no fork (Windows), or the system's own libraries do not stand it (macOS)
CAN_FORK = sys.platform == "linux"
LAUNCHER = "ipykernel_launcher"
START_S = 60.0  # to import everything, on a machine that has better things to do
ANSWER_S = 5.0  # once everything is imported; forking takes 20 ms
STOP_S = 3.0
SILENT = "the process that page kernels are forked from does not answer"

logger = logging.getLogger(__name__)


class Zygote:
    """Starts `orchestrator.widgets.zygote` when a kernel is asked for, and asks it for forks."""

    def __init__(self, log: Path, *, answer_s: float = ANSWER_S) -> None:
        """`log`: the file for what kernels say by themselves; `answer_s`: how long a fork may take, in seconds."""
        self._log = log
        self._answer_s = answer_s
        self._process: asyncio.subprocess.Process | None = None
        self._has_answered = False
        self._lock = asyncio.Lock()
        self._forks: list[Fork] = []

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return self._process.pid if self._process is not None else None

    async def fork(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], folder: str | None
    ) -> Fork:
        """A new kernel's process. `arguments`: of ipykernel. Raises OSError when there is none to be had soon."""
        wanted = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": folder,
            "log": str(self._log),
        }
        asking = asyncio.ensure_future(self._ask(wanted))
        # one that has ended is started again, and has everything to import
        lives = self._process is not None and self._process.returncode is None
        seconds = self._answer_s if lives and self._has_answered else START_S
        try:
            await asyncio.wait({asking}, timeout=seconds)
        except asyncio.CancelledError:
            # its answer must be read all the same: the next one is another's
            asking.add_done_callback(_drop)
            raise
        if not asking.done():  # nor is it ended for that: its kernels would end with it
            asking.add_done_callback(_drop)
            raise OSError(f"{SILENT} within {seconds:g} s")
        return asking.result()

    async def _ask(self, wanted: Mapping[str, Any]) -> Fork:
        async with self._lock:
            process = await self._running(wanted["environment"])
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(json.dumps(wanted).encode() + b"\n")
                async with asyncio.timeout(START_S):
                    await process.stdin.drain()
                    fork = Fork(int(await process.stdout.readline()))
                self._has_answered = True
            except (TimeoutError, ValueError, psutil.NoSuchProcess) as error:
                await self._end()  # its answer would be taken for the next one's
                raise OSError(SILENT) from error
        self._forks = [each for each in self._forks if each.poll() is None] + [fork]
        return fork

    async def _running(self, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._has_answered = False
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "orchestrator.widgets.zygote"),
                    env=environment,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
        return self._process

    async def end(self) -> None:
        """End it, and with it the kernels that are left: their pages have gone, or the server is going."""
        await self._end()  # whoever waits for its answer need not wait on
        async with self._lock:
            await self._end()

    async def rest(self) -> None:
        """End it if none of its kernels is left; it starts again when one is asked for."""
        if all(each.poll() is not None for each in self._forks):
            await self.end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:  # it may be stopped
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Fork:
    """A process that is not this one's child, with as much of a `Popen` as Jupyter's provisioner asks for."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        """Raises psutil.NoSuchProcess."""
        self.pid = pid
        self._process = psutil.Process(pid)

    def poll(self) -> int | None:
        """None while it lives. What it ended with only its parent knows."""
        try:
            is_there = self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return 1
        return None if is_there else 1

    def wait(self) -> int:
        """Wait for its end."""
        self._process.wait()
        return 1

    def send_signal(self, number: int) -> None:
        """Raises ProcessLookupError when it has ended."""
        try:
            self._process.send_signal(number)
        except psutil.NoSuchProcess as error:
            raise ProcessLookupError(str(error)) from error

    def kill(self) -> None:
        """As `send_signal`."""
        self.send_signal(9)

    def terminate(self) -> None:
        """As `send_signal`."""
        self.send_signal(15)


def _drop(asking: asyncio.Future[Fork]) -> None:
    """End a process that nobody waits for any more."""
    if not asking.cancelled() and asking.exception() is None:
        with contextlib.suppress(ProcessLookupError):
            asking.result().kill()


class ForkedProvisioner(LocalProvisioner):
    """Jupyter's provisioner of local processes, which takes its process from a zygote when it can."""

    zygote: Zygote  # set by the kernel's manager

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """As the base class."""
        try:
            arguments = cmd[cmd.index(LAUNCHER) + 1 :]
            folder = kwargs.get("cwd")
            process: Any = await self.zygote.fork(
                arguments, environment=kwargs["env"], folder=folder
            )
        except (OSError, ValueError) as error:
            logger.warning("A page's kernel was not forked but started: %s", error)
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.pid, self.pgid = process, process.pid, process.pid
        self.cwd = folder or str(Path.cwd())
        return self.connection_info
