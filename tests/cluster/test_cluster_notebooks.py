"""A notebook of many jobs whose pictures are made on a cluster: the command as CI meets it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "acceptance"))
from commands import command
from inside import in_loop, scheduler, without_secrets, worker

from orchestrator.cluster.link import seen
from orchestrator.testing import Engine, make_lab

__all__ = ["without_secrets"]
NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "batch.ipynb"
SMALL = ("-p", "seeds=1", "-p", "width=64", "-p", "height=64", "-p", "steps=1")


@in_loop
async def test_the_jobs_of_a_notebook_run_on_the_cluster_that_the_command_names(
    tmp_path: Path,
) -> None:
    # no other ComfyUI is there: what is made, is made on the cluster
    with make_lab(tmp_path, comfy_url="http://127.0.0.1:9") as lab:
        async with scheduler() as at, Engine() as engine, worker(at, engine):
            places = {each.place for each in seen(at.identity())}
            asked = ("batch", "run", str(NOTEBOOK), *SMALL, "--cluster", at.address)
            environment = {**os.environ, "ORCHESTRATOR_PATHS": str(lab.paths.file)}
            done = await asyncio.to_thread(command, tmp_path, *asked, environment=environment)
        (batch,) = lab.batches()
        jobs = batch.jobs()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [job.status for job in jobs] == ["done"] * 2
    assert {job.attempts[-1].host for job in jobs} == places
