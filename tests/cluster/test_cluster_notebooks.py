"""A notebook of many jobs whose pictures are made on a cluster: the command as CI meets it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from inside import in_loop, scheduler, without_secrets, worker

from orchestrator.cluster.link import seen
from orchestrator.testing import Engine, make_lab

__all__ = ["without_secrets"]
NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "batch.ipynb"
SMALL = ("-p", "seeds=1", "-p", "width=64", "-p", "height=64", "-p", "steps=1")
PATIENCE_S = 240.0


@in_loop
async def test_the_jobs_of_a_notebook_run_on_the_cluster_that_the_command_names(
    tmp_path: Path,
) -> None:
    # no other ComfyUI is there: what is made, is made on the cluster
    with make_lab(tmp_path, comfy_url="http://127.0.0.1:9") as lab:
        async with scheduler() as at, Engine() as engine, worker(at, engine):
            places = {each.place for each in seen(at.identity())}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "orchestrator", "batch", "run", str(NOTEBOOK), *SMALL),
                *("--cluster", at.address),
                cwd=tmp_path,
                env={**os.environ, "ORCHESTRATOR_PATHS": str(lab.paths.file)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        (batch,) = lab.batches()
        jobs = batch.jobs()
    assert process.returncode == 0, said.decode()
    assert [job.status for job in jobs] == ["done"] * 2
    assert {job.attempts[-1].host for job in jobs} == places
