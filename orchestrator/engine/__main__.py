"""`python -m orchestrator.engine`: the embedded engine by itself."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from orchestrator.engine.dialects import DIALECTS
from orchestrator.engine.serving import serve


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.engine",
        description="A small server that speaks ComfyUI's protocol and paints without a model.",
    )
    parser.add_argument("--port", type=int, default=8188)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--output", type=Path, help="where pictures go (default: a temporary folder)"
    )
    parser.add_argument("--dialect", choices=tuple(DIALECTS), default="0.27")
    parser.add_argument(
        "--allow-faults", action="store_true", help="accept POST /engine/faults, for tests"
    )
    parser.add_argument(
        "--step-ms",
        type=float,
        default=0.0,
        metavar="MS",
        help="make it as slow as a real server: each sampler step takes so many milliseconds longer",
    )
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="stop when standard input ends"
    )
    args = parser.parse_args()
    try:
        serve(
            args.port,
            host=args.host,
            output=args.output,
            dialect=args.dialect,
            allow_faults=args.allow_faults,
            step_delay_s=max(0.0, args.step_ms) / 1000,
            exit_with_parent=args.exit_with_parent,
            ready=_say,
        )
    except OSError as exc:
        sys.stderr.write(f"{exc.strerror or exc}\n")
        return 1
    return 0


def _say(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
