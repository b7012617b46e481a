"""`python -m orchestrator.testing`: a FakeBFL by itself, for tests that need it to outlive a process."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading

from orchestrator.testing.bfl import FakeBFL


async def _serve(bfl: FakeBFL) -> None:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def await_end_of_input() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(ended.set)

    async with bfl:
        sys.stdout.write(f"{bfl.url}\n")
        sys.stdout.flush()
        threading.Thread(target=await_end_of_input, daemon=True).start()
        await ended.wait()


def main() -> None:
    """Run a FakeBFL: its address is the first line on standard output; it ends with its standard input."""
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.testing",
        description="A FLUX API that charges nothing, for tests. POST /fake/fail, GET /fake/charges.",
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--picture-seconds", type=float, default=0.05)
    parser.add_argument("--credits", type=float, default=1000.0)
    args = parser.parse_args()
    bfl = FakeBFL(port=args.port, picture_s=args.picture_seconds, credits=args.credits)
    asyncio.run(_serve(bfl))


if __name__ == "__main__":
    main()
