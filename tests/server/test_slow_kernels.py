"""A kernel that is slow to start because the machine is busy is waited for; one that hangs is not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from orchestrator.server.kernels import while_busy

# now and then at work, as one that others keep from the processor
BUSY = "import time\nwhile True: sum(range(500_000)); time.sleep(0.1)"
IDLE = "import time; print(flush=True); time.sleep(600)"


async def waited(code: str, *, limit_s: float, most_s: float, for_s: float) -> float:
    """How long a limit lets one wait for a process that never answers, at most `for_s`."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        if code == IDLE:
            assert process.stdout is not None
            await asyncio.to_thread(process.stdout.readline)  # its own start is no work of a kernel
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(limit_s) as limit,
                while_busy(limit, process.pid, most_s=most_s, idle_s=limit_s),
            ):
                await asyncio.sleep(for_s)
        except TimeoutError:
            pass
        return time.monotonic() - began
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_is_at_work_is_waited_for_beyond_the_limit() -> None:
    assert asyncio.run(waited(BUSY, limit_s=1.0, most_s=60.0, for_s=3.0)) >= 3.0


def test_one_that_does_nothing_is_given_up_soon_after_it() -> None:
    assert asyncio.run(waited(IDLE, limit_s=1.0, most_s=60.0, for_s=30.0)) < 10.0


def test_one_that_is_at_work_for_ever_is_given_up_in_the_end() -> None:
    assert asyncio.run(waited(BUSY, limit_s=1.0, most_s=2.0, for_s=30.0)) == pytest.approx(
        2.0, abs=0.9
    )
