"""Kernels that are forked: which is whose, and what happens when there is nothing that one could be forked from."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_client.connect import write_connection_file

from orchestrator.server.forked import CAN_FORK, Fork, ForkedProvisioner, Zygote
from orchestrator.server.server import LabKernel, LabKernels


def test_a_kernel_can_be_listed_from_the_moment_it_is_there() -> None:
    kernels = LabKernels()
    kernels._kernels["of-a-page"] = LabKernel()
    (listed,) = kernels.list_kernels()
    assert listed["last_activity"]


def test_a_kernel_that_cannot_be_forked_is_started(tmp_path: Path) -> None:
    async def story() -> None:
        manager = AsyncKernelManager(kernel_name="python3")
        manager.provisioner = ForkedProvisioner(
            kernel_id="of-a-page", kernel_spec=manager.kernel_spec, parent=manager
        )
        manager.provisioner.zygote = Zygote(tmp_path / "not-there" / "kernels.log")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        await manager.start_kernel(env=dict(os.environ), **quiet)
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)
        assert not await manager.is_alive()

    asyncio.run(story())


@pytest.mark.skipif(not CAN_FORK, reason="here each kernel of a page starts by itself")
def test_whoever_no_longer_waits_leaves_no_process_and_the_next_gets_its_own(
    tmp_path: Path,
) -> None:
    files = [str(tmp_path / "first.json"), str(tmp_path / "second.json")]
    for file in files:
        write_connection_file(file)

    async def story() -> None:
        zygote = Zygote(tmp_path / "kernels.log")
        first, second = (
            asyncio.create_task(
                zygote.fork(["-f", file], environment=dict(os.environ), folder=str(tmp_path))
            )
            for file in files
        )
        try:
            while zygote.pid is None:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)  # it has asked, and everything is being imported
            first.cancel()
            fork = await second
            assert first.cancelled()
            assert zygote.pid is not None
            async with asyncio.timeout(30):
                while "second.json" not in " ".join(psutil.Process(fork.pid).cmdline()):
                    await asyncio.sleep(0.02)
                while [each.pid for each in psutil.Process(zygote.pid).children()] != [fork.pid]:
                    await asyncio.sleep(0.02)
        finally:
            await zygote.end()
            fork.kill()

    asyncio.run(story())


@pytest.mark.skipif(not CAN_FORK, reason="here each kernel of a page starts by itself")
def test_a_stopped_parent_is_not_waited_for_and_keeps_its_kernels_and_a_new_one_may_import(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        zygote = Zygote(tmp_path / "kernels.log", answer_s=1.0)

        async def forked(name: str) -> Fork:
            write_connection_file(str(tmp_path / name))
            return await zygote.fork(
                ["-f", str(tmp_path / name)], environment=dict(os.environ), folder=str(tmp_path)
            )

        try:
            first = await forked("first.json")
            assert zygote.pid is not None
            os.kill(zygote.pid, signal.SIGSTOP)
            with pytest.raises(OSError, match="does not answer"):
                await forked("second.json")
            os.kill(zygote.pid, signal.SIGCONT)
            third = await forked("third.json")
            async with asyncio.timeout(30):
                kernels = {first.pid, third.pid}
                while {each.pid for each in psutil.Process(zygote.pid).children()} != kernels:
                    await asyncio.sleep(0.02)
                ended = zygote.pid
                os.kill(ended, signal.SIGKILL)
                while psutil.pid_exists(ended):
                    await asyncio.sleep(0.02)
            fourth = await forked("fourth.json")
            assert psutil.Process(fourth.pid).ppid() == zygote.pid != ended
        finally:
            await zygote.end()

    asyncio.run(story())
