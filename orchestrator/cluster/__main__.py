"""`python -m orchestrator.cluster scheduler|worker …`: one process of a cluster by itself, as `local` starts them."""

from __future__ import annotations

import argparse
import sys

from orchestrator.cluster.processes import run_scheduler, run_worker


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.cluster")
    kinds = parser.add_subparsers(dest="kind", required=True)
    scheduler = kinds.add_parser("scheduler")
    scheduler.add_argument("--host", default="127.0.0.1")
    scheduler.add_argument("--port", type=int, default=0)
    scheduler.add_argument("--worker-ttl-s", type=float, default=None)
    worker = kinds.add_parser("worker")
    worker.add_argument("scheduler")
    worker.add_argument("--comfy-url")
    worker.add_argument("--model", action="append", default=[])
    worker.add_argument("--at-once", type=int, default=1)
    worker.add_argument("--host")
    worker.add_argument("--step-ms", type=float, default=0.0)
    for each in (scheduler, worker):
        each.add_argument("--exit-with-parent", action="store_true")
    said = parser.parse_args()
    if said.kind == "scheduler":
        more = {} if said.worker_ttl_s is None else {"worker_ttl_s": said.worker_ttl_s}
        return run_scheduler(
            host=said.host, port=said.port, with_parent=said.exit_with_parent, **more
        )
    return run_worker(
        said.scheduler,
        comfy_url=said.comfy_url,
        models=said.model,
        at_once=said.at_once,
        host=said.host,
        step_ms=said.step_ms,
        with_parent=said.exit_with_parent,
    )


if __name__ == "__main__":
    sys.exit(main())
