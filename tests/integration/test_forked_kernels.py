"""A page's kernel when there is nothing that it could be forked from."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

from jupyter_client import AsyncKernelManager

from orchestrator.server.forked import ForkedProvisioner, Zygote


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
